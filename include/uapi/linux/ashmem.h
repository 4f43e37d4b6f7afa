/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR Apache-2.0 */
/*
 * User API of /dev/ashmem: named, purgeable regions of shared memory.
 *
 * Each open() of the device creates a region, which has no name and size 0.
 * The first successful mmap() makes its name and size final.
 */
#ifndef _UAPI_LINUX_ASHMEM_H
#define _UAPI_LINUX_ASHMEM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Size of a name buffer, including the NUL. Longer names are truncated. */
#define ASHMEM_NAME_LEN		256

/* Returned by ASHMEM_GET_NAME for a region without a name. */
#define ASHMEM_NAME_DEF		"dev/ashmem"

/* Return values of ASHMEM_PIN. */
#define ASHMEM_NOT_PURGED	0
#define ASHMEM_WAS_PURGED	1

/* Return values of ASHMEM_GET_PIN_STATUS. */
#define ASHMEM_IS_UNPINNED	0
#define ASHMEM_IS_PINNED	1

/**
 * struct ashmem_pin - part of a region to pin, unpin or query
 * @offset: start of the part in bytes, a multiple of the page size
 * @len: length of the part in bytes, a multiple of the page size; 0 means up
 *       to the end of the region
 */
struct ashmem_pin {
	__u32 offset;
	__u32 len;
};

#define __ASHMEMIOC		0x77

/*
 * Sizes and masks are passed by value, not through a pointer, and returned as
 * the result of ioctl(). ASHMEM_GET_PIN_STATUS takes a pointer to struct
 * ashmem_pin although its number does not encode it.
 */
#define ASHMEM_SET_NAME		_IOW(__ASHMEMIOC, 1, char[ASHMEM_NAME_LEN])
#define ASHMEM_GET_NAME		_IOR(__ASHMEMIOC, 2, char[ASHMEM_NAME_LEN])
#define ASHMEM_SET_SIZE		_IOW(__ASHMEMIOC, 3, size_t)
#define ASHMEM_GET_SIZE		_IO(__ASHMEMIOC, 4)
#define ASHMEM_SET_PROT_MASK	_IOW(__ASHMEMIOC, 5, unsigned long)
#define ASHMEM_GET_PROT_MASK	_IO(__ASHMEMIOC, 6)
#define ASHMEM_PIN		_IOW(__ASHMEMIOC, 7, struct ashmem_pin)
#define ASHMEM_UNPIN		_IOW(__ASHMEMIOC, 8, struct ashmem_pin)
#define ASHMEM_GET_PIN_STATUS	_IO(__ASHMEMIOC, 9)
#define ASHMEM_PURGE_ALL_CACHES	_IO(__ASHMEMIOC, 10)
#define ASHMEM_GET_FILE_ID	_IOR(__ASHMEMIOC, 11, unsigned long)

/* The three numbers that differ in 32-bit processes. */
#define COMPAT_ASHMEM_SET_SIZE		_IOW(__ASHMEMIOC, 3, __u32)
#define COMPAT_ASHMEM_SET_PROT_MASK	_IOW(__ASHMEMIOC, 5, __u32)
#define COMPAT_ASHMEM_GET_FILE_ID	_IOR(__ASHMEMIOC, 11, __u32)

#endif /* _UAPI_LINUX_ASHMEM_H */
