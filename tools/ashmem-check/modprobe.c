// SPDX-License-Identifier: GPL-2.0
/* What prevents modprobe or the kernel from loading an installed module: see modprobe.d(5). */
#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define BLANKS	" \t"

/* A file hides files of the same name in later directories. */
static const char * const places[] = {
	"etc/modprobe.d",
	"run/modprobe.d",
	"usr/local/lib/modprobe.d",
	"usr/lib/modprobe.d",
	"lib/modprobe.d",
};

/* Parameters on the kernel's command line that list modules, separated by commas. */
static const struct {
	const char *word;
	/* Whether even an explicit modprobe by root cannot load the module. */
	bool is_final;
} words[] = {
	{ "module_blacklist=", true },
	{ "modprobe.blacklist=", false },
	{ "rd.driver.blacklist=", false },
};

/* Whether two names denote the same module: modprobe treats - and _ as equal. */
static bool is_same(const char *a, size_t len, const char *b)
{
	if (strlen(b) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (a[i] != b[i] && !((a[i] == '-' || a[i] == '_') && (b[i] == '-' || b[i] == '_')))
			return false;
	return true;
}

static bool is_ours(const char *name, size_t len, const char *module)
{
	return is_same(name, len, module) || is_same(name, len, "ashmem_linux");
}

/* Replaces - by _, except in the ranges of a pattern. */
static const char *plain(const char *name, size_t len)
{
	char *made = strndup(name, len);
	bool in_range = false;

	for (char *at = made; *at; at++) {
		in_range = *at == '[' || (in_range && *at != ']');
		if (*at == '-' && !in_range)
			*at = '_';
	}
	return made;
}

/* The same for a pattern: most keywords of modprobe.d take patterns. */
static bool fits_ours(const char *pattern, size_t len, const char *module)
{
	pattern = plain(pattern, len);
	return !fnmatch(pattern, plain(module, strlen(module)), 0) ||
		!fnmatch(pattern, "ashmem_linux", 0);
}

/* What a line does to prevent loading, in words, or NULL. */
static const char *effect(const char *line, const char *module)
{
	const char *verb = line + strspn(line, BLANKS), *name, *rest;
	size_t verb_len = strcspn(verb, BLANKS), len;

	name = verb + verb_len + strspn(verb + verb_len, BLANKS);
	len = strcspn(name, BLANKS);
	rest = name + len + strspn(name + len, BLANKS);
	if (!fits_ours(name, len, module))
		return NULL;
	/* An install command with --ignore-install loads the module after all. */
	if (is_same(verb, verb_len, "install") && !strstr(rest, "--ignore-install"))
		return text("runs '%s' instead of loading it", rest);
	if (is_same(verb, verb_len, "blacklist") && is_ours(name, len, module))
		return "prevents loading it at boot and by its alias";
	if (is_same(verb, verb_len, "alias") && strcmp(rest, module) && *rest)
		return text("makes its name mean '%s'", rest);
	return NULL;
}

/* A backslash at the end continues a line on the next. */
static char *join(char *file)
{
	for (char *at = file; at && (at = strstr(at, "\\\n")); )
		memcpy(at, "  ", 2);
	return file;
}

/* Whether this is a single line of the file rather than several joined. */
static bool is_whole_line(const char *path, const char *line)
{
	char *rest = read_file(path), *one;

	while ((one = next_line(&rest)))
		if (!strcmp(one, line))
			return true;
	return false;
}

static bool check_file(const char *path, const char *module, struct obstacle *obstacle)
{
	char *rest = join(read_file(path)), *line;
	const char *does;

	while ((line = next_line(&rest))) {
		does = effect(line, module);
		if (!does)
			continue;
		obstacle->what = text("the line \"%s\" in %s %s", line, root_path(path), does);
		obstacle->file = path;
		obstacle->line = is_whole_line(path, line) ? text("%s", line) : NULL;
		return true;
	}
	return false;
}

/* Whether a directory of higher precedence has a file of this name. */
static bool is_masked(size_t place, const char *name)
{
	for (size_t i = 0; i < place; i++)
		if (exists(text("%s/%s", places[i], name)))
			return true;
	return false;
}

static bool check_place(size_t place, const char *module, struct obstacle *obstacle)
{
	int fd = root_open(places[place]);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);

		if (len > 5 && !strcmp(entry->d_name + len - 5, ".conf") &&
		    !is_masked(place, entry->d_name))
			found = check_file(text("%s/%s", places[place], entry->d_name), module,
					   obstacle);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The command line may have quotes around parameters and values. */
static char *without_quotes(char *words)
{
	char *to = words;

	for (const char *at = words; at && *at; at++)
		if (*at != '"')
			*to++ = *at;
	if (to)
		*to = '\0';
	return words;
}

static bool check_words(const char *module, struct obstacle *obstacle)
{
	char *rest = without_quotes(read_line("proc/cmdline")), *at, *name;

	while (rest && (at = strsep(&rest, BLANKS)))
		for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
			char *list = at + strlen(words[i].word);

			if (strncmp(at, words[i].word, strlen(words[i].word)))
				continue;
			while ((name = strsep(&list, ",")))
				if (is_ours(name, strlen(name), module)) {
					obstacle->what =
						text("%s%s on the kernel's command line forbids it",
						     words[i].word, name);
					obstacle->word = words[i].word;
					obstacle->is_final = words[i].is_final;
					return true;
				}
		}
	return false;
}

bool find_obstacle(const char *module, struct obstacle *obstacle)
{
	*obstacle = (struct obstacle){ };
	if (check_words(module, obstacle))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (check_place(i, module, obstacle))
			return true;
	return false;
}
