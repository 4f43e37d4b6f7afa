// SPDX-License-Identifier: GPL-2.0
/* Where there is no driver: whether its module is installed, and why it is not loaded. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "check.h"

#define SIGNATURE	"~Module signature appended~\n"

/* Whether this file, without its directories, is that of the module, compressed or not. */
static bool is_module_file(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');
	size_t len = strlen(name);

	file = slash ? slash + 1 : file;
	return !strncmp(file, name, len) && !strncmp(file + len, ".ko", 3);
}

/* Where kernels' modules are. NixOS has nothing but the last two. */
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

/* The same where nobody ran depmod, in the places that are for modules from elsewhere. */
static const char *unindexed_file(const char *release, const char *name)
{
	static const char * const places[] = { "updates", "updates/dkms", "extra", "kernel/extra" };
	const char *found = NULL;

	for (size_t tree = 0; !found && tree < ARRAY_SIZE(trees); tree++)
		for (size_t i = 0; !found && i < ARRAY_SIZE(places); i++)
			found = file_in(text("%s/%s/%s", trees[tree], release, places[i]), name);
	return found;
}

/* Where 'make install-writable' puts it, and loads it from. */
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

/* Has the script load the driver, and make the nodes where nobody else does. */
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
		advise("take %s off the kernel's command line (in the boot loader's settings)%s",
		       obstacle->word, obstacle->is_final ? " and reboot" : "; ");
		return;
	}
	advise("take that line out; ");
	if (obstacle->line)
		mend("drop_line %s %s", quoted(root_path(obstacle->file)), quoted(obstacle->line));
}

/* A module is there and not loaded: says what keeps it, and what loads it. */
static void report_unloaded(const char *name, const char *file, bool is_indexed)
{
	const char *why = enforcement();
	struct obstacle obstacle;
	bool is_kept = find_obstacle(name, &obstacle);

	broken("driver", "the module %s is installed (%s) but not loaded%s%s%s%s%s", name,
	       root_path(file), why ? ", and the kernel takes signed ones only (" : "", why ?: "",
	       why ? ")" : "", is_kept ? ", and " : "", is_kept ? obstacle.what : "");
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
	if (is_kept)
		remove_obstacle(&obstacle);
	if (is_kept && obstacle.is_final)
		return;
	advise("sudo %smodprobe %s, and if that fails, dmesg says why",
	       is_indexed ? "" : "depmod && sudo ", name);
	/* What is in the way is left to hands, so nothing can be loaded before that. */
	if (!is_kept || obstacle.line || obstacle.word)
		mend_loading(is_indexed ? NULL : "depmod", text("modprobe %s", name));
}

/* One that is nowhere near the kernel's, as that place is read-only. */
static void report_unloaded_writable(const char *file)
{
	broken("driver", "the module " MODULE " is installed (%s) but not loaded", root_path(file));
	advise("sudo insmod %s; at boot, that is what /etc/systemd/system/" MODULE ".service does",
	       root_path(file));
	mend_loading(NULL, text("insmod %s", quoted(root_path(file))));
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

/* How modules come to a system whose /usr cannot be written to, or NULL. */
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

/* No module is there: says where it comes from. */
static void report_uninstalled(void)
{
	const char *dkms = dkms_place(), *other = other_kernel(), *sealed = sealed_how();

	broken("driver", "no ashmem driver is installed for the running kernel %s%s%s",
	       machine.release, other ? ", only for " : "", other ?: "");
	if (dkms) {
		advise("sudo dkms autoinstall -k %s, and if that fails, ", machine.release);
		advise("the make.log below %s says what is missing", root_path(dkms));
		mend_loading(text("dkms autoinstall -k %s", quoted(machine.release)),
			     "modprobe " MODULE);
		return;
	}
	advise("build and install " MODULE " ('make doctor' there says whether it can be)");
	if (sealed)
		advise("; modules cannot be put beside the kernel's on %s: %s", system_name(),
		       sealed);
	if (other)
		advise(", or boot %s", other);
}

void report_no_driver(void)
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
