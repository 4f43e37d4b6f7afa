// SPDX-License-Identifier: GPL-2.0
/*
 * Memory cgroups: in which one unpinned pages are reclaimed and charged.
 *
 * Most tests use the shrinker's files in debugfs, which count pages of the whole system.
 * So no other user of the device may unpin meanwhile. The tests make their own cgroups
 * and swap device, and remove them.
 */
#include <sched.h>
#include <sys/resource.h>

#include "kselftest_harness.h"
#include "tenant.h"

#define PAGES	16

/* How often to check for work that the kernel defers. */
#define TRIES	100000

/* Two cgroups, each for one tenant. */
FIXTURE(homes)
{
	int shrinker, zram, *homes;
	unsigned long long ids[HOMES];
	struct cgroups cgroups;
	struct tenant tenants[HOMES];
};

FIXTURE_SETUP(homes)
{
	long ret;

	self->zram = -ENODEV;
	self->shrinker = shrinker_or_skip();
	if (self->shrinker < 0)
		return;
	ret = cgroups_open(&self->cgroups);
	if (ret)
		SKIP(return, "cgroup v2 with memory: %s", strerror(-ret));
	self->homes = self->cgroups.homes;
	for (int i = 0; i < HOMES; i++)
		self->ids[i] = cgroup_id(self->homes[i]);
}

FIXTURE_TEARDOWN(homes)
{
	for (int i = 0; i < HOMES; i++)
		tenant_gone(self->tenants + i);
	swap_remove(self->zram);
	cgroups_close(&self->cgroups);
	close(self->shrinker);
}

/* In pages. */
static long long used(int cgroup, const char *file)
{
	return read_number(cgroup, file) / (long long)page_size();
}

static long long shmem_of(int cgroup)
{
	return read_stat(cgroup, "memory.stat", "shmem") / (long long)page_size();
}

static void log_use(struct __test_metadata *_metadata, const char *when, int cgroup, long left)
{
	TH_LOG("%s: %lld pages, %lld of shmem, %lld swapped, %ld can be purged", when,
	       used(cgroup, "memory.current"), shmem_of(cgroup),
	       used(cgroup, "memory.swap.current"), left);
}

/* Starts two tenants. The first has a limit of twice its region. */
#define start_tenants(tenants, homes, region) \
	__start_tenants(_metadata, tenants, homes, region)

static void __start_tenants(struct __test_metadata *_metadata, struct tenant *tenants,
			    const int *homes, size_t region)
{
	ASSERT_EQ(0, write_number(homes[0], "memory.max", 2 * region * page_size()));
	for (int i = 0; i < HOMES; i++) {
		ASSERT_TRUE(tenant_starts(tenants + i, homes[i], region));
	}
}

/*
 * Lets a tenant allocate memory, until its region is purged or it has allocated @pages.
 * Returns how many pages of the region are left.
 */
#define squeeze(tenant, home, shrinker, pages) \
	__squeeze(_metadata, tenant, home, shrinker, pages)

static long __squeeze(struct __test_metadata *_metadata, struct tenant *tenant, int home,
		      int shrinker, size_t pages)
{
	size_t step = MIB / page_size();
	long left = shrinker_count(shrinker, cgroup_id(home)), before;

	ASSERT_EQ(tenant->pages, left);
	log_use(_metadata, "unpinned", home, left);
	for (size_t grown = 0; grown < pages && left > 0; grown += step) {
		before = left;
		ASSERT_TRUE(tenant_grows(tenant, step));
		left = shrinker_count(shrinker, cgroup_id(home));
		if (left != before)
			log_use(_metadata, "purged", home, left);
	}
	log_use(_metadata, "squeezed", home, left);
	return left;
}

#define EXPECT_OTHER_HOME_INTACT(region) do {						\
	EXPECT_EQ(region, shrinker_count(self->shrinker, self->ids[1]));		\
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->tenants[1].fd, 0, 0));			\
	EXPECT_TRUE(are_intact(self->tenants[1].map, 0, region));			\
} while (0)

