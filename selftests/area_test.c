// SPDX-License-Identifier: GPL-2.0
/*
 * The basics of an area: its defaults and sizes, who shares it, what the first
 * mapping freezes, and the calls that a device file refuses.
 */
#include <limits.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "ashmem.h"

AREA_FIXTURE(area);

TEST_F(area, open_gives_defaults)
{
	char name[ASHMEM_NAME_LEN];

	EXPECT_EQ(0, get_size(self->fd));
	EXPECT_EQ(PROT_ALL, get_mask(self->fd));
	ASSERT_EQ(0, get_name(self->fd, name));
	EXPECT_STREQ(ASHMEM_NAME_DEF, name);
}

TEST_F(area, open_gives_area_of_its_own)
{
	int other = area_open(O_RDWR);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, set_name(self->fd, "mine"));
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	EXPECT_EQ(0, get_size(other));
	EXPECT_EQ(PROT_ALL, get_mask(other));
	EXPECT_EQ(0, set_size(other, 2 * self->page));
	EXPECT_EQ(self->page, get_size(self->fd));
	close(other);
}

TEST_F(area, reopen_through_proc_gives_fresh_area)
{
	char path[64];
	int again;

	ASSERT_EQ(0, set_size(self->fd, self->page));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	again = open(path, O_RDWR);
	if (again < 0)
		SKIP(return, "%s: %s", path, strerror(errno));
	EXPECT_EQ(0, get_size(again));
	EXPECT_EQ(self->page, get_size(self->fd));
	close(again);
}

TEST_F(area, dup_shares_area)
{
	int copy = dup(self->fd);

	ASSERT_LE(0, copy);
	ASSERT_EQ(0, set_size(copy, 3 * self->page));
	ASSERT_EQ(0, set_mask(copy, PROT_READ));
	EXPECT_EQ(3 * self->page, get_size(self->fd));
	EXPECT_EQ(PROT_READ, get_mask(self->fd));
	close(copy);
	EXPECT_EQ(3 * self->page, get_size(self->fd));
}

TEST_F(area, fork_shares_area)
{
	pid_t child = fork();

	if (child == 0)
		_exit(set_size(self->fd, 5 * self->page) || set_mask(self->fd, 0));
	ASSERT_EQ(0, exit_status_of(child));
	EXPECT_EQ(5 * self->page, get_size(self->fd));
	EXPECT_EQ(0, get_mask(self->fd));
}

TEST_F(area, passed_descriptor_shares_area)
{
	int sockets[2], fd;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	child = fork();
	if (child == 0) {
		close(self->fd);
		fd = recv_fd(sockets[1]);
		_exit(fd < 0 || set_size(fd, 7 * self->page));
	}
	ASSERT_EQ(0, send_fd(sockets[0], self->fd));
	ASSERT_EQ(0, exit_status_of(child));
	EXPECT_EQ(7 * self->page, get_size(self->fd));
}

FIXTURE(mode)
{
	int fd;
};

FIXTURE_VARIANT(mode)
{
	int flags;
};

FIXTURE_VARIANT_ADD(mode, read_only) { .flags = O_RDONLY };
FIXTURE_VARIANT_ADD(mode, write_only) { .flags = O_WRONLY };

FIXTURE_SETUP(mode)
{
	self->fd = area_open_or_skip(variant->flags);
}

FIXTURE_TEARDOWN(mode)
{
	if (self->fd >= 0)
		close(self->fd);
}

TEST_F(mode, does_not_restrict_ioctls)
{
	char name[ASHMEM_NAME_LEN];

	EXPECT_EQ(0, set_name(self->fd, "mode"));
	EXPECT_EQ(0, set_size(self->fd, page_size()));
	EXPECT_EQ(0, set_mask(self->fd, PROT_READ));
	EXPECT_EQ(0, get_name(self->fd, name));
	EXPECT_STREQ("mode", name);
	EXPECT_EQ(page_size(), get_size(self->fd));
	EXPECT_EQ(PROT_READ, get_mask(self->fd));
}

/*
 * The kernel truncates the result of an ioctl to an int. So a size of 2 GiB or more
 * shows as its low 32 bits, with a sign.
 */
TEST_F(area, size_is_told_as_an_int)
{
	const size_t sizes[] = {
		1, self->page - 1, self->page, self->page + 1, 0, INT_MAX, 1UL << 31,
		(size_t)-1, (size_t)-4095, (size_t)-4096, (size_t)-1 / 2,
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		EXPECT_EQ(0, set_size(self->fd, sizes[i]));
		EXPECT_EQ((int)sizes[i], get_size(self->fd));
	}
}

