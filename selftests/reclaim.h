/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Helpers for the tests of reclaim: files with numbers, the driver's shrinker, memory
 * cgroups, and swap.
 *
 * Directories are passed as descriptors. Errors are negative errnos.
 */
#ifndef _SELFTESTS_ASHMEM_RECLAIM_H
#define _SELFTESTS_ASHMEM_RECLAIM_H

#include "ashmem.h"

#include <dirent.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/utsname.h>

#define MIB	(1024 * 1024)

static inline int open_dir(int at, const char *path)
{
	return answer(openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* Reads a text. Returns its length; ends it with a NUL if that fits. */
static inline long read_text(int dir, const char *file, char *text, size_t size)
{
	int fd = answer(openat(dir, file, O_RDONLY | O_CLOEXEC));
	size_t len = 0;
	long got = fd;

	if (fd < 0)
		return fd;
	while (len < size - 1 && (got = try_read(fd, text + len, size - 1 - len)) > 0)
		len += got;
	text[len] = '\0';
	close(fd);
	return got < 0 ? got : (long)len;
}

static inline long write_text(int dir, const char *file, const char *text)
{
	int fd = answer(openat(dir, file, O_WRONLY | O_CLOEXEC));
	long put;

	if (fd < 0)
		return fd;
	put = answer(write(fd, text, strlen(text)));
	close(fd);
	return put < 0 ? put : 0;
}

static inline long write_number(int dir, const char *file, unsigned long long number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", number);
	return write_text(dir, file, text);
}

static inline long long read_number(int dir, const char *file)
{
	char text[32];
	long len = read_text(dir, file, text, sizeof(text));

	return len < 0 ? len : strtoll(text, NULL, 10);
}

static inline bool is_in_text(const char *file, const char *words)
{
	char text[4096];

	return read_text(AT_FDCWD, file, text, sizeof(text)) >= 0 && strstr(text, words);
}

/* The number after a word at the start of a line. */
static inline long long read_stat(int dir, const char *file, const char *word)
{
	char text[16384], *line = text;
	long len = read_text(dir, file, text, sizeof(text));

	if (len < 0)
		return len;
	for (; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, word, strlen(word)) && strchr(": ", line[strlen(word)]))
			return strtoll(line + strlen(word) + 1, NULL, 10);
	}
	return -ENOENT;
}

static inline long long vm_events(const char *word)
{
	return read_stat(AT_FDCWD, "/proc/vmstat", word);
}

/* In pages. The kernel keeps counters per CPU; this makes it sum them first. */
static inline long long memory_pages(const char *word)
{
	write_text(AT_FDCWD, "/proc/sys/vm/stat_refresh", "1");
	return read_stat(AT_FDCWD, "/proc/meminfo", word) * 1024 / (long long)page_size();
}

/*
 * Whether a text has something that looks like a 64-bit kernel address: a number after 0x,
 * one of 16 hexadecimal digits, or a number that large. Pass only lines of the test itself,
 * because names of other processes may look the same.
 */
static inline bool has_address(const char *text)
{
	while (*text) {
		size_t len = strspn(text, "0123456789abcdefABCDEF");

		if (len == 16 || (len && strspn(text, "0123456789") == len &&
				  strtoull(text, NULL, 10) >> 47 == 0x1ffff))
			return true;
		if (!strncmp(text, "0x", 2))
			return true;
		text += len ?: 1;
	}
	return false;
}

static inline bool is_kernel_64bit(void)
{
	struct utsname name;

	return !uname(&name) && strstr(name.machine, "64");
}

/* A memory cgroup and a node, which have one LRU list. */
struct place {
	unsigned long long cgroup;
	int node;
};

#define ANY_CGROUP	(~0ULL)

/* The directory of the driver's shrinker. */
static inline int shrinker_open(void)
{
	DIR *dir = opendir("/sys/kernel/debug/shrinker");
	struct dirent *entry;
	int fd = -ENOENT;

	if (!dir)
		return -errno;
	while (fd < 0 && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "ashmem-", strlen("ashmem-")))
			fd = open_dir(dirfd(dir), entry->d_name);
	closedir(dir);
	return fd;
}

static inline long shrinker_scan(int shrinker, const struct place *place, size_t pages)
{
	char text[64];

	snprintf(text, sizeof(text), "%llu %d %zu", place->cgroup, place->node, pages);
	return write_text(shrinker, "scan", text);
}

