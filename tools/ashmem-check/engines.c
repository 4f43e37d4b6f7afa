// SPDX-License-Identifier: GPL-2.0
/*
 * The table of container engines, and the search for their containers. To support another
 * engine, add a row.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "engines.h"

#define DOCKER_FILES	"/containers/*/config.v2.json"
#define PODMAN_FILES	"/*-containers/*/userdata/config.json"
#define PODMAN_LIST	"/*-containers/containers.json"
#define PODMAN_VOLATILE	"/*-containers/volatile-containers.json"
#define PODMAN_DATABASE	"/db.sql"
#define TASKS		"/io.containerd.runtime.v*/*/*/config.json"
#define METADATA	"/io.containerd.metadata.v1.bolt/meta.db"
#define MAKE_ANEW	"recreate it with --device /dev/ashmem or with --privileged"
#define IN_POD		"run its pod with securityContext.privileged, or use a device plugin " \
			"or CDI; a hostPath volume alone gives no right to open it"
#define LXC_LINE	"/dev/ashmem dev/ashmem none bind,optional,create=file"

/* For containers that have not run since the machine started. */
#define RECORD		"/backup.yaml"

/* This also adds the device to a running container. */
#define LXD_DEVICE	"ashmem unix-char source=/dev/ashmem mode=0666"
#define LXD_DOES(command)							\
	.pass = command " config device add %s " LXD_DEVICE,			\
	.again = command " restart %s",						\
	.mend = command " config device list %s | grep -qx ashmem || "		\
		command " config device add %s " LXD_DEVICE,			\
	.has_projects = true

