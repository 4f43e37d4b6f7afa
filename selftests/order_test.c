// SPDX-License-Identifier: GPL-2.0
/*
 * The order in which reclaim takes unpinned pages, and how many it counts.
 *
 * Most tests use the shrinker's files in debugfs, which count pages of the whole system.
 * So no other user of the device may unpin meanwhile.
 */
#include <sched.h>

#include "kselftest_harness.h"
#include "model.h"
#include "reclaim.h"

#define PAGES	16
#define AREAS	3

/* How often to check for the work of the scanner. */
#define TRIES	100000

/* Draws the pages of a filled region: # for an intact page, a dot for a purged one. */
static const char *contents(const char *map, size_t pages)
{
	static char text[64 + 3];
	size_t i;

	text[0] = '|';
	for (i = 0; i < pages && i < 64; i++)
		text[i + 1] = are_intact(map, i, 1) ? '#' : are_zero(map, i, 1) ? '.' : '?';
	text[i + 1] = '|';
	text[i + 2] = '\0';
	return text;
}

/* Three filled regions, whose unpinned ranges are all on one LRU list. */
FIXTURE(order)
{
	int shrinker, a, b, c;
	size_t page;
	char *in_a, *in_b, *in_c;
	struct place place;
};

FIXTURE_SETUP(order)
{
	size_t len = PAGES * page_size();

	self->page = page_size();
	self->shrinker = shrinker_or_skip();
	if (self->shrinker < 0)
		return;
	self->a = area_create(len);
	self->b = area_create(len);
	self->c = area_create(len);
	self->in_a = map_filled(self->a, PAGES);
	self->in_b = map_filled(self->b, PAGES);
	self->in_c = map_filled(self->c, PAGES);
	ASSERT_NE(MAP_FAILED, self->in_a);
	ASSERT_NE(MAP_FAILED, self->in_b);
	ASSERT_NE(MAP_FAILED, self->in_c);
	ASSERT_EQ(0, unpin(self->a, 0, 0));
	ASSERT_EQ(PAGES, shrinker_count_at(self->shrinker, ANY_CGROUP, &self->place));
	ASSERT_EQ(ASHMEM_NOT_PURGED, pin(self->a, 0, 0));
}

FIXTURE_TEARDOWN(order)
{
	close(self->a);
	close(self->b);
	close(self->c);
	EXPECT_EQ(0, shrinker_count(self->shrinker, ANY_CGROUP));
	close(self->shrinker);
}

/* Scans for @pages; expects the count to decrease by @taken. */
#define EXPECT_TAKEN(taken, pages) do {							\
	long __before = shrinker_count(self->shrinker, ANY_CGROUP);			\
											\
	ASSERT_EQ(0, shrinker_scan(self->shrinker, &self->place, pages));		\
	EXPECT_EQ(taken, __before - shrinker_count(self->shrinker, ANY_CGROUP));	\
} while (0)

TEST_F(order, oldest_go_first_whatever_their_region)
{
	ASSERT_EQ(0, unpin(self->a, 0, 2));
	ASSERT_EQ(0, unpin(self->b, 0, 2));
	ASSERT_EQ(0, unpin(self->a, 8, 2));
	ASSERT_EQ(0, unpin(self->c, 0, 2));
	ASSERT_EQ(0, unpin(self->b, 8, 2));
	ASSERT_EQ(0, unpin(self->c, 8, 2));
	EXPECT_TAKEN(6, 6);
	EXPECT_STREQ("|..######..######|", contents(self->in_a, PAGES));
	EXPECT_STREQ("|..##############|", contents(self->in_b, PAGES));
	EXPECT_STREQ("|################|", contents(self->in_c, PAGES));
	EXPECT_TAKEN(4, 4);
	EXPECT_STREQ("|..######..######|", contents(self->in_b, PAGES));
	EXPECT_STREQ("|..##############|", contents(self->in_c, PAGES));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->c, 8, 2));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->a, 8, 2));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->c, 0, 0));
}

TEST_F(order, ranges_go_whole)
{
	ASSERT_EQ(0, unpin(self->a, 0, 5));
	ASSERT_EQ(0, unpin(self->b, 0, 3));
	ASSERT_EQ(0, unpin(self->c, 0, 7));
	EXPECT_TAKEN(5, 1);
	EXPECT_STREQ("|.....###########|", contents(self->in_a, PAGES));
	EXPECT_STREQ("|################|", contents(self->in_b, PAGES));
	EXPECT_TAKEN(10, 4);
	EXPECT_STREQ("|...#############|", contents(self->in_b, PAGES));
	EXPECT_STREQ("|.......#########|", contents(self->in_c, PAGES));
	EXPECT_TAKEN(0, 1);
}