/* ioctl() of libc returns an int, on which clients depend. */
TEST_F(area, size_through_libc_is_the_result)
{
	ASSERT_EQ(0, set_size(self->fd, 0x7fffffff));
	EXPECT_EQ(0x7fffffff, ioctl(self->fd, ASHMEM_GET_SIZE, NULL));
}

TEST_F(area, map_freezes_name_and_size)
{
	char name[ASHMEM_NAME_LEN];

	ASSERT_EQ(0, set_name(self->fd, "frozen"));
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EINVAL, set_size(self->fd, self->page));
	EXPECT_EQ(-EINVAL, set_size(self->fd, 0));
	EXPECT_EQ(-EINVAL, set_name(self->fd, "thawed"));
	EXPECT_EQ(-EINVAL, set_name(self->fd, ""));
	EXPECT_EQ(self->page, get_size(self->fd));
	EXPECT_EQ(0, get_name(self->fd, name));
	EXPECT_STREQ("frozen", name);
	EXPECT_EQ(0, set_mask(self->fd, PROT_READ));
}

TEST_F(area, private_map_freezes_too)
{
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_PRIVATE));
	EXPECT_EQ(-EINVAL, set_size(self->fd, self->page));
	EXPECT_EQ(-EINVAL, set_name(self->fd, "late"));
}

TEST_F(area, inaccessible_map_freezes_too)
{
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_NONE, MAP_SHARED));
	EXPECT_EQ(-EINVAL, set_size(self->fd, self->page));
	EXPECT_EQ(-EINVAL, set_name(self->fd, "late"));
}

TEST_F(area, failed_map_freezes_nothing)
{
	EXPECT_EQ(-EINVAL, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	ASSERT_EQ(0, set_size(self->fd, self->page));
	EXPECT_EQ(-EINVAL, try_map(self->fd, 2 * self->page, PROT_READ, MAP_SHARED));
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	EXPECT_EQ(-EPERM, try_map(self->fd, self->page, PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(-EPERM, try_map(self->fd, self->page, PROT_WRITE, MAP_PRIVATE));
	EXPECT_EQ(0, set_name(self->fd, "still free"));
	EXPECT_EQ(0, set_size(self->fd, 2 * self->page));
	EXPECT_EQ(0, try_map(self->fd, 2 * self->page, PROT_READ, MAP_SHARED));
}

TEST_F(area, unknown_ioctl_fails)
{
	const unsigned long commands[] = {
		_IO(__ASHMEMIOC, 0), _IO(__ASHMEMIOC, 12), _IO(__ASHMEMIOC, 255),
		_IO(__ASHMEMIOC, 3), _IOR(__ASHMEMIOC, 3, size_t),
		_IOW(__ASHMEMIOC, 3, char), _IOR(__ASHMEMIOC, 4, size_t),
		_IO(__ASHMEMIOC, 11), _IO('a', 4),
	};

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		EXPECT_EQ(-ENOTTY, area_ioctl(self->fd, commands[i], 0))
			TH_LOG("number %#lx", commands[i]);
	}
	EXPECT_EQ(-ENOTTY, area_ioctl(self->fd, TCGETS, (unsigned long)commands));
}

TEST_F(area, resize_through_vfs_fails)
{
	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EINVAL, answer(ftruncate(self->fd, 2 * self->page)));
	EXPECT_EQ(-ENODEV, answer(fallocate(self->fd, 0, 0, self->page)));
	EXPECT_EQ(self->page, get_size(self->fd));
}

TEST_F(area, stat_shows_empty_device)
{
	struct stat stat;

	ASSERT_EQ(0, set_size(self->fd, self->page));
	ASSERT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	ASSERT_EQ(0, fstat(self->fd, &stat));
	EXPECT_TRUE(S_ISCHR(stat.st_mode));
	EXPECT_EQ(0, stat.st_size);
}

TEST_F(area, poll_is_always_ready)
{
	struct pollfd poll_area = { .fd = self->fd, .events = POLLIN | POLLOUT };

	EXPECT_EQ(1, poll(&poll_area, 1, 0));
	EXPECT_EQ(POLLIN | POLLOUT, poll_area.revents);
}

TEST_F(area, epoll_fails)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(0);

	ASSERT_LE(0, epoll);
	EXPECT_EQ(-EPERM, answer(epoll_ctl(epoll, EPOLL_CTL_ADD, self->fd, &event)));
	close(epoll);
}

TEST_F(area, seals_and_sync_fail)
{
	EXPECT_EQ(-EINVAL, answer(fcntl(self->fd, F_GET_SEALS)));
	EXPECT_EQ(-EINVAL, answer(fcntl(self->fd, F_ADD_SEALS, F_SEAL_WRITE)));
	EXPECT_EQ(-EINVAL, answer(fsync(self->fd)));
}

TEST_HARNESS_MAIN
