/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another app: a process of another user, perhaps of another width. It receives
 * regions over a socket, and reports what it can do with them.
 */
#ifndef _SELFTESTS_ASHMEM_ANDROID_PEER_H
#define _SELFTESTS_ASHMEM_ANDROID_PEER_H

#include <grp.h>

#include "cutils.h"

/* On Android, apps have user IDs from 10000 on, and all are in this group. */
#define APP		10123
#define OTHER_APP	10124
#define EVERYBODY	9997

#define WORDS		64
#define PEER_WORDS	"written by the other app"

/* What the peer can do; the layout is the same in both widths. */
struct findings {
	__u32 uid, is_valid;
	__s64 size, map, map_writable, mprotect, widen;
	__u64 file_id;
	/* The beginning of the region. */
	char words[WORDS];
};

/* Drops privileges, as zygote does before it runs an app's code. */
static inline bool become_app(uid_t uid)
{
	gid_t group = EVERYBODY;

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !setgroups(1, &group) &&
		!setresgid(uid, uid, uid) && !setresuid(uid, uid, uid);
}

static inline void put_words(char *map, const char *words)
{
	memcpy(map, words, strlen(words) + 1);
}

/* Tries to write words after the first ones. */
static inline long try_to_write(int fd, size_t size)
{
	char *map = area_map(fd, size, PROT_RW, MAP_SHARED);

	if (map == MAP_FAILED)
		return -errno;
	put_words(map + WORDS, PEER_WORDS);
	munmap(map, size);
	return 0;
}

static inline struct findings examine(int fd)
{
	struct findings found = {
		.uid = getuid(),
		.is_valid = cutils_valid(fd),
		.size = get_size(fd),
	};
	unsigned long id = 0;
	char *map;

	if (!found.is_valid || found.size <= 0)
		return found;
	map = area_map(fd, found.size, PROT_READ, MAP_SHARED);
	if (map == MAP_FAILED) {
		found.map = -errno;
		return found;
	}
	memcpy(found.words, map, WORDS);
	found.mprotect = try_mprotect(map, found.size, PROT_RW);
	munmap(map, found.size);
	found.map_writable = try_to_write(fd, found.size);
	found.widen = set_mask(fd, PROT_RW);
	if (!get_file_id(fd, &id))
		found.file_id = id;
	return found;
}

/* The main loop of the peer, until its socket is closed. */
static inline int peer_main(int socket)
{
	struct findings found;
	int fd;

	if (!become_app(OTHER_APP))
		return 1;
	while ((fd = recv_fd(socket)) >= 0) {
		found = examine(fd);
		close(fd);
		if (write(socket, &found, sizeof(found)) != sizeof(found))
			return 1;
	}
	return 0;
}

/* Starts a program as the peer. Returns its socket. */
static inline int start_peer(const char *program)
{
	char number[16];
	int sockets[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets))
		return -errno;
	child = fork();
	if (!child) {
		close(sockets[0]);
		snprintf(number, sizeof(number), "%d", sockets[1]);
		execl(program, program, "peer", number, NULL);
		_exit(127);
	}
	close(sockets[1]);
	return child < 0 ? -EAGAIN : sockets[0];
}

/* Sends a region to the peer, and waits for its findings. */
static inline bool ask_peer(int socket, int fd, struct findings *found)
{
	return !send_fd(socket, fd) && read(socket, found, sizeof(*found)) == sizeof(*found);
}

#endif /* _SELFTESTS_ASHMEM_ANDROID_PEER_H */
