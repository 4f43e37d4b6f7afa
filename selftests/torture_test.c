// SPDX-License-Identifier: GPL-2.0
/*
 * Processes pin, verify, rewrite and unpin pages, while everything that can purge does so.
 * The result of PIN must always be right.
 *
 *   ASHMEM_TORTURE=1000000 ./torture_test
 *
 * sets how often they pin and unpin.
 */
#include <sched.h>

#include "kselftest_harness.h"
#include "random.h"
#include "reclaim.h"

/* Errors of a worker, as its exit status. */
enum trouble {
	CALL_FAILED = 1,
	DATA_LOST,	/* although PIN returned NOT_PURGED */
	DATA_STRANGE,	/* neither the old data nor zeros */
	DATA_CHANGED,	/* after PIN */
};

#define WORKERS		4
#define BLOCKS		8	/* of one worker */
#define BLOCK		4	/* pages */
#define SHARE		(BLOCKS * BLOCK)

/* After this many pairs, the first worker reports the progress of all. */
#define REPORT		2500

/* The pages of one worker, with the seeds of their contents, and counters. */
struct worker {
	int fd;
	size_t first;
	char *map;
	__u64 state, seeds[SHARE];
	long pairs, purged;
};

static void write_pages(struct worker *worker, size_t first)
{
	for (size_t i = first; i < first + BLOCK; i++) {
		__u64 *at = (__u64 *)(worker->map + i * page_size()), seed = mix(&worker->state);

		worker->seeds[i] = seed;
		for (size_t word = 0; word < page_size() / sizeof(*at); word++)
			at[word] = mix(&seed);
	}
}

static bool is_as_written(const struct worker *worker, size_t page)
{
	const __u64 *at = (const __u64 *)(worker->map + page * page_size());
	__u64 seed = worker->seeds[page];

	for (size_t word = 0; word < page_size() / sizeof(*at); word++)
		if (at[word] != mix(&seed))
			return false;
	return true;
}

/* Prints what is in a wrong page. */
static enum trouble describe(const struct worker *worker, size_t page, enum trouble trouble)
{
	const __u64 *at = (const __u64 *)(worker->map + page * page_size());
	size_t words = page_size() / sizeof(*at), good = 0, zero = 0, first = words;
	__u64 seed = worker->seeds[page];

	for (size_t word = 0; word < words; word++) {
		bool is_good = at[word] == mix(&seed);

		good += is_good;
		zero += !at[word];
		if (!is_good && first == words)
			first = word;
	}
	printf("# page %zu: of %zu words %zu are as written, %zu zero; word %zu is %#llx\n",
	       worker->first + page, words, good, zero, first,
	       first < words ? (unsigned long long)at[first] : 0);
	fflush(stdout);
	return trouble;
}

/* A page is purged completely or not at all, and PIN reports it. */
static enum trouble use_block(struct worker *worker, size_t first)
{
	long answer = pin(worker->fd, worker->first + first, BLOCK);

	if (answer != ASHMEM_NOT_PURGED && answer != ASHMEM_WAS_PURGED)
		return CALL_FAILED;
	worker->pairs++;
	worker->purged += answer;
	for (size_t i = first; i < first + BLOCK; i++) {
		if (is_as_written(worker, i))
			continue;
		if (!are_zero(worker->map, i, 1))
			return describe(worker, i, DATA_STRANGE);
		if (answer == ASHMEM_NOT_PURGED)
			return describe(worker, i, DATA_LOST);
	}
	write_pages(worker, first);
	sched_yield();
	for (size_t i = first; i < first + BLOCK; i++)
		if (!is_as_written(worker, i))
			return describe(worker, i, DATA_CHANGED);
	return unpin(worker->fd, worker->first + first, BLOCK) ? CALL_FAILED : 0;
}

static void count(const struct worker *workers, long *pairs, long *purged)
{
	*pairs = 0;
	*purged = 0;
	for (int i = 0; i < WORKERS; i++) {
		*pairs += workers[i].pairs;
		*purged += workers[i].purged;
	}
}

static void report(const struct worker *workers, long wanted)
{
	long pairs, purged;

	count(workers, &pairs, &purged);
	printf("# %ld of %ld pairs, %ld times purged\n", pairs, wanted, purged);
	fflush(stdout);
}

static pid_t work_in_child(struct worker *workers, int number, long pairs, int cgroup)
{
	struct worker *worker = workers + number;
	enum trouble trouble = 0;
	pid_t child = fork();

	if (child)
		return child;
	if (cgroup >= 0 && cgroup_join(cgroup))
		_exit(CALL_FAILED);
	for (size_t i = 0; i < SHARE; i += BLOCK)
		write_pages(worker, i);
	while (worker->pairs < pairs && !trouble) {
		trouble = use_block(worker, mix(&worker->state) % BLOCKS * BLOCK);
		if (number == 0 && worker->pairs % REPORT == 0)
			report(workers, pairs * WORKERS);
	}
	_exit(trouble);
}

