// SPDX-License-Identifier: GPL-2.0
/*
 * Reading and seeking. Before a size is set, there is nothing to read. Before the
 * first mapping, there is no backing file to read from.
 */
#include "kselftest_harness.h"
#include "ashmem.h"

AREA_FIXTURE(unmapped);

TEST_F(unmapped, read_of_empty_area_is_end_of_file)
{
	char buf[8];
	struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };

	EXPECT_EQ(0, try_read(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(0, try_pread(self->fd, buf, sizeof(buf), 0));
	EXPECT_EQ(0, try_pread(self->fd, buf, sizeof(buf), 1000));
	EXPECT_EQ(0, answer(readv(self->fd, &iov, 1)));
}

TEST_F(unmapped, read_before_map_fails)
{
	char buf[8];
	struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };

	ASSERT_EQ(0, set_size(self->fd, self->page));
	EXPECT_EQ(-EBADF, try_read(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(-EBADF, try_pread(self->fd, buf, sizeof(buf), 0));
	EXPECT_EQ(-EBADF, answer(readv(self->fd, &iov, 1)));
	ASSERT_EQ(0, set_size(self->fd, 0));
	EXPECT_EQ(0, try_read(self->fd, buf, sizeof(buf)));
}

TEST_F(unmapped, seek_of_empty_area_fails)
{
	for (int whence = SEEK_SET; whence <= SEEK_HOLE; whence++) {
		EXPECT_EQ(-EINVAL, try_seek(self->fd, 0, whence));
	}
}

TEST_F(unmapped, seek_before_map_fails)
{
	ASSERT_EQ(0, set_size(self->fd, self->page));
	for (int whence = SEEK_SET; whence <= SEEK_HOLE; whence++) {
		EXPECT_EQ(-EBADF, try_seek(self->fd, 0, whence));
	}
	EXPECT_EQ(-EBADF, try_seek(self->fd, -1, SEEK_SET));
}

/*
 * Four pages and one byte, with data where there is a D:
 *
 *     |....|DDDD|DDDD|....|.
 */
FIXTURE(io)
{
	int fd;
	size_t page, size;
	char *map;
};

FIXTURE_SETUP(io)
{
	self->page = page_size();
	self->size = 4 * self->page + 1;
	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0)
		return;
	ASSERT_EQ(0, set_size(self->fd, self->size));
	self->map = area_map(self->fd, self->size, PROT_RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, self->map);
	/* A huge page would fill the holes. Kernels without huge pages return EINVAL. */
	madvise(self->map, self->size, MADV_NOHUGEPAGE);
	memset(self->map + self->page, 'D', 2 * self->page);
}

FIXTURE_TEARDOWN(io)
{
	if (self->fd >= 0)
		close(self->fd);
}

TEST_F(io, read_returns_data_and_holes)
{
	char *buf = malloc(self->size);

	ASSERT_NE(NULL, buf);
	memset(buf, 'x', self->size);
	EXPECT_EQ(self->size, try_read(self->fd, buf, self->size));
	EXPECT_EQ(0, memcmp(self->map, buf, self->size));
	EXPECT_TRUE(is_filled(buf, self->page, 0));
	EXPECT_TRUE(is_filled(buf + self->page, 2 * self->page, 'D'));
	free(buf);
}

TEST_F(io, read_fills_no_hole)
{
	char *buf = malloc(self->page);

	ASSERT_NE(NULL, buf);
	EXPECT_EQ(self->page, try_pread(self->fd, buf, self->page, 0));
	EXPECT_EQ(self->page, try_seek(self->fd, 0, SEEK_DATA));
	free(buf);
}

TEST_F(io, read_stops_at_exact_size)
{
	char buf[16];

	self->map[self->size - 1] = 'e';
	self->map[self->size] = 'X';
	EXPECT_EQ(1, try_pread(self->fd, buf, sizeof(buf), self->size - 1));
	EXPECT_EQ('e', buf[0]);
	EXPECT_EQ(0, try_pread(self->fd, buf, sizeof(buf), self->size));
	EXPECT_EQ(0, try_pread(self->fd, buf, sizeof(buf), self->size + 1000));
	ASSERT_EQ(self->size - 1, try_seek(self->fd, -1, SEEK_END));
	EXPECT_EQ(1, try_read(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(0, try_read(self->fd, buf, sizeof(buf)));
}

TEST_F(io, reads_follow_each_other)
{
	char buf[3];

	memcpy(self->map, "abcdef", 6);
	EXPECT_EQ(3, try_read(self->fd, buf, 3));
	EXPECT_EQ(0, memcmp("abc", buf, 3));
	EXPECT_EQ(3, try_read(self->fd, buf, 3));
	EXPECT_EQ(0, memcmp("def", buf, 3));
	EXPECT_EQ(6, try_seek(self->fd, 0, SEEK_CUR));
}

TEST_F(io, readv_fills_buffers_in_turn)
{
	char one[2], two[3];
	struct iovec iov[] = {
		{ .iov_base = one, .iov_len = sizeof(one) },
		{ .iov_base = two, .iov_len = sizeof(two) },
	};

	memcpy(self->map, "12345", 5);
	EXPECT_EQ(5, answer(readv(self->fd, iov, 2)));
	EXPECT_EQ(0, memcmp("12", one, 2));
	EXPECT_EQ(0, memcmp("345", two, 3));
	EXPECT_EQ(5, try_seek(self->fd, 0, SEEK_CUR));
}

TEST_F(io, pread_does_not_move)
{
	char byte;

	ASSERT_EQ(7, try_seek(self->fd, 7, SEEK_SET));
	EXPECT_EQ(1, try_pread(self->fd, &byte, 1, self->page));
	EXPECT_EQ('D', byte);
	EXPECT_EQ(7, try_seek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(1, try_read(self->fd, &byte, 1));
	EXPECT_EQ(8, try_seek(self->fd, 0, SEEK_CUR));
}

TEST_F(io, read_ignores_mask)
{
	char byte = 0;

	ASSERT_EQ(0, set_mask(self->fd, 0));
	EXPECT_EQ(1, try_pread(self->fd, &byte, 1, self->page));
	EXPECT_EQ('D', byte);
}

TEST_F(io, read_works_without_mapping)
{
	char byte = 0;

	ASSERT_EQ(0, munmap(self->map, self->size));
	EXPECT_EQ(1, try_pread(self->fd, &byte, 1, self->page));
	EXPECT_EQ('D', byte);
}

TEST_F(io, read_into_bad_memory_fails)
{
	char *bad = guard_page(0);

	ASSERT_NE(NULL, bad);
	EXPECT_EQ(-EFAULT, try_pread(self->fd, bad, 1, self->page));
	EXPECT_EQ(-EINVAL, try_pread(self->fd, bad, 1, -1));
}

TEST_F(io, write_and_splice_fail)
{
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-EINVAL, answer(write(self->fd, "x", 1)));
	EXPECT_EQ(-EINVAL, answer(pwrite(self->fd, "x", 1, 0)));
	EXPECT_EQ(-EINVAL, answer(splice(self->fd, NULL, pipes[1], NULL, 1, 0)));
	EXPECT_EQ(0, self->map[0]);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(io, seek_set_goes_anywhere_but_below_zero)
{
	EXPECT_EQ(0, try_seek(self->fd, 0, SEEK_SET));
	EXPECT_EQ(99, try_seek(self->fd, 99, SEEK_SET));
	EXPECT_EQ(self->size, try_seek(self->fd, self->size, SEEK_SET));
	EXPECT_EQ(self->size + 99, try_seek(self->fd, self->size + 99, SEEK_SET));
	EXPECT_EQ(-EINVAL, try_seek(self->fd, -1, SEEK_SET));
	EXPECT_EQ(self->size + 99, try_seek(self->fd, 0, SEEK_CUR));
}

TEST_F(io, seek_cur_is_relative)
{
	EXPECT_EQ(0, try_seek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(10, try_seek(self->fd, 10, SEEK_CUR));
	EXPECT_EQ(6, try_seek(self->fd, -4, SEEK_CUR));
	EXPECT_EQ(-EINVAL, try_seek(self->fd, -7, SEEK_CUR));
	EXPECT_EQ(6, try_seek(self->fd, 0, SEEK_CUR));
}

TEST_F(io, seek_end_is_relative_to_exact_size)
{
	EXPECT_EQ(self->size, try_seek(self->fd, 0, SEEK_END));
	EXPECT_EQ(self->size - 99, try_seek(self->fd, -99, SEEK_END));
	EXPECT_EQ(self->size + 99, try_seek(self->fd, 99, SEEK_END));
	EXPECT_EQ(0, try_seek(self->fd, -(off_t)self->size, SEEK_END));
	EXPECT_EQ(-EINVAL, try_seek(self->fd, -(off_t)self->size - 1, SEEK_END));
}

TEST_F(io, seek_data_finds_data)
{
	EXPECT_EQ(self->page, try_seek(self->fd, 0, SEEK_DATA));
	EXPECT_EQ(self->page, try_seek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(self->page + 5, try_seek(self->fd, self->page + 5, SEEK_DATA));
	EXPECT_EQ(-ENXIO, try_seek(self->fd, 3 * self->page, SEEK_DATA));
	EXPECT_EQ(-ENXIO, try_seek(self->fd, self->size, SEEK_DATA));
	EXPECT_EQ(-ENXIO, try_seek(self->fd, -1, SEEK_DATA));
	EXPECT_EQ(self->page + 5, try_seek(self->fd, 0, SEEK_CUR));
}

TEST_F(io, seek_hole_finds_hole)
{
	EXPECT_EQ(0, try_seek(self->fd, 0, SEEK_HOLE));
	EXPECT_EQ(5, try_seek(self->fd, 5, SEEK_HOLE));
	EXPECT_EQ(3 * self->page, try_seek(self->fd, self->page, SEEK_HOLE));
	EXPECT_EQ(-ENXIO, try_seek(self->fd, self->size, SEEK_HOLE));
	EXPECT_EQ(3 * self->page, try_seek(self->fd, 0, SEEK_CUR));
}

TEST_F(io, seek_hole_ends_at_exact_size)
{
	memset(self->map, 'D', self->size);
	EXPECT_EQ(self->size, try_seek(self->fd, 0, SEEK_HOLE));
}

/* The seeks of libcutils' file operations test, each followed by a read. */
TEST_F(io, seeks_combine)
{
	const struct {
		off_t offset;
		int whence;
		off_t result;
	} seeks[] = {
		{ 99, SEEK_SET, 99 },
		{ self->page, SEEK_CUR, self->page + 99 },
		{ self->page, SEEK_DATA, self->page },
		{ self->page, SEEK_HOLE, 3 * self->page },
		{ -99, SEEK_END, self->size - 99 },
		{ -(off_t)self->page, SEEK_CUR, self->size - self->page - 99 },
	};
	char byte;

	for (size_t i = 0; i < ARRAY_SIZE(seeks); i++) {
		EXPECT_EQ(seeks[i].result, try_seek(self->fd, seeks[i].offset, seeks[i].whence));
		EXPECT_EQ(1, try_read(self->fd, &byte, 1));
		EXPECT_EQ(self->map[seeks[i].result], byte);
		EXPECT_EQ(seeks[i].result, try_seek(self->fd, -1, SEEK_CUR));
	}
}

TEST_F(io, unknown_whence_fails)
{
	EXPECT_EQ(-EINVAL, try_seek(self->fd, 0, SEEK_HOLE + 1));
	EXPECT_EQ(-EINVAL, try_seek(self->fd, 0, 99));
	EXPECT_EQ(-EINVAL, try_seek(self->fd, 0, -1));
}

TEST_F(io, position_is_shared_by_dup_and_fork)
{
	int copy = dup(self->fd);
	pid_t child;

	ASSERT_LE(0, copy);
	ASSERT_EQ(5, try_seek(self->fd, 5, SEEK_SET));
	EXPECT_EQ(5, try_seek(copy, 0, SEEK_CUR));
	child = fork();
	if (child == 0)
		_exit(try_seek(self->fd, 3, SEEK_CUR) != 8);
	EXPECT_EQ(0, exit_status_of(child));
	EXPECT_EQ(8, try_seek(self->fd, 0, SEEK_CUR));
	close(copy);
}

TEST_F(io, position_is_not_shared_by_another_open)
{
	int other = area_create(self->page);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, try_map(other, self->page, PROT_READ, MAP_SHARED));
	ASSERT_EQ(5, try_seek(self->fd, 5, SEEK_SET));
	EXPECT_EQ(0, try_seek(other, 0, SEEK_CUR));
	close(other);
}

/*
 * Several processes share a file position, and move it at the same time. Each word
 * of the region is its own index, so the data of a read shows its position.
 */
#define WORDS		16384
#define READERS		3
#define READER_TURNS	2000

FIXTURE(crowd)
{
	int fd;
	off_t size;
};

FIXTURE_SETUP(crowd)
{
	__u32 *map;

	self->size = WORDS * sizeof(*map);
	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0)
		return;
	ASSERT_EQ(0, set_size(self->fd, self->size));
	map = (__u32 *)area_map(self->fd, self->size, PROT_RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, map);
	for (__u32 i = 0; i < WORDS; i++)
		map[i] = i;
}

FIXTURE_TEARDOWN(crowd)
{
	if (self->fd >= 0)
		close(self->fd);
}

/* Whether this is a read of @len bytes from one position. It may be short only at the end. */
static bool is_one_read(const __u32 *words, ssize_t got, size_t len)
{
	size_t count = got / sizeof(*words);

	if (got < 0 || got % sizeof(*words))
		return false;
	for (size_t i = 0; i < count; i++)
		if (words[i] != words[0] + i)
			return false;
	return got == len || got == 0 || words[count - 1] == WORDS - 1;
}

static bool is_within(off_t position, off_t size)
{
	return position >= 0 && position <= size && position % sizeof(__u32) == 0;
}

static bool read_and_seek(int fd, off_t size, unsigned int turn)
{
	__u32 words[300];
	size_t len = (1 + turn * 7 % 300) * sizeof(*words);
	off_t target = turn * 1237 % WORDS * sizeof(*words), back;

	if (!is_one_read(words, try_read(fd, words, len), len))
		return false;
	if (!is_within(try_seek(fd, 0, SEEK_CUR), size))
		return false;
	back = try_seek(fd, -4, SEEK_CUR);
	if (back != -EINVAL && !is_within(back, size))
		return false;
	return turn % 5 || try_seek(fd, target, SEEK_SET) == target;
}

TEST_F_TIMEOUT(crowd, reads_and_seeks_do_not_mix, 120)
{
	pid_t children[READERS];

	for (int i = 0; i < READERS; i++) {
		children[i] = fork();
		for (unsigned int turn = i; children[i] == 0 && turn < READER_TURNS; turn++)
			if (!read_and_seek(self->fd, self->size, turn))
				_exit(1);
		if (children[i] == 0)
			_exit(0);
	}
	for (int i = 0; i < READERS; i++) {
		EXPECT_EQ(0, exit_status_of(children[i]));
	}
	EXPECT_TRUE(is_within(try_seek(self->fd, 0, SEEK_CUR), self->size));
}

TEST_HARNESS_MAIN
