// SPDX-License-Identifier: GPL-2.0
/* Checks Android in containers of LXC and of what is based on it: Proxmox, Incus, LXD. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "engines.h"

/* LXC's containers are whole systems. Android's are recognized by their devices or files. */
static bool is_android_lxc(const char *config, const char *name)
{
	const char *path = setting(config, "lxc.rootfs.path") ?: setting(config, "lxc.rootfs") ?:
		(now.engine->has_projects ? text("%s/%s/rootfs", now.engine->place, name) : "");
	const char *colon = strchr(path, ':');

	path = colon ? colon + 1 : path;
	path += strspn(path, "/");
	return has(config, "androidboot.") || has(config, "binder") || has(config, "/dev/ashmem") ||
		(*path && exists(text("%s/system/build.prop", path)));
}

/* If this is a line with which Proxmox passes a single device: its value and @number. */
static const char *device_line(const char *line, int *number)
{
	int end = 0;

	/* Proxmox has at most 256. */
	return sscanf(line, "dev%3d :%n", number, &end) == 1 && end && *number >= 0 ?
		line + end : NULL;
}

/* Whether such a line passes our device, with access for all users. */
static bool passes_device(const char *value)
{
	char *rest = strdup(value + strspn(value, " \t")), *word;
	bool is_ours = false, is_for_all = false, is_kept = false;

	while ((word = strsep(&rest, ", \t\r"))) {
		is_ours |= !strcmp(word, "/dev/ashmem") || !strcmp(word, "path=/dev/ashmem");
		is_for_all |= !strcmp(word, "mode=0666") || !strcmp(word, "mode=666");
		is_kept |= !strcmp(word, "deny-write=1");
	}
	return is_ours && is_for_all && !is_kept;
}

static bool has_device_line(const char *config)
{
	char *rest = strdup(config), *line;
	const char *value;
	int number;

	while ((line = next_line(&rest))) {
		value = device_line(line, &number);
		if (value && passes_device(value))
			return true;
	}
	return false;
}

/* The number of the line for our device, or else a free number. */
static int device_number(const char *config)
{
	char *rest = strdup(config), *line;
	int number, free = 0;

	while ((line = next_line(&rest))) {
		const char *value = device_line(line, &number);

		if (value && has(value, "/dev/ashmem") && !has(value, "/dev/ashmem/"))
			return number;
		if (value && number >= free)
			free = number + 1;
	}
	return free;
}

/*
 * Makes the script replace the wrong line, in files that only root can write, or pass the
 * device with the engine's own command.
 */
static void mend_lxc(const char *path, const char *name, const char *config,
		     const struct lxc_entry *entry)
{
	const char *file = quoted(root_path(path)), *again = command_for(now.engine->again, name);
	const char *line = "/dev/ashmem dev/ashmem none bind,optional,create=file";

	if (now.engine->mend && entry->is_fatal)
		return;
	if (now.engine->has_numbers) {
		mend("%s", with_name(now.engine->mend,
				     text("%s -dev%d", name, device_number(config))));
	} else if (now.engine->mend) {
		/* A running container gets the device at once. */
		mend("%s", command_for(now.engine->mend, name));
		return;
	} else if (!strncmp(path, "var/lib/lxc/", 12)) {
		if (entry->line)
			mend("drop_line %s %s", file, quoted(entry->line));
		mend("add_line %s 'lxc.cgroup2.devices.allow = c 10:* rwm'", file);
		mend("add_line %s 'lxc.mount.entry = %s'", file, line);
	} else {
		return;
	}
	mend("# Then restart it: %s", again);
}

static void advise_lxc(const char *name, long pid)
{
	advise("%s", command_for(now.engine->pass, name));
	/* Some engines pass the device at once. */
	if (pid && (!now.engine->mend || now.engine->has_numbers))
		advise(", then restart it: %s", command_for(now.engine->again, name));
}

/*
 * Reports whether a container that gets the node may also open it. @pid is its first process,
 * or 0 if it is not running.
 */
