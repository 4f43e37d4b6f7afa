// SPDX-License-Identifier: GPL-2.0
/*
 * Checks Android in containers: redroid and others. Whether a container gets the device is
 * read from the files that its engine, one of engines.c, keeps about it.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "engines.h"

struct search now;

/* Containers that were judged. Engines may share them, such as Docker and containerd. */
static const char *known[256];
static size_t known_count;

bool is_new(const char *id)
{
	for (size_t i = 0; i < known_count; i++)
		if (!strcmp(known[i], id))
			return false;
	if (known_count < ARRAY_SIZE(known))
		known[known_count++] = id;
	return true;
}

const char *finding(const char *id)
{
	static int count;

	return count++ ? text("%s-%d", id, count) : id;
}

/* The number after "KEY": in compact JSON, or 0. */
static long json_number(const char *json, const char *key)
{
	const char *found = strstr(json, text("\"%s\":", key));

	return found ? strtol(found + strlen(key) + 3, NULL, 10) : 0;
}

/* Looks at the arguments too, as an image may have any name. */
static bool is_android(const char *config)
{
	return has(config, "androidboot.") || has(config, "redroid/redroid");
}

static bool wants_memfd(const char *config)
{
	return has(config, "androidboot.use_memfd=true") || has(config, "androidboot.use_memfd=1");
}

const char *called(const char *name)
{
	const char *kind = now.is_redroid ? "redroid" : "Android";
	bool is_plain = !now.engine || !strcmp(now.engine->name, "docker");

	return text("the %s container %s%s%s", kind, name, is_plain ? "" : " of ",
		    is_plain ? "" : now.engine->name);
}

const char *command_for(const char *format, const char *name)
{
	const char *mark = now.engine->has_projects ? strrchr(name, '_') : NULL;

	if (mark)
		name = text("%s --project %.*s", mark + 1, (int)(mark - name), name);
	return with_name(format, name);
}

/* The second node is passed separately, as its name changes at each boot. */
static void check_second_node(const char *name, const char *host)
{
	const char *id = machine.boot_id;

	if (!id || is_privileged(host) ||
	    how_passed(host, text("/dev/ashmem%s", id)) != NOT_PASSED)
		return;
	note(finding("redroid-boot-id"), "%s does not get the node that Android 16 opens",
	     called(name));
	advise("unpatched images also need --device /dev/ashmem%s, ", id);
	advise("which changes at each boot");
}

/* A privileged container gets all nodes that exist when it starts. */
static void report_again(const char *name)
{
	broken(finding("redroid"), "%s was started without the driver, so it has no /dev/ashmem",
	       called(name));
	advise("restart it with the driver loaded: %s", command_for(now.engine->again, name));
}

/* Judges a container by its engine's files, as compact JSON. */
static void judge(const char *name, const char *config, const char *host, long pid)
{
	static const char * const words[] = {
		[NOT_PASSED] = "gets no /dev/ashmem",
		[NO_RIGHT] = "has /dev/ashmem mounted, but no right to open it",
		[PASSED_WRONG] = "gets another device as /dev/ashmem, or may not write to it",
	};
	enum passing how = how_passed(host, "/dev/ashmem");
	bool is_all = how != PASSED && is_privileged(host);

	now.is_redroid = has(config, "redroid");
	if (is_all)
		how = PASSED;
	if (pid > 0 && !is_contained(pid))
		pid = 0;
	if (pid > 0)
		is_new(text("pid %ld", pid));
	if (wants_memfd(config)) {
		note(finding("redroid-memfd"), "%s is started with use_memfd", called(name));
		advise("recreate it without that to use the device, which Android 16 needs");
	}
	if (pid > 0 && machine.minor >= 0 && (how == PASSED || how == NOT_TOLD)) {
		check_inside(name, pid);
	} else if (how == NOT_TOLD) {
		unseen(finding("redroid"), "whether %s gets /dev/ashmem by other settings",
		       called(name));
		advise("start it and run this again");
	} else if (how != PASSED) {
		broken(finding("redroid"), "%s %s", called(name), words[how]);
		advise("%s", command_for(now.engine->pass, name));
		return;
	} else if (pid > 0 && now.engine->format == OCI && is_all) {
		report_again(name);
	} else {
		ok(finding("redroid"), "%s gets /dev/ashmem when it starts", called(name));
	}
	check_second_node(name, host);
}

/* Counts an Android container. Returns whether it is one and was not judged before. */
static bool is_to_judge(const char *config, const char *id)
{
	if (!is_android(config))
		return false;
	now.found++;
	return is_new(id);
}

/* Reads a file as compact JSON, or returns NULL if it is not JSON or not complete. */
static char *read_json(const char *path)
{
	char *json = read_config(path);
	size_t len;

	json = json ? compact(json) : NULL;
	len = json ? strlen(json) : 0;
	return len && *json == '{' && json[len - 1] == '}' ? json : NULL;
}

static bool check_docker(const char *dir, const char *id)
{
	const char *name = text("%.12s", id);
	char *config = read_json(text("%s/config.v2.json", dir));
	char *host = read_json(text("%s/hostconfig.json", dir));

	if (!config)
		return false;
	if (!is_to_judge(config, id))
		return true;
	if (!host)
		return false;
	judge(name, config, host, json_number(config, "Pid"));
	return true;
}

static bool check_oci(const char *dir, const char *id)
{
	char *config = read_json(text("%s/config.json", dir));

	if (!config)
		return false;
	if (!is_to_judge(config, id))
		return true;
	judge(strlen(id) == 64 ? text("%.12s", id) : id, config, config, pid_of(dir, id));
	return true;
}

/* A part of a path, counted from its end by @up, without ".conf". */
static const char *part(const char *path, int up)
{
	const char *end = path + strlen(path), *start;

	for (; up && end > path; up--)
		while (end > path && *--end != '/')
			;
	for (start = end; start > path && start[-1] != '/'; start--)
		;
	if (end - start > 5 && !strncmp(end - 5, ".conf", 5))
		end -= 5;
	return text("%.*s", (int)(end - start), start);
}

/* Whether a name has only characters that engines allow and that are safe in a command. */
static bool is_plain_name(const char *name)
{
	if (!*name || *name == '-')
		return false;
	while (isalnum((unsigned char)*name) || (*name && strchr("._-", *name)))
		name++;
	return !*name;
}

/* The name or ID of the container that the file is about. */
static const char *name_of(const char *path)
{
	const char *last = part(path, 0);
	bool is_file = !strcmp(last, "config") || !strcmp(last, "lxc") ||
		!strcmp(last, "backup.yaml");

	switch (now.engine->format) {
	case DOCKER:
		return part(path, 1);
	case OCI:
		return part(path, strstr(path, "/userdata/") ? 2 : 1);
	default:
		return part(path, is_file ? 1 : 0);
	}
}

void check_container(const char *path)
{
	const char *dir = text("%.*s", (int)(strrchr(path, '/') - path), path);
	const char *name = name_of(path);
	bool done = false;

	if (!is_plain_name(name))
		;
	else if (now.engine->format == DOCKER)
		done = check_docker(dir, name);
	else if (now.engine->format == OCI)
		done = check_oci(dir, name);
	else
		done = check_lxc(path, name);
	if (!done)
		refused = path;
}
