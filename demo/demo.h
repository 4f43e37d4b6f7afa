/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Output, errors and turn-taking for the processes of a demo.
 */
#ifndef _SELFTESTS_ASHMEM_DEMO_H
#define _SELFTESTS_ASHMEM_DEMO_H

#include <signal.h>
#include <stdarg.h>

#include "ashmem.h"

static const char *who;

static inline void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline void say(const char *fmt, ...)
{
	va_list args;

	printf("[%s] ", who);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static inline void fail(const char *what, long err)
{
	say("demo: %s: %s", what, err < 0 ? strerror(-err) : "not as expected");
	exit(1);
}

static inline void check(const char *what, long err)
{
	if (err)
		fail(what, err);
}

/* Waits for its turn. Returns false if the other process has exited. */
static inline bool has_turn(int socket)
{
	char byte;

	return read(socket, &byte, 1) == 1;
}

static inline void take_turn(int socket)
{
	if (!has_turn(socket))
		fail("the other process went away", 1);
}

static inline void give_turn(int socket)
{
	if (write(socket, "", 1) != 1)
		fail("the other process went away", 1);
}

static inline char *map_shared(int fd, size_t len, int prot)
{
	char *map = area_map(fd, len, prot, MAP_SHARED);

	if (map == MAP_FAILED)
		fail("mmap", -errno);
	return map;
}

/* Starts another process. Returns its PID, or 0 in that process. */
static inline pid_t fork_partner(int *socket)
{
	int sockets[2];
	pid_t child;

	/* The return value of write() shows that the partner has exited. */
	signal(SIGPIPE, SIG_IGN);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		fail("socketpair", -errno);
	child = fork();
	if (child < 0)
		fail("fork", -errno);
	*socket = sockets[!child];
	close(sockets[!!child]);
	return child;
}

#endif /* _SELFTESTS_ASHMEM_DEMO_H */
