/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Uses the device as Android's libcutils does, for clients.
 *
 * libcutils opens only the node with the boot ID in its name. It accepts a descriptor
 * as a region if it is of the device that it opened there.
 */
#ifndef _SELFTESTS_ASHMEM_CUTILS_H
#define _SELFTESTS_ASHMEM_CUTILS_H

#include "android.h"
#include "ashmem.h"

/* The directory of the nodes. */
static const char *cutils_dev = "/dev";

/* The device number, after the device was opened. */
static dev_t cutils_rdev;

static inline bool cutils_path(char *path, size_t len)
{
	char id[64];

	if (!read_boot_id(id, sizeof(id)))
		return false;
	snprintf(path, len, "%s/ashmem%s", cutils_dev, id);
	return true;
}

static inline int cutils_open(void)
{
	char path[PATH_MAX];
	struct stat node;
	int fd;

	if (!cutils_path(path, sizeof(path)))
		return -ENOENT;
	fd = answer(open(path, O_RDWR | O_CLOEXEC));
	if (fd < 0)
		return fd;
	if (fstat(fd, &node) || !S_ISCHR(node.st_mode) || !node.st_rdev) {
		close(fd);
		return -ENOTTY;
	}
	cutils_rdev = node.st_rdev;
	return fd;
}

static inline bool cutils_valid(int fd)
{
	struct stat file;
	int own;

	if (fstat(fd, &file) || !S_ISCHR(file.st_mode) || !file.st_rdev)
		return false;
	if (!cutils_rdev) {
		own = cutils_open();
		if (own < 0)
			return false;
		close(own);
	}
	return file.st_rdev == cutils_rdev;
}

static inline int cutils_create(const char *name, size_t size)
{
	char text[ASHMEM_NAME_LEN];
	int fd = cutils_open();
	long ret;

	if (fd < 0)
		return fd;
	snprintf(text, sizeof(text), "%s", name);
	ret = set_name(fd, text);
	if (!ret)
		ret = set_size(fd, size);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

#endif /* _SELFTESTS_ASHMEM_CUTILS_H */
