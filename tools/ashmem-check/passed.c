// SPDX-License-Identifier: GPL-2.0
/* Reads from an engine's compact JSON whether a container gets a node. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "engines.h"

#define MISC_MAJOR	10
/* The largest JSON object that is searched. */
#define LARGEST		4096

bool has(const char *json, const char *words)
{
	return strstr(json, words);
}

/* The innermost object around @at, up to the next object. */
static const char *object_around(const char *json, const char *at)
{
	const char *start = at, *end = at;
	int depth = 0;

	while (start > json && at - start < LARGEST && (*start != '{' || depth--))
		depth += *start-- == '}';
	while (*end && end - at < LARGEST && *end != '{' && *end != '}')
		end++;
	return text("%.*s", (int)(end - start), start);
}

/* The string value of a key in an object, or NULL. */
static const char *string_in(const char *object, const char *key)
{
	const char *start = text("\"%s\":\"", key), *at = strstr(object, start);

	return at ? text("%.*s", (int)strcspn(at + strlen(start), "\""), at + strlen(start)) : NULL;
}

/* The number value of a key in an object, or -1 if there is none, which means any. */
static long number_in(const char *object, const char *key)
{
	const char *start = text("\"%s\":", key), *at = strstr(object, start);

	return at ? strtol(at + strlen(start), NULL, 10) : -1;
}

static bool may_read_and_write(const char *access)
{
	return !access || !*access || (strchr(access, 'r') && strchr(access, 'w'));
}

/* Whether a device rule of an OCI runtime includes our device. */
static bool is_for_device(const char *rule)
{
	const char *type = string_in(rule, "type");
	long high = number_in(rule, "major"), low = number_in(rule, "minor");

	return (!type || strchr("ac", *type)) && (high < 0 || high == MISC_MAJOR) &&
		(low < 0 || low == machine.minor);
}

/* Whether the rules allow opening the device. The last matching rule counts. */
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

/* Whether the number and the mode of a device, if given, are right: ours, and open to all. */
static bool is_good_device(const char *device)
{
	long high = number_in(device, "major"), low = number_in(device, "minor");
	long mode = number_in(device, "fileMode");
	bool is_other = high >= 0 && low >= 0 && machine.minor >= 0 &&
		(high != MISC_MAJOR || low != machine.minor);

	return !is_other && (mode < 0 || (mode & 0666) == 0666);
}

/* Whether one of Docker's device rules allows our device. A node that is only mounted needs one. */
static bool has_docker_rule(const char *json)
{
	const char *key = "\"DeviceCgroupRules\":[", *at = strstr(json, key), *end;

	at = at ? at + strlen(key) : "";
	for (end = at; *at == '"'; at = *end == ',' ? end + 1 : end) {
		const char *rule;

		at++;
		end = at + strcspn(at, "\"");
		rule = text("%.*s", (int)(end - at), at);
		end += *end == '"';
		if (is_device_rule(rule))
			return true;
	}
	return false;
}

/* The object that has this value for one of these keys, or NULL. */
static const char *object_with(const char *json, const char *value, const char * const *keys)
{
	for (; *keys; keys++) {
		const char *at = strstr(json, text("\"%s\":\"%s\"", *keys, value));

		if (at)
			return object_around(json, at);
	}
	return NULL;
}

/* Whether an object's path on the host is one of our nodes. Some objects have none. */
static bool is_ours(const char *object, const char *key)
{
	const char *source = string_in(object, key);

	return !source || !strncmp(source, "/dev/ashmem", 11);
}

/* Whether the node is bind-mounted. This does not include the right to open it. */
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
		return is_good_device(device) ? PASSED : PASSED_WRONG;
	/* CDI and the like specify devices elsewhere. */
	if (has(json, "\"DeviceRequests\":[{"))
		return NOT_TOLD;
	/* With only the right, a container may make the node itself. */
	if (!is_bound(json, node))
		return has_docker_rule(json) ? NOT_TOLD : NOT_PASSED;
	/* A rootless engine has no device rules. */
	return now.engine->signs[0][0] == '~' || may_open(json) || has_docker_rule(json) ?
		PASSED : NO_RIGHT;
}
