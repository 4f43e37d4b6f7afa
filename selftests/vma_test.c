// SPDX-License-Identifier: GPL-2.0
/*
 * The effect of a purge on special mappings: private ones with huge pages, private beside
 * shared ones, and locked, guarded, merged, or watched ones.
 */
#include <sys/ioctl.h>

#include <linux/userfaultfd.h>

#include "kselftest_harness.h"
#include "reclaim.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif

#define THP	"/sys/kernel/mm/transparent_hugepage/"

/* A free address range that is aligned for huge pages. */
static char *aligned_room(size_t len, size_t huge)
{
	char *map = mmap(NULL, len + huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	return (char *)(((unsigned long)map + huge - 1) & ~(huge - 1));
}

/* A value of smaps, in bytes, for the mapping with this address. */
static long long smaps_of(const void *addr, const char *word)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	long long kib = -1;
	bool found = false;
	char line[512];

	while (smaps && kib < 0 && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			found = start <= (unsigned long)addr && (unsigned long)addr < end;
		else if (found && !strncmp(line, word, strlen(word)))
			kib = strtoll(line + strlen(word) + 1, NULL, 10);
	}
	if (smaps)
		fclose(smaps);
	return kib < 0 ? kib : kib * 1024;
}

#define HUGE_PAGES	2

/* A region with a shared and a private mapping, both aligned for huge pages. */
FIXTURE(both)
{
	int fd;
	size_t huge, len, pages;
	char *private, *shared;
	bool were_off;		/* huge pages, before the test */
};

FIXTURE_SETUP(both)
{
	long long huge = read_number(AT_FDCWD, THP "hpage_pmd_size");

	self->fd = area_open_or_skip(O_RDWR);
	if (self->fd < 0 || !purge_or_skip(self->fd))
		return;
	self->huge = huge > 0 ? huge : 64 * (long)page_size();
	self->len = HUGE_PAGES * self->huge;
	self->pages = self->len / page_size();
	ASSERT_EQ(0, set_size(self->fd, self->len));
	self->private = aligned_room(self->len, self->huge);
	self->shared = aligned_room(self->len, self->huge);
	ASSERT_EQ(self->private, mmap(self->private, self->len, PROT_RW,
				      MAP_PRIVATE | MAP_FIXED, self->fd, 0));
	ASSERT_EQ(self->shared, mmap(self->shared, self->len, PROT_RW,
				     MAP_SHARED | MAP_FIXED, self->fd, 0));
}

FIXTURE_TEARDOWN(both)
{
	if (self->were_off)
		write_text(AT_FDCWD, THP "enabled", "never");
	if (self->fd >= 0)
		close(self->fd);
}

/*
 * Fills the private mapping with huge pages, or skips. With less than 512 MiB of memory, the
 * kernel turns huge pages off at boot; so this turns them on.
 */
#define fill_huge() __fill_huge(_metadata, self->private, self->len, &self->were_off)

static bool __fill_huge(struct __test_metadata *_metadata, char *map, size_t len, bool *were_off)
{
	*were_off = is_in_text(THP "enabled", "[never]") &&
		    !write_text(AT_FDCWD, THP "enabled", "madvise");
	if (madvise(map, len, MADV_HUGEPAGE))
		SKIP(return false, "madvise(MADV_HUGEPAGE): %s", strerror(errno));
	memset(map, 'p', len);
	if (smaps_of(map, "AnonHugePages:") <= 0)
		SKIP(return false, "no huge pages for private memory");
	return true;
}

TEST_F(both, purge_spares_private_huge_pages)
{
	if (!fill_huge())
		return;
	memset(self->shared, 's', self->len);
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	EXPECT_EQ(self->pages, purge_all(self->fd));
	EXPECT_TRUE(is_filled(self->private, self->len, 'p'));
	EXPECT_TRUE(is_filled(self->shared, self->len, 0));
}

TEST_F(both, hole_in_shared_memory_spares_private_huge_pages)
{
	if (!fill_huge())
		return;
	memset(self->shared, 's', self->len);
	ASSERT_EQ(0, madvise(self->shared, self->len, MADV_REMOVE));
	EXPECT_TRUE(is_filled(self->private, self->len, 'p'));
	EXPECT_TRUE(is_filled(self->shared, self->len, 0));
}

/* Another process maps the same region and purges it. */
TEST_F(both, purge_spares_huge_pages_of_another_process)
{
	pid_t child;

	if (!fill_huge())
		return;
	child = fork();
	if (child == 0) {
		char *map = area_map(self->fd, self->len, PROT_RW, MAP_SHARED);

		memset(map, 'o', self->len);
		_exit(unpin(self->fd, 0, 0) || purge_all(self->fd) != (long)self->pages ||
		      madvise(map, self->len, MADV_REMOVE));
	}
	EXPECT_EQ(0, exit_status_of(child));
	EXPECT_TRUE(is_filled(self->private, self->len, 'p'));
}

