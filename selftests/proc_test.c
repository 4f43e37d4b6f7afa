// SPDX-License-Identifier: GPL-2.0
/* How an area appears in /proc, and the file ID by which to match its entries. */
#include "kselftest_harness.h"
#include "ashmem.h"

#define LINE	1024

/* The bits of a file ID that a process can see: 32 or 64. */
#define ID_MASK	((unsigned long)-1)

FIXTURE(proc)
{
	int fd;
	size_t page;
};

FIXTURE_SETUP(proc)
{
	self->page = page_size();
	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0)
		return;
	if (access("/proc/self/fdinfo", R_OK) || access("/proc/self/maps", R_OK))
		SKIP(return, "/proc is not mounted");
}

FIXTURE_TEARDOWN(proc)
{
	if (self->fd >= 0)
		close(self->fd);
}

static size_t read_fdinfo(int fd, char *text, size_t len)
{
	char path[64];
	FILE *info;
	size_t got;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	got = info ? fread(text, 1, len - 1, info) : 0;
	if (info)
		fclose(info);
	text[got] = '\0';
	return got;
}

/*
 * The lines of fdinfo that the driver adds. The last line before them is "ino", or
 * "mnt_id" on kernels before 5.14.
 */
static const char *area_fdinfo(int fd)
{
	static char text[4 * LINE];
	char *last, *end;

	read_fdinfo(fd, text, sizeof(text));
	last = strstr(text, "\nino:\t") ?: strstr(text, "\nmnt_id:\t");
	end = last ? strchr(last + 1, '\n') : NULL;
	return end ? end + 1 : "no line mnt_id";
}

/* The driver's line of fdinfo that starts with @key, or "". */
static const char *area_fdinfo_line(int fd, const char *key)
{
	static char found[LINE];
	const char *line = area_fdinfo(fd);

	while (*line && strncmp(line, key, strlen(key)))
		line = strchrnul(line, '\n') + !!strchr(line, '\n');
	snprintf(found, sizeof(found), "%.*s", (int)strcspn(line, "\n"), line);
	return found;
}

/* Parses the inode and the name in a line of maps. */
static bool maps_entry(const void *addr, unsigned long long *inode, char name[LINE])
{
	char line[LINE];
	int end = 0;

	if (!maps_line(addr, line, sizeof(line)))
		return false;
	if (sscanf(line, "%*s %*s %*s %*s %llu %n", inode, &end) != 1)
		return false;
	snprintf(name, LINE, "%s", line + end);
	return true;
}

TEST_F(proc, fdinfo_of_new_area_has_size_only)
{
	EXPECT_STREQ("size:\t0\n", area_fdinfo(self->fd));
}

TEST_F(proc, fdinfo_has_name_once_set)
{
	ASSERT_EQ(0, set_size(self->fd, 4711));
	EXPECT_STREQ("", area_fdinfo_line(self->fd, "name:"));
	ASSERT_EQ(0, set_name(self->fd, "my area"));
	EXPECT_STREQ("name:\tmy area", area_fdinfo_line(self->fd, "name:"));
	ASSERT_EQ(0, set_name(self->fd, ""));
	EXPECT_STREQ("", area_fdinfo_line(self->fd, "name:"));
}

TEST_F(proc, fdinfo_has_name_before_size)
{
	ASSERT_EQ(0, set_size(self->fd, 4711));
	EXPECT_STREQ("size:\t4711\n", area_fdinfo(self->fd));
	ASSERT_EQ(0, set_name(self->fd, "my area"));
	EXPECT_STREQ("name:\tmy area\nsize:\t4711\n", area_fdinfo(self->fd));
}

TEST_F(proc, fdinfo_has_the_exact_size)
{
	const size_t sizes[] = { 1UL << 31, (size_t)-1, (size_t)-4095, (size_t)-1 / 2 + 1 };
	char expected[64];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ASSERT_EQ(0, set_size(self->fd, sizes[i]));
		snprintf(expected, sizeof(expected), "size:\t%zu\n", sizes[i]);
		EXPECT_STREQ(expected, area_fdinfo(self->fd));
	}
}

