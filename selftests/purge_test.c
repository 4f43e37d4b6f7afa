// SPDX-License-Identifier: GPL-2.0
/*
 * Purging: who may do it, what it returns, what happens to the memory, and what PIN
 * returns afterwards.
 *
 * A purge counts pages of the whole system. So no other user of the device may unpin
 * meanwhile.
 */
#include <sched.h>

#include <linux/capability.h>

#include <limits.h>

#include "kselftest_harness.h"
#include "ashmem.h"

#define PAGES	16

/* Drops only the capability that purging requires. */
static bool drop_capability(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return false;
	data[0].effective &= ~(1U << CAP_SYS_ADMIN);
	return !syscall(SYS_capset, &header, data);
}

AREA_FIXTURE(any);

TEST_F(any, purge_needs_capability)
{
	if (!drop_capability())
		SKIP(return, "capset(): %s", strerror(errno));
	EXPECT_EQ(-EPERM, purge_all(self->fd));
	EXPECT_EQ(-EPERM, area_ioctl(self->fd, ASHMEM_PURGE_ALL_CACHES, 1));
}

TEST_F(any, purge_by_other_user_fails)
{
	if (geteuid() == 0 && setresuid(65534, 65534, 65534))
		SKIP(return, "setresuid(): %s", strerror(errno));
	EXPECT_EQ(-EPERM, purge_all(self->fd));
}

/* A user has all capabilities in their own namespace, but that is not enough. */
TEST_F(any, purge_in_user_namespace_fails)
{
	if (unshare(CLONE_NEWUSER))
		SKIP(return, "unshare(CLONE_NEWUSER): %s", strerror(errno));
	EXPECT_EQ(-EPERM, purge_all(self->fd));
}

TEST_F(any, refused_purge_changes_nothing)
{
	char *map;

	ASSERT_EQ(0, set_size(self->fd, PAGES * self->page));
	map = map_filled(self->fd, PAGES);
	ASSERT_NE(MAP_FAILED, map);
	if (!drop_capability())
		SKIP(return, "capset(): %s", strerror(errno));
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	ASSERT_EQ(-EPERM, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 0));
	EXPECT_TRUE(are_intact(map, 0, PAGES));
}

TEST_F(any, purge_works_in_every_state)
{
	if (!purge_or_skip(self->fd))
		return;
	EXPECT_EQ(0, purge_all(self->fd));
	ASSERT_EQ(0, set_size(self->fd, self->page));
	EXPECT_EQ(0, purge_all(self->fd));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_RW, MAP_SHARED));
	EXPECT_EQ(0, purge_all(self->fd));
	ASSERT_EQ(0, set_mask(self->fd, 0));
	EXPECT_EQ(0, purge_all(self->fd));
}

TEST_F(any, purge_works_with_every_mode_and_argument)
{
	int reader = area_open(O_RDONLY), writer = area_open(O_WRONLY);

	ASSERT_LE(0, reader);
	ASSERT_LE(0, writer);
	if (!purge_or_skip(self->fd))
		return;
	EXPECT_EQ(0, purge_all(reader));
	EXPECT_EQ(0, purge_all(writer));
	EXPECT_EQ(0, area_ioctl(self->fd, ASHMEM_PURGE_ALL_CACHES, 1));
	EXPECT_EQ(0, area_ioctl(self->fd, ASHMEM_PURGE_ALL_CACHES, -1));
	close(reader);
	close(writer);
}

/* A filled region, while nothing is unpinned in the system. */
FIXTURE(purge)
{
	int fd;
	size_t page, len;
	char *map;
};

FIXTURE_SETUP(purge)
{
	self->page = page_size();
	self->len = PAGES * self->page;
	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0 || !purge_or_skip(self->fd))
		return;
	ASSERT_EQ(0, set_size(self->fd, self->len));
	self->map = map_filled(self->fd, PAGES);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(purge)
{
	if (self->fd >= 0)
		close(self->fd);
}

