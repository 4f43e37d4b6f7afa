// SPDX-License-Identifier: GPL-2.0
/* The kernel, its ashmem driver, and the container that this may run in. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "check.h"

#define MODULE		"rust_ashmem"
#define SIGNATURE	"~Module signature appended~\n"

struct machine machine = { .minor = NOT_KNOWN };

/* The modules that register a device called ashmem, ours first. */
static const char * const drivers[] = { MODULE, "ashmem_linux", "ashmem_rust", "ashmem" };

static void find_kernel(void)
{
	static struct utsname uts;

	uname(&uts);
	machine.release = read_line("proc/sys/kernel/osrelease");
	if (!machine.release)
		machine.release = uts.release;
	machine.boot_id = read_line("proc/sys/kernel/random/boot_id");
	ok("kernel", "kernel %s on %s", machine.release, uts.machine);
}

static const char *container_kind(void)
{
	char *environment, *kind;

	if (exists(".dockerenv"))
		return "docker";
	if (exists("run/.containerenv"))
		return "podman";
	kind = read_line("run/systemd/container");
	if (kind)
		return kind;
	environment = read_file("proc/1/environ");
	return environment ? setting(environment, "container") : NULL;
}

static void find_container(void)
{
	machine.container = container_kind();
	if (machine.container)
		note("container", "this is a container (%s); driver and nodes come from its host",
		     machine.container);
}

/* Sets the minor number from lines like " 58 ashmem". */
static void find_minor(void)
{
	char *rest = read_file("proc/misc"), *line;
	char name[16];
	int minor;

	if (!rest)
		return;
	machine.minor = NO_DRIVER;
	while ((line = next_line(&rest)))
		if (sscanf(line, "%d %15s", &minor, name) == 2 && !strcmp(name, "ashmem"))
			machine.minor = minor;
}

static bool is_loaded(const char *name)
{
	char *rest = read_file("proc/modules"), *line;
	size_t len = strlen(name);

	while ((line = next_line(&rest)))
		if (!strncmp(line, name, len) && line[len] == ' ')
			return true;
	return false;
}

/* The first of the drivers that is loaded as a module, or NULL. */
static const char *loaded_driver(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (is_loaded(drivers[i]))
			return drivers[i];
	return NULL;
}

static void report_version(void)
{
	char *version = read_line("sys/module/" MODULE "/version");

	if (!version || !strcmp(version, VERSION))
		return;
	note("version", "the driver is version %s, and this program %s", version, VERSION);
	advise("after an upgrade, stop what uses the device and load it anew ");
	advise("(sudo rmmod " MODULE " && sudo modprobe " MODULE "), or reboot");
}

static void report_driver(void)
{
	char *version = read_line("sys/module/" MODULE "/version");
	const char *name = loaded_driver();

	if (!name) {
		note("driver", "an ashmem driver is built into the kernel, its device is 10:%d",
		     machine.minor);
	} else if (strcmp(name, MODULE)) {
		note("driver", "another driver, the module %s, is loaded, its device is 10:%d",
		     name, machine.minor);
	} else {
		ok("driver", "the module " MODULE "%s%s is loaded, its device is 10:%d",
		   version ? " " : "", version ?: "", machine.minor);
		report_version();
	}
}

/* Whether this file, without its directories, is that of the module, compressed or not. */
static bool is_module_file(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');
	size_t len = strlen(name);

	file = slash ? slash + 1 : file;
	return !strncmp(file, name, len) && !strncmp(file + len, ".ko", 3);
}

/* The file of the module that modprobe would load on this kernel, or NULL. */
static const char *indexed_file(const char *release, const char *name)
{
	char *rest = read_file(text("lib/modules/%s/modules.dep", release)), *line;

	while ((line = next_line(&rest))) {
		line[strcspn(line, ":")] = '\0';
		if (is_module_file(line, name))
			return text("lib/modules/%s/%s", release, line);
	}
	return NULL;
}

/* The same where nobody ran depmod, in the places that are for modules from elsewhere. */
static const char *unindexed_file(const char *release, const char *name)
{
	static const char * const places[] = { "updates", "updates/dkms", "extra" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const char *path = text("lib/modules/%s/%s", release, places[i]);
		int fd = root_open(path);
		DIR *dir = fd < 0 ? NULL : fdopendir(fd);
		struct dirent *entry;

		while (dir && (entry = readdir(dir)))
			if (is_module_file(entry->d_name, name))
				return text("%s/%s", path, entry->d_name);
		if (dir)
			closedir(dir);
	}
	return NULL;
}

/* Another kernel that has the module, or NULL. */
static const char *other_kernel(void)
{
	int fd = root_open("lib/modules");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	const char *found = NULL;

	while (dir && !found && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
		    (indexed_file(entry->d_name, MODULE) || unindexed_file(entry->d_name, MODULE)))
			found = text("%s", entry->d_name);
	if (dir)
		closedir(dir);
	return found;
}

