/* SPDX-License-Identifier: GPL-2.0 */
/* Declarations that the parts of ashmem-check share. */
#ifndef _ASHMEM_CHECK_H
#define _ASHMEM_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define FORMAT(f, args)	__attribute__((format(printf, f, args)))

/* report.c: reports a finding, under a unique ID. */

FORMAT(2, 3) void ok(const char *id, const char *format, ...);
FORMAT(2, 3) void note(const char *id, const char *format, ...);
FORMAT(2, 3) void broken(const char *id, const char *format, ...);

/* Notes that something, which the text names, was not checked: the verdict is not "good" then. */
FORMAT(2, 3) void unseen(const char *id, const char *format, ...);

/* Says what to do about the last finding. Another call adds more. */
FORMAT(1, 2) void advise(const char *format, ...);

/*
 * Adds a shell command, for root, that fixes the last finding. Each call is a line. If one of
 * them is not plain text, none is printed, and the advice is printed instead.
 */
FORMAT(1, 2) void mend(const char *format, ...);

/* Prints the beginning of the script. */
void print_script(void);

/* Quotes a word for the shell. */
const char *quoted(const char *word);

/* Replaces each %s in a text by a name. */
const char *with_name(const char *format, const char *name);

enum form { LINES, JSON, SCRIPT };

void report_begin(enum form wanted);

/* Prints the verdict. Returns the exit status, which is 2 if not everything was printed. */
int report_end(void);

/* Formats a text as printf() does. It is never freed. */
FORMAT(1, 2) const char *text(const char *format, ...);

/* files.c: files below the root, which is / except in tests. Paths have no leading slash. */

/* Fails with a negative errno. */
int root_open(const char *path);

/* A descriptor of the root, for openat() and the like. */
int root_fd(void);

/* The path as a user would type it, below the root. */
const char *root_path(const char *path);

/* Whether only root can make files or links there, so that they can be trusted. */
bool is_roots(const char *path);

/* Resolves symbolic links. Returns NULL if one of them is another user's. */
const char *without_links(const char *path);

/*
 * Opens a path, but does not follow symbolic links of other users: these are -ELOOP. Fails
 * with a negative errno.
 */
int safe_open(const char *path, int flags);

/*
 * Reads a whole file and replaces NULs by newlines, or returns NULL with errno set. Reads only
 * regular files, and does not follow symbolic links of other users.
 */
char *read_file(const char *path);

/* The same with the NULs; sets the number of bytes. */
char *read_bytes(const char *path, size_t *size);

/* The same with a lower size limit, for files that are searched more than once. */
char *read_config(const char *path);

/* The first line of such a file, without its newline. */
char *read_line(const char *path);

bool exists(const char *path);

/* The next line of a text, or NULL. Writes a NUL over each newline. */
char *next_line(char **rest);

/* The value of the last line KEY=VALUE or KEY: VALUE, with or without blanks, or NULL. */
char *setting(const char *file_text, const char *key);

/* table.c: looks up this system in tools/tables. Each returns NULL if nothing is known. */

/* Whether a value matches one of the patterns, which are separated by blanks. */
bool matches_any(const char *patterns, const char *value);

const char *system_name(void);
const char *system_says(const char *key);
const char *init_says(const char *key);

/* NULL for every key if it is not known what makes the nodes below /dev. */
const char *manager_says(const char *key);

/* machine.c: the kernel, its ashmem driver, and the container, if any. */

/* Values of machine.minor besides minor numbers. */
#define NO_DRIVER	(-1)
#define NOT_KNOWN	(-2)

struct machine {
	/* As uname -r prints it. */
	const char *release;
	/* As uname -m prints it. */
	const char *processor;
	/* The minor number of the device named ashmem. */
	int minor;
	/* The type of container that this runs in, or NULL. */
	const char *container;
	/* The ID of this boot, or NULL. */
	const char *boot_id;
};

extern struct machine machine;

#define MODULE	"rust_ashmem"

/* The modules that register a device named ashmem, ours first. */
#define DRIVERS	4
extern const char * const drivers[DRIVERS];

/* The first of them that is loaded, or NULL. */
const char *loaded_driver(void);

void check_machine(void);

/* module.c: if there is no driver, whether its module is installed. */

/* Whether one of the drivers is installed for the running kernel. */
bool is_any_installed(void);

/* Another kernel that has our module, or NULL. */
const char *other_kernel(void);

void report_no_driver(void);

/* modprobe.c: what prevents an installed module from being loaded. */

struct obstacle {
	/* In words. */
	const char *what;
	/* The file and the line, if it is one, or the parameter on the kernel's command line. */
	const char *file, *line, *word;
	/* Whether even an explicit modprobe by root cannot load the module. */
	bool is_final;
};

bool find_obstacle(const char *module, struct obstacle *obstacle);

/* manager.c: what makes the nodes. */

void check_manager(void);

/* What makes the second node, in words. */
const char *node_maker(void);

/* node.c: the device's nodes. */

/* Returns a descriptor of the device, or -1 after reporting why there is none. */
int check_nodes(void);

/* Opens a new region, after check_nodes() succeeded; fails with a negative errno. */
int open_region(void);

/* region.c and compat.c: try the calls of the device. */

void check_region(bool purge);
void check_compat(void);
void check_memfd(void);

/* places.c: finds files by patterns, in which each * matches one name. */

/* A path that could not be read during a search, or NULL. */
extern const char *refused;

/* Calls @call, unless it is NULL, for each match. Returns whether there is one. */
bool for_each(const char *pattern, void (*call)(const char *path));

/*
 * The directory of a pattern's files: the part before the component with the first wildcard.
 * That component is included if it is more than a wildcard: each engine has that directory.
 */
const char *place_of(const char *pattern);

/* Calls @call for a path. If it begins with ~, calls it for the home of each user. */
void for_homes(const char *path, void (*call)(const char *path));

/* The path that is the value of a key in JSON, in TOML, or in a command line, or NULL. */
char *value_of(const char *file, const char *key);

/* JSON without blanks between tokens, so that a key and its value can be searched for. */
char *compact(const char *json);

/* lxc.c: lines of LXC's configuration that pass nodes. */

struct lxc_entry {
	/* The line as it is in the file, and its first two fields. */
	const char *line, *source, *target;
	bool binds, creates, is_comment, is_optional;
	/* Whether it spoils all other lines. */
	bool is_fatal;
};

/* From worst to best. The best line counts, unless another spoils it. */
enum lxc_state { LXC_NONE, LXC_COMMENT, LXC_WRONG, LXC_STALE, LXC_GOOD };

/* Looks for the line that binds a node to @target, which has no leading slash. */
enum lxc_state find_lxc_entry(const char *file, const char *target, struct lxc_entry *entry);

/* The first line for the node of another boot, or NULL. */
const char *stale_lxc_line(const char *file, const char *boot_id);

/* security.c, waydroid.c, containers.c: users of the device, and what may block them. */

void check_security(void);
void check_waydroid(bool works);
void check_containers(void);

#endif /* _ASHMEM_CHECK_H */