TEST_F(purge, of_pinned_region_is_nothing)
{
	EXPECT_EQ(0, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 0));
	EXPECT_TRUE(are_intact(self->map, 0, PAGES));
}

TEST_F(purge, answers_the_number_of_pages_once)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(0, unpin(self->fd, 8, 3));
	EXPECT_EQ(7, purge_all(self->fd));
	EXPECT_EQ(0, purge_all(self->fd));
	ASSERT_EQ(0, unpin(self->fd, 15, 1));
	EXPECT_EQ(1, purge_all(self->fd));
	EXPECT_EQ(0, purge_all(self->fd));
}

TEST_F(purge, counts_all_areas)
{
	int other = area_create(3 * self->page);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, try_map(other, self->page, PROT_RW, MAP_SHARED));
	ASSERT_EQ(0, unpin(other, 0, 0));
	ASSERT_EQ(0, unpin(self->fd, 2, 5));
	EXPECT_EQ(8, purge_all(other));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 0));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(other, 0, 0));
	close(other);
}

TEST_F(purge, does_not_count_what_was_pinned_again)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	ASSERT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 4, 4));
	EXPECT_EQ(12, purge_all(self->fd));
	EXPECT_TRUE(are_intact(self->map, 4, 4));
}

TEST_F(purge, does_not_count_closed_areas)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	ASSERT_EQ(0, close(self->fd));
	self->fd = area_open(O_RDWR);
	ASSERT_LE(0, self->fd);
	EXPECT_EQ(0, purge_all(self->fd));
	EXPECT_TRUE(are_intact(self->map, 0, PAGES));
}

TEST_F(purge, counts_areas_until_the_last_descriptor_closes)
{
	int copy = dup(self->fd);

	ASSERT_LE(0, copy);
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(0, close(copy));
	EXPECT_EQ(4, purge_all(self->fd));
}

TEST_F(purge, leaves_zeros_and_pinned_pages)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 1));
	ASSERT_EQ(0, unpin(self->fd, 3, 1));
	ASSERT_EQ(0, unpin(self->fd, 7, 6));
	ASSERT_EQ(0, unpin(self->fd, 15, 1));
	EXPECT_EQ(9, purge_all(self->fd));
	EXPECT_TRUE(are_zero(self->map, 0, 1));
	EXPECT_TRUE(are_intact(self->map, 1, 2));
	EXPECT_TRUE(are_zero(self->map, 3, 1));
	EXPECT_TRUE(are_intact(self->map, 4, 3));
	EXPECT_TRUE(are_zero(self->map, 7, 6));
	EXPECT_TRUE(are_intact(self->map, 13, 2));
	EXPECT_TRUE(are_zero(self->map, 15, 1));
}

TEST_F(purge, is_told_once)
{
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	ASSERT_EQ(4, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 4));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 8, 0));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 4, 4));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 4, 4));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 0));
}

TEST_F(purge, is_not_undone_by_status)
{
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	ASSERT_EQ(4, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(self->fd, 0, 0));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(self->fd, 4, 1));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 4, 4));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 0));
}

TEST_F(purge, is_over_when_pinned_again)
{
	for (int round = 0; round < 5; round++) {
		memset(self->map, 'r', self->len);
		ASSERT_EQ(0, unpin(self->fd, 0, 8));
		EXPECT_EQ(8, purge_all(self->fd));
		EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 8));
		EXPECT_TRUE(are_zero(self->map, 0, 8));
		memset(self->map, 'n', 8 * self->page);
		EXPECT_EQ(0, purge_all(self->fd));
		EXPECT_TRUE(is_filled(self->map, 8 * self->page, 'n'));
		EXPECT_TRUE(is_filled(self->map + 8 * self->page, 8 * self->page, 'r'));
	}
}

/* The range was purged already, so data written to it later is not purged. */
TEST_F(purge, does_not_take_what_is_written_later)
{
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	ASSERT_EQ(4, purge_all(self->fd));
	memset(self->map + 4 * self->page, 'l', 4 * self->page);
	EXPECT_EQ(0, purge_all(self->fd));
	EXPECT_TRUE(is_filled(self->map + 4 * self->page, 4 * self->page, 'l'));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 4, 4));
}

