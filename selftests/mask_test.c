// SPDX-License-Identifier: GPL-2.0
/*
 * The protection mask: it can only lose bits. It makes mmap() fail with EPERM and
 * mprotect() with EACCES, and there is no way around it.
 */
#include <sys/personality.h>

#include "kselftest_harness.h"
#include "ashmem.h"

AREA_FIXTURE(mask);

static bool imply_exec(void)
{
	return personality(personality(0xffffffff) | READ_IMPLIES_EXEC) >= 0;
}

TEST_F(mask, may_be_narrowed_only)
{
	for (unsigned long from = 0; from <= PROT_ALL; from++) {
		for (unsigned long to = 0; to <= PROT_ALL; to++) {
			int fd = area_open(O_RDWR);
			bool grows = to & ~from;

			ASSERT_LE(0, fd);
			ASSERT_EQ(0, set_mask(fd, from));
			EXPECT_EQ(grows ? -EINVAL : 0, set_mask(fd, to));
			EXPECT_EQ(grows ? from : to, get_mask(fd));
			close(fd);
		}
	}
}

TEST_F(mask, bits_beyond_exec_fail)
{
	for (unsigned int bit = 3; bit < 8 * sizeof(long); bit++) {
		EXPECT_EQ(-EINVAL, set_mask(self->fd, 1UL << bit));
		EXPECT_EQ(-EINVAL, set_mask(self->fd, 1UL << bit | PROT_ALL));
	}
	EXPECT_EQ(-EINVAL, set_mask(self->fd, -1UL));
	EXPECT_EQ(PROT_ALL, get_mask(self->fd));
}

TEST_F(mask, zero_forbids_everything_but_none)
{
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, set_mask(self->fd, 0));
	EXPECT_EQ(0, get_mask(self->fd));
	EXPECT_EQ(-EPERM, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EPERM, try_map(self->fd, self->page, PROT_READ, MAP_PRIVATE));
	EXPECT_EQ(0, try_map(self->fd, self->page, PROT_NONE, MAP_SHARED));
}

TEST_F(mask, set_after_map_is_for_later_maps)
{
	char *map;

	ASSERT_EQ(0, set_size(self->fd, self->page));
	map = area_map(self->fd, self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	EXPECT_EQ(-EPERM, try_map(self->fd, self->page, PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(0, try_mprotect(map, self->page, PROT_READ | PROT_WRITE));
	map[0] = 'x';
	EXPECT_EQ('x', map[0]);
}

TEST_F(mask, keeps_exec_when_read_implies_it)
{
	if (!imply_exec())
		SKIP(return, "personality(): %s", strerror(errno));
	EXPECT_EQ(0, set_mask(self->fd, PROT_READ));
	EXPECT_EQ(PROT_READ | PROT_EXEC, get_mask(self->fd));
}

TEST_F(mask, never_regains_exec_when_read_implies_it)
{
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ | PROT_WRITE));
	if (!imply_exec())
		SKIP(return, "personality(): %s", strerror(errno));
	EXPECT_EQ(0, set_mask(self->fd, PROT_READ));
	EXPECT_EQ(PROT_READ, get_mask(self->fd));
	EXPECT_EQ(-EINVAL, set_mask(self->fd, PROT_READ | PROT_EXEC));
}

TEST_F(mask, without_read_implies_nothing)
{
	if (!imply_exec())
		SKIP(return, "personality(): %s", strerror(errno));
	EXPECT_EQ(0, set_mask(self->fd, PROT_WRITE));
	EXPECT_EQ(PROT_WRITE, get_mask(self->fd));
	EXPECT_EQ(0, set_mask(self->fd, 0));
	EXPECT_EQ(0, get_mask(self->fd));
}

TEST_F(mask, without_exec_forbids_read_that_implies_it)
{
	if (is_noexec(self->fd))
		SKIP(return, "%s is on a noexec mount", area_device());
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ | PROT_WRITE));
	if (!imply_exec())
		SKIP(return, "personality(): %s", strerror(errno));
	EXPECT_EQ(-EPERM, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	EXPECT_EQ(0, try_map(self->fd, self->page, PROT_WRITE, MAP_SHARED));
}

/* The tests below run for shared and for private mappings. */
FIXTURE(limit)
{
	int fd;
	size_t page;
};

FIXTURE_VARIANT(limit)
{
	int flags;
};

FIXTURE_VARIANT_ADD(limit, shared) { .flags = MAP_SHARED };
FIXTURE_VARIANT_ADD(limit, private) { .flags = MAP_PRIVATE };

FIXTURE_SETUP(limit)
{
	self->page = page_size();
	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0)
		return;
	ASSERT_EQ(0, set_size(self->fd, self->page));
}

FIXTURE_TEARDOWN(limit)
{
	if (self->fd >= 0)
		close(self->fd);
}

