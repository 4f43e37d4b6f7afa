// SPDX-License-Identifier: GPL-2.0
/* The name of an area: a C string of up to 255 bytes of any kind. */
#include "kselftest_harness.h"
#include "ashmem.h"

AREA_FIXTURE(name);

/* Sets @wanted and expects to get @expected. */
#define EXPECT_NAME(expected, wanted)					\
	do {								\
		char __name[ASHMEM_NAME_LEN];				\
									\
		EXPECT_EQ(0, set_name(self->fd, wanted));		\
		ASSERT_EQ(0, get_name(self->fd, __name));		\
		EXPECT_STREQ(expected, __name);				\
	} while (0)

static const char *long_name(size_t len)
{
	static char name[2 * ASHMEM_NAME_LEN];

	memset(name, 'n', len);
	name[len] = '\0';
	return name;
}

/* Maps the area, so that its name is final. */
static long map_it(int fd)
{
	return set_size(fd, page_size()) ?: try_map(fd, page_size(), PROT_READ, MAP_SHARED);
}

TEST_F(name, length_up_to_255_is_kept)
{
	EXPECT_NAME("a", "a");
	EXPECT_NAME(long_name(10), long_name(10));
	EXPECT_NAME(long_name(254), long_name(254));
	EXPECT_NAME(long_name(255), long_name(255));
}

TEST_F(name, without_nul_is_cut_to_255)
{
	char name[ASHMEM_NAME_LEN];

	ASSERT_EQ(0, set_name(self->fd, long_name(256)));
	ASSERT_EQ(0, get_name(self->fd, name));
	EXPECT_EQ(255, strlen(name));
	EXPECT_TRUE(is_filled(name, 255, 'n'));
	ASSERT_EQ(0, set_name(self->fd, long_name(400)));
	ASSERT_EQ(0, get_name(self->fd, name));
	EXPECT_EQ(255, strlen(name));
}

TEST_F(name, bytes_are_kept_verbatim)
{
	EXPECT_NAME("dir/file", "dir/file");
	EXPECT_NAME("/", "/");
	EXPECT_NAME("two\nlines", "two\nlines");
	EXPECT_NAME("\xff\xfe\x80", "\xff\xfe\x80");
	EXPECT_NAME("\x01\x1b\x7f", "\x01\x1b\x7f");
	EXPECT_NAME("%s%n", "%s%n");
	EXPECT_NAME(" ", " ");
}

TEST_F(name, ends_at_embedded_nul)
{
	EXPECT_NAME("front", "front\0back");
}

TEST_F(name, empty_means_unset)
{
	EXPECT_NAME("set", "set");
	EXPECT_NAME(ASHMEM_NAME_DEF, "");
	EXPECT_NAME(ASHMEM_NAME_DEF, "\0hidden");
}

TEST_F(name, last_one_wins)
{
	EXPECT_NAME("a longer name", "a longer name");
	EXPECT_NAME("short", "short");
	ASSERT_EQ(0, set_size(self->fd, self->page));
	EXPECT_NAME("after the size", "after the size");
}

TEST_F(name, short_string_at_end_of_memory_is_read)
{
	char *end = guard_page(self->page);

	ASSERT_NE(NULL, end);
	memcpy(end - 4, "abc", 4);
	EXPECT_NAME("abc", end - 4);
	end[-1] = '\0';
	EXPECT_NAME(ASHMEM_NAME_DEF, end - 1);
}

TEST_F(name, full_buffer_at_end_of_memory_is_read)
{
	char *end = guard_page(self->page);

	ASSERT_NE(NULL, end);
	memset(end - 256, 'n', 256);
	EXPECT_NAME(long_name(255), end - 256);
}

TEST_F(name, string_that_runs_into_bad_memory_fails)
{
	char *end = guard_page(self->page);

	ASSERT_NE(NULL, end);
	memset(end - 255, 'n', 255);
	EXPECT_EQ(-EFAULT, set_name(self->fd, end - 255));
	EXPECT_EQ(-EFAULT, set_name(self->fd, end - 1));
}

