// SPDX-License-Identifier: GPL-2.0
/* Trace events: each call of the driver is recorded with its arguments and its result. */
#include "kselftest_harness.h"
#include "reclaim.h"

#define TRACEFS	"/sys/kernel/tracing"
#define TRACE	65536

/* A separate trace buffer, with only the events of this process. */
FIXTURE(events)
{
	int fd;
	size_t page;
	char name[64];
	int buffer;		/* a directory */
};

static long events_switch(int buffer, const char *text)
{
	return write_text(buffer, "events/ashmem/enable", text);
}

FIXTURE_SETUP(events)
{
	char pid[16];

	self->page = page_size();
	self->buffer = -EBADF;
	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0)
		return;
	if (access(TRACEFS "/events", F_OK))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	if (access(TRACEFS "/events/ashmem", F_OK))
		SKIP(return, "no events of ashmem in %s: %s", TRACEFS,
		     geteuid() ? "root is required" : "the kernel has no trace events");
	snprintf(self->name, sizeof(self->name), TRACEFS "/instances/ashmem_test.%d", getpid());
	ASSERT_EQ(0, mkdir(self->name, 0700));
	self->buffer = open_dir(AT_FDCWD, self->name);
	ASSERT_LE(0, self->buffer);
	snprintf(pid, sizeof(pid), "%d", getpid());
	ASSERT_EQ(0, write_text(self->buffer, "set_event_pid", pid));
	ASSERT_EQ(0, events_switch(self->buffer, "1"));
}

FIXTURE_TEARDOWN(events)
{
	if (self->buffer >= 0) {
		events_switch(self->buffer, "0");
		close(self->buffer);
		rmdir(self->name);
	}
	if (self->fd >= 0)
		close(self->fd);
}

/*
 * The events since the last call, one line each: the name without the common prefix, and
 * the fields.
 */
