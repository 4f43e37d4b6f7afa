// SPDX-License-Identifier: GPL-2.0
/*
 * What reclaim takes if the whole system is short of memory, and which swapped-out and
 * huge pages a purge frees.
 *
 * Most tests use the shrinker's files in debugfs, which count pages of the whole system.
 * So no other user of the device may unpin meanwhile. The tests make their own swap
 * device, and remove it.
 */
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "tenant.h"

/*
 * A region of pinned pages, swap, and a tenant, all in the cgroup of the test. Some tests add
 * tenants in cgroups of their own.
 */
FIXTURE(machine)
{
	int shrinker, zram, fd;
	size_t pages;
	char *map;
	struct tenant tenant, others[HOMES];
	struct cgroups cgroups;
	long long min_free;
};

#define MIN_FREE	"/proc/sys/vm/min_free_kbytes"
#define FEW_FREE	(2 * MIB / page_size())

/* Has the kernel reclaim until that many pages are free. */
static long keep_free(size_t pages)
{
	return write_number(AT_FDCWD, MIN_FREE, pages * page_size() / 1024);
}

/*
 * Runs on one CPU, and allocates only memory of its node, because unpinned pages of one
 * node do not help another node.
 */
static void keep_to_node(void)
{
	unsigned int cpu, node;
	unsigned long nodes;
	cpu_set_t cpus;

	if (syscall(SYS_getcpu, &cpu, &node, NULL))
		return;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	nodes = 1UL << node;
	/* Kernels without NUMA lack this call. */
	syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 8 * sizeof(nodes));
}

FIXTURE_SETUP(machine)
{
	keep_to_node();
	self->zram = -ENODEV;
	self->fd = -EBADF;
	self->cgroups.root = -EBADF;
	if (!getenv("ASHMEM_EXHAUST"))
		SKIP(return, "fills all memory of the machine: set ASHMEM_EXHAUST=1 to allow that");
	self->shrinker = shrinker_or_skip();
	if (self->shrinker < 0)
		return;
	self->zram = swap_or_skip(128 * MIB / page_size());
	if (self->zram < 0)
		return;
	self->pages = 8 * MIB / page_size();
	self->fd = area_create(self->pages * page_size());
	self->map = map_filled(self->fd, self->pages);
	EXPECT_NE(MAP_FAILED, self->map)
		swap_remove(self->zram);
}

FIXTURE_TEARDOWN(machine)
{
	if (self->min_free > 0)
		write_number(AT_FDCWD, MIN_FREE, self->min_free);
	tenant_gone(&self->tenant);
	for (int i = 0; i < HOMES; i++)
		tenant_gone(self->others + i);
	cgroups_close(&self->cgroups);
	close(self->fd);
	munmap(self->map, self->pages * page_size());
	swap_remove(self->zram);
	close(self->shrinker);
}

static void log_machine(struct __test_metadata *_metadata, const char *when, long long swapped,
			long left)
{
	TH_LOG("%s: %lld pages free, %lld of shmem, %lld swapped out, %ld can be purged",
	       when, memory_pages("MemFree"), memory_pages("Shmem"),
	       vm_events("pswpout") - swapped, left);
}

/*
 * Allocates all free memory, and then more, until most unpinned pages are purged. A few
 * may be left, as in any cache. Some pages are swapped out during a large purge, which is
 * slow on a kernel with lock debugging.
 */