/* Why the kernel wants modules signed, or NULL. */
static const char *enforcement(void)
{
	char *lockdown = read_line("sys/kernel/security/lockdown");
	char *enforce = read_line("sys/module/module/parameters/sig_enforce");

	if (lockdown && (strstr(lockdown, "[integrity]") || strstr(lockdown, "[confidentiality]")))
		return "it is locked down, as with Secure Boot";
	if (enforce && *enforce == 'Y')
		return "module.sig_enforce is on";
	return NULL;
}

/* Whether a signature is seen at the end of the file, which takes one that is not compressed. */
static bool is_signed(const char *path)
{
	char end[sizeof(SIGNATURE)] = "";
	int fd = root_open(path);
	ssize_t got = -1;

	if (fd >= 0 && lseek(fd, -(off_t)strlen(SIGNATURE), SEEK_END) >= 0)
		got = read(fd, end, strlen(SIGNATURE));
	if (fd >= 0)
		close(fd);
	return got > 0 && !strcmp(end, SIGNATURE);
}

static bool are_modules_disabled(void)
{
	char *disabled = read_line("proc/sys/kernel/modules_disabled");

	return disabled && *disabled == '1';
}

/* A module is there and not loaded: says what keeps it, and what loads it. */
static void report_unloaded(const char *name, const char *file, bool is_indexed)
{
	const char *why = enforcement();

	broken("driver", "the module %s is installed (%s) but not loaded%s%s%s", name,
	       root_path(file), why ? ", and the kernel takes signed ones only (" : "", why ?: "",
	       why ? ")" : "");
	if (are_modules_disabled()) {
		advise("reboot, as no module can be loaded any more (%s is 1), ",
		       root_path("proc/sys/kernel/modules_disabled"));
		advise("and have it loaded early: a file in /etc/modules-load.d names it");
		return;
	}
	if (why && is_signed(file))
		advise("it is signed; enrol the key unless that is done (mokutil --import), then ");
	else if (why)
		advise("sign it with a key that mokutil --list-enrolled shows, then ");
	advise("sudo %smodprobe %s, and if that fails, dmesg says why",
	       is_indexed ? "" : "depmod && sudo ", name);
}

/* The package's directory of DKMS, or NULL. */
static const char *dkms_place(void)
{
	static const char * const places[] = { "var/lib/dkms/" MODULE, "var/lib/dkms/rust-ashmem" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (exists(places[i]))
			return places[i];
	return NULL;
}

/* No module is there: says where it comes from. */
static void report_uninstalled(void)
{
	const char *dkms = dkms_place(), *other = other_kernel();

	broken("driver", "no ashmem driver is installed for the running kernel %s%s%s",
	       machine.release, other ? ", only for " : "", other ?: "");
	if (dkms) {
		advise("sudo dkms autoinstall -k %s, and if that fails, ", machine.release);
		advise("the make.log below %s says what is missing", root_path(dkms));
		return;
	}
	advise("build and install " MODULE " ('make doctor' there says whether it can be)");
	if (other)
		advise(", or boot %s", other);
}

static void report_no_driver(void)
{
	const char *name = loaded_driver(), *file;

	if (name) {
		broken("driver", "the module %s is loaded, and no device is called ashmem", name);
		advise("look at the end of what dmesg says; it may be about to be unloaded");
		return;
	}
	if (machine.container) {
		broken("driver", "no ashmem driver is loaded in the host's kernel");
		advise("on the host, sudo modprobe " MODULE " (ashmem-check there says more), ");
		advise("then start the container anew");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		file = indexed_file(machine.release, drivers[i]);
		if (file) {
			report_unloaded(drivers[i], file, true);
			return;
		}
	}
	file = unindexed_file(machine.release, MODULE);
	if (file)
		report_unloaded(MODULE, file, false);
	else
		report_uninstalled();
}

/* Whether a word of the kernel's command line has this among its values. */
static bool is_booted_with(const char *word, const char *value)
{
	char *words = read_line("proc/cmdline");
	size_t len = strlen(word);

	for (char *at = words ? strtok(words, " ") : NULL; at; at = strtok(NULL, " "))
		if (!strncmp(at, word, len) && strstr(at + len, value))
			return true;
	return false;
}

static void report_limits(void)
{
	if (!is_booted_with("cgroup.memory=", "nokmem"))
		return;
	note("limits",
	     "cgroup.memory=nokmem keeps limits of memory cgroups from purging anything");
	advise("take nokmem from the kernel's command line, or give Android's container no limit");
}

void check_machine(void)
{
	find_kernel();
	find_container();
	find_minor();
	if (machine.minor == NOT_KNOWN)
		note("driver", "whether there is a driver is not known, as %s cannot be read",
		     root_path("proc/misc"));
	else if (machine.minor == NO_DRIVER)
		report_no_driver();
	else
		report_driver();
	report_limits();
}
