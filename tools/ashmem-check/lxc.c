// SPDX-License-Identifier: GPL-2.0
/* Lines of LXC's configuration that pass nodes into a container. Waydroid has them, too. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "check.h"

#define KEY		"lxc.mount.entry"
#define MAIN		"dev/ashmem"
/* The characters of a boot ID. */
#define ID_CHARACTERS	"0123456789abcdefABCDEF-"
#define BLANKS		" \t"

/* Parses a line. Returns false if it is not an entry, commented out or not. */
static bool parse(const char *line, struct lxc_entry *entry)
{
	char *rest, *options;

	entry->line = text("%s", line);
	entry->is_comment = line[strspn(line, BLANKS)] == '#';
	line += strspn(line, BLANKS "#");
	if (strncmp(line, KEY, strlen(KEY)))
		return false;
	line += strlen(KEY);
	line += strspn(line, BLANKS);
	/* Proxmox writes a colon. */
	if (*line != '=' && *line != ':')
		return false;
	rest = strdup(line + 1);
	entry->source = strtok_r(rest, BLANKS, &rest) ?: "";
	entry->target = strtok_r(NULL, BLANKS, &rest) ?: "";
	entry->target += strspn(entry->target, "/");
	strtok_r(NULL, BLANKS, &rest);
	options = strtok_r(NULL, BLANKS, &rest);
	entry->binds = options && strstr(options, "bind");
	entry->creates = options && strstr(options, "create=file");
	entry->is_optional = options && strstr(options, "optional");
	return true;
}

/* Whether the source exists and is not the device. */
static bool is_another(const char *source)
{
	struct stat info;

	return !fstatat(root_fd(), source, &info, 0) &&
		(!S_ISCHR(info.st_mode) ||
		 (machine.minor >= 0 && info.st_rdev != makedev(10, machine.minor)));
}

/* Whether Incus or LXD makes the source when the container starts, and removes it later. */
static bool comes_later(const char *source)
{
	static const char end[] = ".dev-ashmem";
	const char *name = strrchr(source, '/');
	size_t len = name ? strlen(name) : 0;

	return len > strlen(end) && !strncmp(name, "/unix.", 6) &&
		!strcmp(name + len - strlen(end), end);
}

/* What an entry does for a node at @target. */
static enum lxc_state judge(const struct lxc_entry *entry, const char *target)
{
	const char *source = entry->source + (*entry->source == '/');
	bool is_aimed = !strcmp(entry->target, target);

	if (!is_aimed && strcmp(source, target))
		return LXC_NONE;
	if (entry->is_comment)
		return LXC_COMMENT;
	/* Without create=file, there is no file in the container's /dev to bind it to. */
	if (!is_aimed || !entry->binds || (entry->is_optional && !entry->creates))
		return LXC_WRONG;
	/* A missing node is reported elsewhere. */
	if (!strcmp(source, target) || !strcmp(source, MAIN))
		return LXC_GOOD;
	if (is_another(source))
		return LXC_WRONG;
	return exists(source) || comes_later(source) ? LXC_GOOD : LXC_STALE;
}

/*
 * Whether this line spoils all good ones: it prevents the container from starting, or mounts
 * something else over the node.
 */
static bool is_fatal(const struct lxc_entry *entry, const char *target, enum lxc_state state)
{
	const char *source = entry->source + (*entry->source == '/');

	return !strcmp(entry->target, target) && (state == LXC_WRONG || state == LXC_STALE) &&
		(!entry->is_optional || (entry->binds && is_another(source)));
}

enum lxc_state find_lxc_entry(const char *file, const char *target, struct lxc_entry *entry)
{
	char *copy = strdup(file), *rest = copy, *line;
	enum lxc_state best = LXC_NONE;

	*entry = (struct lxc_entry){ };
	while ((line = next_line(&rest))) {
		struct lxc_entry one;
		enum lxc_state state;

		if (!parse(line, &one))
			continue;
		/* An empty value drops all entries before it. */
		if (!one.is_comment && !*one.source) {
			best = LXC_NONE;
			*entry = (struct lxc_entry){ };
			continue;
		}
		state = judge(&one, target);
		one.is_fatal = is_fatal(&one, target, state);
		if (state > best || one.is_fatal) {
			best = state;
			*entry = one;
		}
		if (one.is_fatal)
			break;
	}
	free(copy);
	return best;
}

/* Whether a path is that of the node of another boot. */
static bool is_of_other_boot(const char *path, const char *boot_id)
{
	size_t len = strlen(MAIN);

	path += *path == '/';
	return !strncmp(path, MAIN, len) && strlen(path) == len + strlen(boot_id) &&
		strspn(path + len, ID_CHARACTERS) == strlen(boot_id) &&
		strcmp(path + len, boot_id);
}

const char *stale_lxc_line(const char *file, const char *boot_id)
{
	char *copy = strdup(file), *rest = copy, *line;
	const char *found = NULL;

	while (!found && (line = next_line(&rest))) {
		struct lxc_entry entry;

		if (parse(line, &entry) && !entry.is_comment &&
		    (is_of_other_boot(entry.source, boot_id) ||
		     is_of_other_boot(entry.target, boot_id)))
			found = entry.line;
	}
	free(copy);
	return found;
}
