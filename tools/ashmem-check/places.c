// SPDX-License-Identifier: GPL-2.0
/* Finds files by patterns, and parses the configuration of container engines. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

const char *refused;

/* Records a path that exists but cannot be read. */
static void note_refusal(const char *path, int error)
{
	size_t len = strlen(path);

	if (error == EACCES || error == EPERM || error == ELOOP)
		refused = text("%.*s", (int)(len && path[len - 1] == '/' ? len - 1 : len), path);
}

/*
 * Calls @call for each match of the pattern below a path. This is not glob(), because that
 * follows symbolic links of any user.
 */
static bool search_below(const char *path, const char *pattern, void (*call)(const char *path))
{
	int star = strcspn(pattern, "*"), start, len, fd;
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	for (start = star; start && pattern[start - 1] != '/'; start--)
		;
	if (!pattern[star])
		start = star;
	path = text("%s%.*s", path, start, pattern);
	fd = safe_open(path, pattern[star] ? O_RDONLY | O_DIRECTORY : O_PATH);
	if (fd < 0) {
		note_refusal(path, -fd);
		return false;
	}
	if (!pattern[star]) {
		close(fd);
		if (call)
			call(path);
		return true;
	}
	pattern += start;
	len = strcspn(pattern, "/");
	dir = fdopendir(fd);
	while (dir && (call || !found) && (entry = readdir(dir)))
		if (!fnmatch(text("%.*s", len, pattern), entry->d_name, FNM_PERIOD))
			found |= search_below(text("%s%s", path, entry->d_name), pattern + len,
					      call);
	if (dir)
		closedir(dir);
	return found;
}

bool for_each(const char *pattern, void (*call)(const char *path))
{
	return search_below("", pattern, call);
}

const char *place_of(const char *pattern)
{
	size_t start = strcspn(pattern, "*"), end = start + strcspn(pattern + start, "/");

	while (start && pattern[start - 1] != '/')
		start--;
	return text("%.*s", (int)(end - start > 1 ? end : start), pattern);
}

/* Homes of regular users in /etc/passwd that are not in the usual places. */
static void for_other_homes(const char *below, void (*call)(const char *path))
{
	char *rest = read_file("etc/passwd"), *line;

	while ((line = next_line(&rest))) {
		char *home = NULL;
		long uid = 0;

		for (int field = 0; line && field < 6; field++) {
			home = strsep(&line, ":");
			if (field == 2)
				uid = strtol(home, NULL, 10);
		}
		if (uid >= 1000 && uid != 65534 && home && *home == '/' && home[1] &&
		    strncmp(home, "/home/", 6) && strncmp(home, "/var/home/", 10))
			call(text("%s%s", home + 1, below));
	}
}

void for_homes(const char *path, void (*call)(const char *path))
{
	static const char * const homes[] = { "root", "home/*", "var/home/*" };
	const char *own = getenv("HOME");

	if (*path != '~') {
		call(path);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(homes); i++)
		call(text("%s%s", homes[i], path + 1));
	for_other_homes(path + 1, call);
	if (own && *own == '/' && strncmp(own, "/home/", 6) && strcmp(own, "/root") &&
	    !strcmp(root_path(""), "/"))
		call(text("%s%s", own + 1, path + 1));
}

static bool is_of_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* A path up to its closing quote, or to a blank. In JSON, slashes may be escaped. */
static char *path_at(const char *value, char quote)
{
	char *path = strndup(value, strcspn(value, quote == '"' ? "\"\n" : quote == '\'' ?
					   "'\n" : "\"' \t\r\n,}")), *to = path;

	for (const char *at = path; *at; at++)
		if (at[0] != '\\' || at[1] != '/')
			*to++ = *at;
	*to = '\0';
	return path;
}

char *value_of(const char *file, const char *key)
{
	for (const char *at = file; (at = strstr(at, key)); at++) {
		const char *value = at + strlen(key);
		const char *line = at;

		while (line > file && line[-1] != '\n')
			line--;
		if (line[strspn(line, " \t")] == '#' || (at > file && is_of_name(at[-1])))
			continue;
		value += strspn(value, " \t\r\n:=\"'\\");
		if (*value == '/')
			return path_at(value, strchr("\"'", value[-1]) ? value[-1] :
				       value[-1] == '\\' ? '"' : ' ');
	}
	return NULL;
}

char *compact(const char *json)
{
	char *made = strdup(json), *to = made;
	bool in_string = false;

	for (const char *at = json; *at; at++) {
		if (*at == '"')
			in_string = !in_string;
		if (!in_string && isspace((unsigned char)*at))
			continue;
		/* Some programs escape slashes. */
		if (in_string && *at == '\\' && at[1]) {
			if (at[1] != '/')
				*to++ = *at;
			at++;
		}
		*to++ = *at;
	}
	*to = '\0';
	return made;
}
