// SPDX-License-Identifier: GPL-2.0
/* The files for root in debugfs: all regions, and the statistics. */
#include "kselftest_harness.h"
#include "reclaim.h"

#include <sched.h>
#include <sys/resource.h>

#define ROOT	"/sys/kernel/debug/ashmem"
#define ROOM	(8 << 20)

/* A line of the file "regions". */
struct region {
	unsigned long long inode;
	long pid;
	char uid[16], command[80];
	unsigned long long size, resident, unpinned, purged, ranges;
	char mask[8], state[16], name[1100];
};

FIXTURE(debugfs)
{
	int fd;
	size_t page;
	char *text;
};

FIXTURE_SETUP(debugfs)
{
	self->page = page_size();
	self->text = MAP_FAILED;
	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0)
		return;
	if (access(ROOT, F_OK))
		SKIP(return, "no %s: %s", ROOT,
		     geteuid() ? "root is required" : "no debugfs, or it is not mounted");
	self->text = mmap(NULL, ROOM, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->text);
}

FIXTURE_TEARDOWN(debugfs)
{
	if (self->text != MAP_FAILED)
		munmap(self->text, ROOM);
	if (self->fd >= 0)
		close(self->fd);
}

static bool parse(const char *line, struct region *region)
{
	const char *name;
	int end = 0;

	if (sscanf(line, "%llu %ld %15s %79s %llu %llu %llu %llu %llu %7s %15s%n",
		   &region->inode, &region->pid, region->uid, region->command, &region->size,
		   &region->resident, &region->unpinned, &region->purged, &region->ranges,
		   region->mask, region->state, &end) != 11 || line[end] != ' ')
		return false;
	name = line + end + 1;
	snprintf(region->name, sizeof(region->name), "%.*s", (int)strcspn(name, "\n"), name);
	return true;
}

/* Counts regions of a process and of this size; @found is the last of them. */
static size_t find_of(pid_t pid, char *text, size_t size, struct region *found)
{
	struct region region;
	size_t count = 0;
	char *line;

	if (read_text(AT_FDCWD, ROOT "/regions", text, ROOM) < 0)
		return -1;
	for (line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
		if (!parse(line + 1, &region))
			return -1;
		if (region.pid != pid || region.size != size)
			continue;
		*found = region;
		count++;
	}
	return count;
}

/* The same for this process. */
static size_t find(char *text, size_t size, struct region *found)
{
	return find_of(getpid(), text, size, found);
}

/* A size that no other region has. */
#define SIZE	(16 * self->page - 4095 + 1234)

TEST_F(debugfs, files_are_for_root_to_read)
{
	struct stat file;

	ASSERT_EQ(0, stat(ROOT "/regions", &file));
	EXPECT_EQ(S_IFREG | 0400, file.st_mode);
	EXPECT_EQ(0, file.st_uid);
	ASSERT_EQ(0, stat(ROOT "/stats", &file));
	EXPECT_EQ(S_IFREG | 0400, file.st_mode);
}

TEST_F(debugfs, columns_are_named)
{
	ASSERT_LT(0, read_text(AT_FDCWD, ROOT "/regions", self->text, ROOM));
	self->text[strcspn(self->text, "\n")] = '\0';
	EXPECT_STREQ("inode pid uid command size resident unpinned purged ranges mask state name",
		     self->text);
}

TEST_F(debugfs, region_is_there_while_it_is_open)
{
	struct region region;

	EXPECT_EQ(0, find(self->text, SIZE, &region));
	ASSERT_EQ(0, set_size(self->fd, SIZE));
	ASSERT_EQ(1, find(self->text, SIZE, &region));
	EXPECT_EQ(0, region.inode);
	EXPECT_EQ(geteuid(), strtoul(region.uid, NULL, 10));
	EXPECT_STREQ("rwx", region.mask);
	EXPECT_STREQ("sized", region.state);
	EXPECT_STREQ("", region.name);
	EXPECT_EQ(0, region.resident);
	ASSERT_EQ(0, close(self->fd));
	self->fd = -EBADF;
	EXPECT_EQ(0, find(self->text, SIZE, &region));
}

