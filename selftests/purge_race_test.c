// SPDX-License-Identifier: GPL-2.0
/*
 * Uses regions while another process purges all the time. The result of PIN must match
 * the contents, and after PIN nothing may change.
 */
#include <sched.h>

#include "kselftest_harness.h"
#include "reclaim.h"

#define PAGES	16
#define WORKERS	3
#define SHARE	(PAGES / WORKERS)
#define ROUNDS	150

/* Errors of a child, as its exit status. */
enum trouble {
	CALL_FAILED = 1,
	DATA_LOST,	/* although PIN returned NOT_PURGED */
	DATA_STRANGE,	/* neither the old data nor zeros */
	DATA_CHANGED,	/* after PIN */
};

/* The pages of one worker, and how often PIN reported a purge. */
struct share {
	int fd;
	size_t first, count;
	char *map;
	int *purged;
};

/* Checks unpinned pages, which may become zeros at any time, but nothing else. */
static bool were_strange(const volatile char *map, size_t len, char old)
{
	for (size_t i = 0; i < len; i += 64) {
		char byte = map[i];

		if (byte != old && byte)
			return true;
	}
	return false;
}

/* The result of PIN must match the contents. A page is purged completely or not at all. */
static enum trouble judge(const struct share *share, char old, long answer)
{
	size_t page = page_size();

	if (answer != ASHMEM_NOT_PURGED && answer != ASHMEM_WAS_PURGED)
		return CALL_FAILED;
	*share->purged += answer;
	for (size_t i = 0; i < share->count; i++) {
		const char *at = share->map + i * page;

		if (is_filled(at, page, old))
			continue;
		if (!is_filled(at, page, 0))
			return DATA_STRANGE;
		if (answer == ASHMEM_NOT_PURGED)
			return DATA_LOST;
	}
	return 0;
}

static enum trouble use_once(const struct share *share, int round)
{
	size_t len = share->count * page_size();
	char old = 'a' + round % 26;
	enum trouble trouble;

	memset(share->map, old, len);
	if (unpin(share->fd, share->first, share->count))
		return CALL_FAILED;
	if (round % 2)
		sched_yield();
	if (round % 3 == 0 && were_strange(share->map, len, old))
		return DATA_STRANGE;
	trouble = judge(share, old, pin(share->fd, share->first, share->count));
	if (trouble)
		return trouble;

	/* The pages are pinned now. */
	memset(share->map, 'A', len);
	sched_yield();
	return is_filled(share->map, len, 'A') ? 0 : DATA_CHANGED;
}

/* Closes a region while it is purged. Its memory stays as long as it is mapped. */
static enum trouble close_once(const struct share *share, int round)
{
	size_t page = page_size();
	int fd = area_create(PAGES * page);
	char *map = map_filled(fd, PAGES);
	bool strange = false;

	if (map == MAP_FAILED || unpin(fd, round % 8, 0))
		return CALL_FAILED;
	sched_yield();
	if (close(fd))
		return CALL_FAILED;
	for (size_t i = 0; i < PAGES; i++)
		strange |= were_strange(map + i * page, page, letter_of(i));
	*share->purged += !map[(PAGES - 1) * page];
	munmap(map, PAGES * page);
	return strange ? DATA_STRANGE : 0;
}

static pid_t repeat_in_child(const struct share *share,
			     enum trouble (*once)(const struct share *share, int round))
{
	pid_t child = fork();
	int trouble = 0;

	if (child == 0) {
		for (int round = 0; round < ROUNDS && !trouble; round++)
			trouble = once(share, round);
		_exit(trouble);
	}
	return child;
}

/* Purges until all children have exited, and checks that they found no error. */
static void purge_meanwhile(struct __test_metadata *_metadata, int fd, const pid_t *children)
{
	int status;

	for (int i = 0; i < WORKERS; i++) {
		pid_t gone;

		ASSERT_LT(0, children[i]);
		while (!(gone = waitpid(children[i], &status, WNOHANG))) {
			ASSERT_LE(0, purge_all(fd));
		}
		ASSERT_EQ(children[i], gone);
		ASSERT_TRUE(WIFEXITED(status));
		EXPECT_EQ(0, WEXITSTATUS(status));
	}
}

