// SPDX-License-Identifier: GPL-2.0
/* What LXC's configuration includes, and whether its rules let a container open the device. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "engines.h"

#define BLANKS		" \t"
#define MISC_MAJOR	10
#define DEEPEST		5

/* The value if the line sets this key, or NULL. Proxmox writes a colon. */
static const char *value_if(const char *line, const char *key)
{
	line += strspn(line, BLANKS);
	if (strncmp(line, key, strlen(key)))
		return NULL;
	line += strlen(key);
	line += strspn(line, BLANKS);
	return *line == '=' || *line == ':' ? line + 1 + strspn(line + 1, BLANKS) : NULL;
}

static const char *with_files(const char *config, int depth, bool *is_whole)
{
	char *rest = strdup(config), *line;
	const char *made = "";

	while ((line = next_line(&rest))) {
		const char *path = value_if(line, "lxc.include"), *file = NULL;

		if (path && depth < DEEPEST && *path == '/' && is_roots(path + 1))
			file = read_file(text("%.*s", (int)strcspn(path + 1, BLANKS), path + 1));
		*is_whole &= !path || file;
		made = text("%s%s\n", made, file ? with_files(file, depth + 1, is_whole) : line);
	}
	return made;
}

const char *lxc_whole(const char *config, bool *is_whole)
{
	const char *snapshot = strstr(config, "\n[");

	*is_whole = true;
	/* What Proxmox has below is how it was once. */
	if (!strcmp(now.engine->name, "Proxmox") && (snapshot || *config == '['))
		config = text("%.*s", snapshot && *config != '[' ? (int)(snapshot - config) : 0,
			      config);
	return with_files(config, 0, is_whole);
}

/* Whether "10:*" or the like is our device; @is_other says that it is another misc device. */
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

/* What a rule lets do, which is its third word. */
static bool may_read_and_write(const char *rule)
{
	return *rule == 'a' || (strrchr(rule, 'r') && strrchr(rule, 'w'));
}

enum lxc_right lxc_right(const char *config, bool is_whole)
{
	char *rest = strdup(config), *line;
	bool is_said = false, is_other = false, may = false;

	while ((line = next_line(&rest))) {
		const char *allow = value_if(line, "lxc.cgroup2.devices.allow") ?:
			value_if(line, "lxc.cgroup.devices.allow");
		const char *deny = value_if(line, "lxc.cgroup2.devices.deny") ?:
			value_if(line, "lxc.cgroup.devices.deny");
		bool ignored;

		if ((allow && !*allow) || (deny && !*deny)) {
			/* Drops all that was said before. */
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
	/* Proxmox adds rules that forbid what is not named. */
	if (is_other || !strcmp(now.engine->name, "Proxmox"))
		return LXC_MAY_NOT;
	return is_whole ? LXC_MAY : LXC_NOT_TOLD;
}
