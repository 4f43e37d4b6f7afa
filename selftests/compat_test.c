// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctl numbers, and which of them 32-bit and 64-bit processes can use. Built for
 * both, this tests the native and the compat ioctls of a 64-bit kernel.
 */
#include <assert.h>
#include <sys/utsname.h>

#include "kselftest_harness.h"
#include "ashmem.h"

#define SET_SIZE_64		0x40087703
#define SET_PROT_MASK_64	0x40087705
#define GET_FILE_ID_64		0x8008770b

#define SET_SIZE_32		0x40047703
#define SET_PROT_MASK_32	0x40047705
#define GET_FILE_ID_32		0x8004770b

static_assert(ASHMEM_SET_NAME == 0x41007701, "SET_NAME");
static_assert(ASHMEM_GET_NAME == 0x81007702, "GET_NAME");
static_assert(ASHMEM_GET_SIZE == 0x00007704, "GET_SIZE");
static_assert(ASHMEM_GET_PROT_MASK == 0x00007706, "GET_PROT_MASK");
static_assert(ASHMEM_PIN == 0x40087707, "PIN");
static_assert(ASHMEM_UNPIN == 0x40087708, "UNPIN");
static_assert(ASHMEM_GET_PIN_STATUS == 0x00007709, "GET_PIN_STATUS");
static_assert(ASHMEM_PURGE_ALL_CACHES == 0x0000770a, "PURGE_ALL_CACHES");

#if __SIZEOF_LONG__ == 8
static_assert(ASHMEM_SET_SIZE == SET_SIZE_64, "SET_SIZE");
static_assert(ASHMEM_SET_PROT_MASK == SET_PROT_MASK_64, "SET_PROT_MASK");
static_assert(ASHMEM_GET_FILE_ID == GET_FILE_ID_64, "GET_FILE_ID");
#else
static_assert(ASHMEM_SET_SIZE == SET_SIZE_32, "SET_SIZE");
static_assert(ASHMEM_SET_PROT_MASK == SET_PROT_MASK_32, "SET_PROT_MASK");
static_assert(ASHMEM_GET_FILE_ID == GET_FILE_ID_32, "GET_FILE_ID");
#endif

static_assert(COMPAT_ASHMEM_SET_SIZE == SET_SIZE_32, "compat SET_SIZE");
static_assert(COMPAT_ASHMEM_SET_PROT_MASK == SET_PROT_MASK_32, "compat SET_PROT_MASK");
static_assert(COMPAT_ASHMEM_GET_FILE_ID == GET_FILE_ID_32, "compat GET_FILE_ID");

static_assert(ASHMEM_NAME_LEN == 256, "NAME_LEN");
static_assert(sizeof(ASHMEM_NAME_DEF) == 11, "NAME_DEF");
static_assert(ASHMEM_NOT_PURGED == 0 && ASHMEM_WAS_PURGED == 1, "results of PIN");
static_assert(ASHMEM_IS_UNPINNED == 0 && ASHMEM_IS_PINNED == 1, "results of GET_PIN_STATUS");
static_assert(sizeof(struct ashmem_pin) == 8, "struct ashmem_pin");
static_assert(offsetof(struct ashmem_pin, len) == 4, "struct ashmem_pin");

static bool is_64bit_process(void)
{
	return sizeof(long) == 8;
}

/* Under linux32, uname shows a 32-bit kernel. Then a test is skipped, which is harmless. */
static bool is_64bit_kernel(void)
{
	struct utsname uts;

	return !uname(&uts) && (strstr(uts.machine, "64") || !strcmp(uts.machine, "s390x"));
}

AREA_FIXTURE(compat);

static long map_it(int fd)
{
	return set_size(fd, page_size()) ?: try_map(fd, page_size(), PROT_READ, MAP_SHARED);
}

TEST_F(compat, native_numbers_work)
{
	EXPECT_EQ(0, area_ioctl(self->fd, ASHMEM_SET_SIZE, self->page));
	EXPECT_EQ(0, area_ioctl(self->fd, ASHMEM_SET_PROT_MASK, PROT_READ));
	EXPECT_EQ(self->page, area_ioctl(self->fd, ASHMEM_GET_SIZE, 0));
	EXPECT_EQ(PROT_READ, area_ioctl(self->fd, ASHMEM_GET_PROT_MASK, 0));
}

