// SPDX-License-Identifier: GPL-2.0
/*
 * Pinning: which pages PIN and UNPIN change, what GET_PIN_STATUS returns for them,
 * and which arguments all three refuse. See purge_test.c for the effects of a purge.
 */
#include "kselftest_harness.h"
#include "ashmem.h"

#define PAGES		16
#define ALL_PINNED	"|PPPPPPPPPPPPPPPP|"
#define ALL_UNPINNED	"|................|"

static const unsigned long requests[] = { ASHMEM_PIN, ASHMEM_UNPIN, ASHMEM_GET_PIN_STATUS };

FIXTURE(mapped)
{
	int fd;
	size_t page, len;
	char *map;
};

FIXTURE_SETUP(mapped)
{
	self->page = page_size();
	self->len = PAGES * self->page;
	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0)
		return;
	ASSERT_EQ(0, set_size(self->fd, self->len));
	self->map = map_filled(self->fd, PAGES);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(mapped)
{
	if (self->fd >= 0)
		close(self->fd);
}

TEST_F(mapped, new_area_is_pinned)
{
	EXPECT_STREQ(ALL_PINNED, picture(self->fd, PAGES));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 0));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 0));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 3, 5));
	EXPECT_STREQ(ALL_PINNED, picture(self->fd, PAGES));
}

TEST_F(mapped, unpin_and_pin_all)
{
	EXPECT_EQ(0, unpin(self->fd, 0, 0));
	EXPECT_STREQ(ALL_UNPINNED, picture(self->fd, PAGES));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 0));
	EXPECT_STREQ(ALL_PINNED, picture(self->fd, PAGES));
	EXPECT_TRUE(are_intact(self->map, 0, PAGES));
}

TEST_F(mapped, unpin_takes_exactly_its_pages)
{
	EXPECT_EQ(0, unpin(self->fd, 0, 1));
	EXPECT_STREQ("|.PPPPPPPPPPPPPPP|", picture(self->fd, PAGES));
	EXPECT_EQ(0, unpin(self->fd, PAGES - 1, 1));
	EXPECT_STREQ("|.PPPPPPPPPPPPPP.|", picture(self->fd, PAGES));
	EXPECT_EQ(0, unpin(self->fd, 4, 4));
	EXPECT_STREQ("|.PPP....PPPPPPP.|", picture(self->fd, PAGES));
}

TEST_F(mapped, unpin_overlap_joins)
{
	EXPECT_EQ(0, unpin(self->fd, 0, 4));
	EXPECT_STREQ("|....PPPPPPPPPPPP|", picture(self->fd, PAGES));
	EXPECT_EQ(0, unpin(self->fd, 2, 4));
	EXPECT_STREQ("|......PPPPPPPPPP|", picture(self->fd, PAGES));
}

TEST_F(mapped, unpin_bridges_gaps)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 2));
	ASSERT_EQ(0, unpin(self->fd, 4, 2));
	ASSERT_EQ(0, unpin(self->fd, 8, 3));
	ASSERT_EQ(0, unpin(self->fd, 13, 3));
	EXPECT_STREQ("|..PP..PP...PP...|", picture(self->fd, PAGES));
	EXPECT_EQ(0, unpin(self->fd, 1, 8));
	EXPECT_STREQ("|...........PP...|", picture(self->fd, PAGES));
}

TEST_F(mapped, unpin_inside_changes_nothing)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 8));
	EXPECT_EQ(0, unpin(self->fd, 2, 2));
	EXPECT_EQ(0, unpin(self->fd, 0, 8));
	EXPECT_STREQ("|........PPPPPPPP|", picture(self->fd, PAGES));
}

TEST_F(mapped, pin_middle_splits)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 10));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 3, 3));
	EXPECT_STREQ("|...PPP....PPPPPP|", picture(self->fd, PAGES));
}

TEST_F(mapped, pin_end_trims)
{
	ASSERT_EQ(0, unpin(self->fd, 4, 8));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 2, 4));
	EXPECT_STREQ("|PPPPPP......PPPP|", picture(self->fd, PAGES));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 11, 1));
	EXPECT_STREQ("|PPPPPP.....PPPPP|", picture(self->fd, PAGES));
}

