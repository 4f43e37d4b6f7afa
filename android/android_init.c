// SPDX-License-Identifier: GPL-2.0
/*
 * The init of a virtual machine that boots as Android does.
 *
 *   init               as process 1: mounts file systems, loads the modules of the
 *                      ramdisk, runs ueventd to make the nodes, then executes
 *                      /system/bin/init in its place
 *   init modules DIR   only loads the modules in DIR/modules.load
 *
 * Like the first stage of Android's init, it stops the boot if a listed module cannot
 * be loaded. The list is in the directory named by the kernel's release, plus the page
 * size if that is larger than 4 KiB. It also reads modules.dep and modules.alias
 * there, but not the other files that Android reads, for options, soft dependencies
 * and the blocklist, which our modules do not need.
 */
#include <fnmatch.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "android.h"

#define SPACE		"\n\t "

/* Android's group that may see all processes. */
#define READPROC	"3009"

static const struct {
	const char *type, *where, *options;
	unsigned long flags;
} mounts[] = {
	/* First, for output to the log. Not a devtmpfs: ueventd makes the nodes. */
	{ "tmpfs", "/dev", "mode=0755", MS_NOSUID },
	{ "proc", "/proc", "hidepid=2,gid=" READPROC, 0 },
	{ "sysfs", "/sys", NULL, 0 },
};

static const struct {
	const char *path;
	mode_t mode;
	unsigned int major, minor;
} nodes[] = {
	{ "/dev/kmsg", 0600, 1, 11 },
	{ "/dev/null", 0666, 1, 3 },
	{ "/dev/random", 0666, 1, 8 },
	{ "/dev/urandom", 0666, 1, 9 },
	{ "/dev/ptmx", 0666, 5, 2 },
};

/* The number of modules that were loaded by this program. */
static int loaded;

/* The name of the module in a file: that of dir/my-module.ko is my_module. */
static void name_module(const char *path, char name[static NAME_MAX + 1])
{
	const char *base = strrchr(path, '/');
	char *end;

	snprintf(name, NAME_MAX + 1, "%s", base ? base + 1 : path);
	end = strstr(name, ".ko");
	if (end && !end[3])
		*end = '\0';
	for (; *name; name++)
		if (*name == '-')
			*name = '_';
}

static FILE *open_list(const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return fopen(path, "re");
}

static bool insert_module(const char *dir, const char *file)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		tell(TELL_ERROR, "cannot open the module %s: %m", path);
		return false;
	}
	if (!syscall(SYS_finit_module, fd, "", 0)) {
		loaded++;
	} else if (errno != EEXIST) {
		tell(TELL_ERROR, "cannot load the module %s: %m", path);
		close(fd);
		return false;
	}
	close(fd);
	return true;
}

/*
 * Loads the files in the rest of a line of modules.dep, the last one first, because
 * each file may need those after it.
 */
static bool insert_files(const char *dir, char **rest)
{
	char *file = strtok_r(NULL, SPACE, rest);

	return !file || (insert_files(dir, rest) && insert_module(dir, file));
}

/* Loads a module in modules.dep, after its dependencies. */
static bool load_known(const char *dir, const char *module, bool *known)
{
	char *line = NULL, *file, *rest, name[NAME_MAX + 1];
	FILE *list = open_list(dir, "modules.dep");
	bool success = true;
	size_t room = 0;

	*known = false;
	while (list && !*known && getline(&line, &room, list) > 0) {
		file = strtok_r(line, ":", &rest);
		name_module(file, name);
		*known = !strcmp(name, module);
		if (*known)
			success = insert_files(dir, &rest) && insert_module(dir, file);
	}
	if (list)
		fclose(list);
	free(line);
	return success;
}