TEST_F(name, failed_set_changes_nothing)
{
	char *end = guard_page(self->page), name[ASHMEM_NAME_LEN];

	ASSERT_NE(NULL, end);
	memset(end - 255, 'n', 255);
	ASSERT_EQ(0, set_name(self->fd, "before"));
	ASSERT_EQ(-EFAULT, set_name(self->fd, end - 255));
	ASSERT_EQ(-EFAULT, set_name(self->fd, end));
	ASSERT_EQ(0, get_name(self->fd, name));
	EXPECT_STREQ("before", name);
}

TEST_F(name, get_leaves_rest_of_buffer_alone)
{
	char name[ASHMEM_NAME_LEN];

	memset(name, 'Z', sizeof(name));
	ASSERT_EQ(0, get_name(self->fd, name));
	EXPECT_TRUE(is_filled(name + sizeof(ASHMEM_NAME_DEF),
			      sizeof(name) - sizeof(ASHMEM_NAME_DEF), 'Z'));

	memset(name, 'Z', sizeof(name));
	ASSERT_EQ(0, set_name(self->fd, "abc"));
	ASSERT_EQ(0, get_name(self->fd, name));
	EXPECT_STREQ("abc", name);
	EXPECT_TRUE(is_filled(name + 4, sizeof(name) - 4, 'Z'));
}

TEST_F(name, get_needs_room_for_name_only)
{
	char *end = guard_page(self->page);

	ASSERT_NE(NULL, end);
	ASSERT_EQ(0, set_name(self->fd, "abc"));
	EXPECT_EQ(0, get_name(self->fd, end - 4));
	EXPECT_STREQ("abc", end - 4);
	EXPECT_EQ(-EFAULT, get_name(self->fd, end - 3));
}

TEST_F(name, get_into_read_only_memory_fails)
{
	char *end = guard_page(self->page);

	ASSERT_NE(NULL, end);
	ASSERT_EQ(0, mprotect(end - self->page, self->page, PROT_READ));
	EXPECT_EQ(-EFAULT, get_name(self->fd, end - self->page));
}

TEST_F(name, bad_pointer_fails_before_map)
{
	char *bad = guard_page(0);

	ASSERT_NE(NULL, bad);
	EXPECT_EQ(-EFAULT, set_name(self->fd, bad));
	EXPECT_EQ(-EFAULT, get_name(self->fd, bad));
	EXPECT_EQ(-EFAULT, set_name(self->fd, NULL));
	EXPECT_EQ(-EFAULT, get_name(self->fd, NULL));
	ASSERT_EQ(0, set_size(self->fd, self->page));
	EXPECT_EQ(-EFAULT, set_name(self->fd, bad));
	EXPECT_EQ(-EFAULT, get_name(self->fd, bad));
}

TEST_F(name, bad_pointer_beats_frozen_name)
{
	char *bad = guard_page(0);

	ASSERT_NE(NULL, bad);
	ASSERT_EQ(0, map_it(self->fd));
	EXPECT_EQ(-EINVAL, set_name(self->fd, "late"));
	EXPECT_EQ(-EFAULT, set_name(self->fd, bad));
	EXPECT_EQ(-EFAULT, set_name(self->fd, NULL));
	EXPECT_EQ(-EFAULT, get_name(self->fd, bad));
}

TEST_F(name, unset_survives_map)
{
	char name[ASHMEM_NAME_LEN];

	ASSERT_EQ(0, map_it(self->fd));
	ASSERT_EQ(0, get_name(self->fd, name));
	EXPECT_STREQ(ASHMEM_NAME_DEF, name);
}

TEST_F(name, of_full_length_survives_map)
{
	char name[ASHMEM_NAME_LEN];

	ASSERT_EQ(0, set_name(self->fd, long_name(255)));
	ASSERT_EQ(0, map_it(self->fd));
	ASSERT_EQ(0, get_name(self->fd, name));
	EXPECT_STREQ(long_name(255), name);
}

TEST_HARNESS_MAIN