TEST_F(debugfs, region_tells_what_it_is)
{
	struct region region;
	unsigned long id;
	char *map;

	ASSERT_EQ(0, set_size(self->fd, SIZE));
	ASSERT_EQ(0, prctl(PR_SET_NAME, "a b\n\\\xff"));
	ASSERT_EQ(0, set_name(self->fd, "my\n\x01 \\area\xfe"));
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ | PROT_WRITE));
	map = map_filled(self->fd, 5);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, get_file_id(self->fd, &id));
	ASSERT_EQ(1, find(self->text, SIZE, &region));
	EXPECT_EQ(id, (unsigned long)region.inode);
	EXPECT_STREQ("a\\040b\\012\\134\\377", region.command);
	EXPECT_STREQ("my\\012\\001 \\134area\\376", region.name);
	EXPECT_STREQ("rw-", region.mask);
	EXPECT_STREQ("mapped", region.state);
	EXPECT_LE(5, region.resident);
	EXPECT_EQ(0, region.ranges);
	ASSERT_EQ(0, munmap(map, 5 * self->page));
	ASSERT_EQ(1, find(self->text, SIZE, &region));
	EXPECT_STREQ("unmapped", region.state);
	map = area_map(self->fd, self->page, PROT_READ, MAP_PRIVATE);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(1, find(self->text, SIZE, &region));
	EXPECT_STREQ("mapped", region.state);
}

/* An empty word would shift the columns after it. */
TEST_F(debugfs, process_without_name_has_a_dash)
{
	struct region region;

	ASSERT_EQ(0, set_size(self->fd, SIZE));
	ASSERT_EQ(0, prctl(PR_SET_NAME, ""));
	ASSERT_EQ(1, find(self->text, SIZE, &region));
	EXPECT_EQ(geteuid(), strtoul(region.uid, NULL, 10));
	EXPECT_STREQ("-", region.command);
}

