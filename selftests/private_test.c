// SPDX-License-Identifier: GPL-2.0
/*
 * Private mappings: anonymous memory with the region's name, but not its contents.
 * Android uses it for heaps.
 */
#include <signal.h>

#include "kselftest_harness.h"
#include "ashmem.h"

#define PAGES	4

/* A region with data in every page, and also a private mapping of it. */
FIXTURE(private)
{
	int fd;
	size_t page, len;
	char *shared, *map;
};

FIXTURE_SETUP(private)
{
	self->page = page_size();
	self->len = PAGES * self->page;
	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0)
		return;
	ASSERT_EQ(0, set_size(self->fd, self->len));
	self->shared = area_map(self->fd, self->len, PROT_RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->shared);
	memset(self->shared, 's', self->len);
	self->map = area_map(self->fd, self->len, PROT_RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(private)
{
	if (self->fd >= 0)
		close(self->fd);
}

TEST_F(private, map_is_zero)
{
	EXPECT_TRUE(is_filled(self->map, self->len, 0));
}

TEST_F(private, writes_stay_private)
{
	char *again, byte = 0;

	memset(self->map, 'p', self->len);
	EXPECT_TRUE(is_filled(self->shared, self->len, 's'));
	EXPECT_EQ(1, try_pread(self->fd, &byte, 1, 0));
	EXPECT_EQ('s', byte);
	again = area_map(self->fd, self->len, PROT_RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, again);
	EXPECT_TRUE(is_filled(again, self->len, 0));
}

TEST_F(private, map_ignores_offset)
{
	const off_t offsets[] = { 1, PAGES - 1, PAGES, 1000, 1 << 18 };

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		char *map = mmap(NULL, self->len, PROT_RW, MAP_PRIVATE, self->fd,
				 offsets[i] * self->page);

		ASSERT_NE(MAP_FAILED, map);
		EXPECT_TRUE(is_filled(map, self->len, 0));
		memset(map, 'o', self->len);
		EXPECT_TRUE(is_filled(map, self->len, 'o'));
		munmap(map, self->len);
	}
}

TEST_F(private, map_first_works)
{
	int fd = area_create(self->len);
	char *map, *shared;

	ASSERT_LE(0, fd);
	map = area_map(fd, self->len, PROT_RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, map);
	memset(map, 'p', self->len);
	shared = area_map(fd, self->len, PROT_RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, shared);
	EXPECT_TRUE(is_filled(shared, self->len, 0));
	close(fd);
}

TEST_F(private, tail_of_unaligned_size_is_memory)
{
	int fd = area_create(1);
	char *map;

	ASSERT_LE(0, fd);
	map = area_map(fd, self->page, PROT_RW, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, map);
	memset(map, 't', self->page);
	EXPECT_TRUE(is_filled(map, self->page, 't'));
	EXPECT_EQ(-EINVAL, try_map(fd, 2 * self->page, PROT_RW, MAP_PRIVATE));
	close(fd);
}

TEST_F(private, grown_by_mremap_is_zero_past_size)
{
	char *map;

	memset(self->map, 'p', self->len);
	map = mremap(self->map, self->len, 3 * self->len, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(is_filled(map, self->len, 'p'));
	EXPECT_EQ(0, signal_of_read(map + 3 * self->len - 1));
	EXPECT_TRUE(is_filled(map + self->len, 2 * self->len, 0));
	memset(map + self->len, 'g', 2 * self->len);
	EXPECT_TRUE(is_filled(map + self->len, 2 * self->len, 'g'));
}

TEST_F(private, moved_by_mremap_keeps_data)
{
	char *room, *map;

	memset(self->map, 'm', self->page);
	room = mmap(NULL, self->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, room);
	map = mremap(self->map, self->len, self->len, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	ASSERT_EQ(room, map);
	EXPECT_TRUE(is_filled(map, self->page, 'm'));
	EXPECT_TRUE(is_filled(map + self->page, self->len - self->page, 0));
}

/* Moves a mapping whose second page has another protection, so it is three VMAs. */
static char *move_split(char *map, size_t len)
{
	char *room = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED || mprotect(map + page_size(), page_size(), PROT_READ))
		return MAP_FAILED;
	return mremap(map, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, room);
}

TEST_F(private, split_map_moves_as_one)
{
	char *map = mmap(NULL, self->len, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (move_split(map, self->len) == MAP_FAILED)
		SKIP(return, "this kernel moves one mapping at a time");
	memset(self->map, 'm', self->len);
	map = move_split(self->map, self->len);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(is_filled(map, self->len, 'm'));
}

TEST_F(private, fork_copies_on_write)
{
	pid_t child;

	memset(self->map, 'p', self->len);
	child = fork();
	if (child == 0) {
		bool inherited = is_filled(self->map, self->len, 'p');

		memset(self->map, 'c', self->len);
		_exit(!inherited || !is_filled(self->map, self->len, 'c'));
	}
	EXPECT_EQ(0, exit_status_of(child));
	EXPECT_TRUE(is_filled(self->map, self->len, 'p'));
}

TEST_F(private, map_survives_close)
{
	memset(self->map, 'p', self->page);
	ASSERT_EQ(0, close(self->fd));
	self->fd = -EBADF;
	EXPECT_TRUE(is_filled(self->map, self->page, 'p'));
	EXPECT_TRUE(is_filled(self->map + self->page, self->len - self->page, 0));
	self->map[self->len - 1] = 'l';
	EXPECT_EQ('l', self->map[self->len - 1]);
}

TEST_F(private, hole_splits_map)
{
	memset(self->map, 'h', self->len);
	ASSERT_EQ(0, munmap(self->map + self->page, self->page));
	EXPECT_EQ('h', self->map[0]);
	EXPECT_EQ(SIGSEGV, signal_of_read(self->map + self->page));
	EXPECT_EQ('h', self->map[2 * self->page]);
}

TEST_F(private, dontneed_gives_zeros)
{
	memset(self->map, 'd', self->len);
	ASSERT_EQ(0, madvise(self->map, self->page, MADV_DONTNEED));
	EXPECT_TRUE(is_filled(self->map, self->page, 0));
	EXPECT_EQ('d', self->map[self->page]);
}

TEST_F(private, remap_file_pages_fails)
{
	memset(self->map, 'r', self->len);
	EXPECT_EQ(-EINVAL, answer(syscall(SYS_remap_file_pages, self->map, self->page, 0, 0, 0)));
	EXPECT_TRUE(is_filled(self->map, self->len, 'r'));
}

TEST_F(private, read_only_map_is_zero)
{
	char *map = area_map(self->fd, self->len, PROT_READ, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(is_filled(map, self->len, 0));
	ASSERT_EQ(0, mprotect(map, self->len, PROT_RW));
	map[0] = 'w';
	EXPECT_EQ('w', map[0]);
	EXPECT_EQ('s', self->shared[0]);
}

TEST_HARNESS_MAIN
