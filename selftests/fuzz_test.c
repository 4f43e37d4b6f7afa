// SPDX-License-Identifier: GPL-2.0
/*
 * Random calls on several areas by several processes, including memory management calls,
 * while memory is short now and then. Pinned pages must keep their contents.
 *
 *   ASHMEM_SEED=1 ASHMEM_CALLS=20000 ASHMEM_SECONDS=3600 ./fuzz_test
 *
 * sets the first seed, the number of calls of each process in a round, and the duration.
 * Each further round uses the next seed. For a given seed, each process makes the same
 * calls, whatever they return. The order between processes is up to the kernel.
 * ASHMEM_TRACE=1 prints each call.
 *
 * Each area has a part for each process. No other process writes, pins or unpins it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <time.h>

#include <linux/userfaultfd.h>

#include "kselftest_harness.h"
#include "random.h"
#include "reclaim.h"

#define WORKERS		3
#define AREAS		4
#define PART		16	/* pages of a process in each area */
#define PAGES		(WORKERS * PART)
#define SLOTS		8
#define CALLS		3000
#define CALLS_OF_CHILD	12

/* The memory limit of the first cgroup. */
#define LIMIT		(48ULL * MIB)

/* The fill of private memory, which areas never have. */
#define PRIVATE_FILL	0xee
#define MOST_FILL	200

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP	4
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY	1
#endif

struct page {
	unsigned char fill;
	bool is_unpinned;
};

/* A mapping that random calls may change. */
struct slot {
	char *map;	/* or NULL */
	size_t pages;
	int area;	/* or -1: none whose contents are known */
	size_t first;	/* page of the area */
	bool is_shared;
};

/* The report of a process to the test. */
struct report {
	char text[256];
	unsigned int calls, purged;
	int zram;	/* of the swap that the process added, or negative */
};

struct worker {
	unsigned int number;
	__u64 state;
	int fds[AREAS];
	char *maps[AREAS];	/* each whole area, only for reading */
	struct page pages[AREAS][PART];
	struct slot slots[SLOTS];
	int wild, own, userfault, shrinker;
	char *nowhere;		/* a page without access */
	const struct cgroups *cgroups;
	struct report *report;
};

/* The random numbers that determine a call. */
struct draw {
	unsigned int a, b, c, d;
};

static bool wrong(struct worker *worker, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static bool wrong(struct worker *worker, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(worker->report->text, sizeof(worker->report->text), fmt, args);
	va_end(args);
	return false;
}

/* The first page of a worker's part. */
static size_t part_of(const struct worker *worker)
{
	return worker->number * PART;
}

/* A page of the worker's own part of an area. */
static char *address_of(const struct worker *worker, size_t area, size_t page)
{
	return worker->maps[area] + (part_of(worker) + page) * page_size();
}

static bool is_mix_of(const char *buf, size_t len, unsigned char a, unsigned char b)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)buf[i] != a && (unsigned char)buf[i] != b)
			return false;
	return true;
}

static bool is_right(struct worker *worker, size_t area, size_t page)
{
	const struct page *model = &worker->pages[area][page];
	const char *at = address_of(worker, area, page);

	if (is_mix_of(at, page_size(), model->fill, model->is_unpinned ? 0 : model->fill))
		return true;
	return wrong(worker, "area %zu, page %zu, %s: %#x rather than %#x", area,
		     part_of(worker) + page, model->is_unpinned ? "unpinned" : "pinned",
		     (unsigned char)at[0], model->fill);
}

/* A range of the worker's own part. */
static size_t draw_range(const struct draw *draw, size_t *count)
{
	size_t first = draw->b % PART;

	*count = 1 + draw->c % (PART - first);
	return first;
}

/* The only valid error is ENOMEM, and then nothing has changed. */
static bool do_unpin(struct worker *worker, const struct draw *draw)
{
	size_t area = draw->a % AREAS, count, first = draw_range(draw, &count);
	long ret = unpin(worker->fds[area], part_of(worker) + first, count);

	if (ret && ret != -ENOMEM)
		return wrong(worker, "UNPIN: %s", strerror(-ret));
	for (size_t i = first; !ret && i < first + count; i++)
		worker->pages[area][i].is_unpinned = true;
	return true;
}