/* Without the region, everything fits below the limit, with 2 MiB to spare. */
TEST_F_TIMEOUT(homes, limit_purges_rather_than_kills, 300)
{
	size_t region = 16 * MIB / page_size(), spare = 2 * MIB / page_size();

	write_number(self->homes[0], "memory.swap.max", 0);
	start_tenants(self->tenants, self->homes, region);
	EXPECT_GE((long)spare, squeeze(self->tenants, self->homes[0], self->shrinker,
				       2 * region - spare));
	EXPECT_EQ(0, read_stat(self->homes[0], "memory.events", "oom_kill"));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->tenants[0].fd, 0, 0));
	EXPECT_TRUE(are_zero(self->tenants[0].map, 0, CHUNK));
	EXPECT_OTHER_HOME_INTACT(region);
	EXPECT_EQ(0, tenant_ends(self->tenants));
}

TEST_F_TIMEOUT(homes, limit_purges_rather_than_swaps, 300)
{
	size_t region = 16 * MIB / page_size();

	self->zram = swap_or_skip(4 * region);
	if (self->zram < 0)
		return;
	start_tenants(self->tenants, self->homes, region);
	EXPECT_EQ(0, squeeze(self->tenants, self->homes[0], self->shrinker, 2 * region));
	EXPECT_GE((long long)region / 8, used(self->homes[0], "memory.swap.current"));
	EXPECT_EQ(0, read_stat(self->homes[0], "memory.events", "oom_kill"));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->tenants[0].fd, 0, 0));
	EXPECT_TRUE(are_zero(self->tenants[0].map, 0, region));
	EXPECT_OTHER_HOME_INTACT(region);
	EXPECT_EQ(0, tenant_ends(self->tenants));
}

/* Reading files at the limit of a cgroup only reclaims pages of the page cache. */
TEST_F_TIMEOUT(homes, reading_at_the_limit_purges_nothing, 300)
{
	size_t region = 16 * MIB / page_size(), size = 4 * region * page_size();
	long ret;

	write_number(self->homes[0], "memory.swap.max", 0);
	start_tenants(self->tenants, self->homes, region);
	ASSERT_EQ(0, cgroup_join(self->homes[0]));
	ret = read_new_file(size);
	ASSERT_EQ(0, cgroup_join(self->cgroups.root));
	if (ret && ret != -EIO)
		SKIP(return, "zram: %s", strerror(-ret));
	EXPECT_EQ(0, ret);
	log_use(_metadata, "read", self->homes[0], shrinker_count(self->shrinker, self->ids[0]));
	EXPECT_LT(0, read_stat(self->homes[0], "memory.events", "max"));
	EXPECT_EQ(region, shrinker_count(self->shrinker, self->ids[0]));
	EXPECT_OTHER_HOME_INTACT(region);
}

/* Exceeding the limit slightly does not purge everything. */
TEST_F_TIMEOUT(homes, small_excess_purges_a_part, 300)
{
	size_t region = 64 * MIB / page_size();
	struct tenant *tenant = self->tenants;
	long left;

	write_number(self->homes[0], "memory.swap.max", 0);
	ASSERT_TRUE(tenant_starts(tenant, self->homes[0], region));
	ASSERT_EQ(0, write_number(self->homes[0], "memory.max",
				  read_number(self->homes[0], "memory.current") + MIB));
	ASSERT_TRUE(tenant_grows(tenant, 2 * MIB / page_size()));
	left = shrinker_count(self->shrinker, self->ids[0]);
	log_use(_metadata, "2 MiB later", self->homes[0], left);
	EXPECT_GT(region, left);
	EXPECT_LE(region / 2, left);
	EXPECT_EQ(0, read_stat(self->homes[0], "memory.events", "oom_kill"));
}

/* But everything is purged if necessary. */
TEST_F_TIMEOUT(homes, lowered_limit_purges_all, 300)
{
	size_t region = 64 * MIB / page_size();

	write_number(self->homes[0], "memory.swap.max", 0);
	ASSERT_TRUE(tenant_starts(self->tenants, self->homes[0], region));
	ASSERT_EQ(0, write_number(self->homes[0], "memory.max", 4 * MIB));
	EXPECT_GE(4 * MIB / (long)page_size(), shrinker_count(self->shrinker, self->ids[0]));
	EXPECT_EQ(0, read_stat(self->homes[0], "memory.events", "oom_kill"));
	EXPECT_EQ(0, tenant_ends(self->tenants));
}

