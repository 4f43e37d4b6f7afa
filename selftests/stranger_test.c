// SPDX-License-Identifier: GPL-2.0
/*
 * An unprivileged program must not harm others: it must not exhaust the kernel's memory,
 * prevent reclaim from taking unpinned pages, or make a purge endless.
 *
 * Most tests use the shrinker's files in debugfs, which count pages of the whole system.
 * So no other user of the device may unpin meanwhile.
 */
#include "kselftest_harness.h"
#include "reclaim.h"

#include <sched.h>

#define PAGES		16

/* Unpins every other page, so that each is a range. Returns 0, or the first error. */
static long unpin_single_pages(int fd, size_t from, size_t to)
{
	long ret = 0;

	for (size_t i = from; i < to && !ret; i++)
		ret = unpin(fd, 2 * i, 1);
	return ret;
}

/* Makes all ranges that a user may have. Returns an exit status. */
static int take_all_ranges(void)
{
	int fd, other;

	if (setresuid(STRANGER, STRANGER, STRANGER))
		return 1;
	fd = sparse_area(4 * MOST_RANGES);
	other = sparse_area(PAGES);
	if (fd < 0 || other < 0 || unpin_single_pages(fd, 0, MOST_RANGES))
		return 2;
	if (unpin_single_pages(fd, MOST_RANGES, MOST_RANGES + 5) != -ENOMEM)
		return 3;
	/* The failed call changed nothing, and calls that need no new range still work. */
	if (pin_status(fd, 2 * (MOST_RANGES + 5), 1) != ASHMEM_IS_PINNED ||
	    unpin(fd, 0, 1) || pin(fd, 2, 1) != ASHMEM_NOT_PURGED || unpin(fd, 2, 1))
		return 4;
	/* Each other region may have a few ranges. */
	if (unpin(other, 0, 7) || pin(other, 1, 1) || pin(other, 3, 1) || pin(other, 5, 1))
		return 5;
	/* This replaces many ranges by one. */
	if (unpin(fd, 0, 1000) || unpin(fd, 2 * (MOST_RANGES + 5), 1))
		return 6;
	if (pin(fd, 0, 0) != ASHMEM_NOT_PURGED || unpin_single_pages(fd, 0, 1000))
		return 7;
	return 0;
}

/* Root has a region with ranges, and may have more ranges than others. */
FIXTURE(stranger)
{
	int fd;
	size_t page;
	char *map;
};

FIXTURE_SETUP(stranger)
{
	self->page = page_size();
	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0 || !purge_or_skip(self->fd))
		return;
	if (getenv("ASHMEM_C_DRIVER"))
		SKIP(return, "the C driver has no such bounds");
	ASSERT_EQ(0, set_size(self->fd, PAGES * self->page));
	self->map = map_filled(self->fd, PAGES);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(stranger)
{
	if (self->fd >= 0)
		close(self->fd);
}

TEST_F_TIMEOUT(stranger, has_so_many_ranges_and_no_more, 300)
{
	/* Twice, because the ranges of the first child are freed when it exits. */
	for (int round = 0; round < 2; round++) {
		pid_t child = fork();

		if (child == 0)
			_exit(take_all_ranges());
		ASSERT_EQ(0, exit_status_of(child));
	}
}

/* Starts a child that unpins a few ranges as another user. */
static pid_t unpin_as(uid_t user)
{
	pid_t child = fork();

	if (child == 0)
		_exit(setresuid(user, user, user) ||
		      unpin_single_pages(sparse_area(4 * PAGES), 0, PAGES));
	return child;
}

TEST_F_TIMEOUT(stranger, takes_nobody_elses_ranges, 300)
{
	int sockets[2];
	pid_t child;
	char byte;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	child = fork();
	if (child == 0) {
		int fd;

		if (setresuid(STRANGER, STRANGER, STRANGER))
			_exit(1);
		fd = sparse_area(4 * MOST_RANGES);
		if (unpin_single_pages(fd, 0, MOST_RANGES + 5) != -ENOMEM)
			_exit(2);
		_exit(write(sockets[1], "", 1) != 1 || read(sockets[1], &byte, 1) != 1);
	}
	close(sockets[1]);
	ASSERT_EQ(1, read(sockets[0], &byte, 1));
	EXPECT_EQ(0, exit_status_of(unpin_as(STRANGER - 1)));
	ASSERT_EQ(1, write(sockets[0], "", 1));
	EXPECT_EQ(0, exit_status_of(child));
}