TEST_F(compat, native_file_id_works)
{
	unsigned long id = 0;

	ASSERT_EQ(0, map_it(self->fd));
	EXPECT_EQ(0, area_ioctl(self->fd, ASHMEM_GET_FILE_ID, (unsigned long)&id));
	EXPECT_NE(0, id);
}

TEST_F(compat, numbers_of_32_bits_fail_in_64_bit_process)
{
	unsigned long id = 0;

	if (!is_64bit_process())
		SKIP(return, "this is a 32-bit process");
	EXPECT_EQ(-ENOTTY, area_ioctl(self->fd, COMPAT_ASHMEM_SET_SIZE, self->page));
	EXPECT_EQ(-ENOTTY, area_ioctl(self->fd, COMPAT_ASHMEM_SET_PROT_MASK, PROT_READ));
	EXPECT_EQ(0, get_size(self->fd));
	EXPECT_EQ(PROT_ALL, get_mask(self->fd));
	ASSERT_EQ(0, map_it(self->fd));
	EXPECT_EQ(-ENOTTY, area_ioctl(self->fd, COMPAT_ASHMEM_GET_FILE_ID, (unsigned long)&id));
	EXPECT_EQ(0, id);
}

TEST_F(compat, numbers_of_64_bits_work_in_32_bit_process)
{
	if (is_64bit_process())
		SKIP(return, "this is a 64-bit process");
	if (!is_64bit_kernel())
		SKIP(return, "this is a 32-bit kernel");
	EXPECT_EQ(0, area_ioctl(self->fd, SET_SIZE_64, self->page));
	EXPECT_EQ(self->page, get_size(self->fd));
	EXPECT_EQ(0, area_ioctl(self->fd, SET_PROT_MASK_64, PROT_READ));
	EXPECT_EQ(PROT_READ, get_mask(self->fd));
}

TEST_F(compat, file_id_of_64_bits_works_in_32_bit_process)
{
	unsigned long id = 0;
	__u64 whole = 0;

	if (is_64bit_process())
		SKIP(return, "this is a 64-bit process");
	if (!is_64bit_kernel())
		SKIP(return, "this is a 32-bit kernel");
	ASSERT_EQ(0, map_it(self->fd));
	EXPECT_EQ(0, get_file_id(self->fd, &id));
	EXPECT_EQ(0, area_ioctl(self->fd, GET_FILE_ID_64, (unsigned long)&whole));
	EXPECT_EQ(id, (__u32)whole);
}

TEST_F(compat, file_id_of_32_bits_writes_no_more)
{
	struct {
		__u32 id, after;
	} answer = { 0, 0x5a5a5a5a };

	if (is_64bit_process())
		SKIP(return, "this is a 64-bit process");
	ASSERT_EQ(0, map_it(self->fd));
	EXPECT_EQ(0, area_ioctl(self->fd, COMPAT_ASHMEM_GET_FILE_ID, (unsigned long)&answer));
	EXPECT_NE(0, answer.id);
	EXPECT_EQ(0x5a5a5a5a, answer.after);
}

TEST_F(compat, file_id_errors_keep_their_order)
{
	char *bad = guard_page(0);

	ASSERT_NE(NULL, bad);
	EXPECT_EQ(-EINVAL, area_ioctl(self->fd, ASHMEM_GET_FILE_ID, (unsigned long)bad));
	ASSERT_EQ(0, map_it(self->fd));
	EXPECT_EQ(-EFAULT, area_ioctl(self->fd, ASHMEM_GET_FILE_ID, (unsigned long)bad));
}

TEST_F(compat, size_of_32_bits_is_unsigned)
{
	if (is_64bit_process())
		SKIP(return, "this is a 64-bit process");
	if (!is_64bit_kernel())
		SKIP(return, "this is a 32-bit kernel");
	if (overcommit_mode() != 0 && overcommit_mode() != 1)
		SKIP(return, "vm.overcommit_memory ignores MAP_NORESERVE");
	ASSERT_EQ(0, set_size(self->fd, 0xfffff000));
	EXPECT_EQ(0xfffff000, (size_t)get_size(self->fd));
	EXPECT_EQ(0, try_map(self->fd, self->page, PROT_READ, MAP_SHARED | MAP_NORESERVE));
	EXPECT_EQ(0xfffff000, try_seek(self->fd, 0, SEEK_END));
}

TEST_HARNESS_MAIN
