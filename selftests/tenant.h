/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Processes with unpinned pages that allocate memory, for the tests of reclaim.
 */
#ifndef _SELFTESTS_ASHMEM_TENANT_H
#define _SELFTESTS_ASHMEM_TENANT_H

#include "reclaim.h"

/* Tenants unpin their region in ranges of this many pages. */
#define CHUNK	64

/* A process in a cgroup, with a region that it shares with the test. */
struct tenant {
	int fd, socket;
	pid_t pid;
	size_t pages;
	char *map;
};

/* Allocates pages and never frees them. */
static inline bool grow(size_t pages)
{
	size_t len = pages * page_size();
	char *map = mmap(NULL, len, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return false;
	memset(map, 'g', len);
	return true;
}

/* Fills and unpins the region, then obeys commands until the socket closes. */
static inline void live(const struct tenant *tenant, pid_t parent, int cgroup, int socket)
{
	size_t pages = 0;
	char *map;

	die_with(parent);
	/* The OOM killer must choose this process. */
	write_text(AT_FDCWD, "/proc/self/oom_score_adj", "1000");
	if (cgroup >= 0 && cgroup_join(cgroup))
		_exit(1);
	map = map_filled(tenant->fd, tenant->pages);
	if (map == MAP_FAILED)
		_exit(2);
	for (size_t page = 0; page < tenant->pages; page += CHUNK)
		if (unpin(tenant->fd, page, CHUNK))
			_exit(3);
	do {
		if (write(socket, &pages, sizeof(pages)) != sizeof(pages))
			break;
	} while (read(socket, &pages, sizeof(pages)) == sizeof(pages) && grow(pages));
	_exit(0);
}

static inline bool tenant_answers(const struct tenant *tenant)
{
	size_t pages;

	return read(tenant->socket, &pages, sizeof(pages)) == sizeof(pages);
}

static inline bool tenant_grows(const struct tenant *tenant, size_t pages)
{
	return send(tenant->socket, &pages, sizeof(pages), MSG_NOSIGNAL) == sizeof(pages) &&
	       tenant_answers(tenant);
}

/* Waits until the region is unpinned. */
static inline bool tenant_starts(struct tenant *tenant, int cgroup, size_t pages)
{
	pid_t parent = getpid();
	int sockets[2];

	tenant->pages = pages;
	tenant->fd = area_create(pages * page_size());
	tenant->map = area_map(tenant->fd, pages * page_size(), PROT_RW, MAP_SHARED);
	if (tenant->map == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		return false;
	tenant->pid = fork();
	if (tenant->pid == 0) {
		close(sockets[0]);
		live(tenant, parent, cgroup, sockets[1]);
	}
	close(sockets[1]);
	tenant->socket = sockets[0];
	return tenant->pid > 0 && tenant_answers(tenant);
}

/* Ends a tenant, whose region stays. Returns its exit status. */
static inline int tenant_ends(struct tenant *tenant)
{
	pid_t pid = tenant->pid;

	if (pid <= 0)
		return 0;
	tenant->pid = 0;
	/* Not only close(), as later tenants inherited the socket. */
	shutdown(tenant->socket, SHUT_RDWR);
	close(tenant->socket);
	return exit_status_of(pid);
}

static inline void tenant_gone(struct tenant *tenant)
{
	tenant_ends(tenant);
	if (tenant->pages) {
		munmap(tenant->map, tenant->pages * page_size());
		close(tenant->fd);
	}
	tenant->pages = 0;
}

#endif /* _SELFTESTS_ASHMEM_TENANT_H */
