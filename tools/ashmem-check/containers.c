// SPDX-License-Identifier: GPL-2.0
/*
 * Android in containers: redroid and others. What the engines of engines.c wrote down about
 * a container tells whether that gets the device.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "check.h"
#include "engines.h"

struct search now;

/* What was judged, so that an engine that runs by means of another is not judged twice. */
static const char *known[256];
static size_t known_count;

static bool is_new(const char *id)
{
	for (size_t i = 0; i < known_count; i++)
		if (!strcmp(known[i], id))
			return false;
	if (known_count < ARRAY_SIZE(known))
		known[known_count++] = id;
	return true;
}

const char *finding(const char *id)
{
	static int count;

	return count++ ? text("%s-%d", id, count) : id;
}

static bool has(const char *json, const char *words)
{
	return strstr(json, words);
}

/* The number after "KEY": in compact JSON, or 0. */
static long json_number(const char *json, const char *key)
{
	const char *found = strstr(json, text("\"%s\":", key));

	return found ? strtol(found + strlen(key) + 3, NULL, 10) : 0;
}

/* Told by its arguments, as an image may be called anything. */
bool is_android(const char *config)
{
	return has(config, "androidboot.") || has(config, "redroid/redroid");
}

static bool wants_memfd(const char *config)
{
	return has(config, "androidboot.use_memfd=true") || has(config, "androidboot.use_memfd=1");
}

/* Whether a device is given to it by this name. */
static bool gets_device(const char *json, const char *node)
{
	return has(json, text("\"PathInContainer\":\"%s\"", node)) ||
		has(json, text("\"path\":\"%s\"", node)) ||
		/* A rootless engine binds it instead, and has no rules of a control group. */
		((now.engine->signs[0][0] == '~' || has(json, "\"major\":10,") ||
		  has(json, "\"major\":10}")) &&
		 (has(json, text("\"destination\":\"%s\"", node)) ||
		  has(json, "\"source\":\"/dev\"")));
}

/* Whether it is bound by this name, which is not the right to open it. */
static bool is_bound(const char *json, const char *node)
{
	return has(json, text(":%s\"", node)) || has(json, text(":%s:", node)) ||
		has(json, text("\"Target\":\"%s\"", node)) ||
		has(json, text("\"destination\":\"%s\"", node)) ||
		has(json, "\"/dev:/dev") || has(json, "\"source\":\"/dev\"");
}

static bool is_privileged(const char *json)
{
	return has(json, "\"Privileged\":true") || has(json, "CAP_SYS_MODULE");
}

/* What a container is called in words. */
static const char *called(const char *name)
{
	const char *kind = now.is_redroid ? "redroid" : "Android";
	bool is_plain = !now.engine || !strcmp(now.engine->name, "docker");

	return text("the %s container %s%s%s", kind, name, is_plain ? "" : " of ",
		    is_plain ? "" : now.engine->name);
}

/* Whether a container that runs has the driver's node. */
static void check_inside(const char *name, long pid)
{
	const char *path = text("proc/%ld/root/dev/ashmem", pid);
	const char *again = now.engine ? with_name(now.engine->again, name) : "by what started it";
	struct stat info;

	if (fstatat(root_fd(), path, &info, 0)) {
		if (errno == EACCES) {
			unseen(finding("redroid"), "whether there is /dev/ashmem in %s",
			       called(name));
			advise("run this as root");
			return;
		}
		broken(finding("redroid"), "there is no /dev/ashmem in %s", called(name));
	} else if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(10, machine.minor)) {
		broken(finding("redroid"), "/dev/ashmem in %s is stale", called(name));
	} else {
		ok(finding("redroid"), "%s has /dev/ashmem", called(name));
		return;
	}
	advise("start it anew with the driver loaded: %s", again);
	if (now.engine && now.engine->format == DOCKER)
		mend("docker restart %s", quoted(name));
}

/* The first process of a container whose ID is in the name of its control group, or 0. */
static long pid_in_group(const char *id)
{
	int fd = root_open("proc");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	long pid, first = 0;

	while (dir && (entry = readdir(dir))) {
		const char *group;

		pid = strtol(entry->d_name, NULL, 10);
		if (pid <= 0 || (first && pid > first))
			continue;
		group = read_file(text("proc/%ld/cgroup", pid));
		if (group && strstr(group, id))
			first = pid;
	}
	if (dir)
		closedir(dir);
	return first;
}

static const char *pid_file;

