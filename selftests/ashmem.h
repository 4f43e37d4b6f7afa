/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Helpers for the ashmem tests.
 *
 * They return what the system call returns: a value, or a negative errno. So a test
 * can check for an error in one line. Include this after kselftest_harness.h in a
 * test, or alone in another program.
 */
#ifndef _SELFTESTS_ASHMEM_H
#define _SELFTESTS_ASHMEM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ashmem.h>

#ifndef READ_IMPLIES_EXEC
#define READ_IMPLIES_EXEC	0x0400000
#endif

#define PROT_RW		(PROT_READ | PROT_WRITE)
#define PROT_ALL	(PROT_READ | PROT_WRITE | PROT_EXEC)

/* Returns -errno for -1, and any other value unchanged, even a size_t that looks like an errno. */
static inline long answer(long ret)
{
	return ret == -1 ? -errno : ret;
}

static inline size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

static inline const char *area_device(void)
{
	const char *device = getenv("ASHMEM_DEVICE");

	return device ? device : "/dev/ashmem";
}

static inline int area_open(int flags)
{
	return answer(open(area_device(), flags | O_CLOEXEC));
}

static inline long area_ioctl(int fd, unsigned long cmd, unsigned long arg)
{
	return answer(syscall(SYS_ioctl, fd, cmd, arg));
}

static inline long set_name(int fd, const char *name)
{
	return area_ioctl(fd, ASHMEM_SET_NAME, (unsigned long)name);
}

static inline long get_name(int fd, char *name)
{
	return area_ioctl(fd, ASHMEM_GET_NAME, (unsigned long)name);
}

static inline long set_size(int fd, size_t size)
{
	return area_ioctl(fd, ASHMEM_SET_SIZE, size);
}

static inline long get_size(int fd)
{
	return area_ioctl(fd, ASHMEM_GET_SIZE, 0);
}

static inline long set_mask(int fd, unsigned long mask)
{
	return area_ioctl(fd, ASHMEM_SET_PROT_MASK, mask);
}

static inline long get_mask(int fd)
{
	return area_ioctl(fd, ASHMEM_GET_PROT_MASK, 0);
}

static inline long get_file_id(int fd, unsigned long *id)
{
	return area_ioctl(fd, ASHMEM_GET_FILE_ID, (unsigned long)id);
}

/* The pin requests in bytes; a length of 0 reaches to the end. */
static inline long pin_call(int fd, unsigned long cmd, __u32 offset, __u32 len)
{
	struct ashmem_pin range = { .offset = offset, .len = len };

	return area_ioctl(fd, cmd, (unsigned long)&range);
}

static inline long pin_bytes(int fd, __u32 offset, __u32 len)
{
	return pin_call(fd, ASHMEM_PIN, offset, len);
}

static inline long unpin_bytes(int fd, __u32 offset, __u32 len)
{
	return pin_call(fd, ASHMEM_UNPIN, offset, len);
}

static inline long pin_status_bytes(int fd, __u32 offset, __u32 len)
{
	return pin_call(fd, ASHMEM_GET_PIN_STATUS, offset, len);
}

/* The pin requests in pages; a count of 0 reaches to the end. */
static inline long pin(int fd, size_t page, size_t count)
{
	return pin_bytes(fd, page * page_size(), count * page_size());
}

static inline long unpin(int fd, size_t page, size_t count)
{
	return unpin_bytes(fd, page * page_size(), count * page_size());
}

static inline long pin_status(int fd, size_t page, size_t count)
{
	return pin_status_bytes(fd, page * page_size(), count * page_size());
}

/* Draws the pages of an area: P for a pinned page, a dot for an unpinned one. */
static inline const char *picture(int fd, size_t pages)
{
	static char text[64 + 3];
	size_t i;

	text[0] = '|';
	for (i = 0; i < pages && i < 64; i++) {
		long status = pin_status(fd, i, 1);

		text[i + 1] = status == ASHMEM_IS_PINNED ? 'P' : status ? '?' : '.';
	}
	text[i + 1] = '|';
	text[i + 2] = '\0';
	return text;
}

/* Purges everything; returns the number of pages, or an error. @fd may be any area. */
static inline long purge_all(int fd)
{
	return area_ioctl(fd, ASHMEM_PURGE_ALL_CACHES, 0);
}

/* Creates an area of @size bytes, not mapped yet. */
static inline int area_create(size_t size)
{
	int fd = area_open(O_RDWR);

	if (fd >= 0 && set_size(fd, size)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

static inline char *area_map(int fd, size_t len, int prot, int flags)
{
	return mmap(NULL, len, prot, flags, fd, 0);
}

/* Returns the result of mmap(), and removes the mapping. */
static inline long try_map(int fd, size_t len, int prot, int flags)
{
	char *map = area_map(fd, len, prot, flags);

	if (map == MAP_FAILED)
		return -errno;
	munmap(map, len);
	return 0;
}

static inline long try_mprotect(void *map, size_t len, int prot)
{
	return answer(mprotect(map, len, prot));
}

static inline off_t try_seek(int fd, off_t offset, int whence)
{
	off_t position = lseek(fd, offset, whence);

	return position == -1 ? -errno : position;
}

static inline long try_read(int fd, void *buf, size_t len)
{
	return answer(read(fd, buf, len));
}

static inline long try_pread(int fd, void *buf, size_t len, off_t offset)
{
	return answer(pread(fd, buf, len, offset));
}

/* A page that faults at any access, with @before readable bytes below it. */
static inline char *guard_page(size_t before)
{
	size_t page = page_size(), room = (before + page - 1) / page * page;
	char *map = mmap(NULL, room + page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED || mprotect(map + room, page, PROT_NONE))
		return NULL;
	return map + room;
}

static inline bool is_filled(const char *buf, size_t len, char byte)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != byte)
			return false;
	return true;
}

