// SPDX-License-Identifier: GPL-2.0
/* Checks whether Waydroid and its derivatives use the device, and pass its nodes. */
#include <string.h>

#include "check.h"

static const struct waydroid {
	/* The command, which is also the name of its directories and files. */
	const char *name;
	/* What people call it. */
	const char *title;
} waydroids[] = {
	{ "waydroid", "Waydroid" },
	/* By FuriLabs. */
	{ "andromeda", "Andromeda" },
};

/* The files that may set sys.use_memfd: the user's, then the generated ones. */
static const char * const settings[] = {
	"var/lib/%s/%s.cfg",
	"var/lib/%s/%s_base.prop",
	"var/lib/%s/%s.prop",
};

static const char *anew(const struct waydroid *w)
{
	return text("sudo %s upgrade --offline", w->name);
}

/* The values that Android takes for true, and the one that Waydroid writes. */
static bool is_true(const char *value)
{
	return value && matches_any("1 y yes on true True", value);
}

/* The first file that makes Android use memfds, or NULL. Counts the readable files. */
static const char *memfd_setting(const struct waydroid *w, int *count)
{
	*count = 0;
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		const char *path = with_name(settings[i], w->name);
		char *file = read_file(path);

		*count += !!file;
		if (file && is_true(setting(file, "sys.use_memfd")))
			return path;
	}
	return NULL;
}

static void report_memfd(const struct waydroid *w, const char *path, bool works)
{
	const char *where = root_path(path);

	if (!works) {
		note(w->name, "%s makes Android use memfds, as set in %s", w->title, where);
		advise("that works up to Android 15 (sys.use_memfd=true); ");
		advise("for later versions, get the device to work, then %s", anew(w));
	} else if (!strcmp(path, with_name(settings[0], w->name))) {
		broken(w->name, "%s makes Android use memfds instead of /dev/ashmem", where);
		advise("remove sys.use_memfd there, then %s", anew(w));
		mend("sed -i '/^[[:space:]]*sys\\.use_memfd[[:space:]]*=/d' %s", quoted(where));
		mend("%s upgrade --offline", w->name);
	} else {
		broken(w->name, "%s still makes Android use memfds instead of /dev/ashmem",
		       w->title);
		advise("sys.use_memfd=true in %s was set when there was no device; ", where);
		advise("rewrite that file with %s; ", anew(w));
		advise("to go back, do the same with the driver unloaded");
		mend("%s upgrade --offline", w->name);
	}
}

static const char *good_line(const char *node)
{
	return text("lxc.mount.entry = /dev/%s dev/%s none bind,create=file,optional 0 0", node,
		    node);
}

/* Makes the script replace @line, if any, by @good in the file that passes nodes. */
static void mend_nodes(const struct waydroid *w, const char *path, const char *line,
		       const char *good)
{
	const char *where = quoted(root_path(path));

	if (line)
		mend("drop_line %s %s", where, quoted(line));
	mend("add_line %s %s", where, quoted(good));
	if (init_says("restart"))
		mend("%s", with_name(init_says("restart"), text("%s-container", w->name)));
}

static void report_line(const struct waydroid *w, const char *path, const char *line,
			const char *why, const char *good)
{
	broken(text("%s-node", w->name),
	       "%s passes no /dev/ashmem into its container, as a line in %s %s: %s", w->title,
	       root_path(path), why, line);
	advise("replace it with: %s", good);
	advise("; then restart %s-container", w->name);
	mend_nodes(w, path, line, good);
}

/*
 * The node with the boot ID has another name after each boot. A line for an older one does
 * nothing if it says "optional". Otherwise it prevents the container from starting.
 */
static void check_second_node(const struct waydroid *w, const char *path, const char *file)
{
	const char *good, *line, *why = NULL, *id = text("%s-boot-id-node", w->name);
	struct lxc_entry entry;

	if (!machine.boot_id)
		return;
	good = good_line(text("ashmem%s", machine.boot_id));
	if (find_lxc_entry(file, text("dev/ashmem%s", machine.boot_id), &entry) == LXC_GOOD)
		return;
	line = stale_lxc_line(file, machine.boot_id);
	if (line)
		why = "is for the node of another boot";
	else if (entry.line)
		line = entry.line,
		why = entry.is_comment ? "is commented out" : "binds no such node";
	if (why) {
		broken(id,
		       "%s does not pass the node that Android 16 opens, as a line in %s %s: %s",
		       w->title, root_path(path), why, line);
		advise("replace it with: %s", good);
		advise("; docs/waydroid.md shows how to do that at each boot");
		mend_nodes(w, path, line, good);
		return;
	}
	if (machine.minor < 0)
		return;
	note(id, "%s does not pass the node that Android 16 opens; older versions need none",
	     w->title);
	advise("for Android 16, add to %s: %s", root_path(path), good);
	advise("; docs/waydroid.md shows how to do that at each boot");
}

