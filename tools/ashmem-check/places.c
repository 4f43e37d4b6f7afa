// SPDX-License-Identifier: GPL-2.0
/* Files that are found by patterns, and what stands in those of container engines. */
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

const char *refused;

/* Called for errors on the way to the files that a pattern is for. */
static int note_refusal(const char *path, int error)
{
	if (error == EACCES || error == EPERM)
		refused = text("%s", path + strlen(root_path("")));
	return 0;
}

bool for_each(const char *pattern, void (*call)(const char *path))
{
	glob_t found;

	if (glob(root_path(pattern), GLOB_NOSORT, note_refusal, &found))
		return false;
	for (size_t i = 0; call && i < found.gl_pathc; i++)
		call(text("%s", found.gl_pathv[i] + strlen(root_path(""))));
	globfree(&found);
	return true;
}

const char *place_of(const char *pattern)
{
	size_t start = strcspn(pattern, "*"), end = start + strcspn(pattern + start, "/");

	while (start && pattern[start - 1] != '/')
		start--;
	return text("%.*s", (int)(end - start > 1 ? end : start), pattern);
}

/* Homes that passwd has elsewhere, of users who log in. */
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

char *value_of(const char *file, const char *key)
{
	for (const char *at = file; (at = strstr(at, key)); at++) {
		const char *value = at + strlen(key);
		const char *line = at;

		while (line > file && line[-1] != '\n')
			line--;
		if (line[strspn(line, " \t")] == '#' || (at > file && is_of_name(at[-1])))
			continue;
		value += strspn(value, "\"' \t:=");
		if (*value == '/')
			return strndup(value, strcspn(value, "\"' \t\n,}"));
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
		/* Some escape slashes. */
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