/* The ranges of a removed cgroup move to its parent, after some time. */
TEST_F_TIMEOUT(homes, removed_cgroup_leaves_ranges_to_its_parent, 300)
{
	unsigned long long parent = cgroup_id(self->cgroups.top);
	struct tenant *tenant = self->tenants;
	struct place place = { .cgroup = parent };
	int tries = 0;

	ASSERT_TRUE(tenant_starts(tenant, self->homes[0], 2 * CHUNK));
	ASSERT_EQ(0, tenant_ends(tenant));
	EXPECT_EQ(2 * CHUNK, shrinker_count(self->shrinker, self->ids[0]));
	home_remove(&self->cgroups, 0);
	while (shrinker_count(self->shrinker, parent) != 2 * CHUNK && tries++ < TRIES)
		sched_yield();
	EXPECT_EQ(2 * CHUNK, shrinker_count_at(self->shrinker, parent, &place));
	EXPECT_EQ(0, shrinker_count(self->shrinker, self->ids[0]));
	EXPECT_EQ(0, shrinker_scan(self->shrinker, &place, 1));
	EXPECT_EQ(CHUNK, shrinker_count(self->shrinker, parent));
	EXPECT_EQ(CHUNK, purge_all(tenant->fd));
	EXPECT_EQ(0, shrinker_count(self->shrinker, ANY_CGROUP));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(tenant->fd, 0, 0));
}

/* A range belongs to the cgroup of the task that unpinned it. Pinning may split the range. */
TEST_F(homes, ranges_stay_where_they_were_unpinned)
{
	int fd = area_create(PAGES * page_size());

	ASSERT_NE(MAP_FAILED, map_filled(fd, PAGES));
	ASSERT_EQ(0, cgroup_join(self->homes[0]));
	EXPECT_EQ(0, unpin(fd, 0, 9));
	ASSERT_EQ(0, cgroup_join(self->homes[1]));
	EXPECT_EQ(9, shrinker_count(self->shrinker, self->ids[0]));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(fd, 4, 1));
	EXPECT_EQ(4, shrinker_count(self->shrinker, self->ids[0]));
	EXPECT_EQ(4, shrinker_count(self->shrinker, self->ids[1]));
	EXPECT_EQ(0, unpin(fd, 3, 3));
	EXPECT_EQ(0, shrinker_count(self->shrinker, self->ids[0]));
	EXPECT_EQ(9, shrinker_count(self->shrinker, self->ids[1]));
	EXPECT_EQ(0, cgroup_join(self->homes[0]));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(fd, 0, 0));
	EXPECT_EQ(0, shrinker_count(self->shrinker, ANY_CGROUP));
	close(fd);
}

/* After a range is pinned, it belongs to the cgroup that unpins it next. */
TEST_F(homes, whoever_unpins_next_has_the_range)
{
	int fd = area_create(PAGES * page_size());

	ASSERT_NE(MAP_FAILED, map_filled(fd, PAGES));
	for (int i = 0; i < 4; i++) {
		int home = i % 2;

		ASSERT_EQ(0, cgroup_join(self->homes[home]));
		EXPECT_EQ(0, unpin(fd, 0, 3));
		EXPECT_EQ(3, shrinker_count(self->shrinker, self->ids[home]));
		EXPECT_EQ(0, shrinker_count(self->shrinker, self->ids[!home]));
		EXPECT_EQ(ASHMEM_NOT_PURGED, pin(fd, 0, 3));
	}
	close(fd);
}

/*
 * Unpins as many ranges as possible, and joins old ones when there are too many. Returns the
 * number of ranges. The caller is in another memory cgroup than at its first unpin.
 */
static long join_and_go_on(int fd)
{
	long made = 0, joined = 1;

	for (long i = 1; made < 2 * MOST_RANGES; i++) {
		while (unpin(fd, 3 * i, 1)) {
			/* Unpinning two pages replaces the range of the first one. */
			if (joined == 1000 || unpin(fd, 3 * joined++, 2))
				return made;
		}
		made++;
	}
	return made;
}

