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

/* Says what to do about the last finding. More of it may be added by another call. */
FORMAT(1, 2) void advise(const char *format, ...);

void report_begin(bool json);

/* Prints the verdict; returns how many findings are broken, or -1 if not all were printed. */
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

/* Reads a whole file, with newlines for NULs, or says NULL and leaves errno. */
char *read_file(const char *path);

/* The first line of such a file, without its newline. */
char *read_line(const char *path);

bool exists(const char *path);

/* The next line of a text, which is cut up on the way, or NULL. */
char *next_line(char **rest);

/* The value of KEY=VALUE or KEY = VALUE, the last of several, or NULL. */
char *setting(const char *file_text, const char *key);

/* machine.c: the kernel, its ashmem driver and what this runs in. */

/* Values of machine.minor besides minor numbers. */
#define NO_DRIVER	(-1)
#define NOT_KNOWN	(-2)

struct machine {
	/* As uname -r has it. */
	const char *release;
	/* The minor number of the device called ashmem. */
	int minor;
	/* The kind of container that this runs in, or NULL. */
	const char *container;
	/* Of this boot, or NULL. */
	const char *boot_id;
};

extern struct machine machine;

void check_machine(void);

/* node.c: the device's nodes. */

/* Returns a descriptor of the device, or -1 if what it leads to was reported. */
int check_nodes(void);

/* Opens a region of its own, once check_nodes() could; fails with a negative errno. */
int open_region(void);

/* region.c and compat.c: what the device does. */

void check_region(bool purge);
void check_compat(void);
void check_memfd(void);

/* android.c: what uses it. */

void check_security(void);
void check_waydroid(bool works);
void check_redroid(void);

#endif /* _ASHMEM_CHECK_H */