/* If nothing was purged while in use, nothing was tested. */
static void expect_purged(struct __test_metadata *_metadata, const int *purged)
{
	int sum = 0;

	for (int i = 0; i < WORKERS; i++) {
		TH_LOG("worker %d: purged in %d of %d rounds", i, purged[i], ROUNDS);
		sum += purged[i];
	}
	EXPECT_LT(0, sum);
}

/* Each worker has its own region. */
FIXTURE(busy)
{
	int fds[WORKERS];
	size_t page;
	struct share shares[WORKERS];
	pid_t children[WORKERS];
	int *purged;
};

FIXTURE_SETUP(busy)
{
	self->page = page_size();
	self->purged = mmap(NULL, self->page, PROT_RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->purged);
	for (int i = 0; i < WORKERS; i++) {
		struct share *share = &self->shares[i];

		self->fds[i] = area_open_or_skip(O_RDWR);
		if (self->fds[i] < 0 || !purge_or_skip(self->fds[i]))
			return;
		ASSERT_EQ(0, set_size(self->fds[i], PAGES * self->page));
		share->fd = self->fds[i];
		share->count = SHARE;
		share->map = map_filled(share->fd, PAGES);
		share->purged = self->purged + i;
		ASSERT_NE(MAP_FAILED, share->map);
	}
}

FIXTURE_TEARDOWN(busy)
{
	for (int i = 0; i < WORKERS; i++)
		if (self->fds[i] > 0)
			close(self->fds[i]);
}

TEST_F_TIMEOUT(busy, regions_are_what_pin_says, 300)
{
	for (int i = 0; i < WORKERS; i++)
		self->children[i] = repeat_in_child(&self->shares[i], use_once);
	purge_meanwhile(_metadata, self->fds[0], self->children);
	expect_purged(_metadata, self->purged);
}

TEST_F_TIMEOUT(busy, parts_of_a_region_are_what_pin_says, 300)
{
	for (int i = 0; i < WORKERS; i++) {
		struct share *share = &self->shares[i];

		share->fd = self->fds[0];
		share->first = i * SHARE;
		share->map = self->shares[0].map + i * SHARE * self->page;
		self->children[i] = repeat_in_child(share, use_once);
	}
	purge_meanwhile(_metadata, self->fds[0], self->children);
	expect_purged(_metadata, self->purged);
}

TEST_F_TIMEOUT(busy, closed_regions_stay_mapped, 300)
{
	for (int i = 0; i < WORKERS; i++)
		self->children[i] = repeat_in_child(&self->shares[i], close_once);
	purge_meanwhile(_metadata, self->fds[0], self->children);
	expect_purged(_metadata, self->purged);
	EXPECT_EQ(0, purge_all(self->fds[0]));
}

/* Purges everything in a child, which does not keep @unused open. */
static pid_t purge_without(int unused, int fd)
{
	pid_t child = fork();

	if (child == 0) {
		close(unused);
		give_way();
		_exit(purge_all(fd) < 0);
	}
	return child;
}

/* Large enough that a purge takes a while. */
#define LARGE	8192

/*
 * Fills and unpins the large region @fd, and starts a child that purges it with the descriptor
 * @by, and without @unused. Returns when the purge begins.
 */
static pid_t purge_large_without(int unused, int by, int fd, char *map)
{
	pid_t child;

	for (size_t i = 0; i < LARGE; i++)
		map[i * page_size()] = 'a';
	if (unpin(fd, 0, 0))
		return -1;
	child = purge_without(unused, by);
	if (child > 0)
		wait_for_purge_of(map);
	return child;
}

/* While a purge is under way, PIN waits for its end and reports it. */
TEST_F_TIMEOUT(busy, pin_waits_for_a_purge_under_way, 300)
{
	size_t last = (LARGE - 1) * self->page;
	int fd = area_create(LARGE * self->page), early = 0;
	char *map = area_map(fd, LARGE * self->page, PROT_RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, map);
	for (int round = 0; round < 10; round++) {
		int status;
		pid_t child = purge_large_without(-EBADF, fd, fd, map);

		ASSERT_LT(0, child);
		ASSERT_EQ(ASHMEM_WAS_PURGED, pin(fd, 0, 0));
		early += !waitpid(child, &status, WNOHANG);
		ASSERT_EQ(0, map[last]);
		map[last] = 'b';
		while (waitpid(child, &status, 0) == -1 && errno == EINTR)
			;
		ASSERT_EQ('b', map[last]);
	}
	TH_LOG("in %d of 10 rounds the purge was still under way", early);
	munmap(map, LARGE * self->page);
	close(fd);
}