TEST_F(proc, fdinfo_has_inode_once_mapped)
{
	char expected[LINE];
	unsigned long id;

	if (sizeof(id) == 4)
		SKIP(return, "a file ID of 32 bits may be less than the inode number");
	ASSERT_EQ(0, set_size(self->fd, 4711));
	ASSERT_EQ(0, try_map(self->fd, 1, PROT_READ, MAP_SHARED));
	ASSERT_EQ(0, get_file_id(self->fd, &id));
	snprintf(expected, sizeof(expected), "inode:\t%lu\nsize:\t4711\n", id);
	/* The lines after these have their own test. */
	EXPECT_EQ(0, strncmp(expected, area_fdinfo(self->fd), strlen(expected)));
}

TEST_F(proc, fdinfo_has_inode_name_size)
{
	unsigned long long inode;
	const char *info;

	ASSERT_EQ(0, set_name(self->fd, "all"));
	ASSERT_EQ(0, set_size(self->fd, 1));
	ASSERT_EQ(0, try_map(self->fd, 1, PROT_READ, MAP_PRIVATE));
	info = area_fdinfo(self->fd);
	EXPECT_EQ(1, sscanf(info, "inode:\t%llu\n", &inode));
	info = strchrnul(info, '\n');
	EXPECT_EQ(0, strncmp("\nname:\tall\nsize:\t1\n", info, strlen("\nname:\tall\nsize:\t1\n")));
}

/* The lines of fdinfo after the size. */
static const char *after_size(int fd)
{
	const char *size = strstr(area_fdinfo(fd), "size:\t");

	return size ? strchrnul(size, '\n') + 1 : "no size";
}

static const char *unpinned_and_purged(size_t unpinned, size_t purged)
{
	static char text[LINE];
	size_t kib = page_size() / 1024;

	snprintf(text, sizeof(text), "unpinned:\t%zu kB\npurged:\t%zu kB\n", unpinned * kib,
		 purged * kib);
	return text;
}

TEST_F(proc, fdinfo_ends_with_what_is_unpinned_and_purged)
{
	ASSERT_EQ(0, set_size(self->fd, 16 * self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	EXPECT_STREQ(unpinned_and_purged(0, 0), after_size(self->fd));
	ASSERT_EQ(0, unpin(self->fd, 2, 4));
	EXPECT_STREQ(unpinned_and_purged(4, 0), after_size(self->fd));
	if (!purge_or_skip(self->fd))
		return;
	EXPECT_STREQ(unpinned_and_purged(4, 4), after_size(self->fd));
	ASSERT_EQ(0, unpin(self->fd, 8, 1));
	EXPECT_STREQ(unpinned_and_purged(5, 4), after_size(self->fd));
	ASSERT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 2, 1));
	EXPECT_STREQ(unpinned_and_purged(4, 3), after_size(self->fd));
	ASSERT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 0));
	EXPECT_STREQ(unpinned_and_purged(0, 0), after_size(self->fd));
}

