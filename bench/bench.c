// SPDX-License-Identifier: GPL-2.0
/*
 * Measures the cost of the calls of an ashmem device, and of the same with a memfd.
 *
 *   bench [--device PATH]    each call by itself; PATH is one more device
 *   bench --parallel         several processes at once
 *   bench --shared           two processes, for a plugin that watches their writes
 *
 * Prints a line for each row and subject, separated by tabs: the row's name, the
 * number of objects (or -), the unit, the subject and the value. In the first form,
 * times are nanoseconds. With QEMU's -icount shift=0, the clock counts instructions,
 * so these are instructions.
 */
#include <getopt.h>
#include <linux/falloc.h>
#include <math.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include "ashmem.h"
#include "reclaim.h"

#define ROUNDS	5
#define TIMES	1000
#define PAGES	2048		/* 8 MiB with 4 KiB pages */
#define RANGES	(PAGES / 2)
#define MANY	10000

/* A subject to measure: an ashmem device, or memfds if there is no path. */
struct subject {
	const char *name, *path;
	size_t most;		/* the most ranges in a region */
};

/* A region and its size. */
struct region {
	const struct subject *subject;
	int fd;
	size_t page, pages, ranges;
	char *map;
};

static void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long must(const char *what, long ret)
{
	if (ret < 0)
		die(what);
	return ret;
}

static __u64 now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static void print_row(const char *row, long count, const char *unit,
		      const struct subject *subject, double value)
{
	if (count < 0)
		printf("%s\t-\t%s\t%s\t%.1f\n", row, unit, subject->name, value);
	else
		printf("%s\t%ld\t%s\t%s\t%.1f\n", row, count, unit, subject->name, value);
	fflush(stdout);
}

/* The least cost of several rounds, each after its preparation. */
static double cost(struct region *region, void (*prepare)(struct region *region),
		   void (*round)(struct region *region), size_t operations)
{
	double least = INFINITY;

	for (int i = 0; i < ROUNDS; i++) {
		__u64 start, took;

		if (prepare)
			prepare(region);
		start = now();
		round(region);
		took = now() - start;
		if (took < least)
			least = took;
	}
	return least / operations;
}

static int region_create(const struct subject *subject, size_t size)
{
	int fd;

	if (!subject->path) {
		fd = must("memfd_create", memfd_create("bench", MFD_CLOEXEC));
		must("ftruncate", ftruncate(fd, size));
		return fd;
	}
	fd = must(subject->path, open(subject->path, O_RDWR | O_CLOEXEC));
	must("ASHMEM_SET_NAME", ioctl(fd, ASHMEM_SET_NAME, "bench"));
	must("ASHMEM_SET_SIZE", ioctl(fd, ASHMEM_SET_SIZE, size));
	return fd;
}