static const struct engine engines[] = {
	{
		.name = "docker",
		.signs = { "run/docker.sock", "var/lib/docker" },
		.containers = { "var/lib/docker" DOCKER_FILES,
				/* With userns-remap. */
				"var/lib/docker/*.*" DOCKER_FILES },
		.moved = { { "etc/docker/daemon.json", "data-root", DOCKER_FILES },
			   { "etc/docker/daemon.json", "graph", DOCKER_FILES },
			   { "etc/default/docker", "--data-root", DOCKER_FILES },
			   { "etc/conf.d/docker", "--data-root", DOCKER_FILES },
			   { "etc/sysconfig/docker", "--data-root", DOCKER_FILES },
			   { "etc/systemd/system/docker.service", "--data-root", DOCKER_FILES },
			   { "etc/systemd/system/docker.service.d/*.conf", "--data-root",
			     DOCKER_FILES } },
		.format = DOCKER, .pass = MAKE_ANEW, .again = "docker restart %s",
	}, {
		.name = "docker from snap",
		.signs = { "var/snap/docker", "run/snap.docker" },
		.containers = { "var/snap/docker/common/var-lib-docker" DOCKER_FILES },
		.moved = { { "var/snap/docker/current/config/daemon.json", "data-root",
			     DOCKER_FILES } },
		.format = DOCKER, .pass = MAKE_ANEW, .again = "snap run docker restart %s",
	}, {
		.name = "rootless docker",
		.signs = { "~/.local/share/docker" },
		.program = "usr/bin/dockerd-rootless.sh",
		.containers = { "~/.local/share/docker" DOCKER_FILES },
		.moved = { { "~/.config/docker/daemon.json", "data-root", DOCKER_FILES } },
		.format = DOCKER, .pass = MAKE_ANEW, .again = "docker restart %s, as its user",
	}, {
		.name = "balenaEngine",
		.signs = { "run/balena-engine.sock", "var/lib/balena-engine", "var/lib/balena" },
		.containers = { "var/lib/balena-engine" DOCKER_FILES, "var/lib/balena" DOCKER_FILES,
				"mnt/data/docker" DOCKER_FILES },
		.format = DOCKER, .pass = MAKE_ANEW, .again = "balena restart %s",
	}, {
		.name = "CRI-O",
		.signs = { "run/crio", "var/run/crio", "var/lib/crio" },
		.containers = { "run/containers/storage" PODMAN_FILES,
				"var/lib/containers/storage" PODMAN_FILES },
		.moved = { { "etc/crio/crio.conf", "root", PODMAN_FILES },
			   { "etc/crio/crio.conf.d/*", "root", PODMAN_FILES },
			   { "etc/crio/crio.conf", "runroot", PODMAN_FILES },
			   { "etc/crio/crio.conf.d/*", "runroot", PODMAN_FILES },
			   { "etc/containers/storage.conf", "graphroot", PODMAN_FILES },
			   { "etc/containers/storage.conf", "runroot", PODMAN_FILES } },
		.format = OCI, .pass = IN_POD, .again = "kubectl delete its pod",
	}, {
		.name = "podman",
		.signs = { "var/lib/containers/storage", "run/podman/podman.sock" },
		/* CRI-O keeps its containers in the same place. */
		.containers = { "var/lib/containers/storage" PODMAN_FILES,
				"run/containers/storage" PODMAN_FILES },
		.moved = { { "etc/containers/storage.conf", "graphroot", PODMAN_FILES },
			   { "etc/containers/storage.conf", "runroot", PODMAN_FILES } },
		.database = { "var/lib/containers/storage" PODMAN_LIST,
			      "var/lib/containers/storage" PODMAN_VOLATILE,
			      "var/lib/containers/storage" PODMAN_DATABASE },
		.word = "redroid",
		.format = OCI, .pass = MAKE_ANEW, .again = "podman restart %s",
	}, {
		.name = "rootless podman",
		.signs = { "~/.local/share/containers/storage" },
		.program = "usr/bin/podman",
		.containers = { "~/.local/share/containers/storage" PODMAN_FILES },
		.moved = { { "~/.config/containers/storage.conf", "graphroot", PODMAN_FILES },
			   { "etc/containers/storage.conf", "rootless_storage_path",
			     PODMAN_FILES } },
		.database = { "~/.local/share/containers/storage" PODMAN_LIST,
			      "~/.local/share/containers/storage" PODMAN_VOLATILE,
			      "~/.local/share/containers/storage" PODMAN_DATABASE },
		.word = "redroid",
		.format = OCI, .pass = "recreate it with --device /dev/ashmem",
		.again = "podman restart %s, as its user",
	}, {
		.name = "containerd",
		.signs = { "run/containerd/containerd.sock", "var/lib/containerd" },
		.containers = { "run/containerd" TASKS, "run/docker/containerd/daemon" TASKS },
		.moved = { { "etc/containerd/config.toml", "state", TASKS } },
		.database = { "var/lib/containerd" METADATA },
		.format = OCI, .pass = MAKE_ANEW ", or make its pod privileged",
		.again = "nerdctl restart %s, or kubectl delete its pod",
	}, {
		.name = "rootless containerd",
		.signs = { "~/.local/share/containerd" },
		.program = "usr/bin/containerd-rootless.sh",
		.containers = { "run/user/*/containerd" TASKS },
		.database = { "~/.local/share/containerd" METADATA },
		.format = OCI, .pass = "recreate it with --device /dev/ashmem",
		.again = "nerdctl restart %s, as its user",
	}, {
		.name = "k3s",
		.signs = { "run/k3s", "var/lib/rancher" },
		.containers = { "run/k3s/containerd" TASKS },
		.database = { "var/lib/rancher/*/agent/containerd" METADATA },
		.format = OCI, .pass = IN_POD, .again = "kubectl delete its pod",
	}, {
		.name = "k0s",
		.signs = { "run/k0s", "var/lib/k0s" },
		.containers = { "run/k0s/containerd" TASKS },
		.database = { "var/lib/k0s/containerd" METADATA },
		.format = OCI, .pass = IN_POD, .again = "kubectl delete its pod",
	}, {
		.name = "MicroK8s",
		.signs = { "var/snap/microk8s" },
		.containers = { "var/snap/microk8s/common/run/containerd" TASKS },
		.database = { "var/snap/microk8s/common/var/lib/containerd" METADATA },
		.format = OCI, .pass = IN_POD, .again = "kubectl delete its pod",
	}, {
		.name = "LXC",
		.signs = { "var/lib/lxc", "~/.local/share/lxc" },
		.program = "usr/bin/lxc-start",
		.containers = { "var/lib/lxc/*/config", "~/.local/share/lxc/*/config" },
		.moved = { { "etc/lxc/lxc.conf", "lxc.lxcpath", "/*/config" },
			   { "~/.config/lxc/lxc.conf", "lxc.lxcpath", "/*/config" } },
		.format = LXC, .group = "lxc.payload.",
		.pass = "add lxc.cgroup2.devices.allow = c 10:* rwm and lxc.mount.entry = "
			LXC_LINE,
		.again = "lxc-stop %s && lxc-start %s",
	}, {
		.name = "Proxmox",
		.signs = { "etc/pve/lxc" },
		.containers = { "etc/pve/lxc/*.conf" },
		.format = LXC, .group = "lxc/", .place = "var/lib/lxc",
		.pass = "add lxc.cgroup2.devices.allow: c 10:* rwm and lxc.mount.entry: " LXC_LINE,
		.again = "pct reboot %s", .mend = "pct set %s /dev/ashmem,mode=0666",
		.has_numbers = true,
	}, {
		.name = "Incus",
		.signs = { "var/lib/incus" },
		.containers = { "run/incus/*/lxc.conf", "var/log/incus/*/lxc.conf",
				"var/lib/incus/containers/*" RECORD },
		.database = { "var/lib/incus/database/global/db.bin" },
		.format = LXC, .group = "lxc.payload.", .place = "var/lib/incus/containers",
		LXD_DOES("incus"),
	}, {
		.name = "LXD",
		.signs = { "var/lib/lxd" },
		.containers = { "var/log/lxd/*/lxc.conf", "var/lib/lxd/containers/*" RECORD },
		.database = { "var/lib/lxd/database/global/db.bin" },
		.format = LXC, .group = "lxc.payload.", .place = "var/lib/lxd/containers",
		LXD_DOES("lxc"),
	}, {
		.name = "LXD from snap",
		.signs = { "var/snap/lxd" },
		.containers = { "var/snap/lxd/common/lxd/logs/*/lxc.conf",
				"var/snap/lxd/common/lxd/containers/*" RECORD },
		.database = { "var/snap/lxd/common/lxd/database/global/db.bin" },
		.format = LXC, .group = "lxc.payload.",
		.place = "var/snap/lxd/common/lxd/containers",
		LXD_DOES("lxc"),
	},
};