TEST_F(mapped, pin_covers_trims_and_splits_at_once)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(0, unpin(self->fd, 6, 2));
	ASSERT_EQ(0, unpin(self->fd, 10, 5));
	EXPECT_STREQ("|....PP..PP.....P|", picture(self->fd, PAGES));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 3, 9));
	EXPECT_STREQ("|...PPPPPPPPP...P|", picture(self->fd, PAGES));
}

TEST_F(mapped, pin_of_gap_changes_nothing)
{
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	ASSERT_EQ(0, unpin(self->fd, 8, 8));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 4, 4));
	EXPECT_STREQ("|....PPPP........|", picture(self->fd, PAGES));
}

TEST_F(mapped, status_is_unpinned_if_any_page_is)
{
	ASSERT_EQ(0, unpin(self->fd, 4, 2));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 4));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(self->fd, 0, 5));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(self->fd, 4, 2));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(self->fd, 5, 0));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 6, 0));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 6, 10));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(self->fd, 0, 0));
	EXPECT_STREQ("|PPPP..PPPPPPPPPP|", picture(self->fd, PAGES));
}

TEST_F(mapped, zero_length_reaches_to_the_end)
{
	EXPECT_EQ(0, unpin_bytes(self->fd, 5 * self->page, 0));
	EXPECT_STREQ("|PPPPP...........|", picture(self->fd, PAGES));
	EXPECT_EQ(0, pin_bytes(self->fd, 9 * self->page, 0));
	EXPECT_STREQ("|PPPPP....PPPPPPP|", picture(self->fd, PAGES));
	EXPECT_EQ(0, unpin_bytes(self->fd, 15 * self->page, 0));
	EXPECT_STREQ("|PPPPP....PPPPPP.|", picture(self->fd, PAGES));
}

TEST_F(mapped, zero_length_at_the_end_is_nothing)
{
	EXPECT_EQ(0, unpin(self->fd, PAGES, 0));
	EXPECT_STREQ(ALL_PINNED, picture(self->fd, PAGES));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 0));
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, PAGES, 0));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, PAGES, 0));
	EXPECT_STREQ(ALL_UNPINNED, picture(self->fd, PAGES));
}

static void expect_refusal(struct __test_metadata *_metadata, int fd, __u32 offset, __u32 len)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		EXPECT_EQ(-EINVAL, pin_call(fd, requests[i], offset, len))
			TH_LOG("request %#lx, offset %#x, length %#x", requests[i], offset, len);
	}
}

TEST_F(mapped, unaligned_range_fails)
{
	const __u32 odd[] = { 1, 4, 511, self->page / 2, self->page - 1, self->page + 1 };

	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		expect_refusal(_metadata, self->fd, odd[i], self->page);
		expect_refusal(_metadata, self->fd, 0, odd[i]);
		expect_refusal(_metadata, self->fd, odd[i], odd[i]);
		expect_refusal(_metadata, self->fd, odd[i], self->page - odd[i]);
		expect_refusal(_metadata, self->fd, odd[i], 0);
	}
	EXPECT_STREQ("|PPPP....PPPPPPPP|", picture(self->fd, PAGES));
}

TEST_F(mapped, range_beyond_the_end_fails)
{
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	expect_refusal(_metadata, self->fd, 0, self->len + self->page);
	expect_refusal(_metadata, self->fd, self->len - self->page, 2 * self->page);
	expect_refusal(_metadata, self->fd, self->len, self->page);
	expect_refusal(_metadata, self->fd, self->len + self->page, self->page);
	expect_refusal(_metadata, self->fd, self->len + self->page, 0);
	expect_refusal(_metadata, self->fd, -self->page, 0);
	EXPECT_STREQ("|PPPP....PPPPPPPP|", picture(self->fd, PAGES));
}