/* Whether the container's configuration includes the file that passes nodes. */
static bool includes_nodes(const char *config)
{
	char *rest = strdup(config), *line;

	while ((line = next_line(&rest))) {
		line += strspn(line, " \t");
		line[strcspn(line, "\r")] = '\0';
		if (!strncmp(line, "lxc.include", 11) &&
		    matches_any("*/config_nodes", strrchr(line, '/') ?: ""))
			return true;
	}
	return false;
}

static void check_include(const struct waydroid *w, const char *nodes)
{
	const char *path = with_name("var/lib/%s/lxc/%s/config", w->name);
	const char *config = read_file(path), *id = text("%s-include", w->name);

	if (!config) {
		unseen(id, "whether %s's container reads %s, as %s cannot be read", w->title,
		       root_path(nodes), root_path(path));
		advise("run this as root; if it was never set up, sudo %s init", w->name);
	} else if (!includes_nodes(config)) {
		broken(id, "%s's container does not include %s, which passes nodes", w->title,
		       root_path(nodes));
		advise("add to %s: lxc.include = /%s; then restart %s-container",
		       root_path(path), nodes, w->name);
	}
}

/* Waydroid lists in this file the nodes that existed when it wrote the file. */
static void check_passed_nodes(const struct waydroid *w)
{
	const char *path = with_name("var/lib/%s/lxc/%s/config_nodes", w->name);
	const char *good = good_line("ashmem");
	char *file = read_file(path);
	struct lxc_entry entry;

	if (!file) {
		unseen(text("%s-node", w->name),
		       "which nodes %s passes into its container, as %s cannot be read", w->title,
		       root_path(path));
		advise("run this as root; if it was never set up, sudo %s init", w->name);
		return;
	}
	check_include(w, path);
	switch (find_lxc_entry(file, "dev/ashmem", &entry)) {
	case LXC_GOOD:
		break;
	case LXC_NONE:
		/* Without a driver, Waydroid writes no line. */
		if (machine.minor < 0)
			break;
		broken(text("%s-node", w->name), "%s passes no /dev/ashmem into its container",
		       w->title);
		advise("rewrite %s with %s", root_path(path), anew(w));
		mend_nodes(w, path, NULL, good);
		break;
	case LXC_COMMENT:
		report_line(w, path, entry.line, "is commented out", good);
		break;
	case LXC_STALE:
		report_line(w, path, entry.line,
			    text("names %s, which does not exist", entry.source), good);
		break;
	case LXC_WRONG:
		report_line(w, path, entry.line, "binds no /dev/ashmem", good);
	}
	check_second_node(w, path, file);
}

static void check_one(const struct waydroid *w, bool works)
{
	const char *dir = with_name("var/lib/%s", w->name);
	const char *path;
	int count;

	if (!exists(dir))
		return;
	path = memfd_setting(w, &count);
	if (!count) {
		unseen(w->name, "%s's settings in %s, which cannot be read", w->title,
		       root_path(dir));
		advise("run this as root; if it was never set up, sudo %s init", w->name);
		return;
	}
	if (path) {
		report_memfd(w, path, works);
	} else if (works) {
		ok(w->name, "%s makes Android use /dev/ashmem", w->title);
	} else {
		note(w->name, "%s makes Android use /dev/ashmem, which does not work", w->title);
		advise("get it to work, or unload the driver and go back to memfds: %s",
		       anew(w));
	}
	/* With memfds and no driver, Waydroid is right to pass no nodes. */
	if (!path || works)
		check_passed_nodes(w);
}

void check_waydroid(bool works)
{
	for (size_t i = 0; i < ARRAY_SIZE(waydroids); i++)
		check_one(&waydroids[i], works);
}