static char *region_map(int fd, size_t size)
{
	char *map = mmap(NULL, size, PROT_RW, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (map == MAP_FAILED)
		die("mmap");
	return map;
}

static void region_open(struct region *region, const struct subject *subject, size_t pages)
{
	*region = (struct region){ .subject = subject, .page = page_size(), .pages = pages };
	region->fd = region_create(subject, pages * region->page);
	region->map = region_map(region->fd, pages * region->page);
}

static void region_close(struct region *region)
{
	munmap(region->map, region->pages * region->page);
	close(region->fd);
}

static void touch_pages(struct region *region)
{
	for (size_t i = 0; i < region->pages; i++)
		*(volatile char *)(region->map + i * region->page) = 1;
}

static void range_call(const struct region *region, unsigned long call, size_t page, size_t count)
{
	struct ashmem_pin range = {
		.offset = page * region->page,
		.len = count * region->page,
	};

	must("pin or unpin", ioctl(region->fd, call, &range));
}

/* Unpins every second page, so that each is a range. */
static void unpin_ranges(struct region *region)
{
	for (size_t i = 0; i < region->ranges; i++)
		range_call(region, ASHMEM_UNPIN, 2 * i, 1);
}

static int open_only(const struct subject *subject)
{
	if (!subject->path)
		return must("memfd_create", memfd_create("bench", MFD_CLOEXEC));
	return must(subject->path, open(subject->path, O_RDWR | O_CLOEXEC));
}

static void open_and_close(struct region *region)
{
	for (int i = 0; i < TIMES; i++)
		close(open_only(region->subject));
}

static void create(struct region *region)
{
	for (int i = 0; i < TIMES; i++) {
		int fd = region_create(region->subject, region->page);

		munmap(region_map(fd, region->page), region->page);
		close(fd);
	}
}

static void create_and_touch(struct region *region)
{
	for (int i = 0; i < TIMES; i++) {
		int fd = region_create(region->subject, region->page);
		char *map = region_map(fd, region->page);

		*(volatile char *)map = 1;
		munmap(map, region->page);
		close(fd);
	}
}

static void bench_life(const struct subject *subject)
{
	struct region region = { .subject = subject, .page = page_size() };

	print_row("open+close", -1, "instructions", subject,
		  cost(&region, NULL, open_and_close, TIMES));
	print_row("create", -1, "instructions", subject, cost(&region, NULL, create, TIMES));
	print_row("create+touch", -1, "instructions", subject,
		  cost(&region, NULL, create_and_touch, TIMES));
}

static void make_fresh(struct region *region)
{
	if (region->map)
		region_close(region);
	region_open(region, region->subject, PAGES);
}

static void unmap_pages(struct region *region)
{
	must("madvise", madvise(region->map, region->pages * region->page, MADV_DONTNEED));
}

static void bench_touch(const struct subject *subject)
{
	struct region region = { .subject = subject };

	print_row("first touch", -1, "instructions", subject,
		  cost(&region, make_fresh, touch_pages, PAGES));
	print_row("refault", -1, "instructions", subject,
		  cost(&region, unmap_pages, touch_pages, PAGES));
	region_close(&region);
}

/* The cost of a call that can be repeated without changing anything. */
static double cost_of_call(int fd, unsigned long call, unsigned long arg)
{
	double least = INFINITY;

	for (int i = 0; i < ROUNDS; i++) {
		__u64 start = now(), took;

		for (int j = 0; j < TIMES; j++)
			if (ioctl(fd, call, arg) < 0)
				return NAN;
		took = now() - start;
		if (took < least)
			least = took;
	}
	return least / TIMES;
}

static void bench_calls(const struct subject *subject)
{
	char name[ASHMEM_NAME_LEN] = "dalvik-main space 12";
	struct ashmem_pin range = { .offset = page_size(), .len = page_size() };
	size_t size = 16 * page_size();
	unsigned long id;
	const struct {
		const char *name;
		unsigned long call, arg;
	} calls[] = {
		{ "SET_NAME", ASHMEM_SET_NAME, (unsigned long)name },
		{ "GET_NAME", ASHMEM_GET_NAME, (unsigned long)name },
		{ "SET_SIZE", ASHMEM_SET_SIZE, size },
		{ "GET_SIZE", ASHMEM_GET_SIZE, 0 },
		{ "SET_PROT_MASK", ASHMEM_SET_PROT_MASK, PROT_ALL },
		{ "GET_PROT_MASK", ASHMEM_GET_PROT_MASK, 0 },
		{ NULL, 1, 0 },		/* maps the region for the next ones */
		{ "PURGE_ALL_CACHES", ASHMEM_PURGE_ALL_CACHES, 0 },	/* of nothing unpinned */
		{ "GET_FILE_ID", ASHMEM_GET_FILE_ID, (unsigned long)&id },
		{ "GET_PIN_STATUS", ASHMEM_GET_PIN_STATUS, (unsigned long)&range },
		{ "PIN", ASHMEM_PIN, (unsigned long)&range },
		{ "UNPIN", ASHMEM_UNPIN, (unsigned long)&range },
		{ NULL, 0, 0 },
	};
	int fd = region_create(subject, size);

	for (int i = 0; calls[i].call; i++) {
		double value;

		if (!calls[i].name) {
			munmap(region_map(fd, size), size);
			continue;
		}
		value = cost_of_call(fd, calls[i].call, calls[i].arg);
		if (!isnan(value))
			print_row(calls[i].name, -1, "instructions", subject, value);
	}
	close(fd);
}

static void unpin_and_pin(struct region *region)
{
	for (int i = 0; i < TIMES; i++) {
		range_call(region, ASHMEM_UNPIN, 3, 1);
		range_call(region, ASHMEM_PIN, 3, 1);
	}
}

/* Pins the middle of a range, which splits it, then unpins it, which joins it again. */
static void split_and_rejoin(struct region *region)
{
	for (int i = 0; i < TIMES; i++) {
		range_call(region, ASHMEM_PIN, 3, 1);
		range_call(region, ASHMEM_UNPIN, 2, 3);
	}
}

static void pin_all(struct region *region)
{
	range_call(region, ASHMEM_PIN, 0, 0);
}

static void unpin_all(struct region *region)
{
	range_call(region, ASHMEM_UNPIN, 0, 0);
}

static void pin_and_unpin_ranges(struct region *region)
{
	pin_all(region);
	unpin_ranges(region);
}

/* A stride that visits all ranges out of order. */
#define STRIDE	7919

static void pin_and_unpin(struct region *region)
{
	size_t range = 0;

	for (int i = 0; i < TIMES; i++) {
		range = (range + STRIDE) % region->ranges;
		range_call(region, ASHMEM_PIN, 2 * range, 1);
		range_call(region, ASHMEM_UNPIN, 2 * range, 1);
	}
}

static void ask_status(struct region *region)
{
	size_t range = 0;

	for (int i = 0; i < TIMES; i++) {
		range = (range + STRIDE) % region->ranges;
		range_call(region, ASHMEM_GET_PIN_STATUS, 2 * range, 1);
	}
}

static void bench_ranges(const struct subject *subject)
{
	struct region region;

	region_open(&region, subject, 16);
	print_row("unpin+pin", 1, "instructions", subject,
		  cost(&region, NULL, unpin_and_pin, TIMES));
	unpin_all(&region);
	print_row("split+rejoin", 1, "instructions", subject,
		  cost(&region, NULL, split_and_rejoin, TIMES));
	region_close(&region);
	for (size_t ranges = 10; ranges <= MANY; ranges *= 10) {
		region_open(&region, subject, 2 * ranges);
		region.ranges = ranges;
		print_row("build, a range", ranges, "instructions", subject,
			  cost(&region, pin_all, unpin_ranges, ranges));
		region_close(&region);
	}
	region_open(&region, subject, 2 * MANY);
	region.ranges = MANY;
	print_row("UNPIN over ranges", MANY, "instructions", subject,
		  cost(&region, pin_and_unpin_ranges, unpin_all, 1));
	region_close(&region);
	for (size_t ranges = 1; ranges <= subject->most; ranges *= 10) {
		region_open(&region, subject, 2 * ranges);
		region.ranges = ranges;
		unpin_ranges(&region);
		print_row("pin+unpin", ranges, "instructions", subject,
			  cost(&region, NULL, pin_and_unpin, TIMES));
		print_row("status", ranges, "instructions", subject,
			  cost(&region, NULL, ask_status, TIMES));
		region_close(&region);
	}
}

static struct region regions[TIMES];

static void pin_and_unpin_regions(struct region *region)
{
	(void)region;
	for (int i = 0; i < TIMES; i++) {
		range_call(regions + i, ASHMEM_PIN, 0, 1);
		range_call(regions + i, ASHMEM_UNPIN, 0, 1);
	}
}

static void bench_regions(const struct subject *subject)
{
	for (int i = 0; i < TIMES; i++) {
		region_open(regions + i, subject, 1);
		range_call(regions + i, ASHMEM_UNPIN, 0, 1);
	}
	print_row("pin+unpin, a range each of regions", TIMES, "instructions", subject,
		  cost(NULL, NULL, pin_and_unpin_regions, TIMES));
	for (int i = 0; i < TIMES; i++)
		region_close(regions + i);
}

static void punch(const struct region *region, size_t page, size_t count)
{
	must("fallocate", fallocate(region->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    page * region->page, count * region->page));
}

static void fill(struct region *region)
{
	touch_pages(region);
}

static void fill_and_unpin(struct region *region)
{
	pin_all(region);
	touch_pages(region);
	unpin_all(region);
}

static void fill_and_unpin_ranges(struct region *region)
{
	pin_all(region);
	touch_pages(region);
	unpin_ranges(region);
}

static void forget_map(struct region *region)
{
	munmap(region->map, region->pages * region->page);
	region->map = NULL;
}

static void fill_ranges_and_unmap(struct region *region)
{
	if (region->map)
		forget_map(region);
	region->map = region_map(region->fd, region->pages * region->page);
	if (region->subject->path)
		fill_and_unpin_ranges(region);
	else
		fill(region);
	forget_map(region);
}

static void purge_everything_in(struct region *region)
{
	must("ASHMEM_PURGE_ALL_CACHES", ioctl(region->fd, ASHMEM_PURGE_ALL_CACHES, 0));
}

static void punch_everything(struct region *region)
{
	punch(region, 0, region->pages);
}

static void punch_ranges(struct region *region)
{
	for (size_t i = 0; i < region->ranges; i++)
		punch(region, 2 * i, 1);
}

static void bench_purge(const struct subject *subject)
{
	bool memfd = !subject->path;
	void (*purge)(struct region *region) = memfd ? punch_ranges : purge_everything_in;
	struct region region;

	region_open(&region, subject, PAGES);
	region.ranges = RANGES;
	print_row("purge range, a page", -1, "instructions", subject,
		  cost(&region, memfd ? fill : fill_and_unpin,
		       memfd ? punch_everything : purge_everything_in, PAGES));
	print_row("purge pages, a page", -1, "instructions", subject,
		  cost(&region, memfd ? fill : fill_and_unpin_ranges, purge, RANGES));
	print_row("purge pages, unmapped, a page", -1, "instructions", subject,
		  cost(&region, fill_ranges_and_unmap, purge, RANGES));
	print_row("purge pages, untouched, a page", -1, "instructions", subject,
		  cost(&region, memfd ? NULL : pin_and_unpin_ranges, purge, RANGES));
	close(region.fd);
}

static struct place place;
static int shrinker;

static void fill_and_find(struct region *region)
{
	fill_and_unpin_ranges(region);
	shrinker_count_at(shrinker, ANY_CGROUP, &place);
}

static void scan(struct region *region)
{
	must("scan", shrinker_scan(shrinker, &place, region->ranges));
}

static void count_once(struct region *region)
{
	(void)region;
	must("count", shrinker_count(shrinker, ANY_CGROUP));
}

static void scan_once(struct region *region)
{
	(void)region;
	must("scan", shrinker_scan(shrinker, &place, 1));
}

/* The cost of a count, and of a scan for one page, among this many ranges. */
static void bench_among(const struct subject *subject, size_t ranges)
{
	struct region region;

	region_open(&region, subject, 2 * ranges);
	for (size_t i = 0; i < ranges; i++) {
		region.map[2 * i * region.page] = 'x';
		must("unpin", unpin(region.fd, 2 * i, 1));
	}
	shrinker_count_at(shrinker, ANY_CGROUP, &place);
	print_row("count", ranges, "instructions", subject, cost(&region, NULL, count_once, 1));
	print_row("scan", ranges, "instructions", subject, cost(&region, NULL, scan_once, 1));
	region_close(&region);
}

/* Uses the shrinker's files in debugfs, so only this driver can be measured. */
static void bench_scan(const struct subject *subject)
{
	struct region region;

	shrinker = shrinker_open();
	if (shrinker < 0)
		return;
	bench_among(subject, 10);
	bench_among(subject, 1000);
	bench_among(subject, 100000);
	region_open(&region, subject, PAGES);
	region.ranges = RANGES;
	print_row("scan, a range", -1, "instructions", subject,
		  cost(&region, fill_and_find, scan, RANGES));
	region_close(&region);
	close(shrinker);
}

static void open_with_ranges(struct region *region)
{
	region_open(region, region->subject, 2 * MANY);
	forget_map(region);
	region->ranges = MANY;
	unpin_ranges(region);
}

static void close_descriptor(struct region *region)
{
	close(region->fd);
}

static void bench_close(const struct subject *subject)
{
	struct region region = { .subject = subject };

	print_row("close, a range", MANY, "instructions", subject,
		  cost(&region, open_with_ranges, close_descriptor, MANY));
}

/* The size of the kernel's slab, in bytes. */
static long long slab(void)
{
	return 1024 * read_stat(AT_FDCWD, "/proc/meminfo", "Slab");
}

/* Must be first, because freed memory may still be counted for some time. */
static void bench_range_memory(const struct subject *subject)
{
	struct region region;
	long long before;

	region_open(&region, subject, 2 * MANY);
	region.ranges = MANY;
	before = slab();
	unpin_ranges(&region);
	print_row("range", -1, "bytes", subject, (double)(slab() - before) / MANY);
	region_close(&region);
}

static void bench_region_memory(const struct subject *subject)
{
	struct rlimit limit = { MANY + 64, MANY + 64 };
	long long before;
	int first;

	must("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
	/* The first region's extra memory and the descriptor table do not count. */
	first = open_only(subject);
	must("dup2", dup2(first, MANY + 63));
	before = slab();
	for (int i = 0; i < MANY; i++)
		open_only(subject);
	print_row("open region", -1, "bytes", subject, (double)(slab() - before) / MANY);
	for (int i = 0; i < MANY; i++)
		close(first + 1 + i);
	close(first);
	close(MANY + 63);
}

static void bench_one(const struct subject *subject)
{
	if (subject->path)
		bench_range_memory(subject);
	bench_region_memory(subject);
	bench_life(subject);
	bench_touch(subject);
	bench_purge(subject);
	if (!subject->path)
		return;
	bench_calls(subject);
	bench_ranges(subject);
	bench_regions(subject);
	bench_close(subject);
}

#define PROCESSES	2
#define PAIRS		20000

/* Shared data of the processes of a parallel row. */
struct race {
	int ready, done;
	__u64 took[PROCESSES], worst;
};

/* Waits until all processes are ready. */
static void start_together(struct race *race, int processes)
{
	__atomic_add_fetch(&race->ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&race->ready, __ATOMIC_SEQ_CST) < processes)
		;
}

static void pin_in_parallel(const struct subject *subject, struct race *race, int number,
			    int processes)
{
	struct region region;
	__u64 start;

	region_open(&region, subject, 16);
	start_together(race, processes);
	start = now();
	for (int i = 0; i < PAIRS; i++) {
		range_call(&region, ASHMEM_UNPIN, 3, 1);
		range_call(&region, ASHMEM_PIN, 3, 1);
	}
	race->took[number] = now() - start;
}

/* Purges another region repeatedly until the first process is done. */
static void purge_in_parallel(const struct subject *subject, struct race *race)
{
	struct region region;

	region_open(&region, subject, PAGES);
	start_together(race, 2);
	while (!__atomic_load_n(&race->done, __ATOMIC_SEQ_CST)) {
		fill_and_unpin(&region);
		purge_everything_in(&region);
	}
}

static void pin_while_purging(const struct subject *subject, struct race *race)
{
	struct region region;

	region_open(&region, subject, 16);
	start_together(race, 2);
	for (int i = 0; i < PAIRS; i++) {
		__u64 start = now(), took;

		range_call(&region, ASHMEM_PIN, 3, 1);
		took = now() - start;
		race->took[0] += took;
		if (took > race->worst)
			race->worst = took;
	}
	__atomic_store_n(&race->done, 1, __ATOMIC_SEQ_CST);
}

static struct race *race_begin(void)
{
	struct race *race = mmap(NULL, sizeof(*race), PROT_RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (race == MAP_FAILED)
		die("mmap");
	return race;
}

/* Runs a function in several processes at once, and waits for them. */
static struct race *race_run(const struct subject *subject, int processes,
			     void (*run)(const struct subject *subject, struct race *race,
					 int number, int processes))
{
	struct race *race = race_begin();
	pid_t children[PROCESSES];

	for (int i = 0; i < processes; i++) {
		children[i] = must("fork", fork());
		if (children[i] == 0) {
			run(subject, race, i, processes);
			_exit(0);
		}
	}
	for (int i = 0; i < processes; i++)
		if (exit_status_of(children[i]))
			exit(1);
	return race;
}

static void bench_own_regions(const struct subject *subject, int processes)
{
	struct race *race = race_run(subject, processes, pin_in_parallel);
	__u64 sum = 0;

	for (int i = 0; i < processes; i++)
		sum += race->took[i];
	print_row("unpin+pin, own regions of processes", processes, "ns", subject,
		  (double)sum / processes / PAIRS);
}

static void bench_beside_purge(const struct subject *subject)
{
	struct race *race = race_begin();
	pid_t child = must("fork", fork());

	if (child == 0) {
		purge_in_parallel(subject, race);
		_exit(0);
	}
	pin_while_purging(subject, race);
	if (exit_status_of(child))
		exit(1);
	print_row("pin while another purges", -1, "ns", subject, (double)race->took[0] / PAIRS);
	print_row("pin while another purges, longest", -1, "ns", subject, race->worst);
}

static void bench_parallel(const struct subject *subject)
{
	for (int processes = 1; processes <= PROCESSES; processes++)
		bench_own_regions(subject, processes);
	bench_beside_purge(subject);
}

/* bench/plugin/shared_lines.c watches a CPU between these two. */
__attribute__((noinline)) void watch_begin(void)
{
	asm volatile ("");
}

__attribute__((noinline)) void watch_end(void)
{
	asm volatile ("");
}

/* Pins and unpins pages of its own region, on its own CPU. */
static void pin_on_cpu(const struct subject *subject, struct race *race, int cpu, int processes)
{
	struct region region;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	must("sched_setaffinity", sched_setaffinity(0, sizeof(cpus), &cpus));
	region_open(&region, subject, 16);
	unpin_and_pin(&region);
	start_together(race, processes);
	watch_begin();
	unpin_and_pin(&region);
	watch_end();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "parallel", no_argument, NULL, 'p' },
		{ "shared", no_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	struct subject memfd = { "memfd", NULL, 0 };
	struct subject ashmem = { "ashmem", area_device(), 100000 };
	/* A driver with a linear search takes too long to make more ranges. */
	struct subject other = { NULL, NULL, 10000 };
	bool parallel = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			other.path = optarg;
			other.name = strrchr(optarg, '/') ? strrchr(optarg, '/') + 1 : optarg;
			break;
		case 'p':
			parallel = true;
			break;
		case 's':
			race_run(&ashmem, PROCESSES, pin_on_cpu);
			return 0;
		default:
			fprintf(stderr, "Usage: bench [--parallel | --shared] [--device PATH]\n");
			return 2;
		}
	}
	if (parallel) {
		bench_parallel(&ashmem);
		if (other.path)
			bench_parallel(&other);
		return 0;
	}
	bench_one(&ashmem);
	bench_one(&memfd);
	bench_scan(&ashmem);
	if (other.path)
		bench_one(&other);
	return 0;
}