TEST_F_TIMEOUT(machine, pressure_purges_rather_than_swaps, 300)
{
	long unpinned = 32 * MIB / page_size(), step = 2 * MIB / page_size(), left = unpinned;
	long long room, out = vm_events("pswpout");

	ASSERT_TRUE(tenant_starts(&self->tenant, -EBADF, unpinned));
	room = memory_pages("MemAvailable");
	if (room > 2048LL * MIB / (long long)page_size())
		SKIP(return, "more than 2 GiB of free memory to fill");
	log_machine(_metadata, "unpinned", out, left);
	room += unpinned + 48 * MIB / page_size();
	for (; room > 0 && left > unpinned / 8; room -= step) {
		long before = left;

		ASSERT_TRUE(tenant_grows(&self->tenant, step));
		left = shrinker_count(self->shrinker, ANY_CGROUP);
		if (left != before)
			log_machine(_metadata, "purged", out, left);
	}
	EXPECT_GE(unpinned / 8, left);
	EXPECT_GE(unpinned / 2, vm_events("pswpout") - out);
	log_machine(_metadata, "squeezed", out, left);
	EXPECT_EQ(0, tenant_ends(&self->tenant));
	EXPECT_TRUE(are_intact(self->map, 0, self->pages));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->tenant.fd, 0, 0));
}

static void no_more_swap(int *zram)
{
	swap_remove(*zram);
	*zram = -ENODEV;
}

/* The size of a file that is much larger than memory, or 0 if reading takes too long. */
static size_t large_file(void)
{
	size_t memory = memory_pages("MemTotal") * page_size();

	return memory > 2048UL * MIB ? 0 : memory / 2 * 3 / MIB * MIB;
}

/* Reading fills the page cache, but is no memory shortage, with or without swap. */
TEST_F_TIMEOUT(machine, reading_a_file_purges_nothing, 300)
{
	long unpinned = 32 * MIB / page_size(), left;

	if (!large_file())
		SKIP(return, "more than 2 GiB of memory to fill");
	ASSERT_TRUE(tenant_starts(&self->tenant, -EBADF, unpinned));
	for (int swaps = 1; swaps >= 0; swaps--) {
		EXPECT_EQ(0, read_new_file(large_file()));
		left = shrinker_count(self->shrinker, ANY_CGROUP);
		TH_LOG("%s swap: %ld of %ld pages left", swaps ? "with" : "without", left,
		       unpinned);
		EXPECT_LE(unpinned / 20 * 19, left);
		no_more_swap(&self->zram);
	}
	EXPECT_EQ(0, tenant_ends(&self->tenant));
}

#define EMPTY_RANGES	4000

/* The oldest ranges have more pages than the others, so the estimated count is too high. */
TEST_F_TIMEOUT(machine, dropping_caches_leaves_nothing_for_later, 300)
{
	long unpinned = 32 * MIB / page_size(), left;
	int fd = area_create(2 * EMPTY_RANGES * page_size());

	if (!large_file())
		SKIP(return, "more than 2 GiB of memory to fill");
	ASSERT_EQ(0, try_map(fd, page_size(), PROT_READ, MAP_SHARED));
	for (size_t page = 0; page < self->pages; page += CHUNK / 2) {
		ASSERT_EQ(0, unpin(self->fd, page, CHUNK / 2));
	}
	for (size_t i = 0; i < EMPTY_RANGES; i++) {
		ASSERT_EQ(0, unpin(fd, 2 * i, 1));
	}
	ASSERT_EQ(0, write_text(AT_FDCWD, "/proc/sys/vm/drop_caches", "2"));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 0));
	self->map = map_filled(self->fd, self->pages);
	EXPECT_NE(MAP_FAILED, self->map);
	ASSERT_TRUE(tenant_starts(&self->tenant, -EBADF, unpinned));
	EXPECT_EQ(0, read_new_file(large_file()));
	left = shrinker_count(self->shrinker, ANY_CGROUP);
	TH_LOG("%ld of %ld pages left", left, unpinned);
	EXPECT_LE(unpinned / 20 * 19, left);
	EXPECT_EQ(0, tenant_ends(&self->tenant));
	close(fd);
}

/*
 * Reads growing files repeatedly, until they fit into memory only if unpinned pages are
 * purged.
 */