TEST_F(mapped, range_that_wraps_fails)
{
	ASSERT_EQ(0, unpin(self->fd, 4, 4));
	expect_refusal(_metadata, self->fd, -self->page, self->page);
	expect_refusal(_metadata, self->fd, -self->page, 2 * self->page);
	expect_refusal(_metadata, self->fd, self->page, -self->page);
	expect_refusal(_metadata, self->fd, 2 * self->page, -self->page);
	expect_refusal(_metadata, self->fd, -self->page, -self->page);
	expect_refusal(_metadata, self->fd, -1, -1);
	expect_refusal(_metadata, self->fd, 0, -1);
	EXPECT_STREQ("|PPPP....PPPPPPPP|", picture(self->fd, PAGES));
}

TEST_F(mapped, works_without_mapping)
{
	ASSERT_EQ(0, munmap(self->map, self->len));
	EXPECT_EQ(0, unpin(self->fd, 4, 4));
	EXPECT_STREQ("|PPPP....PPPPPPPP|", picture(self->fd, PAGES));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 4, 2));
	EXPECT_STREQ("|PPPPPP..PPPPPPPP|", picture(self->fd, PAGES));
}

TEST_F(mapped, works_with_any_mask)
{
	for (int mask = PROT_ALL; mask >= 0; mask--) {
		if (set_mask(self->fd, mask))
			continue;
		EXPECT_EQ(0, unpin(self->fd, 4, 4));
		EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(self->fd, 4, 4));
		EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 4, 4));
	}
	EXPECT_EQ(0, get_mask(self->fd));
}

TEST_F(mapped, state_is_shared_by_dup)
{
	int copy = dup(self->fd);

	ASSERT_LE(0, copy);
	ASSERT_EQ(0, unpin(copy, 4, 4));
	EXPECT_STREQ("|PPPP....PPPPPPPP|", picture(self->fd, PAGES));
	ASSERT_EQ(0, close(copy));
	EXPECT_STREQ("|PPPP....PPPPPPPP|", picture(self->fd, PAGES));
}

TEST_F(mapped, state_is_shared_by_fork)
{
	pid_t child;

	ASSERT_EQ(0, unpin(self->fd, 0, 8));
	child = fork();
	if (child == 0)
		_exit(pin(self->fd, 2, 2) != ASHMEM_NOT_PURGED);
	ASSERT_EQ(0, exit_status_of(child));
	EXPECT_STREQ("|..PP....PPPPPPPP|", picture(self->fd, PAGES));
}

TEST_F(mapped, state_is_shared_by_passed_descriptor)
{
	int sockets[2], fd;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	child = fork();
	if (child == 0) {
		close(self->fd);
		fd = recv_fd(sockets[1]);
		_exit(fd < 0 || unpin(fd, 4, 4));
	}
	ASSERT_EQ(0, send_fd(sockets[0], self->fd));
	ASSERT_EQ(0, exit_status_of(child));
	EXPECT_STREQ("|PPPP....PPPPPPPP|", picture(self->fd, PAGES));
}

TEST_F(mapped, areas_are_independent)
{
	int other = area_create(self->len);

	ASSERT_LE(0, other);
	ASSERT_NE(MAP_FAILED, map_filled(other, PAGES));
	ASSERT_EQ(0, unpin(self->fd, 0, 8));
	ASSERT_EQ(0, unpin(other, 4, 8));
	EXPECT_STREQ("|........PPPPPPPP|", picture(self->fd, PAGES));
	EXPECT_STREQ("|PPPP........PPPP|", picture(other, PAGES));
	close(other);
	EXPECT_STREQ("|........PPPPPPPP|", picture(self->fd, PAGES));
}

/* Every pair of calls on six pages, compared with one bit per page. */
TEST_F(mapped, pairs_of_calls_match_a_bitmap)
{
	for (int i = 0; i < 36 * 36; i++) {
		size_t a = i % 6, b = i / 6 % 6, c = i / 36 % 6, d = i / 216;

		if (b < a || d < c)
			continue;
		ASSERT_EQ(0, unpin(self->fd, a, b - a + 1));
		ASSERT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, c, d - c + 1));
		for (size_t page = 0; page < 7; page++) {
			bool pinned = page < a || page > b || (page >= c && page <= d);

			EXPECT_EQ(pinned, pin_status(self->fd, page, 1))
				TH_LOG("page %zu, UNPIN %zu-%zu, PIN %zu-%zu", page, a, b, c, d);
		}
		ASSERT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 0));
	}
}

