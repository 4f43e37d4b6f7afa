// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps an area alive for module_test.sh.
 *
 *   hold open              an open descriptor, nothing mapped
 *   hold shared|private    a mapping, its descriptor closed
 *   hold purged            a mapping with unpinned pages, some of them purged
 *
 * It prints "ready", then reads commands and prints a line for each: "check" tests
 * whether the mapping is intact, "unmap" removes it. It exits at the end of its
 * input.
 */
#include "ashmem.h"

static bool is_intact(char *map, size_t len)
{
	if (!map || map[0] != 'a' || map[len - 1] != 'z')
		return false;

	/* The first access to a page faults into the backing file, if there is one. */
	map[len / 2]++;
	return true;
}

static const char *obey(const char *command, char **map, size_t len)
{
	if (!strcmp(command, "check\n"))
		return is_intact(*map, len) ? "intact" : "broken";
	if (!strcmp(command, "unmap\n") && *map && !munmap(*map, len)) {
		*map = NULL;
		return "unmapped";
	}
	return "cannot";
}

static char *map_and_close(int fd, size_t len, int flags)
{
	char *map = area_map(fd, len, PROT_RW, flags);

	if (map == MAP_FAILED)
		return NULL;
	map[0] = 'a';
	map[len - 1] = 'z';
	close(fd);
	return map;
}

/* Leaves a purged range, and one that can be purged. */
static char *map_and_purge(int fd, size_t len)
{
	char *map = area_map(fd, len, PROT_RW, MAP_SHARED);

	if (map == MAP_FAILED)
		return NULL;
	memset(map, 'a', len);
	if (unpin(fd, 0, 1) || purge_all(fd) < 0 || unpin(fd, 2, 1))
		return NULL;
	return map;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "open";
	size_t len = 8 * page_size();
	char command[16], *map = NULL;
	int fd = area_create(len);

	if (fd < 0) {
		fprintf(stderr, "hold: %s: %s\n", area_device(), strerror(-fd));
		return 1;
	}
	if (!strcmp(what, "shared"))
		map = map_and_close(fd, len, MAP_SHARED);
	else if (!strcmp(what, "private"))
		map = map_and_close(fd, len, MAP_PRIVATE);
	else if (!strcmp(what, "purged"))
		map = map_and_purge(fd, len);
	if (!map && strcmp(what, "open")) {
		perror("hold");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (fgets(command, sizeof(command), stdin))
		puts(obey(command, &map, len));
	return 0;
}