static bool do_pin(struct worker *worker, const struct draw *draw)
{
	size_t area = draw->a % AREAS, count, first = draw_range(draw, &count);
	long ret = pin(worker->fds[area], part_of(worker) + first, count);
	bool may_be_purged = false;

	if (ret == -ENOMEM)
		return true;
	if (ret != ASHMEM_NOT_PURGED && ret != ASHMEM_WAS_PURGED)
		return wrong(worker, "PIN: %ld", ret);
	worker->report->purged += ret;
	for (size_t i = first; i < first + count; i++)
		may_be_purged |= worker->pages[area][i].is_unpinned;
	if (ret && !may_be_purged)
		return wrong(worker, "PIN of pinned pages: %ld", ret);
	for (size_t i = first; i < first + count; i++) {
		struct page *page = &worker->pages[area][i];

		if (page->is_unpinned && ret == ASHMEM_WAS_PURGED &&
		    is_filled(address_of(worker, area, i), page_size(), 0))
			page->fill = 0;
		page->is_unpinned = false;
		if (!is_right(worker, area, i))
			return false;
	}
	return true;
}

static bool do_status(struct worker *worker, const struct draw *draw)
{
	size_t area = draw->a % AREAS, count, first = draw_range(draw, &count);
	long ret = pin_status(worker->fds[area], part_of(worker) + first, count);
	long expected = ASHMEM_IS_PINNED;

	for (size_t i = first; i < first + count; i++)
		if (worker->pages[area][i].is_unpinned)
			expected = ASHMEM_IS_UNPINNED;
	return ret == expected || wrong(worker, "GET_PIN_STATUS: %ld", ret);
}

static bool do_write(struct worker *worker, const struct draw *draw)
{
	size_t area = draw->a % AREAS, page = draw->b % PART;

	if (worker->pages[area][page].is_unpinned)
		return true;
	worker->pages[area][page].fill = draw->c % MOST_FILL;
	memset(address_of(worker, area, page), draw->c % MOST_FILL, page_size());
	return true;
}

static bool do_look(struct worker *worker, const struct draw *draw)
{
	(void)draw;
	for (size_t area = 0; area < AREAS; area++)
		for (size_t page = 0; page < PART; page++)
			if (!is_right(worker, area, page))
				return false;
	return true;
}

static bool do_read(struct worker *worker, const struct draw *draw)
{
	size_t area = draw->a % AREAS, page = draw->b % PART, len = page_size();
	const struct page *model = &worker->pages[area][page];
	char *buf = malloc(len);
	long ret;
	bool is_good;

	if (!buf)
		return true;
	ret = try_pread(worker->fds[area], buf, len, (part_of(worker) + page) * len);
	is_good = ret == (long)len &&
		  is_mix_of(buf, len, model->fill, model->is_unpinned ? 0 : model->fill);
	free(buf);
	return is_good || wrong(worker, "pread() of area %zu, page %zu: %ld", area, page, ret);
}

static bool do_seek(struct worker *worker, const struct draw *draw)
{
	try_seek(worker->fds[draw->a % AREAS], (off_t)(int)draw->b, draw->c % 6);
	return true;
}

static bool do_show(struct worker *worker, const struct draw *draw)
{
	char path[64], text[4096];

	if (draw->a % 4 == 0)
		snprintf(path, sizeof(path), "/sys/kernel/debug/ashmem/%s",
			 draw->b % 2 ? "regions" : "stats");
	else if (draw->a % 4 == 1)
		snprintf(path, sizeof(path), "/proc/self/%s", draw->b % 2 ? "maps" : "smaps");
	else
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", worker->fds[draw->b % AREAS]);
	read_text(AT_FDCWD, path, text, sizeof(text));
	return true;
}