AREA_FIXTURE(unmapped);

static void expect_answer_to_bad_pointers(struct __test_metadata *_metadata, int fd)
{
	char *bad = guard_page(page_size());

	ASSERT_NE(NULL, bad);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		EXPECT_EQ(-EFAULT, area_ioctl(fd, requests[i], 0));
		EXPECT_EQ(-EFAULT, area_ioctl(fd, requests[i], (unsigned long)bad));
		EXPECT_EQ(-EFAULT, area_ioctl(fd, requests[i], (unsigned long)bad - 4));
	}
}

TEST_F(unmapped, bad_pointer_beats_bad_state)
{
	expect_answer_to_bad_pointers(_metadata, self->fd);
	ASSERT_EQ(0, set_size(self->fd, self->page));
	expect_answer_to_bad_pointers(_metadata, self->fd);
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_RW, MAP_SHARED));
	expect_answer_to_bad_pointers(_metadata, self->fd);
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 0));
}

TEST_F(unmapped, eight_bytes_are_read)
{
	char *bad = guard_page(sizeof(struct ashmem_pin));

	ASSERT_NE(NULL, bad);
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_RW, MAP_SHARED));
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		EXPECT_LE(0, area_ioctl(self->fd, requests[i], (unsigned long)bad - 8));
	}
}

TEST_F(unmapped, without_backing_fails)
{
	expect_refusal(_metadata, self->fd, 0, 0);
	expect_refusal(_metadata, self->fd, 0, self->page);
	ASSERT_EQ(0, set_size(self->fd, self->page));
	expect_refusal(_metadata, self->fd, 0, 0);
	expect_refusal(_metadata, self->fd, 0, self->page);
	ASSERT_EQ(-EINVAL, try_map(self->fd, 2 * self->page, PROT_RW, MAP_SHARED));
	expect_refusal(_metadata, self->fd, 0, 0);
}

TEST_F(unmapped, private_mapping_is_backing_enough)
{
	ASSERT_EQ(0, set_size(self->fd, 2 * self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_NONE, MAP_PRIVATE));
	EXPECT_EQ(0, unpin(self->fd, 1, 1));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 1));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(self->fd, 0, 2));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 0));
}

TEST_F(unmapped, last_page_of_unaligned_size_is_whole)
{
	ASSERT_EQ(0, set_size(self->fd, 3 * self->page + 1));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_RW, MAP_SHARED));
	EXPECT_EQ(0, unpin(self->fd, 3, 1));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 3));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(self->fd, 3, 1));
	EXPECT_EQ(0, unpin(self->fd, 0, 0));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 4));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 4, 0));
	expect_refusal(_metadata, self->fd, 3 * self->page, 1);
	expect_refusal(_metadata, self->fd, 3 * self->page + 1, 0);
	expect_refusal(_metadata, self->fd, 4 * self->page, self->page);
}

TEST_F(unmapped, read_only_descriptor_may_pin)
{
	int fd = area_open(O_RDONLY);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set_size(fd, 2 * self->page));
	ASSERT_EQ(0, try_map(fd, self->page, PROT_READ, MAP_SHARED));
	EXPECT_EQ(0, unpin(fd, 0, 1));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(fd, 0, 0));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(fd, 0, 0));
	close(fd);
}

/* Such a descriptor cannot be mapped, so it gets the errors of an unmapped area. */
TEST_F(unmapped, write_only_descriptor_is_not_refused_as_such)
{
	int fd = area_open(O_WRONLY);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set_size(fd, self->page));
	expect_refusal(_metadata, fd, 0, 0);
	expect_answer_to_bad_pointers(_metadata, fd);
	close(fd);
}

/* Requests have 32-bit numbers, but regions may be larger. */
FIXTURE(large)
{
	int fd;
	size_t page, pages;
	__u32 last;
};

FIXTURE_VARIANT(large)
{
	__u64 size;
};

