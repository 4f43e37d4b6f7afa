// SPDX-License-Identifier: GPL-2.0
/* Checks running Android containers: their processes, and the node in them. */
#include <dirent.h>
#include <err.h>
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

/* Opens a path inside a running container; fails with a negative errno. */
static int open_inside(long pid, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		/* Symbolic links must not lead out of the container. */
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int root = openat(root_fd(), text("proc/%ld/root", pid), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd, error;

	if (root < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	error = errno;
	close(root);
	return fd < 0 ? -error : fd;
}

/* Gets the status of the node in a running container; returns 0 or an errno. */
static int look_inside(long pid, struct stat *info)
{
	int fd = open_inside(pid, "dev/ashmem"), error;

	if (fd < 0)
		return -fd;
	error = fstat(fd, info) ? errno : 0;
	close(fd);
	return error;
}

bool is_contained(long pid)
{
	struct stat its, ours;

	if (fstatat(root_fd(), text("proc/%ld/root/.", pid), &its, 0))
		return errno != ENOENT && errno != ESRCH;
	return fstat(root_fd(), &ours) || its.st_dev != ours.st_dev || its.st_ino != ours.st_ino;
}

bool lacks_node(long pid)
{
	struct stat info;
	int error = look_inside(pid, &info);

	return error == ENOENT || error == ENOTDIR;
}

static void advise_again(const char *name, const char *again)
{
	advise("restart it with the driver loaded: %s", again);
	if (now.engine && !strcmp(now.engine->name, "docker"))
		mend("docker restart %s", quoted(name));
}

/* Reports whether a running container has the driver's node. */
void check_inside(const char *name, long pid)
{
	const char *again = now.engine ? command_for(now.engine->again, name) :
		"use the program that started it";
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
		advise("set its mode to 0666 on the host, then restart the container: %s", again);
	} else {
		ok(finding("redroid"), "%s has /dev/ashmem", called(name));
	}
}

/* All processes. They are read only once, as there may be many containers. */
struct process {
	long pid, parent;
	uid_t user;
	/* The arguments, each with a newline, and the control groups. */
	const char *command, *groups;
};

static struct process *processes;
static size_t process_count;

static void add_process(long pid)
{
	const char *status = read_file(text("proc/%ld/status", pid)) ?: "";
	struct process one = {
		.pid = pid,
		.parent = strtol(setting(status, "PPid") ?: "0", NULL, 10),
		.user = strtol(setting(status, "Uid") ?: "-1", NULL, 10),
		.command = read_file(text("proc/%ld/cmdline", pid)) ?: "",
		.groups = read_file(text("proc/%ld/cgroup", pid)) ?: "",
	};

	processes = realloc(processes, (process_count + 1) * sizeof(one));
	if (!processes)
		errx(2, "Out of memory. Free some and run it again.");
	processes[process_count++] = one;
}

static void find_processes(void)
{
	int fd = process_count ? -1 : root_open("proc");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strtol(entry->d_name, NULL, 10) > 0)
			add_process(strtol(entry->d_name, NULL, 10));
	if (dir)
		closedir(dir);
}

/* Whether a control group is a container's: the ID must be a whole component of its path. */
static bool is_group_of(const char *group, const char *id)
{
	size_t len = strlen(id);

	for (const char *at = group; (at = strstr(at, id)); at++)
		if (at > group && strchr("/-:", at[-1]) &&
		    (strchr("/\n", at[len]) || !strncmp(at + len, ".scope", 6)))
			return true;
	return false;
}

/* The first process in a control group that is named by this container ID, or 0. */
static long pid_in_group(const char *id)
{
	long first = 0;

	find_processes();
	for (size_t i = 0; i < process_count; i++)
		if ((!first || processes[i].pid < first) && is_group_of(processes[i].groups, id))
			first = processes[i].pid;
	return first;
}

/* The first child of a process, or 0. */
static long child_of(long pid)
{
	long first = 0;

	for (size_t i = 0; i < process_count; i++)
		if (processes[i].parent == pid && (!first || processes[i].pid < first))
			first = processes[i].pid;
	return first;
}

/* If this is the monitor of an LXC container: the container's directory and @name, else NULL. */
static const char *place_of_monitor(const struct process *one, const char **name)
{
	static const char title[] = "[lxc monitor] /";
	const char *start = one->command + strlen(title), *space;

	if (strncmp(one->command, title, strlen(title)))
		return NULL;
	start = text("%.*s", (int)strcspn(start, "\n"), start);
	space = strrchr(start, ' ');
	*name = space ? space + 1 : "";
	return text("%.*s", space ? (int)(space - start) : 0, start);
}

/*
 * LXC runs a monitor process for each container, with the container's directory and name in
 * its title. Without one, the control group must do, which has the name but no directory.
 */
long pid_of_lxc(const char *place, const char *name)
{
	bool is_named = false;
	struct stat owner = { };
	long pid = 0;

	find_processes();
	fstatat(root_fd(), place, &owner, 0);
	for (size_t i = 0; i < process_count; i++) {
		const char *its_name, *its_place = place_of_monitor(&processes[i], &its_name);

		if (!its_place || strcmp(its_name, name))
			continue;
		is_named = true;
		/* Any user can give a process this title. */
		if (processes[i].user == owner.st_uid &&
		    !strcmp(without_links(its_place) ?: "", without_links(place) ?: ""))
			pid = child_of(processes[i].pid);
	}
	if (!is_named)
		pid = pid_in_group(text("%s%s", now.engine->group, name));
	return pid && is_new(text("pid %ld", pid)) ? pid : 0;
}

static const char *pid_file;

static void find_pid_file(const char *path)
{
	pid_file = path;
}

/* The first process of a running container, or 0. */
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

/* Whether this is Android's init. */
static bool is_android_init(const struct process *one)
{
	const char *line = one->command;
	int fd;

	if (strncmp(line, "/init\n", 6) && strncmp(line, "/system/bin/init\n", 17))
		return false;
	if (has(line, "\nandroidboot."))
		return true;
	fd = open_inside(one->pid, "system/build.prop");
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Skips process 1: it is this system's own init, perhaps Android's. */
void check_processes(void)
{
	now = (struct search){ };
	find_processes();
	for (size_t i = 0; i < process_count && machine.minor >= 0; i++) {
		long pid = processes[i].pid;

		if (pid > 1 && is_android_init(&processes[i]) && is_new(text("pid %ld", pid)))
			check_inside(text("with process %ld", pid), pid);
	}
}