TEST_F(purge, takes_what_was_written_while_unpinned)
{
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	memset(self->map + 4 * self->page, 'l', 4 * self->page);
	EXPECT_EQ(4, purge_all(self->fd));
	EXPECT_TRUE(are_zero(self->map, 4, 4));
}

TEST_F(purge, shows_in_reads)
{
	char *buf = malloc(self->len);

	ASSERT_NE(NULL, buf);
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	ASSERT_EQ(4, purge_all(self->fd));
	EXPECT_EQ(self->len, try_pread(self->fd, buf, self->len, 0));
	EXPECT_TRUE(are_intact(buf, 0, 4));
	EXPECT_TRUE(are_zero(buf, 4, 4));
	EXPECT_TRUE(are_intact(buf, 8, 8));
	free(buf);
}

TEST_F(purge, leaves_a_hole)
{
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	ASSERT_EQ(self->len, try_seek(self->fd, 0, SEEK_HOLE));
	ASSERT_EQ(4, purge_all(self->fd));
	EXPECT_EQ(4 * self->page, try_seek(self->fd, 0, SEEK_HOLE));
	EXPECT_EQ(8 * self->page, try_seek(self->fd, 4 * self->page, SEEK_DATA));
	EXPECT_EQ(self->len, try_seek(self->fd, 8 * self->page, SEEK_HOLE));
}

TEST_F(purge, keeps_the_size)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	ASSERT_EQ(PAGES, purge_all(self->fd));
	EXPECT_EQ(self->len, get_size(self->fd));
	EXPECT_EQ(self->len, try_seek(self->fd, 0, SEEK_END));
	EXPECT_EQ(0, signal_of_read(self->map + self->len - 1));
}

TEST_F(purge, takes_the_last_page_whole)
{
	int fd = area_create(2 * self->page + 1);
	char *map;

	ASSERT_LE(0, fd);
	map = map_filled(fd, 3);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, unpin(fd, 2, 1));
	EXPECT_EQ(1, purge_all(fd));
	EXPECT_TRUE(are_intact(map, 0, 2));
	EXPECT_TRUE(are_zero(map, 2, 1));
	EXPECT_EQ(2 * self->page + 1, try_seek(fd, 0, SEEK_END));
	close(fd);
}

TEST_F(purge, leaves_private_mappings_alone)
{
	char *map = area_map(self->fd, self->len, PROT_RW, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, map);
	memset(map, 'p', self->len);
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	EXPECT_EQ(PAGES, purge_all(self->fd));
	EXPECT_TRUE(is_filled(map, self->len, 'p'));
	EXPECT_TRUE(are_zero(self->map, 0, PAGES));
}

TEST_F(purge, shows_in_every_mapping)
{
	char *other = area_map(self->fd, self->len, PROT_READ, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, other);
	EXPECT_TRUE(are_intact(other, 0, PAGES));
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	ASSERT_EQ(4, purge_all(self->fd));
	EXPECT_TRUE(are_zero(other, 4, 4));
	EXPECT_TRUE(are_intact(other, 8, 8));
	self->map[4 * self->page] = 'n';
	EXPECT_EQ('n', other[4 * self->page]);
}

/* The child reports when it has touched the pages, and is told when they are purged. */
TEST_F(purge, shows_in_another_process)
{
	int sockets[2];
	pid_t child;
	char byte;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	child = fork();
	if (child == 0) {
		char *map = area_map(self->fd, self->len, PROT_RW, MAP_SHARED);

		if (map == MAP_FAILED || !are_intact(map, 0, PAGES))
			_exit(1);
		if (write(sockets[1], "", 1) != 1 || read(sockets[1], &byte, 1) != 1)
			_exit(2);
		_exit(are_zero(map, 4, 4) && are_zero(self->map, 4, 4) &&
		      are_intact(map, 8, 8) ? 0 : 3);
	}
	close(sockets[1]);
	ASSERT_EQ(1, read(sockets[0], &byte, 1));
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	ASSERT_EQ(4, purge_all(self->fd));
	ASSERT_EQ(1, write(sockets[0], "", 1));
	EXPECT_EQ(0, exit_status_of(child));
}