TEST_F_TIMEOUT(machine, files_in_use_purge, 300)
{
	long unpinned = 64 * MIB / page_size(), left = unpinned;
	long long refaults = vm_events("workingset_refault_file");
	size_t size = memory_pages("MemAvailable") * page_size() / MIB * MIB;
	size_t most = size + 64 * MIB;
	int disk, fd;

	if (!large_file())
		SKIP(return, "more than 2 GiB of memory to fill");
	no_more_swap(&self->zram);
	ASSERT_TRUE(tenant_starts(&self->tenant, -EBADF, unpinned));
	refaults = vm_events("workingset_refault_file");
	disk = zram_add(most);
	ASSERT_LE(0, disk);
	fd = open(zram_path(disk), O_RDONLY | O_CLOEXEC);
	for (size -= 16 * MIB; size <= most && left > unpinned / 2; size += 16 * MIB) {
		EXPECT_TRUE(read_part(fd, 0, size) && read_part(fd, 0, size));
		left = shrinker_count(self->shrinker, ANY_CGROUP);
	}
	close(fd);
	zram_remove(disk);
	TH_LOG("%ld of %ld pages left, %lld were read again", left, unpinned,
	       vm_events("workingset_refault_file") - refaults);
	EXPECT_GE(unpinned / 2, left);
	EXPECT_EQ(0, tenant_ends(&self->tenant));
}

static long long swap_used(void)
{
	return memory_pages("SwapTotal") - memory_pages("SwapFree");
}

TEST_F(machine, purge_drops_swapped_pages)
{
	size_t half = self->pages / 2;
	long long before = swap_used(), full, in;

	if (madvise(self->map, self->pages * page_size(), MADV_PAGEOUT))
		SKIP(return, "MADV_PAGEOUT: %s", strerror(errno));
	full = swap_used();
	if (full - before < (long long)self->pages * 7 / 8)
		SKIP(return, "only %lld of %zu pages were swapped out", full - before, self->pages);
	in = vm_events("pswpin");
	ASSERT_EQ(0, unpin(self->fd, 0, half));
	EXPECT_EQ(half, purge_all(self->fd));
	EXPECT_GE(full - (long long)half * 3 / 4, swap_used());
	EXPECT_GE(half / 8, vm_events("pswpin") - in);
	TH_LOG("%lld pages swapped, %lld after the purge, %lld read", full - before,
	       swap_used() - before, vm_events("pswpin") - in);
	EXPECT_TRUE(are_zero(self->map, 0, half));
	EXPECT_TRUE(are_intact(self->map, half, half));
}

#define THP		"/sys/kernel/mm/transparent_hugepage/"
#define SHMEM_ENABLED	THP "shmem_enabled"
#define HUGE_PAGES	4

/* A region of huge pages. */
FIXTURE(huge)
{
	int fd;
	size_t huge;	/* in pages, as the next */
	size_t pages;
	char *map, enabled[64];
};

FIXTURE_SETUP(huge)
{
	long long size = read_number(AT_FDCWD, THP "hpage_pmd_size");
	char modes[64];

	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0 || !purge_or_skip(self->fd))
		return;
	if (size <= 0 || read_text(AT_FDCWD, SHMEM_ENABLED, modes, sizeof(modes)) < 0 ||
	    !strchr(modes, '[') || sscanf(strchr(modes, '['), "[%63[a-z_]", self->enabled) != 1 ||
	    write_text(AT_FDCWD, SHMEM_ENABLED, "always"))
		SKIP(return, "no huge pages for shared memory");
	self->huge = size / page_size();
	self->pages = HUGE_PAGES * self->huge;
	ASSERT_EQ(0, set_size(self->fd, self->pages * page_size()));
}

FIXTURE_TEARDOWN(huge)
{
	close(self->fd);
	write_text(AT_FDCWD, SHMEM_ENABLED, self->enabled);
}