/*
 * Calls @visit for each place with pages that can be purged. Returns the number of pages.
 * Each line has a cgroup and a number per node, and exists only if one of them is not 0.
 */
static inline long shrinker_visit(int shrinker, void (*visit)(const struct place *place, long pages,
							      void *data), void *data)
{
	char text[16384], *line, *next;
	long count = 0, len = read_text(shrinker, "count", text, sizeof(text));

	if (len < 0)
		return len;
	for (line = text; *line; line = next + 1) {
		struct place place = { .cgroup = strtoull(line, &next, 10) };

		for (; *next == ' '; place.node++) {
			long pages = strtol(next, &next, 10);

			if (pages)
				visit(&place, pages, data);
			count += pages;
		}
	}
	return count;
}

/* The arguments and the results of a visit. */
struct visit {
	int shrinker;
	unsigned long long cgroup;
	struct place *place;
	long pages;
	bool has_failed;
};

static inline void count_place(const struct place *place, long pages, void *data)
{
	struct visit *visit = data;

	if (visit->cgroup != ANY_CGROUP && visit->cgroup != place->cgroup)
		return;
	if (visit->place)
		*visit->place = *place;
	visit->pages += pages;
}

/*
 * The number of pages that can be purged in a cgroup. Sets @place to the last place with
 * such pages, unless it is NULL.
 */
static inline long shrinker_count_at(int shrinker, unsigned long long cgroup, struct place *place)
{
	struct visit visit = { .cgroup = cgroup, .place = place };
	long ret = shrinker_visit(shrinker, count_place, &visit);

	return ret < 0 ? ret : visit.pages;
}

static inline void scan_place(const struct place *place, long pages, void *data)
{
	struct visit *visit = data;

	(void)pages;
	visit->has_failed |= shrinker_scan(visit->shrinker, place, visit->pages);
}

/* Scans for @pages in each place. Returns whether all scans worked. */
static inline bool shrinker_scan_all(int shrinker, long pages)
{
	struct visit visit = { .shrinker = shrinker, .pages = pages };

	return shrinker_visit(shrinker, scan_place, &visit) >= 0 && !visit.has_failed;
}

static inline long shrinker_count(int shrinker, unsigned long long cgroup)
{
	return shrinker_count_at(shrinker, cgroup, NULL);
}

/* An unprivileged user. */
#define STRANGER	65534

/* The limit of ranges per user, besides a few for each region. */
#define MOST_RANGES	65536