/* A region may outlive the process that opened it. */
TEST_F(debugfs, region_outlives_who_opened_it)
{
	struct region region;
	int pipes[2], status;
	pid_t child;
	char c;

	ASSERT_EQ(0, pipe(pipes));
	/* Like fork(), but with a shared descriptor table. */
	child = syscall(__NR_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	ASSERT_LE(0, child);
	if (!child) {
		close(self->fd);
		self->fd = open("/dev/ashmem", O_RDWR);
		set_size(self->fd, SIZE);
		if (write(pipes[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	ASSERT_EQ(1, read(pipes[0], &c, 1));
	ASSERT_EQ(1, find_of(child, self->text, SIZE, &region));
	EXPECT_EQ(geteuid(), strtoul(region.uid, NULL, 10));
	EXPECT_STREQ("debugfs_test", region.command);
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(1, find_of(child, self->text, SIZE, &region));
	EXPECT_STREQ("-", region.uid);
	EXPECT_STREQ("-", region.command);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(debugfs, region_tells_what_is_unpinned_and_purged)
{
	struct region region;

	ASSERT_EQ(0, set_size(self->fd, SIZE));
	ASSERT_NE(MAP_FAILED, map_filled(self->fd, 8));
	ASSERT_EQ(0, unpin(self->fd, 1, 2));
	ASSERT_EQ(0, unpin(self->fd, 4, 1));
	ASSERT_EQ(1, find(self->text, SIZE, &region));
	EXPECT_EQ(3, region.unpinned);
	EXPECT_EQ(0, region.purged);
	EXPECT_EQ(2, region.ranges);
	if (!purge_or_skip(self->fd))
		return;
	ASSERT_EQ(0, unpin(self->fd, 7, 1));
	ASSERT_EQ(1, find(self->text, SIZE, &region));
	EXPECT_EQ(4, region.unpinned);
	EXPECT_EQ(3, region.purged);
	EXPECT_EQ(3, region.ranges);
}

/* Their sum overflows. */
TEST_F(debugfs, huge_regions_do_no_harm)
{
	const size_t size = (size_t)-1 / 2 & -self->page;
	struct region region;
	int fds[12];

	if (sizeof(size) == 4)
		SKIP(return, "sizes have 32 bits here");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = area_create(size);
		ASSERT_LE(0, fds[i]);
		ASSERT_EQ(0, try_map(fds[i], 1, PROT_READ, MAP_SHARED | MAP_NORESERVE));
		ASSERT_EQ(0, unpin(fds[i], 0, 0));
	}
	ASSERT_EQ(ARRAY_SIZE(fds), find(self->text, size, &region));
	EXPECT_EQ(size / self->page, region.unpinned);
	EXPECT_LT(0, read_text(AT_FDCWD, ROOT "/stats", self->text, ROOM));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static long long stat_of(const char *word)
{
	return read_stat(AT_FDCWD, ROOT "/stats", word);
}

TEST_F(debugfs, stats_sum_up_what_there_is)
{
	long long regions = stat_of("regions"), size = stat_of("size"), ranges = stat_of("ranges");
	long long unpinned = stat_of("unpinned"), purged = stat_of("purged");

	ASSERT_LE(1, regions);
	ASSERT_EQ(0, set_size(self->fd, SIZE));
	ASSERT_NE(MAP_FAILED, map_filled(self->fd, 8));
	ASSERT_EQ(0, unpin(self->fd, 0, 3));
	EXPECT_EQ(regions, stat_of("regions"));
	EXPECT_EQ(size + SIZE, stat_of("size"));
	EXPECT_EQ(unpinned + 3, stat_of("unpinned"));
	EXPECT_EQ(purged, stat_of("purged"));
	EXPECT_EQ(ranges + 1, stat_of("ranges"));
	EXPECT_LE(8, stat_of("resident"));
}

/* Any size can be set without allocating memory. */
TEST_F(debugfs, size_of_what_was_never_mapped_is_not_summed_up)
{
	long long size = stat_of("size");

	ASSERT_LE(0, size);
	ASSERT_EQ(0, set_size(self->fd, -1));
	EXPECT_EQ(size, stat_of("size"));
	ASSERT_EQ(0, set_size(self->fd, SIZE));
	EXPECT_EQ(size, stat_of("size"));
	ASSERT_EQ(0, try_map(self->fd, 1, PROT_READ, MAP_SHARED));
	EXPECT_EQ(size + SIZE, stat_of("size"));
}

TEST_F(debugfs, stats_tell_what_has_happened)
{
	long long unpinned = stat_of("pages_unpinned"), purged, found, manual;

	ASSERT_LE(0, unpinned);
	ASSERT_EQ(0, set_size(self->fd, SIZE));
	ASSERT_NE(MAP_FAILED, map_filled(self->fd, 8));
	if (!purge_or_skip(self->fd))
		return;
	purged = stat_of("purged_ioctl");
	manual = stat_of("purged_manual");
	found = stat_of("pins_of_purged");
	ASSERT_EQ(0, unpin(self->fd, 0, 3));
	ASSERT_EQ(0, unpin(self->fd, 0, 3));
	ASSERT_EQ(0, unpin(self->fd, 2, 2));
	EXPECT_EQ(unpinned + 4, stat_of("pages_unpinned"));
	ASSERT_EQ(4, purge_all(self->fd));
	EXPECT_EQ(purged + 4, stat_of("purged_ioctl"));
	EXPECT_EQ(manual, stat_of("purged_manual"));
	ASSERT_EQ(1, pin(self->fd, 0, 1));
	ASSERT_EQ(0, pin(self->fd, 0, 1));
	ASSERT_EQ(1, pin(self->fd, 0, 0));
	EXPECT_EQ(found + 2, stat_of("pins_of_purged"));
	/* The statistics include regions that were closed. */
	ASSERT_EQ(0, close(self->fd));
	self->fd = -EBADF;
	EXPECT_EQ(unpinned + 4, stat_of("pages_unpinned"));
	EXPECT_EQ(found + 2, stat_of("pins_of_purged"));
}

TEST_F(debugfs, stats_tell_of_manual_purges)
{
	long long manual = stat_of("purged_manual");

	ASSERT_EQ(0, set_size(self->fd, SIZE));
	ASSERT_NE(MAP_FAILED, map_filled(self->fd, 8));
	if (!purge_or_skip(self->fd))
		return;
	ASSERT_EQ(0, unpin(self->fd, 0, 8));
	if (write_text(AT_FDCWD, "/proc/sys/vm/drop_caches", "2"))
		SKIP(return, "/proc/sys/vm/drop_caches cannot be written");
	EXPECT_EQ(manual + 8, stat_of("purged_manual"));
}

/* Drops the lines of other processes, whose names may look like addresses. */
static void keep_own_lines(char *text)
{
	char *line = text, *to = text;
	struct region region;

	while (*line) {
		size_t len = strcspn(line, "\n");

		len += line[len] == '\n';
		if (parse(line, &region) && region.pid == getpid()) {
			memmove(to, line, len);
			to += len;
		}
		line += len;
	}
	*to = '\0';
}

TEST_F(debugfs, no_address_is_shown)
{
	char path[64];
	const char *const files[] = { path, ROOT "/stats", ROOT "/regions" };

	if (!is_kernel_64bit())
		SKIP(return, "addresses of 32 bits look like other numbers");
	ASSERT_EQ(0, set_name(self->fd, "a name"));
	ASSERT_EQ(0, set_size(self->fd, SIZE));
	ASSERT_NE(MAP_FAILED, map_filled(self->fd, 8));
	ASSERT_EQ(0, unpin(self->fd, 0, 3));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		ASSERT_LT(0, read_text(AT_FDCWD, files[i], self->text, ROOM));
		if (strstr(files[i], "/regions")) {
			keep_own_lines(self->text);
			EXPECT_NE(NULL, strstr(self->text, " a name\n"));
		}
		EXPECT_FALSE(has_address(self->text)) {
			TH_LOG("%s: %s", files[i], self->text);
		}
	}
}

#define MANY	1000

TEST_F(debugfs, many_regions_are_all_there)
{
	struct region region;
	int fds[MANY];

	for (int i = 0; i < MANY; i++) {
		fds[i] = area_create(SIZE);
		if (fds[i] == -EMFILE)
			SKIP(return, "too few descriptors");
		ASSERT_LE(0, fds[i]);
	}
	EXPECT_EQ(MANY, find(self->text, SIZE, &region));
	for (int i = 0; i < MANY; i += 2)
		close(fds[i]);
	EXPECT_EQ(MANY / 2, find(self->text, SIZE, &region));
	for (int i = 1; i < MANY; i += 2)
		close(fds[i]);
	EXPECT_EQ(0, find(self->text, SIZE, &region));
}

/* Reads a file from its position to its end, in small pieces. Returns the length. */
static ssize_t read_rest(int fd, char *text)
{
	size_t len = 0;
	ssize_t got;

	while ((got = read(fd, text + len, 100)) > 0)
		len += got;
	text[len] = '\0';
	return got < 0 ? got : (ssize_t)len;
}

/* Counts the lines of this process with a size in a range. */
static size_t count_sizes(const char *text, size_t from, size_t to)
{
	struct region region;
	size_t count = 0;

	for (const char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n'))
		if (parse(line + 1, &region) && region.pid == getpid())
			count += from <= region.size && region.size <= to;
	return count;
}

/* During a read of the file, regions that are closed or opened are not shown, others are. */
TEST_F(debugfs, regions_come_and_go_from_line_to_line)
{
	const size_t first = SIZE, last = first + MANY - 1;
	int fds[MANY], file, late;
	ssize_t got, rest;

	for (int i = 0; i < MANY; i++) {
		fds[i] = area_create(first + i);
		if (fds[i] == -EMFILE)
			SKIP(return, "too few descriptors");
		ASSERT_LE(0, fds[i]);
	}
	file = open(ROOT "/regions", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, file);
	got = read(file, self->text, 100);
	ASSERT_LT(0, got);
	for (int i = 0; i < MANY - 1; i++)
		close(fds[i]);
	late = area_create(last + 1);
	ASSERT_LE(0, late);
	rest = read_rest(file, self->text + got);
	ASSERT_LE(0, rest);
	EXPECT_EQ(1, count_sizes(self->text, last, last));
	EXPECT_EQ(0, count_sizes(self->text, last + 1, last + 1));
	/* Closed regions are shown only if they were read ahead, into a buffer of one page. */
	EXPECT_GT(self->page / 20, count_sizes(self->text, first, last - 1));
	EXPECT_EQ(got + rest, lseek(file, 0, SEEK_CUR));

	/* A read from the start shows new regions. */
	ASSERT_EQ(0, lseek(file, 0, SEEK_SET));
	ASSERT_LT(0, read_rest(file, self->text));
	EXPECT_EQ(0, count_sizes(self->text, first, last - 1));
	EXPECT_EQ(2, count_sizes(self->text, last, last + 1));
	/* A read from the middle shows the rest. */
	ASSERT_EQ(10, lseek(file, 10, SEEK_SET));
	rest = read_rest(file, self->text + ROOM / 2);
	EXPECT_STREQ(self->text + 10, self->text + ROOM / 2);
	ASSERT_EQ(ROOM, lseek(file, ROOM, SEEK_SET));
	EXPECT_EQ(0, read_rest(file, self->text));
	close(file);
	close(late);
	close(fds[MANY - 1]);
}

/* Regions that stay open: half of them are older than all others, half younger than some. */
#define STEADY	32

/* How often the other process opened and closed regions. */
static size_t *turns;

/* Opens and unpins a region, and closes an old one. The last ones stay open. */
static void churn(int unused)
{
	static int fds[MANY];
	size_t i = *turns % ARRAY_SIZE(fds);

	if (*turns >= ARRAY_SIZE(fds))
		close(fds[i]);
	fds[i] = area_create(page_size());
	if (fds[i] < 0 || try_map(fds[i], 1, PROT_READ, MAP_SHARED) || unpin(fds[i], 0, 0))
		_exit(1);
	if (i % 64 == 63)
		purge_all(fds[i]);
	__atomic_fetch_add(turns, 1, __ATOMIC_RELAXED);
}

static bool wait_for_turns(size_t count, pid_t child)
{
	while (__atomic_load_n(turns, __ATOMIC_RELAXED) < count) {
		if (waitpid(child, NULL, WNOHANG))
			return false;
		sched_yield();
	}
	return true;
}

/* Whether a text has each of the steady regions once. */
static bool has_steady(const char *text, size_t first)
{
	size_t seen[STEADY] = {};
	struct region region;

	while ((text = strchr(text, '\n')) && *++text) {
		if (!parse(text, &region))
			return false;
		if (region.pid == getpid() && region.size - first < STEADY)
			seen[region.size - first]++;
	}
	for (size_t i = 0; i < STEADY; i++)
		if (seen[i] != 1)
			return false;
	return true;
}

TEST_F_TIMEOUT(debugfs, reading_does_not_mind_what_happens_meanwhile, 180)
{
	long long last = stat_of("pages_unpinned");
	size_t reads = 0, first = SIZE;
	int fds[STEADY], file;
	struct rlimit limit;
	pid_t child;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur < MANY + 2 * STEADY)
		SKIP(return, "too few descriptors");
	turns = mmap(NULL, self->page, PROT_RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, turns);
	for (int i = 0; i < STEADY / 2; i++) {
		fds[i] = area_create(first + i);
		ASSERT_LE(0, fds[i]);
	}
	child = keep_doing(churn, -EBADF);
	ASSERT_LT(0, child);
	for (int i = STEADY / 2; i < STEADY; i++) {
		ASSERT_TRUE(wait_for_turns(i * MANY / STEADY, child));
		fds[i] = area_create(first + i);
		ASSERT_LE(0, fds[i]);
	}
	ASSERT_TRUE(wait_for_turns(MANY, child));
	/* Until each region has been replaced twice. */
	while (reads < 10 || *turns < 3 * MANY) {
		long long now = stat_of("pages_unpinned");

		/* It never decreases, even if regions are closed. */
		ASSERT_LE(last, now);
		last = now;
		file = open(ROOT "/regions", O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, file);
		ASSERT_LT(0, read_rest(file, self->text));
		close(file);
		ASSERT_TRUE(has_steady(self->text, first));
		ASSERT_EQ(0, waitpid(child, NULL, WNOHANG));
		reads++;
	}
	EXPECT_TRUE(stop_doing(child));
	TH_LOG("%zu reads, %zu regions came", reads, *turns);
	for (int i = 0; i < STEADY; i++)
		close(fds[i]);
	munmap(turns, self->page);
}

TEST_HARNESS_MAIN