/* Purges a part of the first and of the last huge page, and all of the second. */
TEST_F(huge, purge_frees_parts_of_huge_pages)
{
	long long huge = memory_pages("ShmemHugePages"), full;
	size_t part = self->huge / 4, taken = self->huge + 2 * part;

	self->map = map_filled(self->fd, self->pages);
	ASSERT_NE(MAP_FAILED, self->map);
	if (memory_pages("ShmemHugePages") - huge < (long long)self->pages)
		SKIP(return, "the region did not get huge pages");
	full = memory_pages("Shmem");
	ASSERT_EQ(0, unpin(self->fd, 7, part));
	ASSERT_EQ(0, unpin(self->fd, self->huge, self->huge));
	ASSERT_EQ(0, unpin(self->fd, self->pages - part, part));
	EXPECT_EQ(taken, purge_all(self->fd));
	full -= memory_pages("Shmem");
	TH_LOG("%zu pages were purged, %lld of shmem are gone", taken, full);
	/* Other processes may swap in shared memory meanwhile. */
	EXPECT_LE((long long)taken - (long long)part, full);
	EXPECT_GE((long long)taken + (long long)part / 2, full);
	EXPECT_TRUE(are_intact(self->map, 0, 7));
	EXPECT_TRUE(are_zero(self->map, 7, part));
	EXPECT_TRUE(are_intact(self->map, 7 + part, self->huge - 7 - part));
	EXPECT_TRUE(are_zero(self->map, self->huge, self->huge));
	EXPECT_TRUE(are_intact(self->map, 2 * self->huge, 2 * self->huge - part));
	EXPECT_TRUE(are_zero(self->map, self->pages - part, part));
}

/* Opens a region that is swapped out in huge pages, the first of them partly unpinned. */
static bool open_waiting(int *fd, size_t huge)
{
	char *map;

	*fd = area_create(2 * huge * page_size());
	map = map_filled(*fd, 2 * huge);
	return map != MAP_FAILED && !madvise(map, 2 * huge * page_size(), MADV_PAGEOUT) &&
	       !unpin(*fd, 0, huge / 2);
}

/* Dropping a part of a swapped-out huge page requires reading it, so reclaim does not. */
TEST_F(huge, range_that_has_to_wait_lets_others_go)
{
	int shrinker = shrinker_or_skip(), zram, waiting[2];
	long other = self->huge, left;
	long long whole = vm_events("thp_swpout");
	struct place place;

	if (shrinker < 0)
		return;
	zram = swap_or_skip(16 * self->huge);
	if (zram < 0)
		return;
	EXPECT_TRUE(open_waiting(waiting, self->huge));
	EXPECT_TRUE(open_waiting(waiting + 1, self->huge));
	whole = vm_events("thp_swpout") - whole;
	EXPECT_NE(MAP_FAILED, map_filled(self->fd, other));
	EXPECT_EQ(0, unpin(self->fd, 0, other));
	/* Ranges in swap free no memory, so they have the lowest possible count. */
	EXPECT_LT(other, shrinker_count_at(shrinker, ANY_CGROUP, &place));
	EXPECT_EQ(0, shrinker_scan(shrinker, &place, other));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 0));
	left = shrinker_count(shrinker, ANY_CGROUP);
	close(waiting[0]);
	close(waiting[1]);
	swap_remove(zram);
	close(shrinker);
	if (whole < 4)
		SKIP(return, "huge pages were swapped out in parts");
	/* The ranges in swap do not count any more. */
	EXPECT_EQ(0, left);
}

/* Ranges that a scan passes over before it gives up, if they cannot be purged now. */
#define TRIES	4096

