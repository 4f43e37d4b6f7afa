// SPDX-License-Identifier: GPL-2.0
/*
 * Looks up the tables of tools/tables, which are built into this program: systems, inits,
 * device managers and machines. Each table describes its format.
 */
#include <ctype.h>
#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static const char systems[] = "\n"
#include "systems.h"
;
static const char managers[] = "\n"
#include "managers.h"
;
static const char machines[] = "\n"
#include "machines.h"
;
static const char inits[] = "\n"
#include "inits.h"
;

/* The system, for the conditions of sections. */
static struct {
	/* The ID that is being looked up. */
	const char *id;
	const char *version, *codename, *ubuntu;
} os;

/* The beginning of the next section, at its name, or NULL. */
static const char *next_section(const char *at)
{
	const char *found = strstr(at, "\n[");

	return found ? found + 2 : NULL;
}

/* The value of a key in a section, or NULL. */
static const char *value_in(const char *section, const char *key)
{
	const char *end = strstr(section, "\n[") ?: section + strlen(section);
	char *copy = strndup(section, end - section);
	const char *found = setting(copy, key);

	return found ? text("%s", found) : NULL;
}

bool matches_any(const char *patterns, const char *value)
{
	char *list = strdup(patterns), *rest = list, *one;

	while (value && (one = strsep(&rest, " ")))
		if (*one && !fnmatch(one, value, 0))
			return true;
	return false;
}

static bool has_any(const char *paths)
{
	char *list = strdup(paths), *rest = list, *one;

	while ((one = strsep(&rest, " ")))
		if (*one && exists(one))
			return true;
	return false;
}

/* Whether a process with one of these names runs. */
static bool runs_any(const char *names)
{
	int fd = root_open("proc");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			found = matches_any(names, read_line(text("proc/%s/comm", entry->d_name)));
	if (dir)
		closedir(dir);
	return found;
}

static bool is_system(const char *section)
{
	const char *id = value_in(section, "id"), *version = value_in(section, "version");
	const char *release = value_in(section, "release"), *has = value_in(section, "has");
	const char *processor = value_in(section, "machine");

	return (!id || (os.id && matches_any(id, os.id))) &&
		(!version || matches_any(version, os.version) ||
		 matches_any(version, os.codename) || matches_any(version, os.ubuntu)) &&
		(!release || matches_any(release, machine.release)) &&
		(!processor || matches_any(processor, machine.processor)) &&
		(!has || has_any(has));
}

static bool is_manager(const char *section)
{
	const char *sign = value_in(section, "sign"), *process = value_in(section, "process");

	return (!sign && !process) || (sign && has_any(sign)) || (process && runs_any(process));
}

/* For an init, "process" is the name of process 1. */
static bool is_init(const char *section)
{
	const char *sign = value_in(section, "sign"), *process = value_in(section, "process");

	return (!sign && !process) || (sign && has_any(sign)) ||
		(process && matches_any(process, read_line("proc/1/comm")));
}

static const char *find(const char *table, bool (*is_it)(const char *section))
{
	const char *section = table;

	while ((section = next_section(section)))
		if (is_it(section))
			return section;
	return NULL;
}

static char *os_value(const char *release, const char *key)
{
	char *value = release ? setting(release, key) : NULL;
	size_t len = value ? strlen(value) : 0;

	if (len > 1 && (*value == '"' || *value == '\'') && value[len - 1] == *value) {
		value[len - 1] = '\0';
		value++;
	}
	return value;
}

/* The system's section. Sections without an ID match by the kernel or by a file. */
static const char *system_section(void)
{
	static const char *found;
	const char *release;
	char *ids, *id;

	if (found)
		return found;
	release = read_file("etc/os-release") ?: read_file("usr/lib/os-release");
	os.version = os_value(release, "VERSION_ID");
	os.codename = os_value(release, "VERSION_CODENAME");
	os.ubuntu = os_value(release, "UBUNTU_CODENAME");
	ids = strdup(text("%s %s", os_value(release, "ID") ?: "",
			  os_value(release, "ID_LIKE") ?: ""));
	while (!found && (id = strsep(&ids, " "))) {
		os.id = id;
		found = *id ? find(systems, is_system) : NULL;
		/* "unknown" matches everything; try the other IDs in ID_LIKE first. */
		if (found && !strncmp(found, "unknown]", 8))
			found = NULL;
	}
	os.id = NULL;
	found = found ?: find(systems, is_system);
	return found;
}

/* The suffix of the kernel's release, such as amd64, generic or lts. */
static const char *flavour(void)
{
	const char *at = machine.release, *dash;

	while (isdigit((unsigned char)*at) && (dash = strchr(at, '-')))
		at = dash + 1;
	return isdigit((unsigned char)*at) ? "default" : at;
}

/* The length of the first two numbers of a release. */
static size_t series_length(const char *release)
{
	size_t len = strspn(release, "0123456789");

	return release[len] == '.' ? len + 1 + strspn(release + len + 1, "0123456789") : len;
}

static bool is_machine(const char *section)
{
	return matches_any(value_in(section, "machine"), machine.processor);
}

static const char *machine_says(const char *key)
{
	return value_in(find(machines, is_machine), key);
}

/* The flavour if Debian has packages of it, or else the first that it has. */
static const char *debian_flavour(void)
{
	const char *known = machine_says("debian");

	return matches_any(known, flavour()) ? flavour() :
		text("%.*s", (int)strcspn(known, " "), known);
}

static const char *variable(const char *name)
{
	if (!strcmp(name, "KREL"))
		return machine.release;
	if (!strcmp(name, "FLAVOUR"))
		return flavour();
	if (!strcmp(name, "DEBFLAVOUR"))
		return debian_flavour();
	if (!strcmp(name, "SERIES"))
		return text("%.*s", (int)series_length(machine.release), machine.release);
	if (!strcmp(name, "PKGBASE"))
		return read_line(text("lib/modules/%s/pkgbase", machine.release)) ?: "linux";
	if (!strcmp(name, "CODENAME"))
		return os.codename ?: "CODENAME";
	if (!strcmp(name, "VERSION_ID"))
		return os.version ?: "VERSION";
	if (!strcmp(name, "KEYWORD"))
		return machine_says("gentoo");
	return !strcmp(name, "OLDEST") ? OLDEST : name;
}

const char *system_says(const char *key)
{
	const char *section = system_section(), *value = value_in(section, key), *said = "";
	char name[32];
	int len;

	while (value && *value) {
		len = strcspn(value, "$");
		said = text("%s%.*s", said, len, value);
		value += len;
		if (sscanf(value, "$%31[A-Z_]%n", name, &len) == 1) {
			said = text("%s%s", said, variable(name));
			value += len;
		} else if (*value) {
			said = text("%s%c", said, *value++);
		}
	}
	return value ? said : NULL;
}

const char *system_name(void)
{
	const char *release = read_file("etc/os-release") ?: read_file("usr/lib/os-release");

	return value_in(system_section(), "name") ?: os_value(release, "PRETTY_NAME") ?:
		"this system";
}

const char *init_says(const char *key)
{
	static const char *section;

	section = section ?: find(inits, is_init);
	return value_in(section, key);
}

/*
 * If no device manager is found, there may still be one under BusyBox's init or an unknown
 * one. Then the result is NULL.
 */
const char *manager_says(const char *key)
{
	static const char *section;

	section = section ?: find(managers, is_manager);
	if (!strncmp(section, "none]", 5) &&
	    (!init_says("loads") || !strcmp(init_says("name"), "systemd")) && !init_says("restart"))
		return NULL;
	return value_in(section, key);
}