TEST_F(order, unpinning_again_inside_keeps_the_place)
{
	ASSERT_EQ(0, unpin(self->a, 0, 4));
	ASSERT_EQ(0, unpin(self->b, 0, 4));
	ASSERT_EQ(0, unpin(self->a, 0, 4));
	ASSERT_EQ(0, unpin(self->a, 1, 2));
	EXPECT_TAKEN(4, 1);
	EXPECT_STREQ("|....############|", contents(self->in_a, PAGES));
	EXPECT_STREQ("|################|", contents(self->in_b, PAGES));
}

TEST_F(order, grown_range_is_the_youngest)
{
	ASSERT_EQ(0, unpin(self->a, 0, 4));
	ASSERT_EQ(0, unpin(self->b, 0, 4));
	ASSERT_EQ(0, unpin(self->a, 2, 4));
	EXPECT_TAKEN(4, 1);
	EXPECT_STREQ("|################|", contents(self->in_a, PAGES));
	EXPECT_STREQ("|....############|", contents(self->in_b, PAGES));
	EXPECT_TAKEN(6, 1);
	EXPECT_STREQ("|......##########|", contents(self->in_a, PAGES));
}

TEST_F(order, split_range_keeps_the_place_of_its_lower_half)
{
	ASSERT_EQ(0, unpin(self->a, 0, 10));
	ASSERT_EQ(0, unpin(self->b, 0, 4));
	ASSERT_EQ(ASHMEM_NOT_PURGED, pin(self->a, 3, 3));
	EXPECT_TAKEN(3, 1);
	EXPECT_STREQ("|...#############|", contents(self->in_a, PAGES));
	EXPECT_TAKEN(4, 1);
	EXPECT_STREQ("|....############|", contents(self->in_b, PAGES));
	EXPECT_STREQ("|...#############|", contents(self->in_a, PAGES));
	EXPECT_TAKEN(4, 1);
	EXPECT_STREQ("|...###....######|", contents(self->in_a, PAGES));
	EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->a, 3, 3));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(self->a, 0, 3));
}

TEST_F(order, trimmed_ranges_keep_their_places)
{
	ASSERT_EQ(0, unpin(self->a, 0, 4));
	ASSERT_EQ(0, unpin(self->b, 0, 4));
	ASSERT_EQ(0, unpin(self->c, 0, 4));
	ASSERT_EQ(ASHMEM_NOT_PURGED, pin(self->a, 0, 2));
	ASSERT_EQ(ASHMEM_NOT_PURGED, pin(self->b, 2, 2));
	EXPECT_TAKEN(2, 1);
	EXPECT_STREQ("|##..############|", contents(self->in_a, PAGES));
	EXPECT_TAKEN(2, 1);
	EXPECT_STREQ("|..##############|", contents(self->in_b, PAGES));
	EXPECT_STREQ("|################|", contents(self->in_c, PAGES));
}

/* The joined range includes pages that were purged before; they count again. */
TEST_F(order, range_joined_to_purged_one_is_the_youngest)
{
	ASSERT_EQ(0, unpin(self->a, 0, 4));
	EXPECT_TAKEN(4, 1);
	ASSERT_EQ(0, unpin(self->b, 0, 4));
	ASSERT_EQ(0, unpin(self->a, 2, 4));
	EXPECT_TAKEN(4, 1);
	EXPECT_STREQ("|....############|", contents(self->in_b, PAGES));
	EXPECT_STREQ("|....############|", contents(self->in_a, PAGES));
	EXPECT_TAKEN(6, 1);
	EXPECT_STREQ("|......##########|", contents(self->in_a, PAGES));
}

TEST_F(order, purge_all_leaves_nothing_to_scan)
{
	ASSERT_EQ(0, unpin(self->a, 0, 4));
	ASSERT_EQ(0, unpin(self->b, 4, 2));
	EXPECT_EQ(6, purge_all(self->a));
	EXPECT_EQ(0, shrinker_count(self->shrinker, ANY_CGROUP));
	EXPECT_EQ(0, purge_all(self->a));
	EXPECT_TAKEN(0, 100);
}

