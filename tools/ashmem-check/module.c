// SPDX-License-Identifier: GPL-2.0
/* If there is no driver: whether its module is installed, and why it is not loaded. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "check.h"

#define SIGNATURE	"~Module signature appended~\n"

/* Whether the last part of this path is the module's file, compressed or not. */
static bool is_module_file(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');
	size_t len = strlen(name);

	file = slash ? slash + 1 : file;
	return !strncmp(file, name, len) && !strncmp(file + len, ".ko", 3);
}

/* Where the modules of kernels are installed. NixOS has only the last two. */
static const char * const trees[] = {
	"lib/modules",
	"usr/lib/modules",
	"run/booted-system/kernel-modules/lib/modules",
	"run/current-system/kernel-modules/lib/modules",
};

/* The file of the module that modprobe would load on this kernel, or NULL. */
static const char *indexed_file(const char *release, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
		char *rest = read_file(text("%s/%s/modules.dep", trees[i], release)), *line;

		while ((line = next_line(&rest))) {
			line[strcspn(line, ":")] = '\0';
			if (is_module_file(line, name))
				return text("%s/%s/%s", trees[i], release, line);
		}
	}
	return NULL;
}

bool is_any_installed(void)
{
	for (size_t i = 0; i < DRIVERS; i++)
		if (indexed_file(machine.release, drivers[i]))
			return true;
	return false;
}

/* The file of the module in a directory, or NULL. */
static const char *file_in(const char *path, const char *name)
{
	int fd = root_open(path);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	const char *found = NULL;

	while (dir && !found && (entry = readdir(dir)))
		if (is_module_file(entry->d_name, name))
			found = text("%s/%s", path, entry->d_name);
	if (dir)
		closedir(dir);
	return found;
}

/* The same without depmod's index, in the directories for out-of-tree modules. */
static const char *unindexed_file(const char *release, const char *name)
{
	static const char * const places[] = { "updates", "updates/dkms", "extra", "kernel/extra" };
	const char *found = NULL;

	for (size_t tree = 0; !found && tree < ARRAY_SIZE(trees); tree++)
		for (size_t i = 0; !found && i < ARRAY_SIZE(places); i++)
			found = file_in(text("%s/%s/%s", trees[tree], release, places[i]), name);
	return found;
}

/* 'make install-writable' installs the module here and loads it from here. */
static const char *writable_file(const char *release)
{
	return file_in(text("var/lib/" MODULE "/%s", release), MODULE);
}

const char *other_kernel(void)
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

/* Why the kernel accepts only signed modules, or NULL. */
static const char *enforcement(void)
{
	char *lockdown = read_line("sys/kernel/security/lockdown");
	char *enforce = read_line("sys/module/module/parameters/sig_enforce");

	if (lockdown && (strstr(lockdown, "[integrity]") || strstr(lockdown, "[confidentiality]")))
		return "it is locked down, as under Secure Boot";
	if (enforce && *enforce == 'Y')
		return "module.sig_enforce is on";
	return NULL;
}

/* Whether the file ends with a signature. Of a compressed file this is not seen. */
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

/* Makes the script load the driver, and make the nodes if nothing else does. */
static void mend_loading(const char *before, const char *load)
{
	if (before)
		mend("%s", before);
	mend("%s", load);
	mend("udevadm settle 2>/dev/null || :");
	mend("make_node %s", quoted(root_path("dev/ashmem")));
	if (machine.boot_id)
		mend("make_node %s", quoted(root_path(text("dev/ashmem%s", machine.boot_id))));
}

static void remove_obstacle(const struct obstacle *obstacle)
{
	if (obstacle->word) {
		advise("remove %s from the kernel's command line (in the boot loader's settings)%s",
		       obstacle->word, obstacle->is_final ? " and reboot" : "; ");
		return;
	}
	advise("remove that line; ");
	if (obstacle->line)
		mend("drop_line %s %s", quoted(root_path(obstacle->file)), quoted(obstacle->line));
}

