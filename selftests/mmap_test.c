// SPDX-License-Identifier: GPL-2.0
/* Shared mappings: which ones are refused and why, and the behaviour of their memory. */
#include <signal.h>

#include "kselftest_harness.h"
#include "ashmem.h"

AREA_FIXTURE(map);

TEST_F(map, without_size_fails)
{
	EXPECT_EQ(-EINVAL, try_map(self->fd, self->page, PROT_RW, MAP_SHARED));
	EXPECT_EQ(-EINVAL, try_map(self->fd, self->page, PROT_NONE, MAP_PRIVATE));
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, set_size(self->fd, 0));
	EXPECT_EQ(-EINVAL, try_map(self->fd, self->page, PROT_RW, MAP_SHARED));
}

TEST_F(map, longer_than_rounded_size_fails)
{
	ASSERT_EQ(0, set_size(self->fd, self->page + 1));
	EXPECT_EQ(-EINVAL, try_map(self->fd, 2 * self->page + 1, PROT_RW, MAP_SHARED));
	EXPECT_EQ(-EINVAL, try_map(self->fd, 3 * self->page, PROT_RW, MAP_PRIVATE));
	EXPECT_EQ(0, try_map(self->fd, 2 * self->page, PROT_RW, MAP_SHARED));
	EXPECT_EQ(-EINVAL, try_map(self->fd, 3 * self->page, PROT_RW, MAP_SHARED));
	EXPECT_EQ(0, try_map(self->fd, 1, PROT_RW, MAP_SHARED));
}