static const char *recorded(int buffer)
{
	static char raw[TRACE], text[TRACE];
	char *line, *rest, *to = text;

	*to = '\0';
	if (read_text(buffer, "trace", raw, sizeof(raw)) < 0)
		return "no trace";
	for (line = strtok_r(raw, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *event = *line == '#' ? NULL : strstr(line, ": ashmem_");

		if (event)
			to += sprintf(to, "%s\n", event + strlen(": ashmem_"));
	}
	/* O_TRUNC empties the buffer. */
	close(openat(buffer, "trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
	return text;
}

static unsigned long long inode_of(int fd)
{
	unsigned long long inode = 0;
	char path[64], line[512];
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	while (info && !inode && fgets(line, sizeof(line), info))
		sscanf(line, "inode:\t%llu", &inode);
	if (info)
		fclose(info);
	return inode;
}

/* Replaces each # in a text by the inode of @fd. */
static const char *with_inode(int fd, const char *text)
{
	static char expected[8192];
	unsigned long long inode = inode_of(fd);
	char *to = expected;

	for (; *text; text++) {
		if (*text == '#')
			to += sprintf(to, "inode=%llu", inode);
		else
			*to++ = *text;
	}
	*to = '\0';
	return expected;
}

#define expect_events(text) EXPECT_STREQ(with_inode(self->fd, text), recorded(self->buffer))

TEST_F(events, map_and_close_are_told)
{
	unsigned long long inode;
	char expected[128];

	ASSERT_EQ(0, set_name(self->fd, "my area"));
	ASSERT_EQ(0, set_size(self->fd, 4711));
	expect_events("");
	ASSERT_EQ(0, try_map(self->fd, 1, PROT_READ, MAP_SHARED));
	expect_events("map: # size=4711 name=my area\n");
	ASSERT_EQ(0, try_map(self->fd, 1, PROT_READ, MAP_PRIVATE));
	expect_events("map: # size=4711 name=my area\n");
	inode = inode_of(self->fd);
	ASSERT_EQ(0, close(self->fd));
	self->fd = -EBADF;
	snprintf(expected, sizeof(expected), "close: inode=%llu size=4711\n", inode);
	EXPECT_STREQ(expected, recorded(self->buffer));
}

TEST_F(events, region_without_memory_is_closed_silently)
{
	ASSERT_EQ(0, set_size(self->fd, 4711));
	ASSERT_EQ(0, close(self->fd));
	self->fd = -EBADF;
	EXPECT_STREQ("", recorded(self->buffer));
}

TEST_F(events, name_is_escaped)
{
	ASSERT_EQ(0, set_name(self->fd, "a b\n\t\\\x01\x7f\xff\"%s"));
	ASSERT_EQ(0, set_size(self->fd, 1));
	ASSERT_EQ(0, try_map(self->fd, 1, PROT_READ, MAP_SHARED));
	expect_events("map: # size=1 name=a b\\012\\011\\134\\001\\177\\377\"%s\n");
}

TEST_F(events, longest_name_is_whole)
{
	char name[ASHMEM_NAME_LEN] = "", expected[2048] = "map: # size=1 name=";

	memset(name, '\xfe', sizeof(name) - 1);
	for (size_t i = 0; i < sizeof(name) - 1; i++)
		strcat(expected, "\\376");
	ASSERT_EQ(0, set_name(self->fd, name));
	ASSERT_EQ(0, set_size(self->fd, 1));
	ASSERT_EQ(0, try_map(self->fd, 1, PROT_READ, MAP_SHARED));
	strcat(expected, "\n");
	expect_events(expected);
}

TEST_F(events, unpin_and_pin_are_told)
{
	ASSERT_EQ(0, set_size(self->fd, 16 * self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	recorded(self->buffer);
	ASSERT_EQ(0, unpin(self->fd, 2, 3));
	expect_events("unpin: # first=2 pages=3\n");
	ASSERT_EQ(0, pin(self->fd, 3, 1));
	expect_events("pin: # first=3 pages=1 was_purged=0\n");
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	expect_events("unpin: # first=0 pages=16\n");
	if (!purge_or_skip(self->fd))
		return;
	expect_events("purge: # first=0 pages=16 why=ioctl\n");
	ASSERT_EQ(1, pin(self->fd, 15, 0));
	expect_events("pin: # first=15 pages=1 was_purged=1\n");
}

TEST_F(events, refused_calls_are_no_events)
{
	ASSERT_EQ(-EINVAL, unpin(self->fd, 0, 1));
	ASSERT_EQ(-EINVAL, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(-EINVAL, try_map(self->fd, 2 * self->page, PROT_READ, MAP_SHARED));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	recorded(self->buffer);
	EXPECT_EQ(-EINVAL, pin(self->fd, 1, 1));
	EXPECT_EQ(-EINVAL, unpin(self->fd, 0, 2));
	EXPECT_EQ(0, pin(self->fd, 1, 0));
	EXPECT_EQ(ASHMEM_IS_PINNED, pin_status(self->fd, 0, 0));
	expect_events("");
}

TEST_F(events, each_range_is_purged_by_itself)
{
	ASSERT_EQ(0, set_size(self->fd, 16 * self->page));
	ASSERT_NE(MAP_FAILED, map_filled(self->fd, 16));
	if (!purge_or_skip(self->fd))
		return;
	ASSERT_EQ(0, unpin(self->fd, 9, 2));
	ASSERT_EQ(0, unpin(self->fd, 1, 3));
	recorded(self->buffer);
	ASSERT_EQ(5, purge_all(self->fd));
	expect_events("purge: # first=1 pages=3 why=ioctl\n"
		      "purge: # first=9 pages=2 why=ioctl\n");
	ASSERT_EQ(0, purge_all(self->fd));
	expect_events("");
}

static size_t count(const char *text, const char *words)
{
	size_t count = 0;

	while ((text = strstr(text, words))) {
		text += strlen(words);
		count++;
	}
	return count;
}

TEST_F(events, manual_scan_is_told)
{
	unsigned long long inode;
	const char *text;
	char purge[128];

	ASSERT_EQ(0, set_size(self->fd, 16 * self->page));
	ASSERT_NE(MAP_FAILED, map_filled(self->fd, 16));
	if (!purge_or_skip(self->fd))
		return;
	ASSERT_EQ(0, unpin(self->fd, 4, 8));
	recorded(self->buffer);
	if (write_text(AT_FDCWD, "/proc/sys/vm/drop_caches", "2"))
		SKIP(return, "/proc/sys/vm/drop_caches cannot be written");
	inode = inode_of(self->fd);
	text = recorded(self->buffer);
	snprintf(purge, sizeof(purge), "purge: inode=%llu first=4 pages=8 why=manual\n", inode);
	EXPECT_EQ(1, count(text, purge));
	EXPECT_LE(1, count(text, " why=manual mood="));
	EXPECT_EQ(1, count(text, " purged=8 skipped=0\n"));
	EXPECT_EQ(count(text, "scan_begin: cgroup="), count(text, "scan_end: cgroup="));
	ASSERT_LT(strstr(text, "scan_begin:"), strstr(text, purge));
	ASSERT_LT(strstr(text, purge), strstr(text, " purged=8 skipped=0\n"));
}

/* Each allocation of the driver is charged to the memory cgroup of the caller. */
TEST_F(events, memory_is_charged)
{
	static char text[TRACE];
	char name[ASHMEM_NAME_LEN] = "", *line, *rest;
	struct cgroups cgroups;
	size_t charged = 0;
	long ret;

	ret = cgroups_open(&cgroups);
	if (ret)
		SKIP(return, "cgroup v2 with memory: %s", strerror(-ret));
	cgroups_close(&cgroups);
	if (write_text(self->buffer, "events/kmem/kmalloc/enable", "1") ||
	    write_text(self->buffer, "events/kmem/kmem_cache_alloc/enable", "1"))
		SKIP(return, "the kernel has no events of kmem");
	memset(name, 'n', sizeof(name) - 1);
	close(self->fd);
	self->fd = area_open(O_RDWR);
	ASSERT_EQ(0, set_name(self->fd, name));
	ASSERT_EQ(0, set_size(self->fd, 16 * self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_PRIVATE));
	ASSERT_EQ(0, unpin(self->fd, 0, 1));
	ASSERT_EQ(0, unpin(self->fd, 2, 1));
	/* The driver has an account for each user. */
	ASSERT_EQ(0, seteuid(STRANGER));
	EXPECT_EQ(0, unpin(self->fd, 4, 12));
	EXPECT_EQ(0, pin(self->fd, 6, 1));
	ASSERT_EQ(0, seteuid(0));
	write_text(self->buffer, "events/kmem/enable", "0");
	ASSERT_LT(0, read_text(self->buffer, "trace", text, sizeof(text)));
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		/* Also the functions of the kernel crate that allocate for drivers. */
		if (!strstr(line, "[rust_ashmem]") && !strstr(line, "call_site=_R") &&
		    !strstr(line, "call_site=rust_helper_"))
			continue;
		EXPECT_TRUE(strstr(line, "accounted=true"))
			TH_LOG("%s", line);
		charged++;
	}
	/* An area, its name, its backing, what lists that, two accounts, and four ranges. */
	EXPECT_LE(11, charged);
}

/* The mood in the first scan_begin event, if it is a documented one. */
static const char *mood_of(const char *text)
{
	static const char *const moods[] = { "plenty", "calm", "short", "none" };
	const char *found = strstr(text, " mood=");

	for (size_t i = 0; found && i < ARRAY_SIZE(moods); i++) {
		size_t len = strlen(moods[i]);

		if (!strncmp(found + strlen(" mood="), moods[i], len) &&
		    found[strlen(" mood=") + len] == '\n')
			return moods[i];
	}
	return "no word";
}

TEST_F(events, scan_tells_where_and_how_much)
{
	int shrinker = shrinker_or_skip();
	struct place place;
	char expected[512];
	const char *text;

	if (shrinker < 0)
		return;
	ASSERT_EQ(0, set_size(self->fd, 16 * self->page));
	ASSERT_NE(MAP_FAILED, map_filled(self->fd, 16));
	ASSERT_EQ(0, unpin(self->fd, 4, 8));
	ASSERT_EQ(8, shrinker_count_at(shrinker, ANY_CGROUP, &place));
	recorded(self->buffer);
	ASSERT_EQ(0, shrinker_scan(shrinker, &place, 5));
	text = recorded(self->buffer);
	snprintf(expected, sizeof(expected),
		 "scan_begin: cgroup=%llu node=%d wanted=5 why=manual mood=%s\n"
		 "purge: inode=%llu first=4 pages=8 why=manual\n"
		 "scan_end: cgroup=%llu node=%d purged=8 skipped=0\n",
		 place.cgroup, place.node, mood_of(text), inode_of(self->fd),
		 place.cgroup, place.node);
	EXPECT_STREQ(expected, text);
	close(shrinker);
}

TEST_F(events, limit_of_a_cgroup_is_told)
{
	unsigned long long id;
	struct cgroups cgroups;
	char expected[128];
	const char *text;
	struct stat home;
	long ret;

	ret = cgroups_open(&cgroups);
	if (ret)
		SKIP(return, "no memory cgroups: %s", strerror(-ret));
	ASSERT_EQ(0, cgroup_join(cgroups.homes[0]));
	ASSERT_EQ(0, fstat(cgroups.homes[0], &home));
	id = home.st_ino;
	ASSERT_EQ(0, set_size(self->fd, 2048 * self->page));
	ASSERT_NE(MAP_FAILED, map_filled(self->fd, 2048));
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	recorded(self->buffer);
	EXPECT_EQ(0, write_number(cgroups.homes[0], "memory.max", 1024 * self->page));
	text = recorded(self->buffer);
	EXPECT_EQ(1, count(text, " first=0 pages=2048 why=cgroup\n"));
	snprintf(expected, sizeof(expected), "scan_begin: cgroup=%llu node=", id);
	EXPECT_LE(1, count(text, expected));
	cgroups_close(&cgroups);
}

/* The test for addresses in events does find addresses. */
TEST_F(events, addresses_are_recognized)
{
	EXPECT_FALSE(has_address("pin: inode=18446744073709 first=0 pages=4294967295\n"));
	EXPECT_FALSE(has_address("size=9223372036854775807 name=deadbeef\n"));
	EXPECT_TRUE(has_address("inode=ffff888003a41c00 first=1\n"));
	EXPECT_TRUE(has_address("inode=00000000c0ffee12\n"));
	EXPECT_TRUE(has_address("inode=0xc0ffee\n"));
	EXPECT_TRUE(has_address("inode=18446612682131119104\n"));
}

TEST_F(events, no_address_is_told)
{
	static const char *const names[] = {
		"map: ", "unpin: ", "purge: ", "pin: ", "scan_begin: ", "scan_end: ", "close: ",
	};
	const char *text;

	if (!is_kernel_64bit())
		SKIP(return, "addresses of 32 bits look like other numbers");
	ASSERT_EQ(0, set_size(self->fd, 16 * self->page));
	ASSERT_NE(MAP_FAILED, map_filled(self->fd, 16));
	if (!purge_or_skip(self->fd))
		return;
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	if (write_text(AT_FDCWD, "/proc/sys/vm/drop_caches", "2"))
		SKIP(return, "/proc/sys/vm/drop_caches cannot be written");
	ASSERT_EQ(1, pin(self->fd, 0, 0));
	ASSERT_EQ(0, close(self->fd));
	self->fd = -EBADF;
	text = recorded(self->buffer);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_LE(1, count(text, names[i])) {
			TH_LOG("%s is missing", names[i]);
		}
	}
	EXPECT_FALSE(has_address(text)) {
		TH_LOG("%s", text);
	}
}

TEST_F(events, switched_off_nothing_is_told)
{
	ASSERT_EQ(0, events_switch(self->buffer, "0"));
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	ASSERT_EQ(0, pin(self->fd, 0, 0));
	expect_events("");
}

TEST_HARNESS_MAIN
