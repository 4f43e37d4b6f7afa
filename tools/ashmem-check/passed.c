// SPDX-License-Identifier: GPL-2.0
/* Whether a container gets a node, by the compact JSON that its engine wrote down about it. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "engines.h"

#define MISC_MAJOR	10

bool has(const char *json, const char *words)
{
	return strstr(json, words);
}

/* The innermost object around a place in JSON, without those in it. */
static const char *object_around(const char *json, const char *at)
{
	const char *start = at, *end = at;
	int depth = 0;

	while (start > json && (*start != '{' || depth--))
		depth += *start-- == '}';
	while (*end && *end != '{' && *end != '}')
		end++;
	return text("%.*s", (int)(end - start), start);
}

/* The text of a key in an object, or NULL. */
static const char *string_in(const char *object, const char *key)
{
	const char *start = text("\"%s\":\"", key), *at = strstr(object, start);

	return at ? text("%.*s", (int)strcspn(at + strlen(start), "\""), at + strlen(start)) : NULL;
}

/* The number of a key in an object, or -1 for any. */
static long number_in(const char *object, const char *key)
{
	const char *start = text("\"%s\":", key), *at = strstr(object, start);

	return at ? strtol(at + strlen(start), NULL, 10) : -1;
}

static bool may_read_and_write(const char *access)
{
	return !access || !*access || (strchr(access, 'r') && strchr(access, 'w'));
}

/* Whether a rule of an OCI runtime is for our device, among others. */
static bool is_for_device(const char *rule)
{
	const char *type = string_in(rule, "type");
	long high = number_in(rule, "major"), low = number_in(rule, "minor");

	return (!type || strchr("ac", *type)) && (high < 0 || high == MISC_MAJOR) &&
		(low < 0 || low == machine.minor);
}

/* Whether the rules let it open the device; the last one counts. */
static bool may_open(const char *json)
{
	bool may = false;

	for (const char *at = json; (at = strstr(at, "\"allow\":")); at++) {
		const char *rule = object_around(json, at);

		if (!is_for_device(rule))
			continue;
		if (!has(rule, "\"allow\":true"))
			may = false;
		else if (may_read_and_write(string_in(rule, "access")))
			may = true;
	}
	return may;
}

bool is_privileged(const char *json)
{
	if (now.engine->format == DOCKER)
		return has(json, "\"Privileged\":true");
	return has(json, "\"CAP_SYS_MODULE\"") && (!has(json, "\"allow\":") || may_open(json));
}

/* The object that has this under one of these keys, or NULL. */
static const char *object_with(const char *json, const char *value, const char * const *keys)
{
	for (; *keys; keys++) {
		const char *at = strstr(json, text("\"%s\":\"%s\"", *keys, value));

		if (at)
			return object_around(json, at);
	}
	return NULL;
}

/* Whether what an object names on the host is one of our nodes; none is named by some. */
static bool is_ours(const char *object, const char *key)
{
	const char *source = string_in(object, key);

	return !source || !strncmp(source, "/dev/ashmem", 11);
}

/* Whether it is bound by this name, which is not the right to open it. */
static bool is_bound(const char *json, const char *node)
{
	static const char * const keys[] = { "Target", "destination", NULL };
	const char *mount = object_with(json, node, keys);

	if (mount)
		return is_ours(mount, "source") && is_ours(mount, "Source");
	return has(json, text("\"%s:%s\"", node, node)) ||
		has(json, text("\"%s:%s:", node, node)) ||
		has(json, "\"/dev:/dev\"") || has(json, "\"/dev:/dev:") ||
		has(json, "\"source\":\"/dev\"");
}

enum passing how_passed(const char *json, const char *node)
{
	static const char * const keys[] = { "PathInContainer", NULL };
	static const char * const paths[] = { "path", NULL };
	const char *device = object_with(json, node, keys);

	if (device)
		return is_ours(device, "PathOnHost") &&
			may_read_and_write(string_in(device, "CgroupPermissions")) ?
			PASSED : PASSED_WRONG;
	device = object_with(json, node, paths);
	if (device && !has(device, "\"allow\":"))
		return PASSED;
	/* These say it elsewhere. */
	if (has(json, "\"DeviceRequests\":[{") || has(json, "\"DeviceCgroupRules\":[\""))
		return NOT_TOLD;
	if (!is_bound(json, node))
		return NOT_PASSED;
	/* A rootless engine has no rules of a control group. */
	return now.engine->signs[0][0] == '~' || may_open(json) ? PASSED : NO_RIGHT;
}