TEST_F(both, purge_spares_collapsed_private_pages)
{
	memset(self->shared, 's', self->len);
	memset(self->private, 'p', self->len);
	if (madvise(self->private, self->len, MADV_COLLAPSE))
		SKIP(return, "MADV_COLLAPSE: %s", strerror(errno));
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	EXPECT_EQ(self->pages, purge_all(self->fd));
	EXPECT_TRUE(is_filled(self->private, self->len, 'p'));
}

TEST_F(both, purge_takes_collapsed_shared_pages)
{
	memset(self->shared, 's', self->len);
	if (madvise(self->shared, self->len, MADV_COLLAPSE))
		SKIP(return, "MADV_COLLAPSE: %s", strerror(errno));
	ASSERT_EQ(0, unpin(self->fd, 1, self->pages - 2));
	EXPECT_EQ(self->pages - 2, purge_all(self->fd));
	EXPECT_TRUE(is_filled(self->shared + page_size(), self->len - 2 * page_size(), 0));
	EXPECT_EQ('s', self->shared[0]);
	EXPECT_EQ('s', self->shared[self->len - 1]);
}

/* The kernel would warn about anonymous pages in a file mapping. */
TEST_F(both, pages_of_either_can_be_paged_out)
{
	memset(self->shared, 's', self->len);
	memset(self->private, 'p', self->len);
	if (madvise(self->shared, self->len, MADV_PAGEOUT))
		SKIP(return, "MADV_PAGEOUT: %s", strerror(errno));
	EXPECT_EQ(0, madvise(self->private, self->len, MADV_PAGEOUT));
	EXPECT_TRUE(is_filled(self->shared, self->len, 's'));
	EXPECT_TRUE(is_filled(self->private, self->len, 'p'));
}

#define fill_and_swap_out() \
	__fill_and_swap_out(_metadata, self->private, self->shared, self->len)

static void __fill_and_swap_out(struct __test_metadata *_metadata, char *private, char *shared,
				size_t len)
{
	memset(shared, 's', len);
	memset(private, 'p', len);
	EXPECT_EQ(0, madvise(shared, len, MADV_PAGEOUT));
	EXPECT_EQ(0, madvise(private, len, MADV_PAGEOUT));
}

TEST_F(both, swapped_pages_are_purged_and_spared)
{
	int zram = swap_or_skip(4 * self->pages);

	if (zram < 0)
		return;
	fill_and_swap_out();
	EXPECT_LT(0, smaps_of(self->shared, "Swap:"));
	EXPECT_LT(0, smaps_of(self->private, "Swap:"));
	EXPECT_EQ(0, unpin(self->fd, 0, 0));
	EXPECT_EQ(self->pages, purge_all(self->fd));
	EXPECT_TRUE(is_filled(self->private, self->len, 'p'));
	EXPECT_TRUE(is_filled(self->shared, self->len, 0));
	swap_remove(zram);
}

/* swapoff brings back all swapped-out pages of both mappings. */
TEST_F(both, swapoff_brings_back_either)
{
	int zram = swap_or_skip(4 * self->pages);

	if (zram < 0)
		return;
	fill_and_swap_out();
	EXPECT_LT(0, smaps_of(self->shared, "Swap:"));
	EXPECT_LT(0, smaps_of(self->private, "Swap:"));
	swap_remove(zram);
	EXPECT_EQ(0, smaps_of(self->shared, "Swap:"));
	EXPECT_EQ(0, smaps_of(self->private, "Swap:"));
	EXPECT_TRUE(is_filled(self->private, self->len, 'p'));
	EXPECT_TRUE(is_filled(self->shared, self->len, 's'));
}

/* KSM merges equal private pages; the merged page is not the region's. */
TEST_F(both, purge_spares_merged_private_pages)
{
	long long before;

	if (write_number(AT_FDCWD, "/sys/kernel/mm/ksm/run", 1))
		SKIP(return, "this kernel has no KSM");
	write_number(AT_FDCWD, "/sys/kernel/mm/ksm/pages_to_scan", 10000);
	memset(self->private, 'p', self->len);
	EXPECT_EQ(0, madvise(self->private, self->len, MADV_MERGEABLE));
	before = read_number(AT_FDCWD, "/sys/kernel/mm/ksm/full_scans");
	while (read_number(AT_FDCWD, "/sys/kernel/mm/ksm/full_scans") < before + 3)
		usleep(1000);
	EXPECT_LT(0, read_number(AT_FDCWD, "/sys/kernel/mm/ksm/pages_sharing"));
	memset(self->shared, 's', self->len);
	ASSERT_EQ(0, unpin(self->fd, 0, 0));
	EXPECT_EQ(self->pages, purge_all(self->fd));
	EXPECT_TRUE(is_filled(self->private, self->len, 'p'));
	EXPECT_EQ(0, write_number(AT_FDCWD, "/sys/kernel/mm/ksm/run", 2));
	EXPECT_TRUE(is_filled(self->private, self->len, 'p'));
}