FIXTURE_VARIANT_ADD(large, almost_4_gib) { .size = 0xffffffff };
FIXTURE_VARIANT_ADD(large, exactly_4_gib) { .size = 4ULL << 30 };
FIXTURE_VARIANT_ADD(large, exactly_6_gib) { .size = 6ULL << 30 };
FIXTURE_VARIANT_ADD(large, exactly_8_gib) { .size = 8ULL << 30 };

FIXTURE_SETUP(large)
{
	long mapped;

	self->fd = -EBADF;
	if (variant->size > (size_t)-1)
		SKIP(return, "size_t has 32 bits");
	if (overcommit_mode() != 0 && overcommit_mode() != 1)
		SKIP(return, "vm.overcommit_memory ignores MAP_NORESERVE");
	self->page = page_size();
	self->pages = (variant->size + self->page - 1) / self->page;
	self->last = -self->page;
	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0)
		return;
	ASSERT_EQ(0, set_size(self->fd, variant->size));
	mapped = try_map(self->fd, self->page, PROT_RW, MAP_SHARED | MAP_NORESERVE);
	if (mapped == -EINVAL && sizeof(size_t) == 4)
		SKIP(return, "a 32-bit kernel cannot round this size up");
	ASSERT_EQ(0, mapped);
}

FIXTURE_TEARDOWN(large)
{
	if (self->fd >= 0)
		close(self->fd);
}

TEST_F(large, range_may_end_at_4_gib)
{
	EXPECT_EQ(0, unpin_bytes(self->fd, self->last, self->page));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status_bytes(self->fd, self->last, self->page));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status_bytes(self->fd, 0, self->last));
	EXPECT_EQ(0, pin_bytes(self->fd, self->page, self->last));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 0));
}

TEST_F(large, range_beyond_4_gib_fails)
{
	expect_refusal(_metadata, self->fd, self->last, 2 * self->page);
	expect_refusal(_metadata, self->fd, 2 * self->page, self->last);
	expect_refusal(_metadata, self->fd, self->last, self->last);
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 0));
}

TEST_F(large, zero_length_reaches_to_the_end)
{
	EXPECT_EQ(0, unpin(self->fd, 1, 0));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 1));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(self->fd, 1, 1));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status_bytes(self->fd, self->last, 0));
	EXPECT_EQ(0, pin_bytes(self->fd, self->last, 0));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status_bytes(self->fd, self->last, 0));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(self->fd, 0, 0));
	EXPECT_EQ(0, pin(self->fd, 1, 0));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 0));
}

/* Pages above 4 GiB can only be addressed with a length of 0, the rest. */
TEST_F(large, all_includes_what_is_above_4_gib)
{
	bool above = variant->size > 1ULL << 32;

	EXPECT_EQ(0, unpin(self->fd, 0, 0));
	EXPECT_EQ(0, pin_bytes(self->fd, 0, self->last));
	EXPECT_EQ(ASHMEM_IS_UNPINNED, pin_status(self->fd, 0, 0));
	EXPECT_EQ(0, pin_bytes(self->fd, self->last, self->page));
	EXPECT_EQ(above ? ASHMEM_IS_UNPINNED : ASHMEM_IS_PINNED, pin_status(self->fd, 0, 0));
	EXPECT_EQ(0, pin(self->fd, 0, 0));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 0));
}

TEST_F(large, purge_takes_all_to_the_end)
{
	off_t end = (off_t)(self->pages - 1) * self->page;
	char *map = mmap(NULL, self->page, PROT_RW, MAP_SHARED | MAP_NORESERVE, self->fd, end);

	ASSERT_NE(MAP_FAILED, map);
	memset(map, 'e', self->page);
	if (!purge_or_skip(self->fd))
		return;
	EXPECT_EQ('e', map[0]);
	ASSERT_EQ(0, unpin(self->fd, 1, 0));
	EXPECT_EQ(self->pages - 1, purge_all(self->fd));
	EXPECT_TRUE(is_filled(map, self->page, 0));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 1));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 0));
}

TEST_HARNESS_MAIN