/* A purge of everything returns only after concurrent purges have finished. */
TEST_F_TIMEOUT(busy, purge_waits_for_another_purge, 300)
{
	size_t last = (LARGE - 1) * self->page;
	int fd = area_create(LARGE * self->page), early = 0;
	char *map = area_map(fd, LARGE * self->page, PROT_RW, MAP_SHARED);

	if (getenv("ASHMEM_C_DRIVER"))
		SKIP(return, "the C driver does not wait");
	ASSERT_NE(MAP_FAILED, map);
	for (int round = 0; round < 10; round++) {
		pid_t child;

		ASSERT_LE(0, pin(fd, 0, 0));
		child = purge_large_without(-EBADF, fd, fd, map);
		ASSERT_LT(0, child);
		early += map[last] == 'a';
		ASSERT_LE(0, purge_all(fd));
		EXPECT_EQ(0, map[last]);
		ASSERT_EQ(0, exit_status_of(child));
	}
	TH_LOG("in %d of 10 rounds the purge was still under way", early);
	munmap(map, LARGE * self->page);
	close(fd);
}

/* A task that waits for the purge of a region is woken even if the region is closed. */
TEST_F_TIMEOUT(busy, purge_ends_though_the_region_is_closed, 300)
{
	if (getenv("ASHMEM_C_DRIVER"))
		SKIP(return, "the C driver does not wait");
	for (int round = 0; round < 10; round++) {
		int fd = area_create(LARGE * self->page);
		char *map = area_map(fd, LARGE * self->page, PROT_RW, MAP_SHARED);
		pid_t children[2];

		ASSERT_NE(MAP_FAILED, map);
		children[0] = purge_large_without(fd, self->fds[0], fd, map);
		ASSERT_LT(0, children[0]);
		children[1] = purge_without(fd, self->fds[0]);
		ASSERT_LT(0, children[1]);
		sched_yield();
		ASSERT_EQ(0, close(fd));
		for (int i = 0; i < 2; i++) {
			EXPECT_EQ(0, exit_status_of(children[i]));
		}
		munmap(map, LARGE * self->page);
	}
}

/* What is written after close() stays, even if a purge was under way at the time. */
TEST_F_TIMEOUT(busy, data_written_after_close_stays, 300)
{
	size_t last = (LARGE - 1) * self->page;
	int early = 0;

	if (getenv("ASHMEM_C_DRIVER"))
		SKIP(return, "the C driver does not wait");
	for (int round = 0; round < 10; round++) {
		int fd = area_create(LARGE * self->page);
		char *map = area_map(fd, LARGE * self->page, PROT_RW, MAP_SHARED);
		pid_t child;

		ASSERT_NE(MAP_FAILED, map);
		child = purge_large_without(fd, self->fds[0], fd, map);
		ASSERT_LT(0, child);
		early += map[last] == 'a';
		ASSERT_EQ(0, close(fd));
		map[last] = 'b';
		EXPECT_EQ(0, exit_status_of(child));
		EXPECT_EQ('b', map[last]);
		munmap(map, LARGE * self->page);
	}
	TH_LOG("in %d of 10 rounds the purge was still under way", early);
}

/* Waits until a process sleeps and no signal can wake it, or until it has exited. */
static void wait_until_blocked(pid_t pid)
{
	char path[32], stat[256], *name_end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	do {
		usleep(50);
		if (read_text(AT_FDCWD, path, stat, sizeof(stat)) < 0)
			return;
		name_end = strrchr(stat, ')');
	} while (name_end && !strchr("DZ", name_end[2]));
}

