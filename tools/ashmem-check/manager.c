// SPDX-License-Identifier: GPL-2.0
/* Checks what makes the nodes below /dev, and whether it is set up for this driver. */
#include <regex.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

#define RULE	"60-rust_ashmem.rules"
#define LINE	"ashmem"
#define OWN_LINE	"ashmem root:root 0666 */usr/local/sbin/rust_ashmem-nodes"
/* Of a pattern; regcomp() could take too long for longer ones. */
#define LONGEST	256

/* Where udev finds rules. Only systemd's udev reads the third. */
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

/* Whether a link to /dev/null, which an administrator made, disables the rule. */
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
		note("manager", "%s makes the nodes, but has no rule of rust_ashmem", name);
		advise("it is needed for the node of Android 16: sudo make install-files");
	} else if (is_masked(place)) {
		note("manager", "%s makes the nodes, but %s/" RULE " hides the rule of rust_ashmem",
		     name, root_path(place));
		advise("remove that link to /dev/null, then run sudo udevadm trigger");
	} else if (strstr(place, "local") && !is_systemd()) {
		note("manager",
		     "%s makes the nodes, but without systemd it does not read the rule in %s",
		     name, root_path(place));
		advise("install the rule in /etc/udev/rules.d: sudo make install-files does that");
	} else {
		ok("manager", "%s makes the nodes, by the rule in %s", name, root_path(place));
	}
}

/* Whether the regular expression at the start of a line matches our device. */
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

/* A line for our device alone must also run the program that makes the second node. */
static void check_own_line(const char *name, const char *file, const char *line)
{
	if (strstr(line, "rust_ashmem-nodes")) {
		ok("manager", "%s makes the nodes, by a line in %s", name, root_path(file));
		return;
	}
	note("manager", "%s makes the nodes, but a line in %s does not run rust_ashmem-nodes: %s",
	     name, root_path(file), line);
	advise("without that, Android 16 gets no node; replace the line with: %s", OWN_LINE);
}

/* Looks for the line for our device. The first line that matches counts. */
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
		/* After a match of a line with a leading dash, mdev goes on to the next lines. */
		if (line == start && fits(line)) {
			note("manager", "%s makes the nodes, but in %s an earlier line matches: %s",
			     name, root_path(file), line);
			advise("put the line for ashmem before it, or Android 16 gets no node");
			return;
		}
	}
	note("manager", "%s makes the nodes, but %s has no line for ashmem", name, root_path(file));
	advise("add one before any line that matches all names (sudo make install-files does): ");
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
		advise("after the module is loaded, run rust_ashmem-nodes ");
		advise("(sudo make install-files installs it); ");
		advise("at boot: %s", init_says("by-hand") ?: "run it from a service");
	}
}