TEST_F(map, bad_size_beats_bad_protection)
{
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	EXPECT_EQ(-EINVAL, try_map(self->fd, self->page, PROT_WRITE, MAP_SHARED));
	ASSERT_EQ(0, set_size(self->fd, self->page));
	EXPECT_EQ(-EINVAL, try_map(self->fd, 2 * self->page, PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(-EPERM, try_map(self->fd, self->page, PROT_WRITE, MAP_SHARED));
}

TEST_F(map, size_that_no_file_can_have_fails)
{
	const size_t sizes[] = { (size_t)-1, (size_t)-4095, (size_t)-4096, (size_t)-1 / 2 + 1 };

	if (sizeof(size_t) == 4)
		SKIP(return, "a file can have every size that fits in 32 bits");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ASSERT_EQ(0, set_size(self->fd, sizes[i]));
		EXPECT_EQ(-EINVAL, try_map(self->fd, self->page, PROT_RW, MAP_SHARED));
		EXPECT_EQ(-EINVAL, try_map(self->fd, self->page, PROT_RW,
					   MAP_SHARED | MAP_NORESERVE));
		EXPECT_EQ(-EINVAL, try_map(self->fd, self->page, PROT_RW, MAP_PRIVATE));
	}
	ASSERT_EQ(0, set_size(self->fd, self->page));
	EXPECT_EQ(0, try_map(self->fd, self->page, PROT_RW, MAP_SHARED));
}

TEST_F(map, bad_protection_beats_impossible_file)
{
	if (sizeof(size_t) == 4)
		SKIP(return, "a file can have every size that fits in 32 bits");
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	ASSERT_EQ(0, set_size(self->fd, (size_t)-1 / 2 + 1));
	EXPECT_EQ(-EPERM, try_map(self->fd, self->page, PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(-EINVAL, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
}

TEST_F(map, largest_file_works_without_reserve)
{
	if (sizeof(size_t) == 4)
		SKIP(return, "size_t has 32 bits");
	if (overcommit_mode() != 0 && overcommit_mode() != 1)
		SKIP(return, "vm.overcommit_memory ignores MAP_NORESERVE");
	ASSERT_EQ(0, set_size(self->fd, (size_t)-1 / 2));
	EXPECT_EQ(0, try_map(self->fd, self->page, PROT_RW, MAP_SHARED | MAP_NORESERVE));
	EXPECT_EQ(-EINVAL, set_size(self->fd, self->page));
}

TEST_F(map, more_than_the_memory_fails_and_freezes_nothing)
{
	if (sizeof(size_t) == 4)
		SKIP(return, "size_t has 32 bits");
	if (overcommit_mode() != 0 && overcommit_mode() != 2)
		SKIP(return, "vm.overcommit_memory allows everything");
	ASSERT_EQ(0, set_size(self->fd, (size_t)1 << (8 * sizeof(size_t) - 3)));
	EXPECT_EQ(-ENOMEM, try_map(self->fd, self->page, PROT_RW, MAP_SHARED));
	EXPECT_EQ(0, set_name(self->fd, "still free"));
	EXPECT_EQ(0, set_size(self->fd, self->page));
	EXPECT_EQ(0, try_map(self->fd, self->page, PROT_RW, MAP_SHARED));
}

TEST_F(map, twice_shows_same_memory)
{
	char *one, *two;

	ASSERT_EQ(0, set_size(self->fd, 2 * self->page));
	one = area_map(self->fd, 2 * self->page, PROT_RW, MAP_SHARED);
	two = area_map(self->fd, 2 * self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, one);
	ASSERT_NE(MAP_FAILED, two);
	EXPECT_TRUE(is_filled(one, 2 * self->page, 0));
	memset(one, 'a', 2 * self->page);
	EXPECT_TRUE(is_filled(two, 2 * self->page, 'a'));
}

TEST_F(map, of_two_areas_shows_different_memory)
{
	int fd = area_create(self->page);
	char *one, *two;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set_size(self->fd, self->page));
	one = area_map(self->fd, self->page, PROT_RW, MAP_SHARED);
	two = area_map(fd, self->page, PROT_RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, one);
	ASSERT_NE(MAP_FAILED, two);
	one[0] = '1';
	EXPECT_EQ(0, two[0]);
	close(fd);
}

TEST_F(map, is_shared_across_fork)
{
	char *map;
	pid_t child;

	ASSERT_EQ(0, set_size(self->fd, self->page));
	map = area_map(self->fd, self->page, PROT_RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	map[0] = 'p';
	child = fork();
	if (child == 0) {
		map[1] = map[0];
		_exit(0);
	}
	ASSERT_EQ(0, exit_status_of(child));
	EXPECT_EQ('p', map[1]);
}

TEST_F(map, of_passed_descriptor_shows_same_memory)
{
	int sockets[2], fd;
	char *map;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	child = fork();
	if (child == 0) {
		close(self->fd);
		fd = recv_fd(sockets[1]);
		map = area_map(fd, self->page, PROT_RW, MAP_SHARED);
		if (map == MAP_FAILED || map[0] != 'p')
			_exit(1);
		map[1] = 'c';
		_exit(0);
	}
	ASSERT_EQ(0, set_size(self->fd, self->page));
	map = area_map(self->fd, self->page, PROT_RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	map[0] = 'p';
	ASSERT_EQ(0, send_fd(sockets[0], self->fd));
	ASSERT_EQ(0, exit_status_of(child));
	EXPECT_EQ('c', map[1]);
}

TEST_F(map, at_offset_shows_rest_then_faults)
{
	char *all, *rest;

	ASSERT_EQ(0, set_size(self->fd, 2 * self->page));
	all = area_map(self->fd, 2 * self->page, PROT_RW, MAP_SHARED);
	rest = mmap(NULL, 2 * self->page, PROT_RW, MAP_SHARED, self->fd, self->page);
	ASSERT_NE(MAP_FAILED, all);
	ASSERT_NE(MAP_FAILED, rest);
	all[self->page] = 'r';
	EXPECT_EQ('r', rest[0]);
	EXPECT_EQ(0, signal_of_read(rest));
	EXPECT_EQ(SIGBUS, signal_of_read(rest + self->page));
}

TEST_F(map, offset_is_not_checked)
{
	char *map;

	ASSERT_EQ(0, set_size(self->fd, self->page));
	map = mmap(NULL, self->page, PROT_READ, MAP_SHARED, self->fd, 1000 * self->page);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(SIGBUS, signal_of_read(map));
}

TEST_F(map, tail_of_unaligned_size_is_memory)
{
	char *map, *again;

	ASSERT_EQ(0, set_size(self->fd, self->page + 1));
	map = area_map(self->fd, 2 * self->page, PROT_RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(is_filled(map, 2 * self->page, 0));
	memset(map, 't', 2 * self->page);
	again = area_map(self->fd, 2 * self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, again);
	EXPECT_TRUE(is_filled(again, 2 * self->page, 't'));
}

TEST_F(map, grown_by_mremap_faults_past_size)
{
	char *map;

	ASSERT_EQ(0, set_size(self->fd, self->page));
	map = area_map(self->fd, self->page, PROT_RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	map[0] = 'g';
	map = mremap(map, self->page, 3 * self->page, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ('g', map[0]);
	EXPECT_EQ(0, signal_of_read(map));
	EXPECT_EQ(SIGBUS, signal_of_read(map + self->page));
	EXPECT_EQ(SIGBUS, signal_of_read(map + 2 * self->page));
}

TEST_F(map, survives_close)
{
	char *map;

	ASSERT_EQ(0, set_size(self->fd, 2 * self->page));
	map = area_map(self->fd, 2 * self->page, PROT_RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	map[0] = 's';
	ASSERT_EQ(0, close(self->fd));
	self->fd = -EBADF;
	EXPECT_EQ('s', map[0]);
	map[self->page] = 's';
	EXPECT_EQ('s', map[self->page]);
}

/* The kernel may extend an adjacent mapping instead of making a new one. */
TEST_F(map, remap_file_pages_into_neighbour_fails)
{
	char *base, *map;

	ASSERT_EQ(0, set_size(self->fd, 4 * self->page));
	base = area_map(self->fd, 4 * self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, base);
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	map = mmap(base + 2 * self->page, 2 * self->page, PROT_READ, MAP_SHARED | MAP_FIXED,
		   self->fd, 2 * self->page);
	ASSERT_EQ(base + 2 * self->page, map);
	EXPECT_EQ(-EPERM, answer(syscall(SYS_remap_file_pages, map, 2 * self->page, 0, 2, 0)));
	EXPECT_NE(0, try_mprotect(map, 2 * self->page, PROT_RW));
}

/*
 * The kernel removes the old mapping before it calls mmap of the file, so a refusal
 * leaves a hole.
 */
TEST_F(map, remap_file_pages_fails)
{
	char *map, *other;

	ASSERT_EQ(0, set_size(self->fd, 2 * self->page));
	map = area_map(self->fd, 2 * self->page, PROT_RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	other = area_map(self->fd, 2 * self->page, PROT_RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, other);
	memset(map, 'k', 2 * self->page);
	EXPECT_EQ(-EPERM, answer(syscall(SYS_remap_file_pages, map, self->page, 0, 1, 0)));
	EXPECT_EQ(0, signal_of_read(map + self->page));
	EXPECT_TRUE(is_filled(other, 2 * self->page, 'k'));
	other[self->page] = 'w';
	EXPECT_EQ('w', map[self->page]);
}

TEST_F(map, remap_file_pages_does_not_undo_mask)
{
	char *map;

	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	map = area_map(self->fd, self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(-EPERM, answer(syscall(SYS_remap_file_pages, map, self->page, 0, 0, 0)));
	EXPECT_NE(0, try_mprotect(map, self->page, PROT_RW));
}

/* The size of a huge page in bytes, or 0 if there are none. */
static size_t huge_page_size(void)
{
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "re");
	size_t size = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%zu", &size) != 1)
		size = 0;
	fclose(file);
	return size;
}

/* Makes a mapping that is aligned only if get_unmapped_area() takes care of it. */
static bool is_huge_aligned(int fd, int flags)
{
	size_t huge = huge_page_size();
	char *map;

	if (mmap(NULL, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		return false;
	map = mmap(NULL, 2 * huge, PROT_RW, flags | MAP_NORESERVE, fd, 0);
	return map != MAP_FAILED && (unsigned long)map % huge == 0;
}

/* A single success may be chance. */
static bool is_always_huge_aligned(int fd, int flags)
{
	return is_huge_aligned(fd, flags) && is_huge_aligned(fd, flags);
}

TEST_F(map, is_aligned_for_huge_pages_like_anonymous_memory)
{
	if (!huge_page_size())
		SKIP(return, "this kernel has no huge pages");
	if (!is_always_huge_aligned(-1, MAP_SHARED | MAP_ANONYMOUS))
		SKIP(return, "no shared memory is aligned for huge pages (see shmem_enabled)");
	ASSERT_EQ(0, set_size(self->fd, 2 * huge_page_size()));
	EXPECT_TRUE(is_always_huge_aligned(self->fd, MAP_SHARED));
}

TEST_HARNESS_MAIN
