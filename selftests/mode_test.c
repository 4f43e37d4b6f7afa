// SPDX-License-Identifier: GPL-2.0
/* What the open mode of a descriptor allows: reads, writes, and both kinds of mappings. */
#include <signal.h>

#include "kselftest_harness.h"
#include "ashmem.h"

FIXTURE(reader)
{
	int fd;
	size_t page;
};

FIXTURE_SETUP(reader)
{
	self->page = page_size();
	self->fd = area_open_or_skip(O_RDONLY);
	if (self->fd < 0)
		return;
	ASSERT_EQ(0, set_size(self->fd, self->page));
}

FIXTURE_TEARDOWN(reader)
{
	if (self->fd >= 0)
		close(self->fd);
}

TEST_F(reader, shared_write_fails)
{
	EXPECT_EQ(-EACCES, try_map(self->fd, self->page, PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(-EACCES, try_map(self->fd, self->page, PROT_RW, MAP_SHARED));
	EXPECT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
}

TEST_F(reader, mode_beats_size_and_mask)
{
	ASSERT_EQ(0, set_mask(self->fd, PROT_READ));
	EXPECT_EQ(-EACCES, try_map(self->fd, self->page, PROT_WRITE, MAP_SHARED));
	ASSERT_EQ(0, set_size(self->fd, 0));
	EXPECT_EQ(-EACCES, try_map(self->fd, self->page, PROT_WRITE, MAP_SHARED));
}

TEST_F(reader, shared_map_stays_read_only)
{
	char *map = area_map(self->fd, self->page, PROT_READ, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(-EACCES, try_mprotect(map, self->page, PROT_RW));
	EXPECT_TRUE(is_filled(map, self->page, 0));
}

/* A shared mapping is of the region, whose size it cannot exceed. Anonymous memory can. */
TEST_F(reader, shared_map_is_of_the_region)
{
	char *map = mmap(NULL, 2 * self->page, PROT_READ, MAP_SHARED, self->fd, 0);

	ASSERT_EQ(MAP_FAILED, map);
	map = mmap(NULL, self->page, PROT_READ, MAP_SHARED, self->fd, self->page);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(SIGBUS, signal_of_read(map));
}

/* Through a read-only descriptor nobody can write, so root writes by another way. */
TEST_F(reader, shared_map_sees_the_data)
{
	char *map = area_map(self->fd, self->page, PROT_READ, MAP_SHARED);
	char path[96], byte;
	int fd;

	ASSERT_NE(MAP_FAILED, map);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
		 (unsigned long)map, (unsigned long)map + self->page);
	fd = open(path, O_RDWR);
	if (fd < 0)
		SKIP(return, "%s: %s", path, strerror(errno));
	ASSERT_EQ(1, pwrite(fd, "d", 1, 7));
	EXPECT_EQ('d', map[7]);
	EXPECT_EQ(1, try_pread(self->fd, &byte, 1, 7));
	EXPECT_EQ('d', byte);
	close(fd);
}

TEST_F(reader, remap_file_pages_fails)
{
	char *map = area_map(self->fd, self->page, PROT_READ, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(-EINVAL, answer(syscall(SYS_remap_file_pages, map, self->page, 0, 0, 0)));
	EXPECT_EQ(0, signal_of_read(map));
}

TEST_F(reader, private_map_is_writable)
{
	char *map = area_map(self->fd, self->page, PROT_RW, MAP_PRIVATE);

	ASSERT_NE(MAP_FAILED, map);
	map[0] = 'w';
	EXPECT_EQ('w', map[0]);
}

TEST_F(reader, write_fails)
{
	EXPECT_EQ(-EBADF, answer(write(self->fd, "x", 1)));
	EXPECT_EQ(-EBADF, answer(pwrite(self->fd, "x", 1, 0)));
}

FIXTURE(writer)
{
	int fd;
	size_t page;
};

FIXTURE_SETUP(writer)
{
	self->page = page_size();
	self->fd = area_open_or_skip(O_WRONLY);
}

FIXTURE_TEARDOWN(writer)
{
	if (self->fd >= 0)
		close(self->fd);
}

TEST_F(writer, every_map_fails)
{
	EXPECT_EQ(-EACCES, try_map(self->fd, self->page, PROT_WRITE, MAP_SHARED));
	ASSERT_EQ(0, set_size(self->fd, self->page));
	EXPECT_EQ(-EACCES, try_map(self->fd, self->page, PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(-EACCES, try_map(self->fd, self->page, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EACCES, try_map(self->fd, self->page, PROT_NONE, MAP_PRIVATE));
	EXPECT_EQ(0, set_size(self->fd, 0));
}

TEST_F(writer, read_fails)
{
	char byte;

	EXPECT_EQ(-EBADF, try_read(self->fd, &byte, 1));
	EXPECT_EQ(-EBADF, try_pread(self->fd, &byte, 1, 0));
}

TEST_F(writer, write_fails)
{
	EXPECT_EQ(-EINVAL, answer(write(self->fd, "x", 1)));
	EXPECT_EQ(-EINVAL, answer(pwrite(self->fd, "x", 1, 0)));
}

TEST_HARNESS_MAIN