/* A purge of everything also waits for the purge of a region that was closed meanwhile. */
TEST_F_TIMEOUT(busy, purge_waits_for_that_of_a_closed_region, 300)
{
	size_t last = (LARGE - 1) * self->page;
	int early = 0;

	if (getenv("ASHMEM_C_DRIVER"))
		SKIP(return, "the C driver does not wait");
	for (int round = 0; round < 10; round++) {
		int fd = area_create(LARGE * self->page);
		char *map = area_map(fd, LARGE * self->page, PROT_RW, MAP_SHARED);
		pid_t children[2];

		ASSERT_NE(MAP_FAILED, map);
		children[0] = purge_large_without(fd, self->fds[0], fd, map);
		ASSERT_LT(0, children[0]);
		/* This child has the last descriptor, so its close() waits. */
		children[1] = fork();
		if (children[1] == 0)
			_exit(0);
		ASSERT_LT(0, children[1]);
		ASSERT_EQ(0, close(fd));
		wait_until_blocked(children[1]);
		early += map[last] == 'a';
		ASSERT_LE(0, purge_all(self->fds[0]));
		EXPECT_EQ(0, map[last]);
		for (int i = 0; i < 2; i++) {
			EXPECT_EQ(0, exit_status_of(children[i]));
		}
		munmap(map, LARGE * self->page);
	}
	TH_LOG("in %d of 10 rounds the purge was still under way", early);
}

/* A purge takes all ranges that were unpinned before, even if they are split or joined. */
TEST_F_TIMEOUT(busy, purge_takes_what_was_unpinned_before, 300)
{
	int fd = area_create(1024 * self->page);
	char *map = area_map(fd, 1024 * self->page, PROT_RW, MAP_SHARED);

	if (getenv("ASHMEM_C_DRIVER"))
		SKIP(return, "the C driver may stop early");
	ASSERT_NE(MAP_FAILED, map);
	for (int round = 0; round < 40; round++) {
		pid_t child;

		*map = 'a';
		for (size_t i = 0; i < 1024; i += 2) {
			ASSERT_EQ(0, unpin(fd, i, 1));
		}
		ASSERT_EQ(0, unpin(self->fds[0], 0, 14));
		ASSERT_EQ(0, unpin(self->fds[1], 0, 14));
		child = purge_without(-EBADF, fd);
		ASSERT_LT(0, child);
		wait_for_purge_of(map);
		ASSERT_LE(0, pin(self->fds[0], 7, 1));
		ASSERT_EQ(0, unpin(self->fds[1], 8, 8));
		ASSERT_EQ(0, exit_status_of(child));
		EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fds[0], 0, 7));
		EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fds[0], 8, 6));
		EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fds[1], 0, 0));
		ASSERT_LE(0, pin(self->fds[0], 0, 0));
		ASSERT_LE(0, pin(fd, 0, 0));
	}
	munmap(map, 1024 * self->page);
	close(fd);
}

/*
 * A purge leaves out regions that are unpinned for the first time after it began. These come
 * after all others. So the test closes the region that was last when the purge began; what is
 * purged after that would be a later one.
 */
TEST_F_TIMEOUT(busy, purge_spares_what_others_unpin_later, 300)
{
	size_t last = (LARGE - 1) * self->page;
	int fd = area_create(LARGE * self->page), early = 0;
	char *map = area_map(fd, LARGE * self->page, PROT_RW, MAP_SHARED);

	if (getenv("ASHMEM_C_DRIVER"))
		SKIP(return, "the C driver purges these, too");
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, unpin(fd, 0, 1));
	for (int round = 0; round < 10; round++) {
		pid_t child;

		ASSERT_LE(0, pin(fd, 0, 0));
		for (int i = 0; i < 2; i++) {
			close(self->fds[i]);
			self->fds[i] = area_create(PAGES * self->page);
			self->shares[i].map = map_filled(self->fds[i], PAGES);
			ASSERT_NE(MAP_FAILED, self->shares[i].map);
		}
		ASSERT_EQ(0, unpin(self->fds[0], 0, 0));
		child = purge_large_without(self->fds[0], fd, fd, map);
		ASSERT_LT(0, child);
		close(self->fds[0]);
		self->fds[0] = -EBADF;
		ASSERT_EQ(0, unpin(self->fds[1], 0, 0));
		early += map[last] == 'a';
		ASSERT_EQ(0, exit_status_of(child));
		EXPECT_TRUE(are_intact(self->shares[1].map, 0, PAGES));
		EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fds[1], 0, 0));
		for (int i = 0; i < 2; i++)
			munmap(self->shares[i].map, PAGES * self->page);
	}
	TH_LOG("in %d of 10 rounds the purge was still under way", early);
	munmap(map, LARGE * self->page);
	close(fd);
	if (!early)
		SKIP(return, "each purge ended too early");
}

TEST_HARNESS_MAIN