TEST_F(purge, works_without_mapping)
{
	char byte = 'x';

	ASSERT_EQ(0, munmap(self->map, self->len));
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	EXPECT_EQ(4, purge_all(self->fd));
	EXPECT_EQ(1, try_pread(self->fd, &byte, 1, 4 * self->page));
	EXPECT_EQ(0, byte);
	EXPECT_EQ(1, try_pread(self->fd, &byte, 1, 3 * self->page));
	EXPECT_EQ(letter_of(3), byte);
}

TEST_F(purge, works_through_read_only_mapping)
{
	char *map;

	ASSERT_EQ(0, munmap(self->map, self->len));
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	map = area_map(self->fd, self->len, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	EXPECT_EQ(4, purge_all(self->fd));
	EXPECT_TRUE(are_zero(map, 4, 4));
	EXPECT_TRUE(are_intact(map, 8, 8));
}

TEST_F(purge, neighbours_count_each)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	EXPECT_EQ(8, purge_all(self->fd));
}

TEST_F(purge, overlap_counts_once)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(0, unpin(self->fd, 2, 4));
	EXPECT_EQ(6, purge_all(self->fd));
}

TEST_F(purge, unpin_inside_counts_once)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 8));
	ASSERT_EQ(0, unpin(self->fd, 2, 2));
	EXPECT_EQ(8, purge_all(self->fd));
}

TEST_F(purge, repeated_and_grown_unpins_count_once)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 2));
	ASSERT_EQ(0, unpin(self->fd, 8, 2));
	ASSERT_EQ(0, unpin(self->fd, 0, 2));
	ASSERT_EQ(0, unpin(self->fd, 0, 3));
	EXPECT_EQ(5, purge_all(self->fd));
}

TEST_F(purge, halves_of_split_count)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 10));
	ASSERT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 3, 3));
	EXPECT_EQ(7, purge_all(self->fd));
	EXPECT_TRUE(are_intact(self->map, 3, 3));
}

TEST_F(purge, empty_range_counts_nothing)
{
	ASSERT_EQ(0, unpin(self->fd, PAGES, 0));
	EXPECT_EQ(0, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 0));
	EXPECT_TRUE(are_intact(self->map, 0, PAGES));
}

TEST_F(purge, pin_consumes_its_pages_only)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 10));
	ASSERT_EQ(10, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 3, 3));
	EXPECT_STREQ("|...PPP....PPPPPP|", picture(self->fd, PAGES));
	EXPECT_EQ(0, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 3));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 3, 3));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 0));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 0));
}

TEST_F(purge, one_purged_range_of_many_is_enough)
{
	ASSERT_EQ(0, unpin(self->fd, 4, 2));
	ASSERT_EQ(2, purge_all(self->fd));
	ASSERT_EQ(0, unpin(self->fd, 0, 2));
	ASSERT_EQ(0, unpin(self->fd, 8, 2));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 0));
	EXPECT_TRUE(are_intact(self->map, 0, 4));
	EXPECT_TRUE(are_intact(self->map, 6, PAGES - 6));
}

/* Purged and other pages form one range now, which has only one state. */
TEST_F(purge, overlap_spreads_the_answer)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(4, purge_all(self->fd));
	ASSERT_EQ(0, unpin(self->fd, 2, 4));
	EXPECT_STREQ("|......PPPPPPPPPP|", picture(self->fd, PAGES));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 4, 2));
	EXPECT_TRUE(are_intact(self->map, 4, 2));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 0));
}

TEST_F(purge, overlap_with_fresh_pages_is_purged_again)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(4, purge_all(self->fd));
	ASSERT_EQ(0, unpin(self->fd, 2, 4));
	EXPECT_EQ(6, purge_all(self->fd));
	EXPECT_TRUE(are_zero(self->map, 0, 6));
	EXPECT_EQ(0, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 4, 2));
	EXPECT_STREQ("|....PPPPPPPPPPPP|", picture(self->fd, PAGES));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 4));
}

