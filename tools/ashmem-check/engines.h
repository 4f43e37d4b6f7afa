/* SPDX-License-Identifier: GPL-2.0 */
/* Container engines: where each keeps its records about its containers. */
#ifndef _ASHMEM_CHECK_ENGINES_H
#define _ASHMEM_CHECK_ENGINES_H

#include <stdbool.h>
#include <stddef.h>

enum format {
	/* Docker's own, with the settings for the host in a second file. */
	DOCKER,
	/* The configuration that nearly all other engines write for an OCI runtime. */
	OCI,
	LXC,
};

struct engine {
	const char *name;
	/* The engine is present if one of these exists. ~ is the home of each user. */
	const char *signs[4];
	/* If this program exists, unreadable homes may have containers. */
	const char *program;
	/* The files of its containers; each * matches one name. */
	const char *containers[7];
	/* A setting may move them: its file, its key, and the pattern below the new place. */
	struct {
		const char *file, *key, *below;
	} moved[8];
	/* Databases with containers that do not run; these are found by @word or arguments. */
	const char *database[4], *word;
	enum format format;
	/*
	 * For LXC: the prefix of a container's control group, and where containers are, if not
	 * beside their configuration.
	 */
	const char *group, *place;
	/* How to pass the node to a container, and how to restart one that was set up for it. */
	const char *pass, *again;
	/* Shell commands that pass the node, if they work at any time. */
	const char *mend;
	/* Whether names are PROJECT_NAME, where NAME has no underscore. */
	bool has_projects;
	/* Whether its devices are numbered. */
	bool has_numbers;
};

/* The engine that is checked now, and what was found. */
struct search {
	const struct engine *engine;
	/* Whether a directory of its containers exists. */
	bool was_seen;
	/* Whether the container that is checked now is redroid. */
	bool is_redroid;
	/* Whether a setting moved its containers. */
	bool was_moved;
	int found;
};

extern struct search now;

/* containers.c: judges a container by this file of its engine. */
void check_container(const char *path);

/* A unique ID for a finding. */
const char *finding(const char *id);

/* Puts the name of a container into a command, as its engine expects it. */
const char *command_for(const char *format, const char *name);

/* Whether a container was not judged before, for another engine that shares it. */
bool is_new(const char *id);

/* What a container is called in words. */
const char *called(const char *name);

/* bolt.c: whether containerd's database has an Android container that is not Docker's. */
bool bolt_has_android(const char *data, size_t len);

/* passed.c: whether compact JSON has this text. */
bool has(const char *json, const char *words);

/* NOT_TOLD: settings that are not understood may pass the node. */
enum passing { NOT_PASSED, NO_RIGHT, PASSED_WRONG, NOT_TOLD, PASSED };

enum passing how_passed(const char *json, const char *node);

/* Whether a container gets all nodes that exist when it starts. */
bool is_privileged(const char *json);

/* lxc_rules.c: whether a rule, as "c 10:* rwm", allows reading and writing the device. */
bool is_device_rule(const char *rule);

/* The configuration with its includes; @is_whole is false if some cannot be read. */
const char *lxc_whole(const char *config, bool *is_whole);

enum lxc_right { LXC_MAY_NOT, LXC_NOT_TOLD, LXC_MAY };

/* Whether a container that has the node may open it. */
enum lxc_right lxc_right(const char *config, bool is_whole);

/* lxc_containers.c: false if the configuration cannot be read. */
bool check_lxc(const char *path, const char *name);

/*
 * inside.c: whether a process seems to be in a container. Engines keep the PID of a process
 * that has exited, which another process may use now.
 */
bool is_contained(long pid);

/* Reports whether a running container has the driver's node. */
void check_inside(const char *name, long pid);

/* Whether it certainly has no node. */
bool lacks_node(long pid);

/* The first process of a running container, or 0. */
long pid_of(const char *dir, const char *id);

/* The same for an LXC container, whose directory is below @place. */
long pid_of_lxc(const char *place, const char *name);

/* Checks running Android containers of engines that are not in the table. */
void check_processes(void);

#endif /* _ASHMEM_CHECK_ENGINES_H */