/* Creates a region for many ranges, mapped once and never touched. */
static inline int sparse_area(size_t pages)
{
	int fd = area_create(pages * page_size());

	if (fd >= 0 && try_map(fd, page_size(), PROT_READ, MAP_SHARED | MAP_NORESERVE)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

#define HOMES	2

/* Cgroups for a test, and what must be undone after it. */
struct cgroups {
	char mount[32];		/* mounted by this test, or empty */
	bool enabled;		/* this test enabled the memory controller */
	int root, top, homes[HOMES];
	char name[32];		/* of the top, which has the homes */
};

/* Uses an existing mount, as mounting it again would change its options. */
static inline int cgroups_mount(struct cgroups *cgroups)
{
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char dir[4096], type[64];
	int root = -ENOENT;

	while (mounts && root < 0 && fscanf(mounts, "%*s %4095s %63s%*[^\n]", dir, type) == 2)
		if (!strcmp(type, "cgroup2"))
			root = open_dir(AT_FDCWD, dir);
	if (mounts)
		fclose(mounts);
	if (root >= 0)
		return root;
	snprintf(cgroups->mount, sizeof(cgroups->mount), "/tmp/ashmem.XXXXXX");
	if (!mkdtemp(cgroups->mount))
		return -errno;
	if (!mount("cgroup2", cgroups->mount, "cgroup2", 0, NULL))
		return open_dir(AT_FDCWD, cgroups->mount);
	root = -errno;
	rmdir(cgroups->mount);
	return root;
}

static inline int cgroup_create(int parent, const char *name)
{
	if (mkdirat(parent, name, 0755))
		return -errno;
	return open_dir(parent, name);
}

/* Moves the calling process to a cgroup. */
static inline long cgroup_join(int cgroup)
{
	return write_text(cgroup, "cgroup.procs", "0");
}

static inline void home_remove(struct cgroups *cgroups, int i)
{
	if (cgroups->homes[i] >= 0) {
		close(cgroups->homes[i]);
		unlinkat(cgroups->top, i ? "1" : "0", AT_REMOVEDIR);
	}
	cgroups->homes[i] = -EBADF;
}

static inline void cgroups_close(struct cgroups *cgroups)
{
	if (cgroups->root < 0)
		return;
	cgroup_join(cgroups->root);
	for (int i = 0; i < HOMES; i++)
		home_remove(cgroups, i);
	close(cgroups->top);
	unlinkat(cgroups->root, cgroups->name, AT_REMOVEDIR);
	if (cgroups->enabled)
		write_text(cgroups->root, "cgroup.subtree_control", "-memory");
	close(cgroups->root);
	cgroups->root = -EBADF;
	if (!cgroups->mount[0])
		return;
	umount2(cgroups->mount, MNT_DETACH);
	rmdir(cgroups->mount);
	cgroups->mount[0] = '\0';
}

/* Enables the memory controller for the children of a cgroup. Returns whether it was disabled. */
static inline long cgroup_enable_memory(int cgroup)
{
	char text[256];
	long ret = read_text(cgroup, "cgroup.subtree_control", text, sizeof(text));

	if (ret >= 0 && strstr(text, "memory"))
		return 0;
	return write_text(cgroup, "cgroup.subtree_control", "+memory") ?: 1;
}

static inline long cgroups_open(struct cgroups *cgroups)
{
	long ret;

	memset(cgroups, 0, sizeof(*cgroups));
	cgroups->top = -EBADF;
	snprintf(cgroups->name, sizeof(cgroups->name), "ashmem_test.%d", getpid());
	for (int i = 0; i < HOMES; i++)
		cgroups->homes[i] = -EBADF;
	cgroups->root = cgroups_mount(cgroups);
	if (cgroups->root < 0)
		return cgroups->root;
	ret = cgroup_enable_memory(cgroups->root);
	cgroups->enabled = ret == 1;
	if (ret >= 0) {
		cgroups->top = cgroup_create(cgroups->root, cgroups->name);
		ret = cgroup_enable_memory(cgroups->top);
	}
	for (int i = 0; ret >= 0 && i < HOMES; i++) {
		cgroups->homes[i] = cgroup_create(cgroups->top, i ? "1" : "0");
		ret = cgroups->homes[i];
	}
	if (ret < 0)
		cgroups_close(cgroups);
	return ret < 0 ? ret : 0;
}

/* The ID of a cgroup in the shrinker's files. */
static inline unsigned long long cgroup_id(int cgroup)
{
	struct stat stat;

	return fstat(cgroup, &stat) ? 0 : stat.st_ino;
}

static inline long zram_file(int id, const char *file, unsigned long long number)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/zram%d/%s", id, file);
	return write_number(AT_FDCWD, path, number);
}

static inline const char *zram_path(int id)
{
	static char path[32];

	snprintf(path, sizeof(path), "/dev/zram%d", id);
	return path;
}

static inline void zram_remove(int id)
{
	if (id < 0)
		return;
	zram_file(id, "reset", 1);
	write_number(AT_FDCWD, "/sys/class/zram-control/hot_remove", id);
}

/* Adds a zram disk, which needs no memory for zeros. Returns its number. */
static inline int zram_add(unsigned long long size)
{
	int id = read_number(AT_FDCWD, "/sys/class/zram-control/hot_add");
	long ret;

	if (id < 0)
		return id;
	ret = zram_file(id, "disksize", size);
	if (!ret)
		return id;
	zram_remove(id);
	return ret;
}

static inline void swap_remove(int id)
{
	if (id >= 0)
		swapoff(zram_path(id));
	zram_remove(id);
}

/* Writes a swap header, as mkswap does. */
static inline long swap_format(const char *path, size_t pages)
{
	__u32 header[3] = { 1, pages - 1, 0 };
	char *first = calloc(1, page_size());
	int fd = answer(open(path, O_WRONLY | O_CLOEXEC));
	long put = fd;

	if (first && fd >= 0) {
		memcpy(first + 1024, header, sizeof(header));
		memcpy(first + page_size() - 10, "SWAPSPACE2", 10);
		put = answer(pwrite(fd, first, page_size(), 0));
	}
	free(first);
	if (fd >= 0)
		close(fd);
	return put == (long)page_size() ? 0 : put < 0 ? put : -EIO;
}

/*
 * Adds swap on zram, with the highest priority. Sets @id to the number of the device as soon
 * as that exists, so that it can be removed even if the caller is killed, or to an error.
 */
static inline void swap_add_noted(size_t pages, int *id)
{
	long ret;

	*id = read_number(AT_FDCWD, "/sys/class/zram-control/hot_add");
	if (*id < 0)
		return;
	ret = zram_file(*id, "disksize", (unsigned long long)pages * page_size());
	if (!ret)
		ret = swap_format(zram_path(*id), pages);
	if (!ret)
		ret = answer(swapon(zram_path(*id), SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK));
	if (!ret)
		return;
	swap_remove(*id);
	*id = ret;
}

/* The same, but returns the number. */
static inline int swap_add(size_t pages)
{
	int id;

	swap_add_noted(pages, &id);
	return id;
}

/* Reads a part of a file into the page cache. */
static inline bool read_part(int fd, off_t from, size_t len)
{
	static char buf[1 << 20];

	for (size_t done = 0; done < len; done += sizeof(buf))
		if (pread(fd, buf, sizeof(buf), from + done) != sizeof(buf))
			return false;
	return true;
}

/*
 * Reads a file that was never read before, and will not be read again: a disk full of
 * zeros. Returns an error if there can be no disk.
 */
static inline long read_new_file(unsigned long long size)
{
	int disk = zram_add(size), fd;
	bool was_read;

	if (disk < 0)
		return disk;
	fd = open(zram_path(disk), O_RDONLY | O_CLOEXEC);
	was_read = fd >= 0 && read_part(fd, 0, size);
	if (fd >= 0)
		close(fd);
	zram_remove(disk);
	return was_read ? 0 : -EIO;
}

/* A process that outlives its test would disturb the next one. */
static inline void die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
}

