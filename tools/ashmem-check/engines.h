/* SPDX-License-Identifier: GPL-2.0 */
/* Container engines: where each has what it wrote down about its containers. */
#ifndef _ASHMEM_CHECK_ENGINES_H
#define _ASHMEM_CHECK_ENGINES_H

#include <stdbool.h>
#include <stddef.h>

enum format {
	/* Docker's own, with what it was told about the host in a second file. */
	DOCKER,
	/* The configuration of an OCI runtime, which nearly all others give to it. */
	OCI,
	LXC,
};

struct engine {
	const char *name;
	/* If one of these is there, so is the engine. ~ is the home of each user, in turn. */
	const char *signs[4];
	/* A program of it: with that, homes that cannot be looked into may have containers. */
	const char *program;
	/* The files of its containers; each * is one name. */
	const char *containers[7];
	/* Where a setting may move them: a file, the key in it, and what is below that. */
	struct {
		const char *file, *key, *below;
	} moved[8];
	/* Its databases, in which those that do not run are found, by this word or arguments. */
	const char *database[4], *word;
	enum format format;
	/*
	 * For LXC: what comes before the name in that of a control group, and where it keeps its
	 * containers, if that is not where its configuration is.
	 */
	const char *group, *place;
	/* What to do with a container that lacks the node, or had it before. */
	const char *pass, *again;
	/* The same as commands for the shell, if these can mend it at any time. */
	const char *mend;
	/* Whether a project comes before the name, which itself has no underscore. */
	bool has_projects;
	/* Whether its devices have numbers. */
	bool has_numbers;
};

/* The engine that is looked at, and what was found of it. */
struct search {
	const struct engine *engine;
	/* Whether there was a directory of its containers. */
	bool was_seen;
	/* Whether the container that is looked at calls itself so. */
	bool is_redroid;
	/* Whether it was told to have them elsewhere. */
	bool was_moved;
	int found;
};

extern struct search now;

/* containers.c: judges what an engine wrote down in this file about a container. */
void check_container(const char *path);

/* An ID for a finding; none is given twice. */
const char *finding(const char *id);

/* What to do with a container, as its engine's commands call it. */
const char *command_for(const char *format, const char *name);

/* Whether it was not judged before, by an engine that runs by means of another. */
bool is_new(const char *id);

/* What a container is called in words. */
const char *called(const char *name);

/* bolt.c: whether a database of containerd has a container of Android that is not Docker's. */
bool bolt_has_android(const char *data, size_t len);

/* passed.c: what JSON without blanks says. */
bool has(const char *json, const char *words);

/* NOT_TOLD is where something else may pass it. */
enum passing { NOT_PASSED, NO_RIGHT, PASSED_WRONG, NOT_TOLD, PASSED };

enum passing how_passed(const char *json, const char *node);

/* Whether it gets all nodes that are there when it starts. */
bool is_privileged(const char *json);

/* lxc_rules.c: whether a rule, as "c 10:* rwm", lets the device be read and written. */
bool is_device_rule(const char *rule);

/* The configuration with the files that it includes, if all can be read. */
const char *lxc_whole(const char *config, bool *is_whole);

enum lxc_right { LXC_MAY_NOT, LXC_NOT_TOLD, LXC_MAY };

/* Whether a container may open the device if it has the node. */
enum lxc_right lxc_right(const char *config, bool is_whole);

/* lxc_containers.c: false if the configuration cannot be read. */
bool check_lxc(const char *path, const char *name);

/*
 * inside.c: whether this is a process of a container, as far as can be seen. Engines leave the
 * number of one that has ended, and then it may be anybody's.
 */
bool is_contained(long pid);

/* Whether a container that runs has the driver's node. */
void check_inside(const char *name, long pid);

/* Whether it is seen to have no node at all. */
bool lacks_node(long pid);

/* The first process of a container that runs, or 0. */
long pid_of(const char *dir, const char *id);

/* The same of one of LXC, whose directory is below @place. */
long pid_of_lxc(const char *place, const char *name);

/* Android's first processes, in containers that no engine of the table wrote down. */
void check_processes(void);

#endif /* _ASHMEM_CHECK_ENGINES_H */