static void judge_right(const char *path, const char *name, const char *config, bool is_whole,
			long pid)
{
	struct lxc_entry none = { };
	/* Containers of a user have no device rules. */
	enum lxc_right right = strstr(path, "/.local/") || has_device_line(config) ? LXC_MAY :
		lxc_right(config, is_whole);

	if (pid && right != LXC_MAY_NOT)
		check_inside(name, pid);
	switch (right) {
	case LXC_MAY:
		if (!pid)
			ok(finding("lxc"), "%s gets /dev/ashmem", called(name));
		break;
	case LXC_NOT_TOLD:
		unseen(finding("lxc"),
		       "whether %s may open /dev/ashmem, as not all its settings can be read",
		       called(name));
		advise("start it and try to open the device in it");
		break;
	case LXC_MAY_NOT:
		broken(finding("lxc"), "%s has /dev/ashmem, but no right to open it", called(name));
		advise_lxc(name, pid);
		mend_lxc(path, name, config, &none);
	}
}

/* The path without its last part. */
static const char *up(const char *path)
{
	const char *slash = strrchr(path, '/');

	return text("%.*s", slash ? (int)(slash - path) : 0, path);
}

/* Whether the last record that Incus or LXD keeps of a container has the device. */
static bool records_device(const char *name)
{
	const char *record = now.engine->has_projects ?
		read_config(text("%s/%s/backup.yaml", now.engine->place, name)) : NULL;

	return record && has(record, ": /dev/ashmem\n") && has(record, "mode: \"0666\"");
}

static void judge(const char *path, const char *name, const char *config, bool is_whole)
{
	long pid = pid_of_lxc(now.engine->place ?: up(up(path)), name);
	struct lxc_entry entry;
	enum lxc_state state = find_lxc_entry(config, "dev/ashmem", &entry);

	if (machine.minor < 0)
		pid = 0;

	/* Without an entry for the node, the host's whole /dev may be bound. */
	if (state == LXC_NONE && !has_device_line(config) &&
	    find_lxc_entry(config, "dev", &entry) == LXC_GOOD) {
		judge_right(path, name, config, is_whole, 0);
	} else if (state == LXC_GOOD || (has_device_line(config) && !entry.is_fatal)) {
		judge_right(path, name, config, is_whole, pid);
	} else if (state == LXC_NONE && !pid && records_device(name)) {
		ok(finding("lxc"), "%s gets /dev/ashmem when it starts", called(name));
	} else if (state == LXC_NONE && pid && !(is_whole && lacks_node(pid))) {
		check_inside(name, pid);
	} else if (state == LXC_NONE && !is_whole) {
		unseen(finding("lxc"),
		       "whether %s gets /dev/ashmem, as not all its settings can be read",
		       called(name));
		advise("start it and run this again");
	} else {
		broken(finding("lxc"), "%s gets no /dev/ashmem%s", called(name), !entry.line ? "" :
		       text(", as a line in %s is %s: %s", root_path(path),
			    entry.is_comment ? "commented out" : "wrong", entry.line));
		advise_lxc(name, pid);
		mend_lxc(path, name, config, &entry);
	}
}

bool check_lxc(const char *path, const char *name)
{
	const char *config = read_config(path), *key;
	bool is_whole;

	if (!config)
		return false;
	/* Proxmox generates this from its own configuration, which is checked as well. */
	if (!strncmp(path, "var/lib/lxc/", 12) && exists(text("etc/pve/lxc/%s.conf", name)))
		return true;
	config = lxc_whole(config, &is_whole);
	/* In a record, lines for LXC are a YAML text, which is not parsed. */
	is_whole &= !has(config, "raw.lxc:");
	/* LXC's users may share a name. Other engines have several files per container. */
	key = !strcmp(now.engine->name, "LXC") ? without_links(path) ?: path : name;
	if (!is_android_lxc(config, name) || !is_new(text("%s %s", now.engine->name, key)))
		return true;
	now.found++;
	judge(path, name, config, is_whole);
	return true;
}