static void find_pid_file(const char *path)
{
	pid_file = path;
}

/* Of a container that runs, or 0. */
static long pid_of(const char *dir, const char *id)
{
	static const char * const files[] = {
		"run/containers/storage/*-containers/%s/userdata/pidfile",
		"run/user/*/containers/*-containers/%s/userdata/pidfile",
	};
	const char *pid = read_line(text("%s/init.pid", dir)) ?: read_line(text("%s/pidfile", dir));

	pid_file = NULL;
	for (size_t i = 0; !pid && i < ARRAY_SIZE(files); i++) {
		for_each(with_name(files[i], id), find_pid_file);
		pid = pid_file ? read_line(pid_file) : NULL;
	}
	return pid ? strtol(pid, NULL, 10) : pid_in_group(id);
}

/* That it gets the one node says nothing about the other, which has a new name each boot. */
static void check_second_node(const char *name, const char *host)
{
	const char *id = machine.boot_id;

	if (!id || is_privileged(host) || is_bound(host, text("/dev/ashmem%s", id)) ||
	    gets_device(host, text("/dev/ashmem%s", id)))
		return;
	note(finding("redroid-boot-id"), "%s does not get the node that Android 16 opens",
	     called(name));
	advise("images that were not patched need --device /dev/ashmem%s, too, ", id);
	advise("anew after each boot");
}

/* It may have every node, and has those that were there when it started. */
static void report_again(const char *name)
{
	broken(finding("redroid"), "%s was started without the driver, and has no /dev/ashmem",
	       called(name));
	advise("start it anew with the driver loaded: %s", with_name(now.engine->again, name));
}

/* Judges a container by what its engine wrote down about it, as compact JSON. */
static void judge(const char *name, const char *config, const char *host, long pid)
{
	now.is_redroid = has(config, "redroid");
	if (pid > 0)
		is_new(text("pid %ld", pid));
	if (wants_memfd(config)) {
		note(finding("redroid-memfd"), "%s is started with use_memfd", called(name));
		advise("make it without that to have it use the device, which Android 16 needs");
	}
	if (!gets_device(host, "/dev/ashmem") && !is_privileged(host)) {
		broken(finding("redroid"), is_bound(host, "/dev/ashmem") ?
		       "%s has /dev/ashmem mounted, and no right to open it" :
		       "%s gets no /dev/ashmem", called(name));
		advise("%s", with_name(now.engine->pass, name));
		return;
	}
	if (pid > 0 && machine.minor >= 0)
		check_inside(name, pid);
	else if (pid > 0 && now.engine->format == OCI && !gets_device(host, "/dev/ashmem"))
		report_again(name);
	else
		ok(finding("redroid"), "%s gets /dev/ashmem when it starts", called(name));
	check_second_node(name, host);
}

static bool check_docker(const char *dir, const char *id)
{
	const char *name = text("%.12s", id);
	char *config = read_file(text("%s/config.v2.json", dir));
	char *host = read_file(text("%s/hostconfig.json", dir));

	if (!config)
		return false;
	config = compact(config);
	if (!is_android(config) || !is_new(id))
		return true;
	if (!host)
		return false;
	now.found++;
	judge(name, config, compact(host), json_number(config, "Pid"));
	return true;
}

static bool check_oci(const char *dir, const char *id)
{
	char *config = read_file(text("%s/config.json", dir));

	if (!config)
		return false;
	config = compact(config);
	if (!is_android(config) || !is_new(id))
		return true;
	now.found++;
	judge(strlen(id) == 64 ? text("%.12s", id) : id, config, config, pid_of(dir, id));
	return true;
}

/* The last part but @up of a path, without ".conf". */
static const char *part(const char *path, int up)
{
	const char *end = path + strlen(path), *start;

	for (; up && end > path; up--)
		while (end > path && *--end != '/')
			;
	for (start = end; start > path && start[-1] != '/'; start--)
		;
	if (end - start > 5 && !strncmp(end - 5, ".conf", 5))
		end -= 5;
	return text("%.*s", (int)(end - start), start);
}

/* Containers of LXC are whole systems; those of Android are told by what they have. */
static bool is_android_lxc(const char *config)
{
	char *path = setting(config, "lxc.rootfs.path") ?: setting(config, "lxc.rootfs") ?: "";
	char *colon = strchr(path, ':');

	path = colon ? colon + 1 : path;
	path += strspn(path, "/");
	return has(config, "androidboot.") || has(config, "binder") || has(config, "/dev/ashmem") ||
		(*path && exists(text("%s/system/build.prop", path)));
}

