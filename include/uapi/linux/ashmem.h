/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR Apache-2.0 */
/*
 * User API of /dev/ashmem: named, purgeable, shareable memory regions.
 *
 * Every open of the device is a region of its own, without a name and of size
 * zero. Name and size are final once the region has been mapped.
 */
#ifndef _UAPI_LINUX_ASHMEM_H
#define _UAPI_LINUX_ASHMEM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Room for a name, with its terminating NUL. Longer names are cut off. */
#define ASHMEM_NAME_LEN		256

/* What ASHMEM_GET_NAME answers while the region has no name. */
#define ASHMEM_NAME_DEF		"dev/ashmem"

/* Answers of ASHMEM_PIN. */
#define ASHMEM_NOT_PURGED	0
#define ASHMEM_WAS_PURGED	1

/* Answers of ASHMEM_GET_PIN_STATUS. */
#define ASHMEM_IS_UNPINNED	0
#define ASHMEM_IS_PINNED	1

/**
 * struct ashmem_pin - the part of a region that a pin request is about
 * @offset: where it begins, in bytes, a multiple of the page size
 * @len: how long it is, in bytes, a multiple of the page size; 0 reaches from
 *       @offset to the end of the region
 */
struct ashmem_pin {
	__u32 offset;
	__u32 len;
};

#define __ASHMEMIOC		0x77

/*
 * Sizes and masks are passed as the argument itself, not through a pointer, and
 * come back as the result of the call. ASHMEM_GET_PIN_STATUS takes a pointer to
 * struct ashmem_pin although its number does not say so.
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

/* The three numbers that a 32-bit process forms differently. */
#define COMPAT_ASHMEM_SET_SIZE		_IOW(__ASHMEMIOC, 3, __u32)
#define COMPAT_ASHMEM_SET_PROT_MASK	_IOW(__ASHMEMIOC, 5, __u32)
#define COMPAT_ASHMEM_GET_FILE_ID	_IOR(__ASHMEMIOC, 11, __u32)

#endif /* _UAPI_LINUX_ASHMEM_H */