/* The letter with which map_filled() fills a page. */
static inline char letter_of(size_t page)
{
	return 'a' + page % 26;
}

/* Maps the first pages of an area, each filled with a letter of its own. */
static inline char *map_filled(int fd, size_t pages)
{
	size_t len = page_size();
	char *map = area_map(fd, pages * len, PROT_READ | PROT_WRITE, MAP_SHARED);

	for (size_t i = 0; map != MAP_FAILED && i < pages; i++)
		memset(map + i * len, letter_of(i), len);
	return map;
}

static inline bool are_intact(const char *map, size_t page, size_t count)
{
	size_t len = page_size();

	for (size_t i = page; i < page + count; i++)
		if (!is_filled(map + i * len, len, letter_of(i)))
			return false;
	return true;
}

static inline bool are_zero(const char *map, size_t page, size_t count)
{
	return is_filled(map + page * page_size(), count * page_size(), 0);
}

/* Reads one byte in a child. Returns 0, or the signal that killed the child. */
static inline int signal_of_read(const volatile char *byte)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		prctl(PR_SET_DUMPABLE, 0);
		(void)*byte;
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

/*
 * Lets other processes preempt this one whenever they wake up, even in a system call, so that
 * they see it half done on a single CPU, too.
 */
static inline void give_way(void)
{
	const struct sched_param none = { 0 };

	sched_setscheduler(0, SCHED_IDLE, &none);
}

/* Waits until another process has purged a page. */
static inline void wait_for_purge_of(const volatile char *byte)
{
	while (*byte)
		usleep(50);
}

/* The exit status of a child, or -1 if it did not exit. */
static inline int exit_status_of(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

union fd_message {
	char buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static inline int send_fd(int socket, int fd)
{
	union fd_message control = { .buf = { 0 } };
	struct iovec iov = { .iov_base = "", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -errno;
}

static inline int recv_fd(int socket)
{
	union fd_message control = { .buf = { 0 } };
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg;
	int fd;

	if (recvmsg(socket, &msg, 0) != 1)
		return -EIO;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

/* Copies the line of /proc/self/maps that covers @addr, without its newline. */
static inline bool maps_line(const void *addr, char *line, size_t len)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	bool found = false;

	while (maps && !found && fgets(line, len, maps))
		found = sscanf(line, "%lx-%lx", &start, &end) == 2 &&
			start <= (unsigned long)addr && (unsigned long)addr < end;
	if (maps)
		fclose(maps);
	if (found)
		line[strcspn(line, "\n")] = '\0';
	return found;
}

/* vm.overcommit_memory, or -1. Mode 1 reserves nothing, mode 2 reserves all. */
static inline int overcommit_mode(void)
{
	FILE *file = fopen("/proc/sys/vm/overcommit_memory", "re");
	int mode = -1;

	if (file && fscanf(file, "%d", &mode) != 1)
		mode = -1;
	if (file)
		fclose(file);
	return mode;
}

/* The mount of the device may forbid PROT_EXEC mappings of every file on it. */
static inline bool is_noexec(int fd)
{
	struct statvfs mount;

	return !fstatvfs(fd, &mount) && (mount.f_flag & ST_NOEXEC);
}

#ifdef __KSELFTEST_HARNESS_H

/* EXPECT and ASSERT are two statements each, so a loop around one needs braces. */

#define area_open_or_skip(flags) __area_open_or_skip(_metadata, flags)

static inline int __area_open_or_skip(struct __test_metadata *_metadata, int flags)
{
	int fd = area_open(flags);

	/* With ASHMEM_REQUIRED, the test fails without the device. */
	switch (getenv("ASHMEM_REQUIRED") ? 0 : -fd) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
	case EACCES:
	case EPERM:
		SKIP(return fd, "%s: %s", area_device(), strerror(-fd));
	}
	ASSERT_LE(0, fd);
	return fd;
}

#define purge_or_skip(fd) __purge_or_skip(_metadata, fd)

/* Purges everything in the system, so that later page counts are exact. */
static inline bool __purge_or_skip(struct __test_metadata *_metadata, int fd)
{
	long ret = purge_all(fd);

	if (ret == -EPERM)
		SKIP(return false, "purging needs CAP_SYS_ADMIN");
	ASSERT_LE(0, ret);
	return true;
}

/* The fixture most files use: one open area in its default state. */
#define AREA_FIXTURE(name)						\
	FIXTURE(name)							\
	{								\
		int fd;							\
		size_t page;						\
	};								\
	FIXTURE_SETUP(name)						\
	{								\
		self->page = page_size();				\
		self->fd = area_open_or_skip(O_RDWR);			\
	}								\
	FIXTURE_TEARDOWN(name)						\
	{								\
		if (self->fd >= 0)					\
			close(self->fd);				\
	}

#endif /* __KSELFTEST_HARNESS_H */

#endif /* _SELFTESTS_ASHMEM_H */