/* A new area with @mask, for tests that need many of them. */
static int masked_area(unsigned long mask)
{
	int fd = area_create(page_size());

	if (fd >= 0 && set_mask(fd, mask)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

static long map_answer(int mask, int prot)
{
	return prot & ~mask ? -EPERM : 0;
}

static long mprotect_answer(int mask, int prot)
{
	return prot & ~mask ? -EACCES : 0;
}

/* Calls mmap() with every mask and the protections that include @with, but not @without. */
static void check_map(struct __test_metadata *_metadata, int flags, int with, int without)
{
	for (int mask = 0; mask <= PROT_ALL; mask++) {
		int fd = masked_area(mask);

		ASSERT_LE(0, fd);
		for (int prot = 0; prot <= PROT_ALL; prot++) {
			if ((prot & with) != with || prot & without)
				continue;
			EXPECT_EQ(map_answer(mask, prot), try_map(fd, page_size(), prot, flags))
				TH_LOG("mask %d, mmap %d", mask, prot);
		}
		close(fd);
	}
}

/* Sets all protections on a mapping of @fd, except those in @without. */
static void check_mprotect(struct __test_metadata *_metadata, int fd, int mask, int prot,
			   int flags, int without)
{
	char *map = area_map(fd, page_size(), prot, flags);

	ASSERT_NE(MAP_FAILED, map);
	for (int to = 0; to <= PROT_ALL; to++) {
		if (to & without)
			continue;
		EXPECT_EQ(mprotect_answer(mask, to), try_mprotect(map, page_size(), to))
			TH_LOG("mask %d, mmap %d, mprotect %d", mask, prot, to);
	}
	munmap(map, page_size());
}

static void check_all_mprotects(struct __test_metadata *_metadata, int flags, int without)
{
	for (int mask = 0; mask <= PROT_ALL; mask++) {
		int fd = masked_area(mask);

		ASSERT_LE(0, fd);
		for (int prot = 0; prot <= PROT_ALL; prot++)
			if (!(prot & ~mask) && !(prot & without))
				check_mprotect(_metadata, fd, mask, prot, flags, without);
		close(fd);
	}
}

TEST_F(limit, map_within_mask)
{
	check_map(_metadata, variant->flags, 0, PROT_EXEC);
}

TEST_F(limit, map_exec_within_mask)
{
	if (is_noexec(self->fd))
		SKIP(return, "%s is on a noexec mount", area_device());
	check_map(_metadata, variant->flags, PROT_EXEC, 0);
}

TEST_F(limit, map_exec_on_noexec_mount_fails)
{
	if (!is_noexec(self->fd))
		SKIP(return, "%s is not on a noexec mount", area_device());
	for (int prot = PROT_EXEC; prot <= PROT_ALL; prot++) {
		EXPECT_EQ(-EPERM, try_map(self->fd, self->page, prot, variant->flags));
	}
}

TEST_F(limit, mprotect_within_mask)
{
	check_all_mprotects(_metadata, variant->flags, PROT_EXEC);
}

TEST_F(limit, mprotect_exec_within_mask)
{
	if (is_noexec(self->fd))
		SKIP(return, "%s is on a noexec mount", area_device());
	check_all_mprotects(_metadata, variant->flags, 0);
}

TEST_F(limit, masked_bit_stays_lost_after_fork)
{
	char *map;
	pid_t child;

	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	map = area_map(self->fd, self->page, PROT_READ, variant->flags);
	ASSERT_NE(MAP_FAILED, map);
	child = fork();
	if (child == 0)
		_exit(-try_mprotect(map, self->page, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, exit_status_of(child));
}

TEST_F(limit, masked_bit_stays_lost_after_mremap)
{
	char *map, *room, *moved;

	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	map = area_map(self->fd, self->page, PROT_READ, variant->flags);
	ASSERT_NE(MAP_FAILED, map);
	room = mmap(NULL, 4 * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, room);
	moved = mremap(map, self->page, 2 * self->page, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	ASSERT_EQ(room, moved);
	EXPECT_EQ(-EACCES, try_mprotect(moved, 2 * self->page, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-EACCES, try_mprotect(moved, self->page, PROT_WRITE));
}

TEST_F(limit, masked_bit_stays_lost_after_split)
{
	int fd = area_create(3 * self->page);
	char *map;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set_mask(fd, PROT_READ));
	map = area_map(fd, 3 * self->page, PROT_READ, variant->flags);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, munmap(map + self->page, self->page));
	EXPECT_EQ(-EACCES, try_mprotect(map, self->page, PROT_WRITE));
	EXPECT_EQ(-EACCES, try_mprotect(map + 2 * self->page, self->page, PROT_WRITE));
	close(fd);
}

TEST_HARNESS_MAIN
