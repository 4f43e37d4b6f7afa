// SPDX-License-Identifier: GPL-2.0
/* Android in containers of LXC and what is made of it: Proxmox, Incus, LXD. */
#include <string.h>

#include "check.h"
#include "engines.h"

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

/* Proxmox passes single devices by lines of its own. */
static bool has_device_line(const char *config)
{
	char *rest = strdup(config), *line;

	while ((line = next_line(&rest)))
		if (!strncmp(line, "dev", 3) && strstr(line, ": /dev/ashmem,mode=0666"))
			return true;
	return false;
}

/* The node is there when it starts; whether it may be opened is another matter. */
static void judge_right(const char *path, const char *name, const char *config, bool is_whole,
			bool was_judged)
{
	struct lxc_entry none = { };
	/* A user's containers have no such rules. */
	enum lxc_right right = strstr(path, "/.local/") || has_device_line(config) ? LXC_MAY :
		lxc_right(config, is_whole);

	switch (right) {
	case LXC_MAY:
		if (!was_judged)
			ok(finding("lxc"), "%s gets /dev/ashmem", called(name));
		break;
	case LXC_NOT_TOLD:
		unseen(finding("lxc"),
		       "whether %s may open /dev/ashmem, as it includes what cannot be read",
		       called(name));
		advise("start it and try it there");
		break;
	case LXC_MAY_NOT:
		broken(finding("lxc"), "%s has /dev/ashmem, and no right to open it", called(name));
		advise("%s", with_name(now.engine->pass, name));
		mend_lxc(path, &none, with_name(now.engine->again, name));
	}
}

static void judge(const char *path, const char *name, const char *config, bool is_whole)
{
	bool is_proxmox = !strcmp(now.engine->name, "Proxmox");
	long pid = pid_in_group(is_proxmox ? text("lxc/%s", name) : text("lxc.payload.%s", name));
	struct lxc_entry entry;
	bool is_inside;
	enum lxc_state state = find_lxc_entry(config, "dev/ashmem", &entry);

	/* The host's whole /dev may be bound there, or Android makes the node itself. */
	if (state == LXC_NONE && !has_device_line(config) &&
	    find_lxc_entry(config, "dev", &entry) == LXC_GOOD) {
		judge_right(path, name, config, is_whole, false);
	} else if (state == LXC_GOOD || has_device_line(config)) {
		is_inside = pid > 0 && machine.minor >= 0;
		if (is_inside)
			check_inside(name, pid);
		judge_right(path, name, config, is_whole, is_inside);
	} else if (state == LXC_NONE && pid > 0 && machine.minor >= 0) {
		check_inside(name, pid);
	} else if (state == LXC_NONE && !is_whole) {
		unseen(finding("lxc"),
		       "whether %s gets /dev/ashmem, as it includes what cannot be read",
		       called(name));
		advise("start it and run this again");
	} else {
		broken(finding("lxc"), "%s gets no /dev/ashmem%s", called(name), !entry.line ? "" :
		       text(", as a line of %s is %s: %s", root_path(path),
			    entry.is_comment ? "commented out" : "wrong", entry.line));
		advise("%s", with_name(now.engine->pass, name));
		mend_lxc(path, &entry, with_name(now.engine->again, name));
	}
}

bool check_lxc(const char *path, const char *name)
{
	const char *config = read_file(path), *key;
	bool is_whole;

	if (!config)
		return false;
	/* Proxmox writes it from its own, which is looked at, too. */
	if (!strncmp(path, "var/lib/lxc/", 12) && exists(text("etc/pve/lxc/%s.conf", name)))
		return true;
	config = lxc_whole(config, &is_whole);
	/* Users may have some of one name; of others there are several files. */
	key = !strcmp(now.engine->name, "LXC") ? path : name;
	if (!is_android_lxc(config) || !is_new(text("%s %s", now.engine->name, key)))
		return true;
	now.found++;
	judge(path, name, config, is_whole);
	return true;
}