/* The file of a private mapping cannot be written, even through map_files. */
TEST_F(both, file_of_private_map_cannot_be_written)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
		 (unsigned long)self->private, (unsigned long)self->private + self->len);
	fd = answer(open(path, O_RDONLY));
	if (fd == -EPERM || fd == -ENOENT)
		SKIP(return, "%s: %s", path, strerror(-fd));
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, answer(open(path, O_RDWR)));
	EXPECT_EQ(-EPERM, answer(truncate(path, self->len)));
	EXPECT_EQ(-EBADF, answer(fallocate(fd, 0, 0, self->len)));
	EXPECT_EQ(0, try_read(fd, path, 1));
	close(fd);
}

/* mlock() keeps pages in memory, but does not prevent a purge. */
TEST_F(both, purge_takes_locked_pages)
{
	size_t len = 16 * page_size();

	memset(self->shared, 's', self->len);
	memset(self->private, 'p', self->len);
	if (mlock(self->shared, len) || mlock(self->private, len))
		SKIP(return, "mlock(): %s", strerror(errno));
	ASSERT_EQ(0, unpin(self->fd, 0, 8));
	EXPECT_EQ(8, purge_all(self->fd));
	EXPECT_TRUE(is_filled(self->shared, 8 * page_size(), 0));
	EXPECT_EQ('s', self->shared[8 * page_size()]);
	EXPECT_TRUE(is_filled(self->private, len, 'p'));
	EXPECT_EQ(0, munlock(self->shared, len));
	EXPECT_EQ(0, munlock(self->private, len));
}

/* Guard markers stay, but the pages below them are purged. */
TEST_F(both, purge_keeps_guards)
{
	size_t page = page_size();

	memset(self->shared, 's', self->len);
	memset(self->private, 'p', self->len);
	if (madvise(self->shared + page, page, MADV_GUARD_INSTALL) ||
	    madvise(self->private + page, page, MADV_GUARD_INSTALL))
		SKIP(return, "MADV_GUARD_INSTALL: %s", strerror(errno));
	ASSERT_EQ(0, unpin(self->fd, 0, 4));
	EXPECT_EQ(4, purge_all(self->fd));
	EXPECT_EQ(SIGSEGV, signal_of_read(self->private + page));
	EXPECT_EQ(SIGSEGV, signal_of_read(self->shared + page));
	EXPECT_EQ(0, madvise(self->shared + page, page, MADV_GUARD_REMOVE));
	EXPECT_TRUE(is_filled(self->shared, 4 * page, 0));
	EXPECT_EQ('p', self->private[0]);
	EXPECT_EQ('p', self->private[2 * page]);
}

/* The same for the guard of a single page, which another mapping has populated. */
TEST_F(both, purge_of_a_page_keeps_its_guard)
{
	char *other = area_map(self->fd, self->len, PROT_RW, MAP_SHARED);
	size_t page = page_size();

	ASSERT_NE(MAP_FAILED, other);
	if (madvise(self->shared, page, MADV_GUARD_INSTALL))
		SKIP(return, "MADV_GUARD_INSTALL: %s", strerror(errno));
	memset(other, 'o', self->len);
	ASSERT_EQ(0, unpin(self->fd, 0, 1));
	EXPECT_EQ(1, purge_all(self->fd));
	EXPECT_EQ(SIGSEGV, signal_of_read(self->shared));
	EXPECT_TRUE(is_filled(other, page, 0));
	EXPECT_EQ('o', other[page]);
	munmap(other, self->len);
}

/* Registers a mapping with userfaultfd for missing pages. Returns the descriptor. */
static int watch(char *map, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (unsigned long)map, .len = len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = answer(syscall(SYS_userfaultfd, O_CLOEXEC));

	if (fd >= 0 && (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range))) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

/* Waits for a fault on a watched page, and resolves it. */
static bool give_page(int fd, char *at, char byte)
{
	size_t page = page_size();
	struct uffd_msg message;
	char *source = malloc(page);
	struct uffdio_copy copy = {
		.dst = (unsigned long)at,
		.src = (unsigned long)source,
		.len = page,
	};
	bool given;

	memset(source, byte, page);
	given = read(fd, &message, sizeof(message)) == sizeof(message) &&
		message.event == UFFD_EVENT_PAGEFAULT &&
		(message.arg.pagefault.address & -page) == (unsigned long)at &&
		!ioctl(fd, UFFDIO_COPY, &copy);
	free(source);
	return given;
}

/* A purged page is missing, so userfaultfd reports an access to it. */
TEST_F(both, purged_pages_are_missing_to_userfaultfd)
{
	pid_t child;
	int fd;

	memset(self->shared, 's', self->len);
	fd = watch(self->shared, self->len);
	if (fd < 0)
		SKIP(return, "userfaultfd: %s", strerror(-fd));
	ASSERT_EQ(0, unpin(self->fd, 0, 1));
	EXPECT_EQ(1, purge_all(self->fd));
	child = fork();
	if (child == 0)
		_exit(!give_page(fd, self->shared, 'g'));
	EXPECT_EQ('g', *(volatile char *)self->shared);
	EXPECT_EQ(0, exit_status_of(child));
	EXPECT_EQ('s', self->shared[page_size()]);
	close(fd);
}

TEST_HARNESS_MAIN