/* More ranges than the driver sums in one step. */
TEST_F(proc, fdinfo_counts_many_ranges)
{
	ASSERT_EQ(0, set_size(self->fd, 1024 * self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	for (size_t i = 0; i < 512; i++) {
		ASSERT_EQ(0, unpin(self->fd, 2 * i, 1));
	}
	EXPECT_STREQ(unpinned_and_purged(512, 0), after_size(self->fd));
	ASSERT_EQ(0, pin(self->fd, 500, 100));
	EXPECT_STREQ(unpinned_and_purged(462, 0), after_size(self->fd));
}

TEST_F(proc, fdinfo_has_inode_before_name)
{
	unsigned long long inode;
	const char *info;

	ASSERT_EQ(0, set_name(self->fd, "all"));
	ASSERT_EQ(0, set_size(self->fd, 1));
	EXPECT_STREQ("", area_fdinfo_line(self->fd, "inode:"));
	ASSERT_EQ(0, try_map(self->fd, 1, PROT_READ, MAP_PRIVATE));
	info = area_fdinfo(self->fd);
	EXPECT_EQ(1, sscanf(info, "inode:\t%llu\n", &inode));
	info = strchrnul(info, '\n');
	EXPECT_EQ(0, strncmp("\nname:\tall\n", info, strlen("\nname:\tall\n")));
}

TEST_F(proc, fdinfo_escapes_newline)
{
	ASSERT_EQ(0, set_name(self->fd, "a\nsize:\t1"));
	EXPECT_STREQ("name:\ta\\012size:\t1\nsize:\t0\n", area_fdinfo(self->fd));
}

TEST_F(proc, fdinfo_shows_other_bytes_verbatim)
{
	ASSERT_EQ(0, set_name(self->fd, "\xff\x80/ %s"));
	EXPECT_STREQ("name:\t\xff\x80/ %s", area_fdinfo_line(self->fd, "name:"));
}

TEST_F(proc, fdinfo_shows_longest_name)
{
	char name[ASHMEM_NAME_LEN] = "", expected[LINE];

	memset(name, 'n', sizeof(name) - 1);
	ASSERT_EQ(0, set_name(self->fd, name));
	snprintf(expected, sizeof(expected), "name:\t%s", name);
	EXPECT_STREQ(expected, area_fdinfo_line(self->fd, "name:"));
}

TEST_F(proc, fdinfo_shows_largest_size)
{
	char expected[64];

	ASSERT_EQ(0, set_size(self->fd, (size_t)-1));
	snprintf(expected, sizeof(expected), "size:\t%zu\n", (size_t)-1);
	EXPECT_STREQ(expected, area_fdinfo(self->fd));
}

TEST_F(proc, fdinfo_shows_position)
{
	char text[4 * LINE];

	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	ASSERT_EQ(42, try_seek(self->fd, 42, SEEK_SET));
	ASSERT_LT(0, read_fdinfo(self->fd, text, sizeof(text)));
	EXPECT_EQ(0, strncmp("pos:\t42\n", text, strlen("pos:\t42\n")));
}

FIXTURE(maps)
{
	int fd;
	size_t page;
};

FIXTURE_VARIANT(maps)
{
	int flags;
	int mode;
};

FIXTURE_VARIANT_ADD(maps, shared) { .flags = MAP_SHARED, .mode = O_RDWR };
FIXTURE_VARIANT_ADD(maps, private) { .flags = MAP_PRIVATE, .mode = O_RDWR };
FIXTURE_VARIANT_ADD(maps, read_only) { .flags = MAP_SHARED, .mode = O_RDONLY };

FIXTURE_SETUP(maps)
{
	self->page = page_size();
	self->fd = area_open_or_skip(variant->mode);
	if (self->fd < 0)
		return;
	if (access("/proc/self/maps", R_OK))
		SKIP(return, "/proc is not mounted");
	ASSERT_EQ(0, set_size(self->fd, self->page));
}

FIXTURE_TEARDOWN(maps)
{
	if (self->fd >= 0)
		close(self->fd);
}

static void expect_maps_name(struct __test_metadata *_metadata, int fd, int flags,
			     const char *expected)
{
	char *map = area_map(fd, page_size(), PROT_READ, flags), name[LINE];
	unsigned long long inode;

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_TRUE(maps_entry(map, &inode, name));
	EXPECT_STREQ(expected, name);
}

TEST_F(maps, unnamed_area_has_default_name)
{
	expect_maps_name(_metadata, self->fd, variant->flags, "/dev/ashmem (deleted)");
}

TEST_F(maps, named_area_has_its_name)
{
	ASSERT_EQ(0, set_name(self->fd, "my area"));
	expect_maps_name(_metadata, self->fd, variant->flags, "/dev/ashmem/my area (deleted)");
}

TEST_F(maps, newline_is_escaped)
{
	ASSERT_EQ(0, set_name(self->fd, "two\nlines"));
	expect_maps_name(_metadata, self->fd, variant->flags,
			 "/dev/ashmem/two\\012lines (deleted)");
}

TEST_F(maps, other_bytes_are_verbatim)
{
	ASSERT_EQ(0, set_name(self->fd, "dir/\xff\x80"));
	expect_maps_name(_metadata, self->fd, variant->flags,
			 "/dev/ashmem/dir/\xff\x80 (deleted)");
}

TEST_F(maps, longest_name_is_whole)
{
	char name[ASHMEM_NAME_LEN] = "", expected[LINE];

	memset(name, 'n', sizeof(name) - 1);
	ASSERT_EQ(0, set_name(self->fd, name));
	snprintf(expected, sizeof(expected), "/dev/ashmem/%s (deleted)", name);
	expect_maps_name(_metadata, self->fd, variant->flags, expected);
}

TEST_F(maps, name_outlives_descriptor)
{
	char *map, name[LINE];
	unsigned long long inode;

	ASSERT_EQ(0, set_name(self->fd, "orphan"));
	map = area_map(self->fd, self->page, PROT_READ, variant->flags);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, close(self->fd));
	self->fd = -EBADF;
	ASSERT_TRUE(maps_entry(map, &inode, name));
	EXPECT_STREQ("/dev/ashmem/orphan (deleted)", name);
}

/* A private mapping has a separate file. */
TEST_F(maps, inode_is_fdinfo_inode)
{
	char *map = area_map(self->fd, self->page, PROT_READ, variant->flags), name[LINE];
	unsigned long long in_maps, in_fdinfo;

	if (variant->flags & MAP_PRIVATE && getenv("ASHMEM_C_DRIVER"))
		SKIP(return, "the C driver has one file for both");
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_TRUE(maps_entry(map, &in_maps, name));
	ASSERT_EQ(1, sscanf(area_fdinfo(self->fd), "inode:\t%llu\n", &in_fdinfo));
	EXPECT_EQ(!!(variant->flags & MAP_PRIVATE), in_maps != in_fdinfo);
}

TEST_F(maps, inode_is_file_id)
{
	char *map = area_map(self->fd, self->page, PROT_READ, variant->flags), name[LINE];
	unsigned long long inode;
	unsigned long id;

	if (variant->flags & MAP_PRIVATE && getenv("ASHMEM_C_DRIVER"))
		SKIP(return, "the C driver has one file for both");
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_TRUE(maps_entry(map, &inode, name));
	ASSERT_EQ(0, get_file_id(self->fd, &id));
	EXPECT_EQ(!!(variant->flags & MAP_PRIVATE), (inode & ID_MASK) != id);
}

TEST_F(proc, file_id_before_map_fails)
{
	unsigned long id = 4711;
	char *bad = guard_page(0);

	ASSERT_NE(NULL, bad);
	EXPECT_EQ(-EINVAL, get_file_id(self->fd, &id));
	EXPECT_EQ(-EINVAL, get_file_id(self->fd, (unsigned long *)bad));
	ASSERT_EQ(0, set_size(self->fd, self->page));
	EXPECT_EQ(-EINVAL, get_file_id(self->fd, &id));
	EXPECT_EQ(-EINVAL, get_file_id(self->fd, (unsigned long *)bad));
	EXPECT_EQ(4711, id);
}

TEST_F(proc, file_id_to_bad_memory_fails)
{
	unsigned long *bad = (unsigned long *)guard_page(self->page);

	ASSERT_NE(NULL, bad);
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EFAULT, get_file_id(self->fd, bad));
	EXPECT_EQ(-EFAULT, get_file_id(self->fd, NULL));
	EXPECT_EQ(0, get_file_id(self->fd, bad - 1));
}

TEST_F(proc, file_id_fills_its_place_and_no_more)
{
	struct {
		unsigned long id, after;
	} answer = { .id = -1UL, .after = -1UL };
	unsigned long long inode;

	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	ASSERT_EQ(0, get_file_id(self->fd, &answer.id));
	ASSERT_EQ(1, sscanf(area_fdinfo(self->fd), "inode:\t%llu\n", &inode));
	EXPECT_EQ(inode & ID_MASK, answer.id);
	EXPECT_EQ(-1UL, answer.after);
}

TEST_F(proc, file_id_is_one_per_area)
{
	unsigned long one, again, two;
	int fd = area_create(self->page);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	ASSERT_EQ(0, try_map(fd, self->page, PROT_READ, MAP_SHARED));
	ASSERT_EQ(0, get_file_id(self->fd, &one));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_PRIVATE));
	ASSERT_EQ(0, get_file_id(self->fd, &again));
	ASSERT_EQ(0, get_file_id(fd, &two));
	EXPECT_EQ(one, again);
	EXPECT_NE(one, two);
	close(fd);
}

TEST_HARNESS_MAIN
