/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Common code of the programs of an Android-like boot: messages, and the name of
 * the second node.
 */
#ifndef _SELFTESTS_ASHMEM_ANDROID_H
#define _SELFTESTS_ASHMEM_ANDROID_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <unistd.h>

/* Levels of the kernel's log. */
#define TELL_ERROR	3
#define TELL_INFO	6

/* The name of the program, for messages. */
static const char *teller;

/*
 * During the boot, messages go to the kernel's log. Later they go to the caller of
 * the program.
 */
static inline void tell(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline void tell(int level, const char *fmt, ...)
{
	bool booting = getpid() == 1 || getppid() == 1;
	char text[900], line[1000];
	int fd = STDOUT_FILENO, len;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (booting)
		fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	/* Each write is one record of the log. */
	if (booting)
		len = snprintf(line, sizeof(line), "<%d>%s: %s\n", level, teller, text);
	else
		len = snprintf(line, sizeof(line), "%s: %s\n", teller, text);
	/* A failure cannot be reported. */
	if (write(fd, line, len) != len)
		errno = EIO;
	if (booting)
		close(fd);
}

/* Reads the boot ID, without its newline. */
static inline bool read_boot_id(char *id, size_t len)
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	bool whole = file && fgets(id, len, file);

	if (file)
		fclose(file);
	if (whole)
		id[strcspn(id, "\n")] = '\0';
	return whole && *id;
}

#endif /* _SELFTESTS_ASHMEM_ANDROID_H */
