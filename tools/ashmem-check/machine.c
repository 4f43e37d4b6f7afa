// SPDX-License-Identifier: GPL-2.0
/* Checks the kernel, its ashmem driver, and whether this runs in a container. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "check.h"

struct machine machine = { .minor = NOT_KNOWN };

const char * const drivers[DRIVERS] = { MODULE, "ashmem_linux", "ashmem_rust", "ashmem" };

static void find_kernel(void)
{
	static struct utsname uts;

	uname(&uts);
	machine.release = read_line("proc/sys/kernel/osrelease");
	if (!machine.release)
		machine.release = uts.release;
	machine.boot_id = read_line("proc/sys/kernel/random/boot_id");
	machine.processor = read_line("proc/sys/kernel/arch") ?: uts.machine;
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

const char *loaded_driver(void)
{
	for (size_t i = 0; i < DRIVERS; i++)
		if (is_loaded(drivers[i]))
			return drivers[i];
	return NULL;
}

static void report_version(void)
{
	char *version = read_line("sys/module/" MODULE "/version");

	if (!version || !strcmp(version, VERSION))
		return;
	note("version", "the driver is version %s, but this program is %s", version, VERSION);
	advise("after an upgrade, stop all users of the device and reload the driver ");
	advise("(sudo rmmod " MODULE " && sudo modprobe " MODULE "), or reboot");
}

static void report_driver(void)
{
	char *version = read_line("sys/module/" MODULE "/version");
	const char *name = loaded_driver();
	struct obstacle obstacle;

	if (!name) {
		note("driver",
		     "an ashmem driver is built into the kernel, or unknown; its device is 10:%d",
		     machine.minor);
	} else if (strcmp(name, MODULE)) {
		note("driver", "another driver, the module %s, is loaded; its device is 10:%d",
		     name, machine.minor);
	} else {
		ok("driver", "the module " MODULE "%s%s is loaded; its device is 10:%d",
		   version ? " " : "", version ?: "", machine.minor);
		report_version();
		if (find_obstacle(MODULE, &obstacle)) {
			note("boot", "the module is loaded, but may not be after the next boot: %s",
			     obstacle.what);
			advise("remove that");
		}
	}
}

/* Whether the kernel is too old to build the driver. False if the release cannot be parsed. */
static bool is_too_old(void)
{
	int wanted[2], is[2];

	return sscanf(OLDEST, "%d.%d", &wanted[0], &wanted[1]) == 2 &&
		sscanf(machine.release, "%d.%d", &is[0], &is[1]) == 2 &&
		(is[0] < wanted[0] || (is[0] == wanted[0] && is[1] < wanted[1]));
}

/* The age of a kernel that already has a driver does not matter. */
static bool needs_newer_kernel(void)
{
	if (machine.minor >= 0 || loaded_driver() || !is_too_old())
		return false;
	return !is_any_installed();
}

/* Returns whether nothing else needs to be said about the driver. */
static bool report_kernel(void)
{
	if (!needs_newer_kernel()) {
		ok("kernel", "kernel %s on %s", machine.release, machine.processor);
		return false;
	}
	broken("kernel", "kernel %s is too old: " MODULE " needs Linux " OLDEST " or newer",
	       machine.release);
	if (machine.container)
		advise("on the host, install a newer kernel and boot that");
	else if (other_kernel())
		advise("boot %s, which is installed and has the module", other_kernel());
	else
		advise("on %s, %s; then boot that", system_name(), system_says("kernel"));
	return true;
}

/* Whether a parameter on the kernel's command line contains this value. */
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
	     "with cgroup.memory=nokmem, the limit of a memory cgroup purges nothing");
	advise("remove nokmem from the kernel's command line, or set no limit for Android");
}

void check_machine(void)
{
	bool is_said;

	find_kernel();
	find_minor();
	machine.container = container_kind();
	is_said = report_kernel();
	if (machine.container)
		note("container", "this is a container (%s): driver and nodes come from its host",
		     machine.container);
	if (is_said)
		;
	else if (machine.minor == NOT_KNOWN)
		note("driver", "cannot tell whether there is a driver, as %s cannot be read",
		     root_path("proc/misc"));
	else if (machine.minor == NO_DRIVER)
		report_no_driver();
	else
		report_driver();
	report_limits();
}
