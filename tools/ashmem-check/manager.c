// SPDX-License-Identifier: GPL-2.0
/* What makes the nodes below /dev, and whether it knows what this driver needs. */
#include <regex.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

#define RULE	"60-rust_ashmem.rules"
#define LINE	"ashmem"
#define OWN_LINE	"ashmem root:root 0666 */usr/local/sbin/rust_ashmem-nodes"
/* Of a pattern; longer ones could be too much for regcomp(). */
#define LONGEST	256

/* Where udev finds rules. The third is read by systemd's alone. */
static const char * const rule_places[] = {
	"etc/udev/rules.d", "run/udev/rules.d", "usr/local/lib/udev/rules.d",
	"usr/lib/udev/rules.d", "lib/udev/rules.d",
};

const char *node_maker(void)
{
	return manager_says("node") ?:
		"the udev rule of rust_ashmem (or rust_ashmem-nodes, where there is no udev)";
}

static bool is_systemd(void)
{
	return !strcmp(init_says("name"), "systemd");
}

static const char *find_rule(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rule_places); i++)
		if (exists(text("%s/" RULE, rule_places[i])))
			return rule_places[i];
	return NULL;
}

/* Whether a rule of somebody's own, which counts more, is none. */
static bool is_masked(const char *place)
{
	char to[16] = "";

	return readlinkat(root_fd(), text("%s/" RULE, place), to, sizeof(to) - 1) > 0 &&
		!strcmp(to, "/dev/null");
}

static void check_rule(const char *name)
{
	const char *place = find_rule();

	if (!place) {
		note("manager", "%s makes the nodes, and has no rule of rust_ashmem", name);
		advise("without that the node for Android 16 is not made: sudo make install-files");
	} else if (is_masked(place)) {
		note("manager", "%s makes the nodes, and %s/" RULE " hides the rule of rust_ashmem",
		     name, root_path(place));
		advise("remove that link, which leads to /dev/null, and then sudo udevadm trigger");
	} else if (strstr(place, "local") && !is_systemd()) {
		note("manager",
		     "%s makes the nodes, and the rule of rust_ashmem is where it does not look %s: %s",
		     name, "without systemd", root_path(place));
		advise("put it into /etc/udev/rules.d: sudo make install-files does that");
	} else {
		ok("manager", "%s makes the nodes, by the rule in %s", name, root_path(place));
	}
}

/* Whether a line, which begins with a regular expression, is for our device. */
static bool fits(const char *line)
{
	const char *pattern = text("^(%.*s)$", (int)strcspn(line, " \t"), line);
	regex_t regex;
	bool fits;

	if (!*line || strchr("#@$", *line) || strlen(pattern) > LONGEST ||
	    regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB))
		return false;
	fits = !regexec(&regex, LINE, 0, NULL, 0);
	regfree(&regex);
	return fits;
}

/* One that is for our device alone must have the second node made, too. */
static void check_own_line(const char *name, const char *file, const char *line)
{
	if (strstr(line, "rust_ashmem-nodes")) {
		ok("manager", "%s makes the nodes, by a line of %s", name, root_path(file));
		return;
	}
	note("manager", "%s makes the nodes, and a line of %s does not run rust_ashmem-nodes: %s",
	     name, root_path(file), line);
	advise("put this in its place, or Android 16 gets no node: %s", OWN_LINE);
}

/* Whether a line of the file is about our device. The first that fits counts. */
static void check_line(const char *name, const char *file)
{
	char *rest = read_file(file), *line, *start;

	while ((line = next_line(&rest))) {
		start = line;
		line += strspn(line, "-");
		if (!strncmp(line, LINE, strlen(LINE)) && strchr(" \t", line[strlen(LINE)])) {
			check_own_line(name, file, line);
			return;
		}
		/* After one that begins with a dash it looks at others. */
		if (line == start && fits(line)) {
			note("manager", "%s makes the nodes, and in %s a line comes first: %s",
			     name, root_path(file), line);
			advise("put that for ashmem before it, or Android 16 gets no node");
			return;
		}
	}
	note("manager", "%s makes the nodes, and %s has no line for ashmem", name, root_path(file));
	advise("it needs one before those that fit all, which sudo make install-files adds: ");
	advise(OWN_LINE);
}

void check_manager(void)
{
	const char *name = manager_says("name"), *line = manager_says("line");

	if (machine.container || !name)
		return;
	if (manager_says("rule"))
		check_rule(name);
	else if (line)
		check_line(name, text("%.*s", (int)strcspn(line, " "), line));
	else if (!strcmp(name, "ueventd"))
		ok("manager", "ueventd makes the nodes, as on Android");
	else {
		note("manager", "%s runs here under %s, so nothing makes the node for Android 16",
		     name, init_says("name"));
		advise("after the module is loaded, run rust_ashmem-nodes, ");
		advise("which sudo make install-files installs; ");
		advise("at boot: %s", init_says("by-hand") ?: "have that run by a service");
	}
}