/* More such ranges than that hide others from one scan, but not from the next. */
TEST_F_TIMEOUT(huge, ranges_that_have_to_wait_hide_nothing, 300)
{
	size_t pages = (2 * TRIES / self->huge + 1) * self->huge;
	int shrinker = shrinker_or_skip(), zram, waiting = area_create(pages * page_size());
	long long whole = vm_events("thp_swpout");
	struct place place = { 0 };
	char *map;

	if (shrinker < 0)
		return;
	zram = swap_or_skip(2 * pages);
	if (zram < 0)
		return;
	map = map_filled(waiting, pages);
	EXPECT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, madvise(map, pages * page_size(), MADV_PAGEOUT));
	whole = vm_events("thp_swpout") - whole;
	for (size_t page = 1; page < pages; page += 2) {
		EXPECT_EQ(0, unpin(waiting, page, 1));
	}
	map = map_filled(self->fd, 4);
	EXPECT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, unpin(self->fd, 0, 4));
	EXPECT_LT(4, shrinker_count_at(shrinker, ANY_CGROUP, &place));
	EXPECT_EQ(0, shrinker_scan(shrinker, &place, 4));
	if (whole * self->huge >= pages) {
		EXPECT_TRUE(are_intact(map, 0, 4));
		EXPECT_EQ(0, shrinker_scan(shrinker, &place, 4));
	}
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 0));
	EXPECT_TRUE(are_zero(map, 0, 4));
	/* ASHMEM_PURGE_ALL_CACHES reads and drops them. */
	EXPECT_EQ(pages / 2, purge_all(waiting));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(waiting, 0, 0));
	close(waiting);
	swap_remove(zram);
	close(shrinker);
	if (whole * self->huge < pages)
		SKIP(return, "huge pages were swapped out in parts");
}

/* Has the kernel split all huge pages of a mapping of this process. */
static long split_mapping(const char *map, size_t pages)
{
	char text[128];

	snprintf(text, sizeof(text), "%d,0x%lx,0x%lx", getpid(), (long)map,
		 (long)map + pages * page_size());
	return write_text(AT_FDCWD, "/sys/kernel/debug/split_huge_pages", text);
}

#define LOCKS	8

/*
 * The kernel locks a huge page while it allocates memory to split it. If that memory has to be
 * reclaimed, the range with the locked page is passed over. To wait for it would never end.
 */
TEST_F_TIMEOUT(huge, range_that_its_reclaimer_has_locked_lets_others_go, 300)
{
	size_t pages = 16 * MIB / page_size() / self->huge * self->huge, step = MIB / page_size();
	long long min_free = read_number(AT_FDCWD, MIN_FREE), free;
	int shrinker = shrinker_or_skip(), locked[LOCKS], purged = 0;
	char *map = map_filled(self->fd, self->pages), *huge[LOCKS];
	struct tenant tenant = { 0 };
	long ret = 0;

	if (shrinker < 0)
		return;
	if (!pages)
		SKIP(return, "huge pages of more than 16 MiB");
	if (!large_file() || !getenv("ASHMEM_EXHAUST"))
		SKIP(return, "fills all memory of the machine: set ASHMEM_EXHAUST=1 to allow that");
	EXPECT_NE(MAP_FAILED, map);
	for (int i = 0; i < LOCKS; i++) {
		locked[i] = area_create(pages * page_size());
		huge[i] = map_filled(locked[i], pages);
		EXPECT_NE(MAP_FAILED, huge[i]);
	}
	/* Little is left in any zone. */
	EXPECT_TRUE(tenant_starts(&tenant, -EBADF, CHUNK));
	keep_free(FEW_FREE);
	while (memory_pages("MemFree") > 4 * (long)step && tenant_grows(&tenant, step))
		;
	for (int i = 0; i < LOCKS && !ret; i++) {
		memset(map, 'a', self->pages * page_size());
		EXPECT_EQ(0, unpin(locked[i], 0, 0));
		EXPECT_EQ(0, unpin(self->fd, 0, 0));
		/* The next allocation has to reclaim half of what the second region has. */
		free = memory_pages("MemFree");
		EXPECT_EQ(0, keep_free(free + self->pages / 2));
		ret = split_mapping(huge[i], pages);
		keep_free(FEW_FREE);
		if (pin(locked[i], 0, 0) == ASHMEM_NOT_PURGED) {
			EXPECT_TRUE(are_intact(huge[i], 0, pages));
		}
		purged += pin(self->fd, 0, 0) == ASHMEM_WAS_PURGED;
	}
	write_number(AT_FDCWD, MIN_FREE, min_free);
	/* It may have been killed. */
	tenant_gone(&tenant);
	for (int i = 0; i < LOCKS; i++) {
		munmap(huge[i], pages * page_size());
		close(locked[i]);
	}
	close(shrinker);
	TH_LOG("in %d of %d rounds the other region was purged", purged, LOCKS);
	if (ret)
		SKIP(return, "/sys/kernel/debug/split_huge_pages: %s", strerror(-ret));
	if (!purged)
		SKIP(return, "no huge pages, or there was memory enough to split them");
}