static bool is_here;

static void find_sign(const char *path)
{
	is_here |= for_each(path, NULL);
}

static void check_place(const char *path)
{
	for_each(path, check_container);
	now.was_seen |= for_each(place_of(path), NULL);
}

/* A home that cannot be searched may have containers. */
static void check_home(const char *path)
{
	if (exists(path) && faccessat(root_fd(), path, X_OK, AT_EACCESS))
		refused = path;
}

static void check_homes(const char *pattern)
{
	for_each(pattern, check_home);
}

/* A database that also lists images is searched for arguments only. */
static bool mentions_android(const char *data, size_t len)
{
	const char *word = now.engine->word;

	if (!word)
		return bolt_has_android(data, len);
	return memmem(data, len, word, strlen(word)) || memmem(data, len, "androidboot.", 12);
}

/* Searches a database for containers that are not running. */
static void search_database(const char *path)
{
	size_t len = 0;
	char *data = read_bytes(path, &len);

	if (!data) {
		refused = path;
		return;
	}
	now.was_seen = true;
	if (!now.found && mentions_android(data, len)) {
		now.found++;
		unseen(finding("redroid"),
		       "Android containers of %s that are not running, found in %s",
		       now.engine->name, root_path(path));
		advise("start them and run this again");
	}
}

static void check_database(const char *path)
{
	for_each(path, search_database);
}

static const char *moved_key, *moved_below;

static void check_moved_file(const char *path)
{
	char *file = read_config(path);
	char *place = file ? value_of(file, moved_key) : NULL;

	if (!file && errno != ENOENT)
		refused = path;
	if (!place)
		return;
	is_here = true;
	now.was_moved = true;
	/* It would be taken for a pattern. */
	if (strchr(place, '*')) {
		refused = path;
		return;
	}
	check_place(text("%s%s", place + 1, moved_below));
}

static void check_moved(const char *pattern)
{
	for_each(pattern, check_moved_file);
}

static void look_for(const struct engine *engine)
{
	for (size_t i = 0; i < ARRAY_SIZE(engine->signs) && engine->signs[i]; i++)
		for_homes(engine->signs[i], find_sign);
	for (size_t i = 0; i < ARRAY_SIZE(engine->moved) && engine->moved[i].file; i++) {
		moved_key = engine->moved[i].key;
		moved_below = engine->moved[i].below;
		for_homes(engine->moved[i].file, check_moved);
	}
	if (engine->program && (exists(engine->program) ||
				/* On NixOS. */
				exists(text("run/current-system/sw/%s", engine->program + 4)))) {
		for_homes("~", check_homes);
		is_here |= !!refused;
	}
}

static void check_engine(const struct engine *engine)
{
	now = (struct search){ .engine = engine };
	is_here = false;
	refused = NULL;
	look_for(engine);
	if (!is_here)
		return;
	/* After a move, Docker no longer uses the containers that remain at the old place. */
	for (size_t i = 0; i < ARRAY_SIZE(engine->containers) && engine->containers[i]; i++)
		if (!now.was_moved || engine->format != DOCKER)
			for_homes(engine->containers[i], check_place);
	for (size_t i = 0; i < ARRAY_SIZE(engine->database) && engine->database[i]; i++)
		for_homes(engine->database[i], check_database);
	if (refused) {
		unseen(finding("redroid"), "containers of %s, as %s cannot be read",
		       engine->name, root_path(refused));
		if (geteuid())
			advise("run this as root");
		else
			advise("check it: %s, and links of other users are not followed",
			       "only complete configurations of at most 1 MiB are read");
	} else if (!now.was_seen) {
		unseen(finding("redroid"),
		       "containers of %s, which is installed, but has none in a known place",
		       engine->name);
		advise("start it, and check with its own commands if Android gets /dev/ashmem");
	}
}

void check_containers(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		check_engine(&engines[i]);
	if (!machine.container)
		check_processes();
}