TEST_F_TIMEOUT(homes, joins_in_another_cgroup_leave_ranges_charged, 300)
{
	pid_t child = fork();

	if (child == 0) {
		int fd = sparse_area(6 * MOST_RANGES);

		if (fd < 0 || cgroup_join(self->homes[0]) || unpin(fd, 0, 1) ||
		    cgroup_join(self->homes[1]) || setresuid(STRANGER, STRANGER, STRANGER))
			_exit(1);
		_exit(join_and_go_on(fd) > MOST_RANGES + 8 ? 2 : 0);
	}
	EXPECT_EQ(0, exit_status_of(child));
}

/* A CPU charges up to 64 pages in advance. Divided by this number, that is 32 bytes each. */
static int many(void)
{
	return 2 * page_size();
}

static int *files, *areas, region;

static bool open_null(int i)
{
	files[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	return files[i] >= 0;
}

static bool open_area(int i)
{
	areas[i] = area_open(O_RDWR);
	return areas[i] >= 0;
}

static bool name_area(int i)
{
	char name[ASHMEM_NAME_LEN] = "";

	memset(name, 'n', sizeof(name) - 1);
	return !set_name(areas[i], name);
}

static bool unpin_one(int i)
{
	return !unpin(region, 2 * i, 1);
}

/* The memory, in bytes, that one call of @once charges to a cgroup, averaged over many. */
static long long bytes_of(int cgroup, bool (*once)(int i))
{
	long long before = read_number(cgroup, "memory.current");

	for (int i = 0; i < many(); i++)
		if (!once(i))
			return -errno;
	return (read_number(cgroup, "memory.current") - before) / many();
}

/* The driver's own memory is charged to the cgroup that causes the allocation. */
TEST_F_TIMEOUT(homes, regions_names_and_ranges_are_charged, 300)
{
	const rlim_t most = 2 * many() + 64;
	struct rlimit limit = { .rlim_cur = most, .rlim_max = most };
	long long file, area;
	cpu_set_t one;

	if (setrlimit(RLIMIT_NOFILE, &limit))
		SKIP(return, "setrlimit(): %s", strerror(errno));
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	files = calloc(many(), sizeof(int));
	areas = calloc(many(), sizeof(int));
	ASSERT_TRUE(files && areas);
	region = area_create(2 * many() * page_size());
	ASSERT_EQ(0, try_map(region, page_size(), PROT_RW, MAP_SHARED));
	ASSERT_EQ(0, cgroup_join(self->homes[0]));
	/* The files stay open, because the kernel frees closed files only at some later time. */
	file = bytes_of(self->homes[0], open_null);
	area = bytes_of(self->homes[0], open_area);
	TH_LOG("%lld bytes for a file, %lld with its area", file, area);
	EXPECT_LT(file + 48, area);
	EXPECT_LE(192, bytes_of(self->homes[0], name_area));
	EXPECT_LE(48, bytes_of(self->homes[0], unpin_one));
	for (int i = 0; i < many(); i++) {
		close(files[i]);
		close(areas[i]);
	}
	free(files);
	free(areas);
	close(region);
	ASSERT_EQ(0, cgroup_join(self->cgroups.root));
}

/* The count uses the average size of the oldest ranges for all ranges. */
TEST_F(homes, many_ranges_count_by_their_average)
{
	int fd = area_create(1024 * page_size());

	ASSERT_NE(MAP_FAILED, map_filled(fd, 1024));
	ASSERT_EQ(0, cgroup_join(self->homes[1]));
	EXPECT_EQ(0, unpin(fd, 1023, 1));
	ASSERT_EQ(0, cgroup_join(self->homes[0]));
	for (int i = 0; i < 200; i++) {
		EXPECT_EQ(0, unpin(fd, 5 * i, 3));
	}
	EXPECT_EQ(200 * 3, shrinker_count(self->shrinker, self->ids[0]));
	EXPECT_EQ(1, shrinker_count(self->shrinker, self->ids[1]));
	close(fd);
}

/* A page is charged to the cgroup that touches it first, its range to the one that unpins. */
TEST_F(homes, who_unpins_is_asked_not_who_pays)
{
	size_t pages = 4 * MIB / page_size();
	int fd = area_create(pages * page_size());
	char *map;

	for (int i = 0; i < HOMES; i++)
		write_number(self->homes[i], "memory.swap.max", 0);
	ASSERT_EQ(0, cgroup_join(self->homes[0]));
	map = map_filled(fd, pages);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, cgroup_join(self->homes[1]));
	EXPECT_EQ(0, unpin(fd, 0, 0));
	EXPECT_EQ(pages, shmem_of(self->homes[0]));
	/* Without swap there is nothing else to reclaim. */
	EXPECT_EQ(-EAGAIN, write_number(self->homes[0], "memory.reclaim", 4 * MIB));
	EXPECT_TRUE(are_intact(map, 0, pages));
	EXPECT_EQ(pages, shrinker_count(self->shrinker, self->ids[1]));
	write_number(self->homes[1], "memory.reclaim", 4 * MIB);
	EXPECT_EQ(0, shrinker_count(self->shrinker, self->ids[1]));
	EXPECT_EQ(0, shmem_of(self->homes[0]));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(fd, 0, 0));
	munmap(map, pages * page_size());
	close(fd);
}