/* Starts a process that calls @once in a loop until it is killed. */
static inline pid_t keep_doing(void (*once)(int fd), int fd)
{
	pid_t parent = getpid(), child = fork();

	if (child)
		return child;
	die_with(parent);
	for (;;)
		once(fd);
}

/* Stops it. Returns whether it was still running. */
static inline bool stop_doing(pid_t child)
{
	bool is_alive = child > 0 && waitpid(child, NULL, WNOHANG) == 0;

	if (is_alive) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return is_alive;
}

/* Pauses now and then, so that unpinned pages stay for a while before they are purged. */
static inline void take_breaks(int count)
{
	usleep(500 * count);
}

static inline void scan_oldest(int shrinker)
{
	struct place place;
	long pages = shrinker_count_at(shrinker, ANY_CGROUP, &place);

	if (pages < 0 || (pages && shrinker_scan(shrinker, &place, 1)))
		_exit(1);
	take_breaks(1);
}

static inline void purge_everything(int fd)
{
	if (purge_all(fd) < 0)
		_exit(1);
	take_breaks(8);
}

/* Less often, because each time is a line in the kernel's log. */
static inline void drop_slabs(int fd)
{
	(void)fd;
	if (write_text(AT_FDCWD, "/proc/sys/vm/drop_caches", "2"))
		_exit(1);
	take_breaks(100);
}

#ifdef __KSELFTEST_HARNESS_H

#define shrinker_or_skip() __shrinker_or_skip(_metadata)

/* Opens the shrinker's directory and purges everything. */
static inline int __shrinker_or_skip(struct __test_metadata *_metadata)
{
	int fd = area_open_or_skip(O_RDWR), shrinker = shrinker_open();

	if (fd < 0 || !purge_or_skip(fd))
		return -EPERM;
	close(fd);
	if (shrinker < 0)
		SKIP(return shrinker, "/sys/kernel/debug/shrinker/ashmem-*: %s",
		     strerror(-shrinker));
	if (is_in_text("/proc/cmdline", "nokmem"))
		SKIP(return -EOPNOTSUPP, "cgroup.memory=nokmem: all ranges are on one list");
	return shrinker;
}

#define swap_or_skip(pages) __swap_or_skip(_metadata, pages)

static inline int __swap_or_skip(struct __test_metadata *_metadata, size_t pages)
{
	int id = swap_add(pages);

	if (id < 0)
		SKIP(return id, "swap on zram: %s", strerror(-id));
	return id;
}

#endif /* __KSELFTEST_HARNESS_H */

#endif /* _SELFTESTS_ASHMEM_RECLAIM_H */