TEST_F(order, closed_regions_do_not_count)
{
	ASSERT_EQ(0, unpin(self->a, 0, 0));
	ASSERT_EQ(0, unpin(self->b, 3, 5));
	ASSERT_EQ(0, unpin(self->c, 0, 1));
	EXPECT_EQ(22, shrinker_count(self->shrinker, ANY_CGROUP));
	close(self->b);
	EXPECT_EQ(17, shrinker_count(self->shrinker, ANY_CGROUP));
	close(self->a);
	EXPECT_EQ(1, shrinker_count(self->shrinker, ANY_CGROUP));
	close(self->c);
	EXPECT_EQ(0, shrinker_count(self->shrinker, ANY_CGROUP));
	EXPECT_STREQ("|################|", contents(self->in_b, PAGES));
	self->a = -EBADF;
	self->b = -EBADF;
	self->c = -EBADF;
}

/* Closing a region removes its many ranges. Other ranges keep their order. */
TEST_F(order, closing_many_ranges_leaves_those_of_others)
{
	size_t len = 2 * 1000 * self->page;
	int many = area_create(len);

	ASSERT_EQ(0, try_map(many, len, PROT_RW, MAP_SHARED));
	ASSERT_EQ(0, unpin(self->a, 0, 2));
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(0, unpin(many, 2 * i, 1));
		if (i < 3) {
			ASSERT_EQ(0, unpin(self->b, 2 * i, 1));
		}
	}
	ASSERT_EQ(0, unpin(self->c, 0, 4));
	close(many);
	EXPECT_EQ(2 + 3 + 4, shrinker_count(self->shrinker, ANY_CGROUP));
	EXPECT_TAKEN(3, 3);
	EXPECT_STREQ("|..##############|", contents(self->in_a, PAGES));
	EXPECT_STREQ("|.###############|", contents(self->in_b, PAGES));
	EXPECT_TAKEN(2, 2);
	EXPECT_STREQ("|.#.#.###########|", contents(self->in_b, PAGES));
	EXPECT_TAKEN(4, 1);
	EXPECT_STREQ("|....############|", contents(self->in_c, PAGES));
}

/* Untouched pages free no memory, so they must not attract reclaim. */
TEST_F(order, untouched_ranges_count_little)
{
	int fd = area_create(2 * 1000 * self->page);

	ASSERT_EQ(0, try_map(fd, 2 * 1000 * self->page, PROT_RW, MAP_SHARED));
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(0, unpin(fd, 2 * i, 1));
	}
	EXPECT_GE(1000 / 32, shrinker_count(self->shrinker, ANY_CGROUP));
	EXPECT_LE(1, shrinker_count(self->shrinker, ANY_CGROUP));
	close(fd);
}

/* A range counts at most the pages of its file that are in memory. */
TEST_F(order, sparse_ranges_count_what_is_in_memory)
{
	int fd = area_create(1000 * self->page);
	char *map = area_map(fd, 1000 * self->page, PROT_RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, map);
	map[500 * self->page] = 'a';
	map[700 * self->page] = 'a';
	ASSERT_EQ(0, unpin(fd, 0, 0));
	EXPECT_EQ(2, shrinker_count(self->shrinker, ANY_CGROUP));
	munmap(map, 1000 * self->page);
	close(fd);
}

/* Old ranges without pages in memory do not hide younger ranges. */
TEST_F(order, one_scan_passes_untouched_ranges)
{
	int fd = area_create(2 * 1000 * self->page);

	ASSERT_EQ(0, try_map(fd, 2 * 1000 * self->page, PROT_RW, MAP_SHARED));
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(0, unpin(fd, 2 * i, 1));
	}
	ASSERT_EQ(0, unpin(self->a, 0, 4));
	ASSERT_EQ(0, unpin(self->b, 0, 4));
	ASSERT_EQ(0, shrinker_scan(self->shrinker, &self->place, 1));
	EXPECT_STREQ("|....############|", contents(self->in_a, PAGES));
	EXPECT_STREQ("|################|", contents(self->in_b, PAGES));
	EXPECT_EQ(ASHMEM_WAS_PURGED, pin(fd, 0, 0));
	close(fd);
}

/* A region of a random walk, with its model. */
struct walker {
	int fd;
	char *map;
	struct model model;
};

static long walker_open(struct walker *walker)
{
	size_t len = MODEL_PAGES * page_size();

	walker->fd = area_create(len);
	model_reset(&walker->model);
	model_set_size(&walker->model, len);
	model_map(&walker->model, MODEL_PAGES, PROT_ALL);
	walker->map = area_map(walker->fd, len, PROT_RW, MAP_SHARED);
	return walker->map == MAP_FAILED ? -errno : 0;
}

static void walker_close(struct walker *walker)
{
	munmap(walker->map, MODEL_PAGES * page_size());
	close(walker->fd);
}