/* A module is installed but not loaded: says what prevents it, and how to load it. */
static void report_unloaded(const char *name, const char *file, bool is_indexed)
{
	const char *why = enforcement();
	struct obstacle obstacle;
	bool is_kept = find_obstacle(name, &obstacle);

	broken("driver", "the module %s is installed (%s) but not loaded%s%s%s%s%s", name,
	       root_path(file), why ? ", and the kernel wants signed modules (" : "", why ?: "",
	       why ? ")" : "", is_kept ? ", and " : "", is_kept ? obstacle.what : "");
	if (are_modules_disabled()) {
		advise("no module can be loaded until a reboot (%s is 1); ",
		       root_path("proc/sys/kernel/modules_disabled"));
		advise("name it in a file in /etc/modules-load.d, to load it early, and reboot");
		return;
	}
	if (why && is_signed(file))
		advise("it is signed; enrol its key if you have not (mokutil --import), then ");
	else if (why)
		advise("sign it with a key that mokutil --list-enrolled shows, then ");
	if (is_kept)
		remove_obstacle(&obstacle);
	if (is_kept && obstacle.is_final)
		return;
	advise("sudo %smodprobe %s; if that fails, dmesg says why",
	       is_indexed ? "" : "depmod && sudo ", name);
	/* An obstacle that the script cannot remove must be removed by hand before loading. */
	if (!is_kept || obstacle.line || obstacle.word)
		mend_loading(is_indexed ? NULL : "depmod", text("modprobe %s", name));
}

/* A module outside the kernel's own directory, because that is read-only. */
static void report_unloaded_writable(const char *file)
{
	broken("driver", "the module " MODULE " is installed (%s) but not loaded", root_path(file));
	advise("sudo insmod %s; at boot, /etc/systemd/system/" MODULE ".service does that",
	       root_path(file));
	mend_loading(NULL, text("insmod %s", quoted(root_path(file))));
}

/* DKMS's directory for the module, or NULL. */
static const char *dkms_place(void)
{
	static const char * const places[] = { "var/lib/dkms/" MODULE, "var/lib/dkms/rust-ashmem" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (exists(places[i]))
			return places[i];
	return NULL;
}

/* How to install a module on a system with a read-only /usr, or NULL. */
static const char *sealed_how(void)
{
	int fd = root_open(text("lib/modules/%s", machine.release));
	struct statvfs mount;
	bool is_read_only = fd >= 0 && !fstatvfs(fd, &mount) && (mount.f_flag & ST_RDONLY);

	if (fd >= 0)
		close(fd);
	return system_says("sealed") ?:
		is_read_only ? "build it, then sudo make install-writable" : NULL;
}

/* No module is installed: says where to get it. */
static void report_uninstalled(void)
{
	const char *dkms = dkms_place(), *other = other_kernel(), *sealed = sealed_how();

	broken("driver", "no ashmem driver is installed for the running kernel %s%s%s",
	       machine.release, other ? ", only for " : "", other ?: "");
	if (dkms) {
		advise("sudo dkms autoinstall -k %s; if that fails, ", machine.release);
		advise("make.log below %s says what is missing", root_path(dkms));
		mend_loading(text("dkms autoinstall -k %s", quoted(machine.release)),
			     "modprobe " MODULE);
		return;
	}
	advise("build and install " MODULE " ('make doctor' in its source checks if you can)");
	if (sealed)
		advise("; modules cannot be installed beside the kernel's on %s: %s", system_name(),
		       sealed);
	if (other)
		advise(", or boot %s", other);
}

void report_no_driver(void)
{
	const char *name = loaded_driver(), *file;

	if (name) {
		broken("driver", "the module %s is loaded, but has no device named ashmem", name);
		advise("see the end of dmesg; the module may be about to be unloaded");
		return;
	}
	if (machine.container) {
		broken("driver", "no ashmem driver is loaded in the host's kernel");
		advise("on the host, sudo modprobe " MODULE " (ashmem-check there says more), ");
		advise("then restart the container");
		return;
	}
	for (size_t i = 0; i < DRIVERS; i++) {
		file = indexed_file(machine.release, drivers[i]);
		if (file) {
			report_unloaded(drivers[i], file, true);
			return;
		}
	}
	file = unindexed_file(machine.release, MODULE);
	if (file) {
		report_unloaded(MODULE, file, false);
		return;
	}
	file = writable_file(machine.release);
	if (file)
		report_unloaded_writable(file);
	else
		report_uninstalled();
}