/*
 * At the end, unpinned pages are all that can be reclaimed. This test is last, because
 * kswapd pauses after it, and only kswapd purges when files are read.
 */
TEST_F_TIMEOUT(machine, nobody_is_killed_while_pages_can_be_purged, 300)
{
	long unpinned = 32 * MIB / page_size(), step = MIB / page_size();
	size_t grown = 0;

	if (!large_file())
		SKIP(return, "more than 2 GiB of memory to fill");
	no_more_swap(&self->zram);
	ASSERT_TRUE(tenant_starts(&self->tenant, -EBADF, unpinned));
	while (tenant_grows(&self->tenant, step))
		grown += step;
	TH_LOG("killed after %zu pages", grown);
	EXPECT_EQ(0, shrinker_count(self->shrinker, ANY_CGROUP));
	EXPECT_EQ(-1, tenant_ends(&self->tenant));
	EXPECT_TRUE(are_intact(self->map, 0, self->pages));
}

/*
 * If the node lacks more pages than one cgroup has unpinned, a single reclaim run also purges
 * another's: the kernel may not try a second time.
 */
TEST_F_TIMEOUT(machine, nobody_is_killed_while_another_cgroup_has_pages, 300)
{
	long unpinned = 6 * MIB / page_size(), step = MIB / page_size(), free, left, ret;

	if (!large_file())
		SKIP(return, "more than 2 GiB of memory to fill");
	ret = cgroups_open(&self->cgroups);
	if (ret)
		SKIP(return, "cgroup v2 with memory: %s", strerror(-ret));
	no_more_swap(&self->zram);
	for (int i = 0; i < HOMES; i++) {
		ASSERT_TRUE(tenant_starts(self->others + i, self->cgroups.homes[i], unpinned));
	}
	ASSERT_TRUE(tenant_starts(&self->tenant, -EBADF, CHUNK));
	self->min_free = read_number(AT_FDCWD, MIN_FREE);
	ASSERT_EQ(0, keep_free(FEW_FREE));
	while ((free = memory_pages("MemFree")) > 10 * step) {
		ASSERT_TRUE(tenant_grows(&self->tenant, step));
	}
	/* kswapd may have purged some already. */
	left = shrinker_count(self->shrinker, ANY_CGROUP);
	TH_LOG("%ld pages can be purged", left);
	if (left * 3 / 4 <= unpinned)
		SKIP(return, "too many pages were purged early");
	/* More than any tenant has unpinned, and less than all have. */
	ASSERT_EQ(0, keep_free(free + left * 3 / 4));
	EXPECT_TRUE(tenant_grows(&self->tenant, step / 4));
	EXPECT_EQ(0, tenant_ends(&self->tenant));
	log_machine(_metadata, "more must be free", vm_events("pswpout"),
		    shrinker_count(self->shrinker, ANY_CGROUP));
	EXPECT_TRUE(are_intact(self->map, 0, self->pages));
}

TEST_HARNESS_MAIN