/* Replaces the line, in files that root alone writes, and no program does. */
static void mend_lxc(const char *path, const struct lxc_entry *entry, const char *again)
{
	const char *file = quoted(root_path(path));
	const char *line = "/dev/ashmem dev/ashmem none bind,optional,create=file";

	if (strncmp(path, "var/lib/lxc/", 12))
		return;
	if (entry->line)
		mend("drop_line %s %s", file, quoted(entry->line));
	mend("add_line %s 'lxc.cgroup2.devices.allow = c 10:* rwm'", file);
	mend("add_line %s 'lxc.mount.entry = %s'", file, line);
	mend("# Then start it anew: %s", again);
}

static bool check_lxc(const char *path, const char *name)
{
	char *config = read_file(path);
	struct lxc_entry entry;
	long pid;

	if (!config)
		return false;
	if (!is_android_lxc(config) || !is_new(text("lxc %s", name)))
		return true;
	now.found++;
	switch (find_lxc_entry(config, "dev/ashmem", &entry)) {
	case LXC_GOOD:
		pid = pid_in_group(text("lxc.payload.%s", name));
		if (pid > 0 && machine.minor >= 0)
			check_inside(name, pid);
		else
			ok(finding("lxc"), "%s gets /dev/ashmem", called(name));
		return true;
	case LXC_NONE:
		/* The host's whole /dev may be bound there, or Android makes the node itself. */
		if (find_lxc_entry(config, "dev", &entry) == LXC_GOOD)
			return true;
		pid = pid_in_group(text("lxc.payload.%s", name));
		if (pid > 0 && machine.minor >= 0) {
			check_inside(name, pid);
			return true;
		}
		broken(finding("lxc"), "%s gets no /dev/ashmem", called(name));
		break;
	case LXC_COMMENT:
	case LXC_WRONG:
	case LXC_STALE:
		broken(finding("lxc"), "%s gets no /dev/ashmem, as a line of %s is %s: %s",
		       called(name), root_path(path),
		       entry.is_comment ? "commented out" : "wrong", entry.line);
	}
	advise("%s", with_name(now.engine->pass, name));
	mend_lxc(path, &entry, with_name(now.engine->again, name));
	return true;
}

/* Whether it is none but such a name as engines give, which may stand in a command. */
static bool is_plain_name(const char *name)
{
	if (!*name || *name == '-')
		return false;
	while (isalnum((unsigned char)*name) || (*name && strchr("._-", *name)))
		name++;
	return !*name;
}

/* The name or ID of the container that the file is about. */
static const char *name_of(const char *path)
{
	bool is_file = !strcmp(part(path, 0), "config") || !strcmp(part(path, 0), "lxc");

	switch (now.engine->format) {
	case DOCKER:
		return part(path, 1);
	case OCI:
		return part(path, strstr(path, "/userdata/") ? 2 : 1);
	default:
		return part(path, is_file ? 1 : 0);
	}
}

void check_container(const char *path)
{
	const char *dir = text("%.*s", (int)(strrchr(path, '/') - path), path);
	const char *name = name_of(path);
	bool done = false;

	if (!is_plain_name(name))
		;
	else if (now.engine->format == DOCKER)
		done = check_docker(dir, name);
	else if (now.engine->format == OCI)
		done = check_oci(dir, name);
	else
		done = check_lxc(path, name);
	if (!done)
		refused = path;
}

/* Whether this is Android's first process, in a container that nobody wrote down. */
static bool is_android_init(long pid)
{
	const char *line = read_file(text("proc/%ld/cmdline", pid));

	if (!line || (strncmp(line, "/init\n", 6) && strncmp(line, "/system/bin/init\n", 17)))
		return false;
	return has(line, "\nandroidboot.") ||
		exists(text("proc/%ld/root/system/build.prop", pid));
}

/* Process 1 is Android itself. */
void check_processes(void)
{
	int fd = root_open("proc");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	now = (struct search){ };
	while (dir && (entry = readdir(dir))) {
		long pid = strtol(entry->d_name, NULL, 10);

		if (pid > 1 && is_android_init(pid) && is_new(text("pid %ld", pid)) &&
		    machine.minor >= 0)
			check_inside(text("with process %ld", pid), pid);
	}
	if (dir)
		closedir(dir);
}
