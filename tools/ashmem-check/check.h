/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of ashmem-check share. */
#ifndef _ASHMEM_CHECK_H
#define _ASHMEM_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define FORMAT(f, args)	__attribute__((format(printf, f, args)))

/* report.c: what was found, each under an ID of its own. */

FORMAT(2, 3) void ok(const char *id, const char *format, ...);
FORMAT(2, 3) void note(const char *id, const char *format, ...);
FORMAT(2, 3) void broken(const char *id, const char *format, ...);

/* A note that something was not looked at, which it names: then nothing is called good. */
FORMAT(2, 3) void unseen(const char *id, const char *format, ...);

/* Says what to do about the last finding. More of it may be added by another call. */
FORMAT(1, 2) void advise(const char *format, ...);

/*
 * The same as a command of the shell, as root. Each call is a line; where one of them is
 * not plain text, all of it is left to whoever reads the advice.
 */
FORMAT(1, 2) void mend(const char *format, ...);

/* What the script begins with. */
void print_script(void);

/* A word as the shell is to read it. */
const char *quoted(const char *word);

/* A text with a name for each %s in it. */
const char *with_name(const char *format, const char *name);

enum form { LINES, JSON, SCRIPT };

void report_begin(enum form wanted);

/* Prints the verdict; returns the exit status, which is 2 if not all was printed. */
int report_end(void);

/* A text made as printf() makes it, which stays. */
FORMAT(1, 2) const char *text(const char *format, ...);

/* files.c: files below the root, which is / but in tests. Their paths have no slash in front. */

/* Fails with a negative errno. */
int root_open(const char *path);

/* The descriptor of the root, for the calls that end in -at(). */
int root_fd(void);

/* The path as a user would type it. */
const char *root_path(const char *path);

/* Whether nobody but root makes files or links there, so that they can be trusted. */
bool is_roots(const char *path);

/* The path without its links, or NULL if one of them is another user's. */
const char *without_links(const char *path);

/*
 * Opens what a path leads to without the links of other users, which it says by -ELOOP. Fails
 * with a negative errno.
 */
int safe_open(const char *path, int flags);

/*
 * Reads a whole file, with newlines for NULs, or says NULL and leaves errno. Nothing but
 * plain files is read, and links of other users are not followed.
 */
char *read_file(const char *path);

/* The same with its NULs, and how many bytes there are. */
char *read_bytes(const char *path, size_t *size);

/* The same, with fewer bytes, for what is searched more than once. */
char *read_config(const char *path);

/* The first line of such a file, without its newline. */
char *read_line(const char *path);

bool exists(const char *path);

/* The next line of a text, which is cut up on the way, or NULL. */
char *next_line(char **rest);

/* The value of KEY=VALUE or KEY: VALUE, with or without blanks, the last of several, or NULL. */
char *setting(const char *file_text, const char *key);

/* table.c: what tools/tables has about this system. Each is NULL where it says nothing. */

/* Whether a value fits one of the patterns, which blanks separate. */
bool matches_any(const char *patterns, const char *value);

const char *system_name(void);
const char *system_says(const char *key);
const char *init_says(const char *key);

/* NULL for whatever key where it is not known what makes the nodes below /dev. */
const char *manager_says(const char *key);

/* machine.c: the kernel, its ashmem driver and what this runs in. */

/* Values of machine.minor besides minor numbers. */
#define NO_DRIVER	(-1)
#define NOT_KNOWN	(-2)

struct machine {
	/* As uname -r has it. */
	const char *release;
	/* As uname -m has it. */
	const char *processor;
	/* The minor number of the device called ashmem. */
	int minor;
	/* The kind of container that this runs in, or NULL. */
	const char *container;
	/* Of this boot, or NULL. */
	const char *boot_id;
};

extern struct machine machine;

#define MODULE	"rust_ashmem"

/* The modules that register a device called ashmem, ours first. */
#define DRIVERS	4
extern const char * const drivers[DRIVERS];

/* The first of them that is loaded, or NULL. */
const char *loaded_driver(void);

void check_machine(void);

/* module.c: where there is no driver, whether its module is installed. */

/* Whether one of them is, for the kernel that runs. */
bool is_any_installed(void);

/* Another kernel that has ours, or NULL. */
const char *other_kernel(void);

void report_no_driver(void);

/* modprobe.c: what keeps an installed module from being loaded. */

struct obstacle {
	/* In words. */
	const char *what;
	/* The file and the line in it if it is one, or the word of the kernel's command line. */
	const char *file, *line, *word;
	/* Whether not even root's modprobe can load it. */
	bool is_final;
};

bool find_obstacle(const char *module, struct obstacle *obstacle);

/* manager.c: what makes the nodes. */

void check_manager(void);

/* What makes the second node, in words. */
const char *node_maker(void);

/* node.c: the device's nodes. */

/* Returns a descriptor of the device, or -1 if what it leads to was reported. */
int check_nodes(void);

/* Opens a region of its own, once check_nodes() could; fails with a negative errno. */
int open_region(void);

/* region.c and compat.c: what the device does. */

void check_region(bool purge);
void check_compat(void);
void check_memfd(void);

/* places.c: files that are found by patterns, in which each * is one name. */

/* A path on the way to some of them that may not be looked at, or NULL. */
extern const char *refused;

/* Calls for each, or with NULL only says whether there is one. */
bool for_each(const char *pattern, void (*call)(const char *path));

/*
 * Where the files of a pattern are: up to its first part with a wildcard, or with that if
 * it is more than one, as no engine is without such a directory.
 */
const char *place_of(const char *pattern);

/* Calls for a path, or for that of each user whose home its ~ stands for. */
void for_homes(const char *path, void (*call)(const char *path));

/* The path that a key has in JSON, TOML, or among the arguments of a daemon, or NULL. */
char *value_of(const char *file, const char *key);

/* JSON without blanks between its words, so that a word and its value can be searched for. */
char *compact(const char *json);

/* lxc.c: lines of LXC's configuration that pass nodes. */

struct lxc_entry {
	/* As it is in the file, and its first two fields. */
	const char *line, *source, *target;
	bool binds, creates, is_comment, is_optional;
	/* Whether it is in the way of all other lines. */
	bool is_fatal;
};

/* The better one of several lines is the later of these, unless one spoils the others. */
enum lxc_state { LXC_NONE, LXC_COMMENT, LXC_WRONG, LXC_STALE, LXC_GOOD };

/* Looks for the line that binds a node to @target, which has no slash in front. */
enum lxc_state find_lxc_entry(const char *file, const char *target, struct lxc_entry *entry);

/* The first line that is for the node of another boot, or NULL. */
const char *stale_lxc_line(const char *file, const char *boot_id);

/* security.c, waydroid.c, containers.c: what uses it, or keeps others from it. */

void check_security(void);
void check_waydroid(bool works);
void check_containers(void);

#endif /* _ASHMEM_CHECK_H */
