// SPDX-License-Identifier: GPL-2.0
/*
 * Regression test for CVE-2017-13216: SET_SIZE during mmap() could leave a mapping
 * that was longer than its region.
 */
#include <sched.h>

#include "kselftest_harness.h"
#include "ashmem.h"

#define AREAS	256
#define TRIES	500
#define PAGES	4

FIXTURE(race)
{
	int fds[AREAS];
	size_t page;
};

FIXTURE_SETUP(race)
{
	self->page = page_size();
	for (int i = 0; i < AREAS; i++) {
		self->fds[i] = area_open_or_skip(O_RDWR);
		if (self->fds[i] < 0)
			return;
	}
}

FIXTURE_TEARDOWN(race)
{
	for (int i = 0; i < AREAS; i++)
		if (self->fds[i] >= 0)
			close(self->fds[i]);
}

/* Changes a property of an area back and forth until a mapping makes it final. */
static void flip_until_final(int fd, int ready, long (*flip)(int fd, int turn))
{
	for (int turn = 0; turn < TRIES && !flip(fd, turn); turn++) {
		if (turn == 0 && write(ready, "", 1) != 1)
			_exit(1);
		sched_yield();
	}
}

/* Starts a child that changes the next area each time is_busy() asks for it. */
static pid_t flip_in_child(const int *fds, int *ready, long (*flip)(int fd, int turn))
{
	int sockets[2];
	pid_t child;
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		return -1;
	child = fork();
	if (child == 0) {
		close(sockets[0]);
		for (int i = 0; i < AREAS && read(sockets[1], &byte, 1) == 1; i++)
			flip_until_final(fds[i], sockets[1], flip);
		_exit(0);
	}
	close(sockets[1]);
	*ready = sockets[0];
	return child;
}

static bool is_busy(int ready)
{
	char byte = 0;

	return write(ready, &byte, 1) == 1 && read(ready, &byte, 1) == 1;
}

static long flip_size(int fd, int turn)
{
	return set_size(fd, turn % 2 ? page_size() : PAGES * page_size());
}

/* Retries until the size allows mapping all pages. */
static char *map_at_last(int fd)
{
	size_t len = PAGES * page_size();
	char *map = MAP_FAILED;

	for (int i = 0; i < TRIES && map == MAP_FAILED; i++) {
		map = area_map(fd, len, PROT_READ | PROT_WRITE, MAP_SHARED);
		sched_yield();
	}
	return map;
}

TEST_F_TIMEOUT(race, size_is_final_once_mapped, 300)
{
	size_t len = PAGES * self->page;
	int ready, mapped = 0;
	pid_t child = flip_in_child(self->fds, &ready, flip_size);

	ASSERT_LT(0, child);
	for (int i = 0; i < AREAS; i++) {
		char *map;

		ASSERT_TRUE(is_busy(ready));
		map = map_at_last(self->fds[i]);
		if (map == MAP_FAILED)
			continue;
		mapped++;
		EXPECT_EQ(len, get_size(self->fds[i]));
		EXPECT_EQ(-EINVAL, set_size(self->fds[i], self->page));
		EXPECT_EQ(0, signal_of_read(map + len - 1));
		munmap(map, len);
	}
	EXPECT_EQ(0, exit_status_of(child));
	EXPECT_LT(0, mapped);
	TH_LOG("%d of %d areas were mapped in time", mapped, AREAS);
}

static long flip_name(int fd, int turn)
{
	return set_name(fd, turn % 2 ? "aaaaaaaaaaaaaaaa" : "bbbbbbbb");
}

TEST_F_TIMEOUT(race, name_is_final_once_mapped, 300)
{
	pid_t child;
	int ready;

	for (int i = 0; i < AREAS; i++) {
		ASSERT_EQ(0, set_size(self->fds[i], PAGES * self->page));
	}
	child = flip_in_child(self->fds, &ready, flip_name);
	ASSERT_LT(0, child);
	for (int i = 0; i < AREAS; i++) {
		char *map, line[1024], name[ASHMEM_NAME_LEN];

		ASSERT_TRUE(is_busy(ready));
		map = map_at_last(self->fds[i]);
		ASSERT_NE(MAP_FAILED, map);
		ASSERT_EQ(0, get_name(self->fds[i], name));
		ASSERT_TRUE(maps_line(map, line, sizeof(line)));
		EXPECT_NE(NULL, strstr(line, name))
			TH_LOG("%s is not in %s", name, line);
		munmap(map, PAGES * self->page);
	}
	EXPECT_EQ(0, exit_status_of(child));
}

/* A mask can only lose bits, so this ends after the second turn. */
static long flip_mask(int fd, int turn)
{
	return set_mask(fd, turn ? PROT_READ : PROT_READ | PROT_WRITE) ?: turn;
}

/* After the narrow mask is visible, no writable mapping can be made. */
TEST_F_TIMEOUT(race, mask_holds_once_narrow, 300)
{
	int ready, narrowed = 0;
	pid_t child;

	for (int i = 0; i < AREAS; i++) {
		ASSERT_EQ(0, set_size(self->fds[i], PAGES * self->page));
	}
	child = flip_in_child(self->fds, &ready, flip_mask);
	ASSERT_LT(0, child);
	for (int i = 0; i < AREAS; i++) {
		bool narrow;
		long mapped;

		ASSERT_TRUE(is_busy(ready));
		/* With one CPU, the child may not have had its turn yet. */
		sched_yield();
		narrow = get_mask(self->fds[i]) == PROT_READ;
		narrowed += narrow;
		mapped = try_map(self->fds[i], self->page, PROT_WRITE, MAP_SHARED);
		EXPECT_FALSE(narrow && mapped == 0);
		EXPECT_TRUE(mapped == 0 || mapped == -EPERM);
	}
	EXPECT_EQ(0, exit_status_of(child));
	EXPECT_LT(0, narrowed);
	TH_LOG("%d of %d masks were narrow in time", narrowed, AREAS);
}

TEST_HARNESS_MAIN