static bool do_dup(struct worker *worker, const struct draw *draw)
{
	int *fd = &worker->fds[draw->a % AREAS], copy = fcntl(*fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return wrong(worker, "dup(): %s", strerror(errno));
	close(*fd);
	*fd = copy;
	return true;
}

/* Any ioctl with any argument, on an area whose contents are not checked. */
static bool do_wild(struct worker *worker, const struct draw *draw)
{
	static const unsigned long numbers[] = {
		ASHMEM_SET_NAME, ASHMEM_GET_NAME, ASHMEM_SET_SIZE, ASHMEM_GET_SIZE,
		ASHMEM_SET_PROT_MASK, ASHMEM_GET_PROT_MASK, ASHMEM_PIN, ASHMEM_UNPIN,
		ASHMEM_GET_PIN_STATUS, ASHMEM_GET_FILE_ID, ASHMEM_PIN, ASHMEM_UNPIN,
		ASHMEM_PIN, ASHMEM_UNPIN, 0x40047703, 0x40047705, 0x8004770b, 0x770c,
	};
	char buf[ASHMEM_NAME_LEN] = "wild";
	struct ashmem_pin range = {
		.offset = draw->b % PAGES * page_size(),
		.len = draw->c % PAGES * page_size(),
	};
	int fd = draw->a & 64 ? worker->wild : worker->own;
	unsigned long number = numbers[draw->a % ARRAY_SIZE(numbers)], arg = draw->c % PAGES;
	bool is_address = true;

	if (number == ASHMEM_PIN || number == ASHMEM_UNPIN || number == ASHMEM_GET_PIN_STATUS) {
		memcpy(buf, &range, sizeof(range));
		arg = (unsigned long)buf;
	} else if (_IOC_DIR(number) == _IOC_READ || number == ASHMEM_SET_NAME) {
		memset(buf, 'w', draw->d % sizeof(buf));
		buf[sizeof(buf) - 1] = '\0';
		arg = (unsigned long)buf;
	} else {
		is_address = false;
		if (number == ASHMEM_SET_SIZE)
			arg *= page_size();
		else if (number == ASHMEM_SET_PROT_MASK)
			arg = PROT_RW | draw->c % 8;
	}
	switch (draw->d % 32) {
	case 0:
		arg = 0;
		break;
	case 1:
		/* An address without access: a result must not overwrite the program's own data. */
		arg = is_address ? (unsigned long)worker->nowhere + draw->b % page_size() : draw->b;
		break;
	case 2:
		arg = -1UL - draw->b % 8192;
	}
	area_ioctl(fd, number, arg);
	return true;
}

static bool do_reopen(struct worker *worker, const struct draw *draw)
{
	int fd = area_open(draw->a % 8 ? O_RDWR : O_RDONLY);

	if (fd == -ENOMEM)
		return true;
	if (fd < 0)
		return wrong(worker, "open(): %s", strerror(-fd));
	close(worker->own);
	worker->own = fd;
	set_size(fd, draw->b % PAGES * page_size() + draw->c % 2);
	return true;
}

static struct slot *draw_slot(struct worker *worker, const struct draw *draw)
{
	struct slot *slot = &worker->slots[draw->a % SLOTS];

	return slot->map ? slot : NULL;
}

/* Some pages of a slot, or all. */
static char *draw_pages(const struct slot *slot, const struct draw *draw, size_t *count)
{
	size_t first = draw->d & 1 ? draw->b % slot->pages : 0;

	*count = draw->d & 2 ? 1 + draw->c % (slot->pages - first) : slot->pages - first;
	return slot->map + first * page_size();
}

static void slot_clear(struct slot *slot)
{
	if (slot->map)
		munmap(slot->map, slot->pages * page_size());
	slot->map = NULL;
}

static bool do_map(struct worker *worker, const struct draw *draw)
{
	static const int flags[] = { 0, MAP_NORESERVE, MAP_POPULATE, MAP_LOCKED };
	struct slot *slot = &worker->slots[draw->a % SLOTS];
	bool is_known = draw->b % 4 != 0;
	size_t area = draw->b / 4 % AREAS, first = draw->d % PAGES;
	size_t pages = 1 + draw->d / PAGES % (PAGES - first);
	int prot = draw->c % 4 ? PROT_RW : draw->c / 4 % 8;
	char *map;

	slot_clear(slot);
	slot->is_shared = draw->c / 32 % 4 != 0;
	map = mmap(NULL, pages * page_size(), prot,
		   (slot->is_shared ? MAP_SHARED : MAP_PRIVATE) | flags[draw->c / 128 % 4],
		   is_known ? worker->fds[area] : draw->b & 64 ? worker->wild : worker->own,
		   first * page_size());
	if (map == MAP_FAILED)
		return true;
	slot->map = map;
	slot->pages = pages;
	slot->first = first;
	slot->area = is_known ? (int)area : -1;
	return true;
}

/* Unmaps a part of a slot. Keeps the pages before it, or else those behind it. */
static bool do_unmap(struct worker *worker, const struct draw *draw)
{
	struct slot *slot = draw_slot(worker, draw);
	size_t count, before, behind;
	char *at;

	if (!slot)
		return true;
	at = draw_pages(slot, draw, &count);
	before = (at - slot->map) / page_size();
	behind = slot->pages - before - count;
	munmap(at, count * page_size());
	if (before) {
		munmap(at + count * page_size(), behind * page_size());
		slot->pages = before;
	} else {
		slot->map = behind ? at + count * page_size() : NULL;
		slot->first += count;
		slot->pages = behind;
	}
	return true;
}

/* Moves a slot, changes its length, or maps its pages a second time. */
static bool do_remap(struct worker *worker, const struct draw *draw)
{
	struct slot *slot = draw_slot(worker, draw), *other = &worker->slots[draw->d % SLOTS];
	size_t len, pages = 1 + draw->b % (2 * PAGES);
	int how = draw->c % 4;
	char *map;

	if (!slot || (how > 1 && slot == other))
		return true;
	if (how > 1)
		slot_clear(other);
	len = slot->pages * page_size();
	switch (how) {
	case 0:
		map = mremap(slot->map, len, pages * page_size(), MREMAP_MAYMOVE);
		break;
	case 1:
		map = mremap(slot->map, len, pages * page_size(), 0);
		break;
	case 2:
		pages = slot->pages;
		map = mremap(slot->map, len, len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
		break;
	default:
		/* Maps shared pages a second time. */
		map = mremap(slot->map, 0, pages * page_size(), MREMAP_MAYMOVE);
	}
	if (map == MAP_FAILED)
		return true;
	if (how > 1) {
		*other = *slot;
		slot = other;
	}
	slot->map = map;
	slot->pages = pages;
	return true;
}

/* Whether pages of a slot belong to the worker's own part; sets the first one. */
static bool are_own(const struct worker *worker, const struct slot *slot, const char *at,
		    size_t count, size_t *page)
{
	size_t first = slot->first + (at - slot->map) / page_size();

	*page = first - part_of(worker);
	return slot->is_shared && slot->area >= 0 && first >= part_of(worker) &&
	       first + count <= part_of(worker) + PART;
}

/* The worker that makes guard pages. */
#define GUARDS	1

static bool do_advise(struct worker *worker, const struct draw *draw)
{
	/* All except 100 and 101, which take pages out of use. */
	int advice = draw->d / 4 % 29;
	struct slot *slot = draw_slot(worker, draw);
	size_t count, page;
	char *at;

	if (!slot)
		return true;
	if (advice > 26)
		advice += 102 - 27;
	/*
	 * Where userfaultfd protects a page that is not there, the kernel tries to make a guard
	 * page for ever, with any shared memory. So no worker does both.
	 */
	if (advice == 102 && worker->number != GUARDS)
		return true;
	at = draw_pages(slot, draw, &count);
	if (advice != MADV_REMOVE || slot->area < 0) {
		madvise(at, count * page_size(), advice);
	} else if (are_own(worker, slot, at, count, &page)) {
		bool is_done = !madvise(at, count * page_size(), advice);

		/* It may have stopped in the middle. */
		for (size_t i = page; i < page + count; i++)
			if (is_done || is_filled(address_of(worker, slot->area, i), page_size(), 0))
				worker->pages[slot->area][i].fill = 0;
	}
	return true;
}

static bool do_protect(struct worker *worker, const struct draw *draw)
{
	struct slot *slot = draw_slot(worker, draw);
	size_t count, len;
	char *at;
	unsigned char *vec;

	if (!slot)
		return true;
	at = draw_pages(slot, draw, &count);
	len = count * page_size();
	switch (draw->d / 4 % 6) {
	case 0:
		mlock(at, len);
		break;
	case 1:
		munlock(at, len);
		break;
	case 2:
		msync(at, len, draw->d & 256 ? MS_SYNC : MS_ASYNC | MS_INVALIDATE);
		break;
	case 3:
		vec = malloc(count);
		if (vec)
			mincore(at, len, vec);
		free(vec);
		break;
	default:
		mprotect(at, len, draw->d & 256 ? PROT_RW : draw->d / 512 % 8);
	}
	return true;
}

/* remap_file_pages() must fail, as it would bypass the protection mask. */
static bool do_remap_pages(struct worker *worker, const struct draw *draw)
{
	struct slot *slot = draw_slot(worker, draw);
	size_t count;
	char *at;

	if (!slot)
		return true;
	at = draw_pages(slot, draw, &count);
	if (!syscall(SYS_remap_file_pages, at, count * page_size(), 0, draw->d / 4 % PAGES, 0))
		return wrong(worker, "remap_file_pages() worked");
	/* The kernel may have unmapped the pages before it asked for the new mapping. */
	slot_clear(slot);
	return true;
}

static sigjmp_buf landing;
static volatile sig_atomic_t is_touching;

static void land(int signal_number)
{
	if (is_touching)
		siglongjmp(landing, 1);
	signal(signal_number, SIG_DFL);
}

/* Fills a page. Returns false if that faults. */
static bool fill_page(char *at, unsigned char fill)
{
	if (sigsetjmp(landing, 1)) {
		is_touching = 0;
		return false;
	}
	is_touching = 1;
	memset(at, fill, page_size());
	is_touching = 0;
	return true;
}

static bool is_page_of(const char *at, unsigned char fill)
{
	bool is_good;

	if (sigsetjmp(landing, 1)) {
		is_touching = 0;
		return true;
	}
	is_touching = 1;
	is_good = is_mix_of(at, page_size(), fill, 0);
	is_touching = 0;
	return is_good;
}

/* Checks a page of a slot, or writes to it, if it is accessible. */
static bool touch(struct worker *worker, const struct draw *draw, bool may_write)
{
	struct slot *slot = draw_slot(worker, draw);
	struct page *model;
	size_t page;
	char *at;

	if (!slot)
		return true;
	at = slot->map + draw->b % slot->pages * page_size();
	if (!slot->is_shared) {
		if (!is_page_of(at, PRIVATE_FILL))
			return wrong(worker, "private memory is not as it was written");
		fill_page(at, PRIVATE_FILL);
	} else if (slot->area < 0) {
		fill_page(at, draw->c);
	} else if (are_own(worker, slot, at, 1, &page)) {
		model = &worker->pages[slot->area][page];
		if (!is_page_of(at, model->fill))
			return wrong(worker, "area %d, page %zu, by another mapping", slot->area,
				     part_of(worker) + page);
		if (may_write && !model->is_unpinned && fill_page(at, draw->c % MOST_FILL))
			model->fill = draw->c % MOST_FILL;
	}
	return true;
}

static bool do_touch(struct worker *worker, const struct draw *draw)
{
	return touch(worker, draw, true);
}

static bool do_look_at_slot(struct worker *worker, const struct draw *draw)
{
	return touch(worker, draw, false);
}

static int userfault_open(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_SIGBUS };
	int fd = answer(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

/* Resolves a fault on a missing page, with valid contents. */
static void userfault_fill(struct worker *worker, const struct slot *slot, char *at,
			   const struct draw *draw)
{
	struct uffdio_copy copy = { .dst = (unsigned long)at, .len = page_size() };
	struct uffdio_zeropage zero = { .range = { (unsigned long)at, page_size() } };
	char *buf = malloc(page_size());
	unsigned char fill = PRIVATE_FILL;
	size_t page;

	if (are_own(worker, slot, at, 1, &page))
		fill = worker->pages[slot->area][page].fill;
	else if (slot->is_shared && slot->area >= 0)
		fill = 0;
	if (buf && fill && draw->d & 4) {
		memset(buf, fill, page_size());
		copy.src = (unsigned long)buf;
		ioctl(worker->userfault, UFFDIO_COPY, &copy);
	} else {
		ioctl(worker->userfault, UFFDIO_ZEROPAGE, &zero);
	}
	free(buf);
}

static bool do_userfault(struct worker *worker, const struct draw *draw)
{
	struct slot *slot = draw_slot(worker, draw);
	struct uffdio_register watch = { .mode = 1 + draw->d / 64 % 7 };
	struct uffdio_writeprotect protect = { .mode = draw->d / 64 % 2 };
	size_t count;
	char *at;

	if (!slot || worker->userfault < 0)
		return true;
	at = draw_pages(slot, draw, &count);
	watch.range.start = (unsigned long)at;
	watch.range.len = count * page_size();
	protect.range = watch.range;
	switch (draw->d / 8 % 4) {
	case 0:
		ioctl(worker->userfault, UFFDIO_REGISTER, &watch);
		break;
	case 1:
		ioctl(worker->userfault, UFFDIO_UNREGISTER, &watch.range);
		break;
	case 2:
		ioctl(worker->userfault, UFFDIO_WRITEPROTECT, &protect);
		break;
	default:
		userfault_fill(worker, slot, at, draw);
	}
	return true;
}

static bool do_purge_all(struct worker *worker, const struct draw *draw)
{
	long ret = purge_all(worker->fds[draw->a % AREAS]);

	return ret >= 0 || ret == -EPERM || wrong(worker, "PURGE_ALL_CACHES: %s", strerror(-ret));
}

/* Calls that only root can make, for the whole system. */
static bool do_compact(struct worker *worker, const struct draw *draw)
{
	(void)worker;
	(void)draw;
	write_text(AT_FDCWD, "/proc/sys/vm/compact_memory", "1");
	return true;
}

static bool do_drop(struct worker *worker, const struct draw *draw)
{
	(void)worker;
	write_text(AT_FDCWD, "/proc/sys/vm/drop_caches", draw->a % 2 ? "2" : "3");
	return true;
}

static bool do_scan(struct worker *worker, const struct draw *draw)
{
	if (worker->shrinker >= 0)
		shrinker_scan_all(worker->shrinker, 1 + draw->a % PART);
	return true;
}

static bool do_swap(struct worker *worker, const struct draw *draw)
{
	int *zram = &worker->report->zram;

	(void)draw;
	if (*zram < 0) {
		swap_add_noted(16 * MIB / page_size(), zram);
	} else if (!swapoff(zram_path(*zram))) {
		zram_remove(*zram);
		*zram = -ENODEV;
	}
	return true;
}

static bool do_move(struct worker *worker, const struct draw *draw)
{
	const struct cgroups *cgroups = worker->cgroups;

	if (cgroups->root >= 0)
		cgroup_join(draw->a % 3 < HOMES ? cgroups->homes[draw->a % 3] : cgroups->root);
	return true;
}

static bool do_reclaim(struct worker *worker, const struct draw *draw)
{
	const struct cgroups *cgroups = worker->cgroups;

	if (cgroups->root >= 0)
		write_number(cgroups->homes[draw->a % HOMES], "memory.reclaim",
			     (1 + draw->b % 64) * page_size());
	return true;
}

/* A child allocates memory: more than there is, if it is in the first cgroup. */
static bool do_press(struct worker *worker, const struct draw *draw)
{
	pid_t parent = getpid(), child = fork();
	size_t len = (4 + draw->a % 60) * MIB;

	(void)worker;
	if (child == 0) {
		char *map;

		die_with(parent);
		map = mmap(NULL, len, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		/* The OOM killer must choose this process. */
		write_text(AT_FDCWD, "/proc/self/oom_score_adj", "1000");
		for (size_t i = 0; map != MAP_FAILED && i < len; i += page_size())
			map[i] = draw->b + i / page_size();
		_exit(0);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
	return true;
}

/* Areas are open, so the module must stay loaded. */
static bool do_unload(struct worker *worker, const struct draw *draw)
{
	(void)draw;
	return syscall(SYS_delete_module, "rust_ashmem", O_NONBLOCK) ||
	       wrong(worker, "the module was unloaded while areas are open");
}

static bool do_fork(struct worker *worker, const struct draw *draw);

/* Who makes a call: only the first worker, all workers, or all and their children. */
enum who { FIRST, ALL, CHILDREN };

static const struct operation {
	const char *name;
	bool (*run)(struct worker *worker, const struct draw *draw);
	unsigned int weight;
	enum who who;
} operations[] = {
	{ "UNPIN", do_unpin, 140, ALL },
	{ "PIN", do_pin, 110, ALL },
	{ "GET_PIN_STATUS", do_status, 40, ALL },
	{ "write", do_write, 70, ALL },
	{ "look", do_look, 15, CHILDREN },
	{ "pread", do_read, 40, CHILDREN },
	{ "lseek", do_seek, 10, ALL },
	{ "show", do_show, 6, ALL },
	{ "dup", do_dup, 6, ALL },
	{ "wild ioctl", do_wild, 120, ALL },
	{ "reopen", do_reopen, 8, ALL },
	{ "mmap", do_map, 60, CHILDREN },
	{ "munmap", do_unmap, 20, CHILDREN },
	{ "mremap", do_remap, 40, CHILDREN },
	{ "madvise", do_advise, 90, ALL },
	{ "mprotect", do_protect, 40, CHILDREN },
	{ "remap_file_pages", do_remap_pages, 10, CHILDREN },
	{ "touch", do_touch, 80, ALL },
	{ "look at a slot", do_look_at_slot, 30, CHILDREN },
	{ "userfaultfd", do_userfault, 40, ALL },
	{ "PURGE_ALL_CACHES", do_purge_all, 8, ALL },
	{ "fork", do_fork, 4, ALL },
	{ "compact_memory", do_compact, 2, FIRST },
	{ "drop_caches", do_drop, 1, FIRST },
	{ "scan", do_scan, 6, FIRST },
	{ "swap", do_swap, 2, FIRST },
	{ "cgroup", do_move, 3, ALL },
	{ "memory.reclaim", do_reclaim, 3, FIRST },
	{ "memory pressure", do_press, 1, FIRST },
	{ "delete_module", do_unload, 3, FIRST },
};

/* Makes the next of the calls that are allowed for @who. */
static bool do_next(struct worker *worker, __u64 *state, enum who who)
{
	unsigned int total = 0, chosen, i;
	struct draw draw;
	__u64 z;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		if (operations[i].who >= who)
			total += operations[i].weight;
	z = mix(state);
	chosen = (z >> 32) % total;
	draw.a = z;
	z = mix(state);
	draw.b = z >> 32;
	draw.c = z;
	draw.d = mix(state) >> 32;
	for (i = 0; operations[i].who < who || chosen >= operations[i].weight; i++)
		if (operations[i].who >= who)
			chosen -= operations[i].weight;
	if (getenv("ASHMEM_TRACE"))
		fprintf(stderr, "# %u: %s %#x %#x %#x %#x\n", worker->number, operations[i].name,
			draw.a, draw.b, draw.c, draw.d);
	return operations[i].run(worker, &draw);
}

/* A child does not inherit all mappings, and others may have taken the addresses. */
static void forget_lost_slots(struct worker *worker)
{
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *slot = &worker->slots[i];

		if (slot->map && msync(slot->map, slot->pages * page_size(), MS_ASYNC))
			slot->map = NULL;
	}
}

/* The child makes calls with its parent's mappings, but changes no area. */
static bool do_fork(struct worker *worker, const struct draw *draw)
{
	pid_t parent = getpid(), child = fork();
	__u64 state = draw->c;
	int status;

	if (child < 0)
		return true;
	if (child == 0) {
		bool is_good;

		die_with(parent);
		is_good = do_look(worker, draw);
		/* It is for the memory of the parent. */
		worker->userfault = -EBADF;
		forget_lost_slots(worker);
		for (unsigned int i = 0; is_good && i < CALLS_OF_CHILD; i++)
			is_good = do_next(worker, &state, CHILDREN);
		_exit(is_good && do_look(worker, draw) ? 0 : 1);
	}
	if (waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status))
		return true;
	/* A child that the OOM killer chose did not find a bug. */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return true;
	if (WIFSIGNALED(status))
		return wrong(worker, "a child died of signal %d", WTERMSIG(status));
	return false;
}

static void work(struct worker *worker, unsigned int calls)
{
	signal(SIGSEGV, land);
	signal(SIGBUS, land);
	worker->userfault = worker->number == GUARDS ? -EBADF : userfault_open();
	worker->own = area_open(O_RDWR);
	worker->nowhere = mmap(NULL, page_size(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	while (worker->report->calls < calls) {
		if (!do_next(worker, &worker->state, worker->number ? ALL : FIRST))
			_exit(1);
		worker->report->calls++;
	}
	_exit(!do_look(worker, NULL));
}

FIXTURE(fuzz)
{
	struct cgroups cgroups;
	struct report *reports;
	struct worker worker;
	unsigned long long calls, purged;
};

FIXTURE_SETUP(fuzz)
{
	int fd = area_open_or_skip(O_RDWR);

	if (fd < 0)
		return;
	close(fd);
	if (getenv("ASHMEM_C_DRIVER"))
		SKIP(return, "random calls are made on this driver only");
	self->reports = mmap(NULL, WORKERS * sizeof(*self->reports), PROT_RW,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->reports);
	for (int i = 0; i < WORKERS; i++)
		self->reports[i].zram = -ENODEV;
	if (!cgroups_open(&self->cgroups))
		write_number(self->cgroups.homes[0], "memory.max", LIMIT);
	self->worker.shrinker = shrinker_open();
	self->worker.cgroups = &self->cgroups;
}

FIXTURE_TEARDOWN(fuzz)
{
	for (int i = 0; self->reports && i < WORKERS; i++)
		swap_remove(self->reports[i].zram);
	cgroups_close(&self->cgroups);
}

#define areas_open(worker) __areas_open(_metadata, worker)

static void __areas_open(struct __test_metadata *_metadata, struct worker *worker)
{
	size_t len = PAGES * page_size();

	for (int i = 0; i < AREAS; i++) {
		worker->fds[i] = area_create(len);
		ASSERT_LE(0, worker->fds[i]);
		worker->maps[i] = area_map(worker->fds[i], len, PROT_RW, MAP_SHARED);
		ASSERT_NE(MAP_FAILED, worker->maps[i]);
	}
	worker->wild = area_create(len);
	ASSERT_LE(0, worker->wild);
}

static void areas_close(struct worker *worker)
{
	for (int i = 0; i < AREAS; i++) {
		munmap(worker->maps[i], PAGES * page_size());
		close(worker->fds[i]);
	}
	close(worker->wild);
}

/*
 * Runs all workers. The first failure ends all of them. A worker that the OOM killer chose
 * is not a failure; @died counts these.
 */
static bool run_round(struct worker *worker, struct report *reports, __u64 seed,
		      unsigned int calls, unsigned int *died)
{
	long long kills = vm_events("oom_kill");
	pid_t parent = getpid(), pids[WORKERS];
	bool is_good = true;
	int status;

	for (int i = 0; i < WORKERS; i++) {
		memset(&reports[i], 0, sizeof(reports[i]));
		reports[i].zram = -ENODEV;
		pids[i] = fork();
		if (pids[i])
			continue;
		die_with(parent);
		worker->number = i;
		worker->report = &reports[i];
		worker->state = seed * WORKERS + i;
		work(worker, calls);
	}
	for (int i = 0; i < WORKERS; i++) {
		pid_t pid = wait(&status);
		int number = 0;

		while (number < WORKERS - 1 && pids[number] != pid)
			number++;
		pids[number] = 0;
		if (WIFEXITED(status) && !WEXITSTATUS(status))
			continue;
		if (is_good && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
		    vm_events("oom_kill") > kills) {
			++*died;
			continue;
		}
		if (is_good && WIFSIGNALED(status))
			snprintf(reports[number].text, sizeof(reports[number].text),
				 "died of signal %d", WTERMSIG(status));
		is_good = false;
		for (int j = 0; j < WORKERS; j++)
			if (pids[j] > 0)
				kill(pids[j], SIGKILL);
	}
	return is_good;
}

TEST_F_TIMEOUT(fuzz, what_is_pinned_stays, 7 * 24 * 3600)
{
	__u64 seed = number_from("ASHMEM_SEED", time(NULL));
	unsigned int calls = number_from("ASHMEM_CALLS", CALLS), round = 0;
	time_t end = time(NULL) + number_from("ASHMEM_SECONDS", 0);
	bool is_good;

	do {
		unsigned long long purged = self->purged;
		unsigned int died = 0;

		TH_LOG("seed %llu: %llu calls in all, %llu found a purge", seed + round,
		       self->calls, self->purged);
		areas_open(&self->worker);
		is_good = run_round(&self->worker, self->reports, seed + round, calls, &died);
		areas_close(&self->worker);
		for (int i = 0; i < WORKERS; i++) {
			struct report *report = &self->reports[i];

			self->calls += report->calls;
			self->purged += report->purged;
			swap_remove(report->zram);
			report->zram = -ENODEV;
			if (!is_good && report->text[0])
				TH_LOG("process %d, after %u calls: %s", i, report->calls,
				       report->text);
		}
		TH_LOG("seed %llu: %llu calls in all, %llu found a purge", seed + round,
		       self->calls, self->purged);
		if (died)
			TH_LOG("the OOM killer chose %u processes", died);
		/* Workers of root purge everything now and then. */
		if (is_good && !died && calls >= CALLS && self->worker.shrinker >= 0) {
			EXPECT_LT(purged, self->purged) TH_LOG("seed %llu: nothing was purged",
							       seed + round);
		}
		EXPECT_TRUE(is_good) {
			TH_LOG("again with: ASHMEM_SEED=%llu ASHMEM_CALLS=%u ./fuzz_test",
			       seed + round, calls);
		}
		round++;
	} while (is_good && time(NULL) < end);
}

TEST_HARNESS_MAIN