/* All its pages were purged already, so the joined range is purged, too. */
TEST_F(purge, overlap_of_lost_ranges_counts_nothing)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	ASSERT_EQ(8, purge_all(self->fd));
	ASSERT_EQ(0, unpin(self->fd, 2, 4));
	EXPECT_EQ(0, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 2, 4));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 0));
}

TEST_F(purge, neighbour_keeps_its_own_answer)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(4, purge_all(self->fd));
	ASSERT_EQ(0, unpin(self->fd, 4, 2));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 4, 2));
	EXPECT_TRUE(are_intact(self->map, 4, 2));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 4));
}

TEST_F(purge, neighbour_of_purged_range_counts)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(4, purge_all(self->fd));
	ASSERT_EQ(0, unpin(self->fd, 4, 2));
	EXPECT_EQ(2, purge_all(self->fd));
}

TEST_F(purge, unpin_again_changes_nothing)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(4, purge_all(self->fd));
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(0, unpin(self->fd, 1, 2));
	EXPECT_EQ(0, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 4));
}

TEST_F(purge, untouched_pages_were_purged_too)
{
	int fd = area_create(4 * self->page);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, try_map(fd, self->page, PROT_NONE, MAP_SHARED));
	ASSERT_EQ(0, unpin(fd, 0, 0));
	EXPECT_EQ(4, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(fd, 1, 1));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(fd, 0, 0));
	close(fd);
}

TEST_F(purge, answer_is_shared_by_dup_and_fork)
{
	int copy = dup(self->fd);
	pid_t child;

	ASSERT_LE(0, copy);
	ASSERT_EQ(0, unpin(copy, 0, 4));
	ASSERT_EQ(4, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 1));
	child = fork();
	if (child == 0)
		_exit(pin(self->fd, 1, 1) != ASHMEM_WAS_PURGED);
	EXPECT_EQ(0, exit_status_of(child));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(copy, 0, 2));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(copy, 0, 0));
	close(copy);
}

/* Makes the kernel drop reclaimable slab objects, which calls the shrinkers. */
static bool give_back_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	bool dropped = fd >= 0 && write(fd, "2", 1) == 1;

	if (fd >= 0)
		close(fd);
	return dropped;
}

/* The C driver takes a small number of pages only after several scans, or never. */
TEST_F(purge, happens_when_caches_are_dropped)
{
	ASSERT_EQ(0, unpin(self->fd, 4, 8));
	for (int i = 0; i < 50 && self->map[4 * self->page]; i++) {
		if (!give_back_caches())
			SKIP(return, "/proc/sys/vm/drop_caches: %s", strerror(errno));
	}
	if (getenv("ASHMEM_C_DRIVER") && self->map[4 * self->page])
		SKIP(return, "the C driver skips so few pages");
	EXPECT_TRUE(are_intact(self->map, 0, 4));
	EXPECT_TRUE(are_zero(self->map, 4, 8));
	EXPECT_TRUE(are_intact(self->map, 12, 4));
	EXPECT_EQ(0, purge_all(self->fd));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 4));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 0));
}

TEST_F(purge, more_pages_than_an_int_count_as_the_largest)
{
	int fd;

	if (sizeof(size_t) == 4)
		SKIP(return, "size_t has 32 bits");
	fd = area_open(O_RDWR);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set_size(fd, (size_t)-1 / 2));
	if (try_map(fd, page_size(), PROT_READ, MAP_SHARED | MAP_NORESERVE))
		SKIP(return, "vm.overcommit_memory ignores MAP_NORESERVE");
	EXPECT_EQ(0, unpin(fd, 0, 0));
	EXPECT_EQ(INT_MAX, purge_all(fd));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(fd, 0, 0));
	EXPECT_EQ(0, close(fd));
}

TEST_HARNESS_MAIN