/* Fills another user's region with ranges, which count for @user. */
static pid_t fill_as(uid_t user, int fd)
{
	pid_t child = fork();

	if (child == 0)
		_exit(setresuid(user, user, user) ||
		      unpin_single_pages(fd, 0, MOST_RANGES + 5) != -ENOMEM);
	return child;
}

TEST_F_TIMEOUT(stranger, pays_for_ranges_in_regions_of_others, 300)
{
	pid_t child = fork();

	if (child == 0) {
		int shared = sparse_area(4 * MOST_RANGES), fd = sparse_area(4 * PAGES);
		pid_t other = fill_as(STRANGER - 1, shared);

		if (exit_status_of(other) || setresuid(STRANGER, STRANGER, STRANGER))
			_exit(1);
		/* In the shared region, the other user's ranges do not limit this one. */
		_exit(unpin_single_pages(fd, 0, PAGES) || pin(shared, 2, 1) ||
		      unpin(shared, 2, 1) || unpin(shared, 2 * (MOST_RANGES + 9), 1));
	}
	EXPECT_EQ(0, exit_status_of(child));
}

/*
 * Uses up all ranges, then unpins as another user of a new user namespace. Returns an exit
 * status. The parent, at the socket @other, maps the users.
 */
static int unpin_in_namespace(int other)
{
	char byte;
	int fd;

	if (setresuid(STRANGER, STRANGER, STRANGER))
		return 1;
	fd = sparse_area(4 * MOST_RANGES);
	if (unpin_single_pages(fd, 0, MOST_RANGES))
		return 2;
	if (unshare(CLONE_NEWUSER))
		return KSFT_SKIP;
	if (write(other, "", 1) != 1 || read(other, &byte, 1) != 1)
		return 3;
	/* With AppArmor, anybody can make a namespace, but may have no capabilities in it. */
	if (setresuid(1, 1, 1))
		return errno == EPERM ? KSFT_SKIP : 4;
	return unpin_single_pages(sparse_area(4 * PAGES), 0, 2 * PAGES) == -ENOMEM ? 0 : 5;
}

/* The owner of a user namespace can become many users in it. */
TEST_F_TIMEOUT(stranger, pays_for_ranges_in_its_namespaces, 300)
{
	char path[32], users[32], byte;
	int sockets[2], status;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	child = fork();
	if (child == 0) {
		close(sockets[0]);
		_exit(unpin_in_namespace(sockets[1]));
	}
	close(sockets[1]);
	if (read(sockets[0], &byte, 1) == 1) {
		snprintf(path, sizeof(path), "/proc/%d/uid_map", child);
		snprintf(users, sizeof(users), "0 %d 1\n1 %d 1\n", STRANGER, STRANGER - 1);
		ASSERT_EQ(0, write_text(AT_FDCWD, path, users));
		/* Outside the namespace, the second user still has its own limit. */
		EXPECT_EQ(0, exit_status_of(unpin_as(STRANGER - 1)));
		ASSERT_EQ(1, write(sockets[0], "", 1));
	}
	status = exit_status_of(child);
	close(sockets[0]);
	if (status == KSFT_SKIP)
		SKIP(return, "there are no user namespaces, or no rights in them");
	EXPECT_EQ(0, status);
}

#define REGIONS	500

/* Pins everything that was unpinned, then makes all ranges. Returns an exit status. */
static int pin_everything_again(void)
{
	int fd;

	if (setresuid(STRANGER, STRANGER, STRANGER))
		return 1;
	for (int i = 0; i < REGIONS; i++) {
		fd = sparse_area(4 * PAGES);
		if (unpin_single_pages(fd, 0, PAGES) || pin(fd, 20, 4) || pin(fd, 0, 0))
			return 2;
	}
	fd = sparse_area(4 * MOST_RANGES);
	return unpin_single_pages(fd, 0, MOST_RANGES) ? 3 : 0;
}

TEST_F_TIMEOUT(stranger, pays_nothing_for_what_is_pinned_again, 300)
{
	pid_t child = fork();

	if (child == 0)
		_exit(pin_everything_again());
	EXPECT_EQ(0, exit_status_of(child));
}

/* Unpins and pins a page as fast as possible. */
static void hammer(int fd)
{
	if (unpin(fd, 15, 1) || pin(fd, 15, 1) < 0)
		_exit(1);
}