/*
 * Reclaims memory of the workers' cgroup: unpinned pages are purged, pinned ones are
 * swapped out.
 */
static void reclaim_some(int cgroup)
{
	/* An error only means that there was less to reclaim. */
	write_text(cgroup, "memory.reclaim", "1M");
	take_breaks(4);
}

#define DISTURBERS	4

/* Two regions, each shared by two workers, in their own cgroup if possible. */
FIXTURE(torture)
{
	int fds[WORKERS / 2], shrinker, zram;
	struct cgroups cgroups;
	struct worker *workers;
	pid_t children[WORKERS], disturbers[DISTURBERS];
	long long swapped;
};

/* With swap, reclaim finds memory short. Without, it takes unpinned pages as a last resort. */
FIXTURE_VARIANT(torture)
{
	bool swaps;
};

FIXTURE_VARIANT_ADD(torture, short_memory)
{
	.swaps = true,
};

FIXTURE_VARIANT_ADD(torture, no_swap)
{
	.swaps = false,
};

FIXTURE_SETUP(torture)
{
	size_t len = SHARE * page_size();

	self->workers = mmap(NULL, WORKERS * sizeof(*self->workers), PROT_RW,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->workers);
	self->zram = -ENODEV;
	self->cgroups.root = -ENOENT;
	for (int i = 0; i < WORKERS; i++) {
		struct worker *worker = self->workers + i;

		if (i % 2 == 0)
			self->fds[i / 2] = area_open_or_skip(O_RDWR);
		if (self->fds[i / 2] < 0 || !purge_or_skip(self->fds[i / 2]))
			return;
		if (i % 2 == 0)
			ASSERT_EQ(0, set_size(self->fds[i / 2], 2 * len));
		worker->fd = self->fds[i / 2];
		worker->first = i % 2 * SHARE;
		worker->state = i;
		worker->map = area_map(worker->fd, 2 * len, PROT_RW, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, worker->map);
		worker->map += i % 2 * len;
	}
	self->shrinker = shrinker_open();
	self->swapped = vm_events("pswpout");
	if (cgroups_open(&self->cgroups))
		return;
	if (variant->swaps)
		self->zram = swap_add(16 * WORKERS * SHARE);
}

FIXTURE_TEARDOWN(torture)
{
	for (int i = 0; i < WORKERS / 2; i++)
		close(self->fds[i]);
	swap_remove(self->zram);
	cgroups_close(&self->cgroups);
}

/* Starts all disturbers that are possible here. Returns their number. */
static int disturb(pid_t *disturbers, int fd, int shrinker, int cgroup)
{
	int count = 0;

	disturbers[count++] = keep_doing(purge_everything, fd);
	disturbers[count++] = keep_doing(drop_slabs, -EBADF);
	if (shrinker >= 0)
		disturbers[count++] = keep_doing(scan_oldest, shrinker);
	if (cgroup >= 0)
		disturbers[count++] = keep_doing(reclaim_some, cgroup);
	return count;
}

TEST_F_TIMEOUT(torture, pin_never_lies, 3600)
{
	const char *wanted = getenv("ASHMEM_TORTURE");
	/* Half of them for each variant. */
	long pairs = (wanted ? atol(wanted) : 4000) / 2, done, purged;
	int cgroup = self->cgroups.root < 0 ? -EBADF : self->cgroups.homes[0];
	int disturbers = disturb(self->disturbers, self->fds[0], self->shrinker, cgroup);

	ASSERT_LE(WORKERS, pairs);
	TH_LOG("under PURGE_ALL, drop_caches%s%s%s",
	       self->shrinker < 0 ? "" : ", scans of the shrinker",
	       cgroup < 0 ? "" : ", memory.reclaim", self->zram < 0 ? "" : " with swap");
	for (int i = 0; i < WORKERS; i++)
		self->children[i] = work_in_child(self->workers, i, pairs / WORKERS,
						  cgroup);
	for (int i = 0; i < WORKERS; i++) {
		EXPECT_EQ(0, exit_status_of(self->children[i]));
	}
	for (int i = 0; i < disturbers; i++) {
		EXPECT_TRUE(stop_doing(self->disturbers[i]))
			TH_LOG("disturber %d", i);
	}
	if (self->zram >= 0) {
		EXPECT_LT(0, vm_events("pswpout") - self->swapped);
	}
	count(self->workers, &done, &purged);
	EXPECT_EQ(pairs / WORKERS * WORKERS, done);
	EXPECT_LT(0, purged);
	TH_LOG("%ld pairs of PIN and UNPIN, %ld times purged, %lld pages swapped out", done, purged,
	       vm_events("pswpout") - self->swapped);
}

TEST_HARNESS_MAIN
