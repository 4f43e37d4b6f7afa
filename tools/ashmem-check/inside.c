// SPDX-License-Identifier: GPL-2.0
/* Containers of Android that run: their processes, and the node that is in them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "check.h"
#include "engines.h"

/*
 * Looks at the node of a container that runs; returns 0 or an errno. What its links lead to
 * is in there, too.
 */
static int look_inside(long pid, struct stat *info)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int root = openat(root_fd(), text("proc/%ld/root", pid), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd, error;

	if (root < 0)
		return errno == ENOENT ? ESRCH : errno;
	fd = syscall(SYS_openat2, root, "dev/ashmem", &how, sizeof(how));
	error = fd < 0 || fstat(fd, info) ? errno : 0;
	close(root);
	if (fd >= 0)
		close(fd);
	return error;
}

static void advise_again(const char *name, const char *again)
{
	advise("start it anew with the driver loaded: %s", again);
	if (now.engine && !strcmp(now.engine->name, "docker"))
		mend("docker restart %s", quoted(name));
}

/* Whether a container that runs has the driver's node. */
void check_inside(const char *name, long pid)
{
	const char *again = now.engine ? with_name(now.engine->again, name) : "by what started it";
	struct stat info;

	switch (look_inside(pid, &info)) {
	case 0:
		break;
	case ENOENT:
	case ENOTDIR:
		broken(finding("redroid"), "there is no /dev/ashmem in %s", called(name));
		advise_again(name, again);
		return;
	default:
		unseen(finding("redroid"), "whether there is /dev/ashmem in %s", called(name));
		advise("run this as root");
		return;
	}
	if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(10, machine.minor)) {
		broken(finding("redroid"), "/dev/ashmem in %s is stale", called(name));
		advise_again(name, again);
	} else if ((info.st_mode & 0666) != 0666) {
		broken(finding("redroid"),
		       "/dev/ashmem in %s has mode %04o, so others cannot open it", called(name),
		       info.st_mode & 07777);
		advise("have it 0666 on the host, and start it anew: %s", again);
	} else {
		ok(finding("redroid"), "%s has /dev/ashmem", called(name));
	}
}

/* Whether a control group is that of a container: its name is a whole part of the path. */
static bool is_group_of(const char *group, const char *id)
{
	size_t len = strlen(id);

	for (const char *at = group; (at = strstr(at, id)); at++)
		if (at > group && strchr("/-:", at[-1]) &&
		    (strchr("/\n", at[len]) || !strncmp(at + len, ".scope", 6)))
			return true;
	return false;
}

/* The first process of a container whose ID is in the name of its control group, or 0. */
long pid_in_group(const char *id)
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
		if (group && is_group_of(group, id))
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
long pid_of(const char *dir, const char *id)
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