/* Reclaim counts pages in memory, so this touches all. */
static void walker_touch(const struct walker *walker)
{
	for (size_t i = 0; i < MODEL_PAGES; i++)
		walker->map[i * page_size()] = 't';
}

static long purgeable(const struct model *model)
{
	long pages = 0;

	for (size_t i = 0; i < MODEL_PAGES; i++)
		pages += model->range[i] && model->ranges[model->range[i]].purgeable;
	return pages;
}

/* Makes a random step. Returns whether the result is that of the model. */
static bool walk(struct walker *walkers)
{
	struct walker *walker = walkers + rand() % AREAS;
	size_t first = rand() % MODEL_PAGES, count = 1 + rand() % (MODEL_PAGES - first);
	long expected = 0;

	switch (rand() % 32) {
	case 0:
		for (int i = 0; i < AREAS; i++)
			expected += model_purge(&walkers[i].model);
		return expected == purge_all(walker->fd) && purge_all(walker->fd) == 0;
	case 1:
		walker_close(walker);
		return !walker_open(walker);
	case 2 ... 16:
		model_unpin(&walker->model, first, first + count);
		return !unpin(walker->fd, first, count);
	default:
		count = 1 + count % 4;
		if (first + count > MODEL_PAGES)
			count = MODEL_PAGES - first;
		return model_pin(&walker->model, first, first + count) ==
		       pin(walker->fd, first, count);
	}
}

TEST_F(order, count_is_that_of_the_model)
{
	struct walker walkers[AREAS];

	srand(1);
	for (int i = 0; i < AREAS; i++) {
		ASSERT_EQ(0, walker_open(walkers + i));
	}
	for (int step = 0; step < 3000; step++) {
		long expected = 0;

		ASSERT_TRUE(walk(walkers))
			TH_LOG("in step %d", step);
		for (int i = 0; i < AREAS; i++) {
			walker_touch(walkers + i);
			expected += purgeable(&walkers[i].model);
		}
		ASSERT_EQ(expected, shrinker_count(self->shrinker, self->place.cgroup))
			TH_LOG("after step %d", step);
	}
	for (int i = 0; i < AREAS; i++)
		walker_close(walkers + i);
	EXPECT_EQ(0, shrinker_count(self->shrinker, ANY_CGROUP));
	EXPECT_EQ(0, purge_all(self->a));
}

TEST_F_TIMEOUT(order, regions_close_while_scanned, 300)
{
	pid_t scanner = keep_doing(scan_oldest, self->shrinker);
	int purged = 0;

	ASSERT_LT(0, scanner);
	for (int round = 0; round < 300; round++) {
		int fd = area_create(PAGES * self->page);
		char *map = map_filled(fd, PAGES);

		ASSERT_NE(MAP_FAILED, map);
		for (int page = 0; page < PAGES; page += 2) {
			ASSERT_EQ(0, unpin(fd, page, 1));
		}
		/* Some regions are closed after the scanner has taken their first range. */
		for (int tries = 0; round % 10 == 0 && map[0] && tries < TRIES; tries++)
			sched_yield();
		ASSERT_EQ(0, close(fd));
		purged += !map[0];
		munmap(map, PAGES * self->page);
	}
	EXPECT_TRUE(stop_doing(scanner));
	EXPECT_LT(0, purged);
	TH_LOG("%d of 300 regions were purged in time", purged);
}

TEST_F_TIMEOUT(order, forks_while_purged, 300)
{
	pid_t scanner = keep_doing(scan_oldest, self->shrinker);
	pid_t purger = keep_doing(purge_everything, self->a);
	int purged = 0;

	ASSERT_LT(0, scanner);
	ASSERT_LT(0, purger);
	for (int round = 0; round < 100; round++) {
		pid_t child;

		ASSERT_EQ(0, unpin(self->a, 4, 8));
		child = fork();
		if (child == 0)
			_exit(!are_intact(self->in_a, 0, 4) || !are_intact(self->in_a, 12, 4) ||
			      !!strchr(contents(self->in_a, PAGES), '?'));
		EXPECT_EQ(0, exit_status_of(child));
		if (pin(self->a, 4, 8) == ASHMEM_NOT_PURGED)
			continue;
		purged++;
		for (int page = 4; page < 12; page++)
			memset(self->in_a + page * self->page, letter_of(page), self->page);
	}
	EXPECT_TRUE(stop_doing(scanner));
	EXPECT_TRUE(stop_doing(purger));
	EXPECT_LT(0, purged);
	TH_LOG("%d of 100 times it was purged", purged);
}

TEST_HARNESS_MAIN