/* Loads the modules for an alias in modules.alias. */
static bool load_aliased(const char *dir, const char *alias, bool *known)
{
	char line[1024], pattern[512], module[256];
	FILE *list = open_list(dir, "modules.alias");
	bool success = true, one;

	*known = false;
	while (list && success && fgets(line, sizeof(line), list)) {
		if (sscanf(line, "alias %511s %255s", pattern, module) != 2 ||
		    fnmatch(pattern, alias, 0))
			continue;
		success = load_known(dir, module, &one);
		*known |= one;
	}
	if (list)
		fclose(list);
	return success;
}

static bool load_module(const char *dir, const char *listed)
{
	char name[NAME_MAX + 1];
	bool success, known;

	name_module(listed, name);
	success = load_known(dir, name, &known);
	if (!known)
		success = load_aliased(dir, name, &known);
	if (!known)
		tell(TELL_ERROR, "%s/modules.load lists %s, which modules.dep lacks: run depmod",
		     dir, listed);
	return known && success;
}

/* Loads the listed modules, up to the first failure. */
static bool load_modules(const char *dir)
{
	FILE *list = open_list(dir, "modules.load");
	char line[PATH_MAX];
	bool success = true;

	if (!list) {
		tell(TELL_INFO, "%s has no modules.load: nothing to load", dir);
		return true;
	}
	while (success && fgets(line, sizeof(line), list)) {
		line[strcspn(line, SPACE)] = '\0';
		if (*line && *line != '#')
			success = load_module(dir, line);
	}
	fclose(list);
	if (success)
		tell(TELL_INFO, "modules loaded from %s: %d", dir, loaded);
	return success;
}

static void __attribute__((noreturn)) stop_boot(const char *what, const char *why)
{
	tell(TELL_ERROR, "the boot stops: %s: %s", what, why);
	reboot(RB_POWER_OFF);
	exit(1);
}

static void make_nodes(void)
{
	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++)
		if (mknod(nodes[i].path, S_IFCHR | nodes[i].mode,
			  makedev(nodes[i].major, nodes[i].minor)))
			stop_boot(nodes[i].path, strerror(errno));
}

static void mount_all(void)
{
	umask(0);
	for (size_t i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
		if (mount(mounts[i].type, mounts[i].where, mounts[i].type, mounts[i].flags,
			  mounts[i].options))
			stop_boot(mounts[i].where, strerror(errno));
		if (!i)
			make_nodes();
	}
	/* Apps must not read the kernel's command line. */
	if (chmod("/proc/cmdline", 0440))
		stop_boot("/proc/cmdline", strerror(errno));
}

/* Loads the modules of the ramdisk for this kernel. */
static bool load_first_modules(void)
{
	long kib = sysconf(_SC_PAGESIZE) / 1024;
	char dir[PATH_MAX], suffix[24] = "";
	struct utsname kernel;

	if (uname(&kernel))
		return false;
	if (kib > 4)
		snprintf(suffix, sizeof(suffix), "_%ldk", kib);
	snprintf(dir, sizeof(dir), "/lib/modules/%s%s", kernel.release, suffix);
	return load_modules(dir);
}

/* Runs a program and waits for its end. */
static bool run(const char *path)
{
	int status;
	pid_t child = fork();

	if (!child) {
		execl(path, path, NULL);
		_exit(127);
	}
	return child > 0 && waitpid(child, &status, 0) == child && !status;
}

int main(int argc, char **argv)
{
	teller = "init";
	if (argc == 3 && !strcmp(argv[1], "modules"))
		return load_modules(argv[2]) ? 0 : 1;
	if (getpid() != 1) {
		fprintf(stderr, "Usage: %s modules DIR\n", argv[0]);
		return 2;
	}
	mount_all();
	if (!load_first_modules())
		stop_boot("modules.load", "a listed module cannot be loaded");
	if (!run("/system/bin/ueventd"))
		stop_boot("/system/bin/ueventd", "it failed");
	execl("/system/bin/init", "/system/bin/init", NULL);
	stop_boot("/system/bin/init", strerror(errno));
}
