// SPDX-License-Identifier: GPL-2.0
/* Reads what LXC's configuration includes, and whether its rules allow opening the device. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "engines.h"

#define BLANKS		" \t"
#define MISC_MAJOR	10
#define DEEPEST		5
/* More than any real configuration includes. */
#define MOST		(1024 * 1024)

/* The value if the line sets this key, or NULL. Proxmox uses a colon. */
static const char *value_if(const char *line, const char *key)
{
	line += strspn(line, BLANKS);
	if (strncmp(line, key, strlen(key)))
		return NULL;
	line += strlen(key);
	line += strspn(line, BLANKS);
	return *line == '=' || *line == ':' ? line + 1 + strspn(line + 1, BLANKS) : NULL;
}

/* The configuration with its includes: the output, the depth, and whether it is complete. */
static struct {
	FILE *to;
	int depth;
	bool is_whole;
} whole;

static void add(const char *config);

static void add_file(const char *path)
{
	const char *config = read_config(path);

	whole.is_whole &= !!config;
	if (config)
		add(config);
}

/* Whether a path is where configurations are. Reading other files may have side effects. */
static bool may_be_read(const char *path)
{
	static const char * const places[] = { "etc/", "usr/", "var/lib/lxc/" };
	bool is_there = false;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		is_there |= !strncmp(path, places[i], strlen(places[i])) && is_roots(path);
	return is_there && !strchr(path, '*') && whole.depth < DEEPEST && ftell(whole.to) < MOST;
}

/* Adds a file whose lines are values of "lxc.mount.entry". */
static void add_mounts(const char *path)
{
	char *rest = may_be_read(path) ? read_config(path) : NULL, *line;

	whole.is_whole &= !!rest;
	while ((line = next_line(&rest)))
		if (line[strspn(line, BLANKS)] && line[strspn(line, BLANKS)] != '#')
			fprintf(whole.to, "lxc.mount.entry = %s\n", line);
}

/* Includes a file, or each file of a directory. */
static void include(const char *path)
{
	if (!may_be_read(path)) {
		whole.is_whole = false;
		return;
	}
	whole.depth++;
	if (exists(text("%s/.", path)))
		for_each(text("%s/*.conf", path), add_file);
	else
		add_file(path);
	whole.depth--;
}

/* The same for a path, without the slash in front. */
static const char *path_if(const char *line, const char *key)
{
	const char *path = value_if(line, key);

	return path && *path ? text("%.*s", (int)strcspn(path, BLANKS "\r"),
				    path + (*path == '/')) : NULL;
}

static void add(const char *config)
{
	char *rest = strdup(config), *line;

	while ((line = next_line(&rest))) {
		const char *file = path_if(line, "lxc.include");
		const char *mounts = path_if(line, "lxc.mount.fstab") ?: path_if(line, "lxc.mount");

		if (file)
			include(file);
		else if (mounts)
			add_mounts(mounts);
		else
			fprintf(whole.to, "%s\n", line);
		/* This program may make nodes. */
		whole.is_whole &= !path_if(line, "lxc.hook.autodev");
	}
}

const char *lxc_whole(const char *config, bool *is_whole)
{
	const char *snapshot = strstr(config, "\n[");
	char *made;
	size_t len;

	/* Proxmox keeps snapshots of older settings in sections below the current ones. */
	if (!strcmp(now.engine->name, "Proxmox") && (snapshot || *config == '['))
		config = text("%.*s", snapshot && *config != '[' ? (int)(snapshot - config) : 0,
			      config);
	whole.to = open_memstream(&made, &len);
	if (!whole.to)
		errx(2, "Out of memory. Free some and run it again.");
	whole.depth = 0;
	whole.is_whole = true;
	add(config);
	fclose(whole.to);
	*is_whole = whole.is_whole;
	return made;
}

/* Whether a number, as "10:*", is our device; sets @is_other for another misc device. */
static bool is_our_number(const char *number, bool *is_other)
{
	char *end = (char *)number + 1;
	long low;

	if (*number != '*' && strtol(number, &end, 10) != MISC_MAJOR)
		return false;
	if (*end != ':' || end[1] == '*')
		return *end == ':';
	low = strtol(end + 1, NULL, 10);
	*is_other |= machine.minor >= 0 && low != machine.minor;
	return machine.minor < 0 || low == machine.minor;
}

static bool is_for_device(const char *rule, bool *is_other)
{
	if (*rule == 'a')
		return true;
	return *rule == 'c' && is_our_number(rule + 1 + strspn(rule + 1, BLANKS), is_other);
}

/* Whether the third word of a rule allows reading and writing. */
static bool may_read_and_write(const char *rule)
{
	return *rule == 'a' || (strrchr(rule, 'r') && strrchr(rule, 'w'));
}

bool is_device_rule(const char *rule)
{
	bool ignored;

	return is_for_device(rule, &ignored) && may_read_and_write(rule);
}

/* The value of a key for cgroup v2, or else of @old_key for v1, unless that is NULL. */
static const char *rule_if(const char *line, const char *key, const char *old_key)
{
	return value_if(line, key) ?: (old_key ? value_if(line, old_key) : NULL);
}

enum lxc_right lxc_right(const char *config, bool is_whole)
{
	char *rest = strdup(config), *line;
	bool is_said = false, is_other = false, may = false;
	/* LXC ignores rules for cgroup v1 if there is only v2. */
	bool has_old = !exists("sys/fs/cgroup/cgroup.controllers");

	while ((line = next_line(&rest))) {
		const char *allow = rule_if(line, "lxc.cgroup2.devices.allow",
					    has_old ? "lxc.cgroup.devices.allow" : NULL);
		const char *deny = rule_if(line, "lxc.cgroup2.devices.deny",
					   has_old ? "lxc.cgroup.devices.deny" : NULL);
		bool ignored;

		if ((allow && !*allow) || (deny && !*deny)) {
			/* An empty value drops all rules before it. */
			is_said = false;
			is_other = false;
		} else if (allow && is_for_device(allow, &is_other) && may_read_and_write(allow)) {
			is_said = true;
			may = true;
		} else if (deny && is_for_device(deny, &ignored)) {
			is_said = true;
			may = false;
		}
	}
	if (is_said)
		return may ? LXC_MAY : LXC_MAY_NOT;
	/* Proxmox adds rules that deny all devices that are not named. */
	if (is_other || !strcmp(now.engine->name, "Proxmox"))
		return LXC_MAY_NOT;
	return is_whole ? LXC_MAY : LXC_NOT_TOLD;
}
