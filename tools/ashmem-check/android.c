// SPDX-License-Identifier: GPL-2.0
/* What uses the device, or keeps it from being used: security modules, Waydroid, redroid. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "check.h"

#define WAYDROID	"var/lib/waydroid"
#define DOCKER		"var/lib/docker/containers"
#define UPGRADE		"sudo waydroid upgrade --offline"

static const char *label_of(const char *path)
{
	static char label[256];
	ssize_t len = getxattr(path, "security.selinux", label, sizeof(label) - 1);

	label[len < 0 ? 0 : len] = '\0';
	return *label ? label : "nothing";
}

static void check_selinux(void)
{
	note("security", "SELinux enforces, and the label of /dev/ashmem is %s",
	     label_of(root_path("dev/ashmem")));
	if (exists("system/build.prop")) {
		advise("Android's policy wants ashmem_device, and ashmem_libcutils_device ");
		advise("for the node with the boot's ID, which restorecon sets");
	} else {
		advise("if a container is refused the device, see ausearch -m avc; ");
		advise("sudo setsebool -P container_use_devices on lets containers use devices");
	}
}

void check_security(void)
{
	char *enforce = read_line("sys/fs/selinux/enforce");
	char *profile = read_line("proc/self/attr/current");

	if (enforce && *enforce == '1') {
		check_selinux();
	} else if (!enforce && profile && strstr(profile, " (enforce)")) {
		note("security", "AppArmor confines this process: %s", profile);
		advise("what is refused here may be allowed outside; the host's dmesg names it");
	}
}

static bool is_true(const char *value)
{
	return value && (!strcmp(value, "true") || !strcmp(value, "1"));
}

/* Waydroid's files that may set it: the user's, then those that are generated. */
static const char * const settings[] = {
	WAYDROID "/waydroid.cfg",
	WAYDROID "/waydroid_base.prop",
	WAYDROID "/waydroid.prop",
};

/* The first file that has Android use memfds, or NULL. Counts those that it could read. */
static const char *memfd_setting(int *count)
{
	*count = 0;
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		char *file = read_file(settings[i]);

		*count += !!file;
		if (file && is_true(setting(file, "sys.use_memfd")))
			return settings[i];
	}
	return NULL;
}

static void report_memfd(const char *path, bool works)
{
	const char *where = root_path(path);

	if (!works) {
		note("waydroid", "Waydroid has Android use memfds, as %s says", where);
		advise("that serves images older than Android 16 (sys.use_memfd=true); ");
		advise("for others, get the device to work, then " UPGRADE);
	} else if (!strcmp(path, settings[0])) {
		broken("waydroid", "%s has Android use memfds, and not /dev/ashmem", where);
		advise("remove sys.use_memfd there, then " UPGRADE);
	} else {
		broken("waydroid", "Waydroid still has Android use memfds, and not /dev/ashmem");
		advise("sys.use_memfd=true in %s is from when there was no device; ", where);
		advise("have it written anew by " UPGRADE "; ");
		advise("to go back, do the same with the driver unloaded");
	}
}

/* Waydroid passes the nodes that were there when it wrote this file. */
static void check_waydroid_nodes(void)
{
	const char *path = WAYDROID "/lxc/waydroid/config_nodes";
	char *nodes = read_file(path);

	if (nodes && !strstr(nodes, "/dev/ashmem")) {
		broken("waydroid-node", "Waydroid passes no /dev/ashmem into its container");
		advise("have %s written anew by " UPGRADE, root_path(path));
	}
}

void check_waydroid(bool works)
{
	const char *path;
	int count;

	if (!exists(WAYDROID))
		return;
	path = memfd_setting(&count);
	if (!count) {
		note("waydroid", "Waydroid's settings in %s cannot be read", root_path(WAYDROID));
		advise("run this as root, or sudo waydroid init if that was never done");
		return;
	}
	if (path) {
		report_memfd(path, works);
	} else if (works) {
		ok("waydroid", "Waydroid has Android use /dev/ashmem");
	} else {
		note("waydroid", "Waydroid has Android use /dev/ashmem, as it was there once");
		advise("get it to work, or go back to memfds with the driver unloaded: " UPGRADE);
	}
	if (works)
		check_waydroid_nodes();
}

/* The number after "KEY": in compact JSON, or 0. */
static long json_number(const char *json, const char *key)
{
	const char *found = strstr(json, text("\"%s\":", key));

	return found ? strtol(found + strlen(key) + 3, NULL, 10) : 0;
}

/* Whether a container that runs has the driver's node. */
static void check_inside(const char *name, long pid)
{
	const char *path = text("proc/%ld/root/dev/ashmem", pid);
	struct stat info;

	if (fstatat(root_fd(), path, &info, 0)) {
		broken("redroid", "there is no /dev/ashmem in the redroid container %s", name);
	} else if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(10, machine.minor)) {
		broken("redroid", "/dev/ashmem in the redroid container %s is stale", name);
	} else {
		ok("redroid", "the redroid container %s has /dev/ashmem", name);
		return;
	}
	advise("start it anew with the driver loaded: docker restart %s", name);
}

static bool is_redroid(const char *config)
{
	return strstr(config, "androidboot.hardware=redroid") || strstr(config, "redroid/redroid");
}

static bool wants_memfd(const char *config)
{
	return strstr(config, "androidboot.use_memfd=true") ||
		strstr(config, "androidboot.use_memfd=1");
}

/* Looks at what docker wrote down about a container, if it is of redroid. */
static void check_container(const char *id)
{
	const char *name = text("%.12s", id);
	char *config = read_file(text(DOCKER "/%s/config.v2.json", id));
	char *host = read_file(text(DOCKER "/%s/hostconfig.json", id));
	long pid;

	if (!config || !host || !is_redroid(config))
		return;
	if (wants_memfd(config)) {
		note("redroid-memfd", "the redroid container %s is started with use_memfd", name);
		advise("make it without that to have it use the device, which Android 16 needs");
	}
	if (!strstr(host, "\"Privileged\":true") && !strstr(host, "/dev/ashmem")) {
		broken("redroid", "the redroid container %s gets no /dev/ashmem", name);
		advise("make it anew with --device /dev/ashmem or with --privileged");
		return;
	}
	pid = json_number(config, "Pid");
	if (pid > 0 && machine.minor >= 0)
		check_inside(name, pid);
}

void check_redroid(void)
{
	int fd = root_open(DOCKER);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (fd == -EACCES) {
		note("redroid", "docker is here, and its containers cannot be looked at");
		advise("run this as root to have those of redroid checked");
	}
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			check_container(entry->d_name);
	if (dir)
		closedir(dir);
}