/* Reclaim in a parent includes its children. */
TEST_F(homes, limit_of_the_parent_purges_in_both)
{
	for (int i = 0; i < HOMES; i++) {
		ASSERT_TRUE(tenant_starts(self->tenants + i, self->homes[i], 16 * CHUNK));
	}
	write_number(self->cgroups.top, "memory.reclaim", 64 * MIB);
	for (int i = 0; i < HOMES; i++) {
		EXPECT_EQ(0, shrinker_count(self->shrinker, self->ids[i]));
		EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->tenants[i].fd, 0, 0));
	}
}

TEST_F(homes, scan_of_one_cgroup_spares_the_other)
{
	struct place place;

	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(tenant_starts(self->tenants + i, self->homes[i], 4 * CHUNK));
	}
	ASSERT_EQ(4 * CHUNK, shrinker_count_at(self->shrinker, self->ids[0], &place));
	EXPECT_EQ(0, shrinker_scan(self->shrinker, &place, 3 * CHUNK));
	EXPECT_EQ(CHUNK, shrinker_count(self->shrinker, self->ids[0]));
	EXPECT_EQ(0, shrinker_scan(self->shrinker, &place, 100 * CHUNK));
	EXPECT_EQ(0, shrinker_count(self->shrinker, self->ids[0]));
	EXPECT_TRUE(are_zero(self->tenants[0].map, 0, 4 * CHUNK));
	EXPECT_OTHER_HOME_INTACT(4 * CHUNK);
}

/* Unpins two pages, the first of which is unpinned already, in a loop. */
static pid_t join_in(int home, int fd)
{
	pid_t parent = getpid(), child = fork();

	if (child == 0) {
		die_with(parent);
		if (cgroup_join(home))
			_exit(1);
		while (pin(fd, 1, 1) >= 0 && !unpin(fd, 0, 2))
			;
		_exit(2);
	}
	return child;
}

/* Meanwhile the range moves between the LRU lists, of which each cgroup has one. */
TEST_F_TIMEOUT(homes, purge_of_all_finds_what_changes_cgroups, 300)
{
	int fd = area_create(2 * page_size()), kept = 0, status;
	char *map = area_map(fd, 2 * page_size(), PROT_RW, MAP_SHARED);
	pid_t child;

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, unpin(fd, 0, 1));
	child = join_in(self->cgroups.root, fd);
	ASSERT_LT(0, child);
	ASSERT_EQ(0, cgroup_join(self->homes[0]));
	for (int round = 0; round < 1000; round++) {
		ASSERT_LE(0, pin(fd, 0, 1));
		*map = 'a';
		ASSERT_EQ(0, unpin(fd, 0, 1));
		ASSERT_LE(0, purge_all(fd));
		kept += !!*map;
	}
	EXPECT_EQ(0, kept);
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	munmap(map, 2 * page_size());
	close(fd);
}

TEST_HARNESS_MAIN