/* Reclaim takes the oldest range of a region, however busy the region is. */
TEST_F_TIMEOUT(stranger, keeps_no_region_busy_for_reclaim, 300)
{
	int shrinker = shrinker_or_skip();
	pid_t children[3];

	if (shrinker < 0)
		return;
	for (int i = 0; i < 3; i++)
		children[i] = keep_doing(hammer, self->fd);
	for (int round = 0; round < 100; round++) {
		memset(self->map, 'a', self->page);
		ASSERT_EQ(0, unpin(self->fd, 0, 1));
		/* Ranges of the other processes may be older, or on another node. */
		ASSERT_TRUE(shrinker_scan_all(shrinker, 2));
		ASSERT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 1))
			TH_LOG("in round %d", round);
		ASSERT_EQ(0, self->map[0]);
	}
	for (int i = 0; i < 3; i++) {
		EXPECT_TRUE(stop_doing(children[i]));
	}
	close(shrinker);
}

#define BUSY	8

/* Unpins the last pages of a region in turn, so that there is always a new range. */
static void hammer_end(int fd)
{
	for (int i = 0; i < BUSY; i++)
		if (unpin(fd, 2 * (MOST_RANGES + i), 1) ||
		    pin(fd, 2 * (MOST_RANGES + (i + 1) % BUSY), 1) < 0)
			_exit(1);
}

/* A purge ends even if others go on unpinning. */
TEST_F_TIMEOUT(stranger, cannot_make_a_purge_endless, 300)
{
	int fd = sparse_area(4 * MOST_RANGES);
	pid_t children[3];

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, unpin_single_pages(fd, 0, MOST_RANGES));
	ASSERT_LE(MOST_RANGES, purge_all(fd));
	for (int i = 0; i < 3; i++)
		children[i] = keep_doing(hammer_end, fd);
	for (int round = 0; round < 5; round++) {
		memset(self->map, 'a', PAGES * self->page);
		ASSERT_EQ(0, unpin(self->fd, 0, 0));
		ASSERT_LE(PAGES, purge_all(self->fd));
		ASSERT_EQ(ASHMEM_WAS_PURGED, pin(self->fd, 0, 0));
		ASSERT_TRUE(are_zero(self->map, 0, PAGES));
	}
	for (int i = 0; i < 3; i++) {
		EXPECT_TRUE(stop_doing(children[i]));
	}
	close(fd);
}

/* Large enough that a purge takes a while. */
#define LARGE	2048

/*
 * If a purge is killed before it comes to a region, the ranges of that region stay as they
 * were, even if they are split later.
 */
TEST_F_TIMEOUT(stranger, pays_nothing_for_a_purge_that_was_killed, 300)
{
	int fd = area_create(LARGE * self->page), killed = 0, spared = 0, status;
	char *map = area_map(fd, LARGE * self->page, PROT_RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, map);
	for (int round = 0; round < 100 && spared < 3; round++) {
		pid_t child;

		/* The region that was unpinned first is purged first. */
		for (size_t i = 0; i < LARGE; i++)
			map[i * self->page] = 'a';
		ASSERT_EQ(0, unpin(fd, 0, 0));
		for (int i = 0; i < PAGES; i++)
			memset(self->map + i * self->page, letter_of(i), self->page);
		ASSERT_EQ(0, unpin(self->fd, 0, 0));
		child = fork();
		if (child == 0) {
			give_way();
			_exit(purge_all(fd) < 0);
		}
		wait_for_purge_of(map);
		ASSERT_EQ(0, kill(child, SIGKILL));
		while (waitpid(child, &status, 0) == -1 && errno == EINTR)
			;
		killed += WIFSIGNALED(status);
		if (are_intact(self->map, 0, PAGES)) {
			spared++;
			ASSERT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 7, 1));
			EXPECT_TRUE(are_intact(self->map, 0, PAGES));
			EXPECT_EQ(ASHMEM_NOT_PURGED, pin(self->fd, 0, 0));
			ASSERT_EQ(0, unpin(self->fd, 0, 2));
			ASSERT_EQ(0, unpin(self->fd, 1, 4));
			EXPECT_TRUE(are_intact(self->map, 0, PAGES));
		}
		ASSERT_LE(0, pin(self->fd, 0, 0));
		ASSERT_LE(0, pin(fd, 0, 0));
	}
	TH_LOG("%d purges were killed, %d in time", killed, spared);
	munmap(map, LARGE * self->page);
	close(fd);
	/* The purge of the first, large region takes nearly all of the time. */
	if (killed >= 10) {
		EXPECT_LT(0, spared);
	} else if (!spared) {
		SKIP(return, "no purge was killed in time: the scheduler let each one end");
	}
}

TEST_HARNESS_MAIN
