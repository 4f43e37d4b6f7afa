// SPDX-License-Identifier: GPL-2.0
/*
 * Measures how much of an unpinned cache is left under memory pressure.
 *
 *   pressure [SCENARIO...]   runs these scenarios, or all, one at a time
 *
 * It fills all memory of the machine, makes and removes cgroups and swap devices, and
 * must be the only user of the device that unpins. The file that it reads and writes
 * is a zram device full of zeros, which needs no memory.
 *
 * Prints lines with tab-separated fields: 'point', the scenario, the amount that was
 * read or allocated (MiB), and the pages that are left; 'result', the scenario, a name,
 * and the value; or 'skip', the scenario, and the reason.
 */
#include <sys/resource.h>
#include <time.h>

#include "tenant.h"

#define CACHE		(64 * MIB)
#define STEP		(16 * MIB)
#define ROUNDS		5

static const char *scenario;

static void die(const char *what)
{
	fprintf(stderr, "pressure: %s: %s: %s\n", scenario, what, strerror(errno));
	exit(1);
}

static long must(const char *what, long ret)
{
	if (ret >= 0)
		return ret;
	if (ret < -1)
		errno = -ret;
	die(what);
	return -1;
}

static void print_point(size_t bytes, long left)
{
	printf("point\t%s\t%zu\t%ld\n", scenario, bytes / MIB, left);
	fflush(stdout);
}

static void print_result(const char *what, double value)
{
	printf("result\t%s\t%s\t%.2f\n", scenario, what, value);
	fflush(stdout);
}

static void print_skip(const char *why)
{
	printf("skip\t%s\t%s\n", scenario, why);
	fflush(stdout);
}

static size_t in_pages(size_t bytes)
{
	return bytes / page_size();
}

static size_t memory(void)
{
	return memory_pages("MemTotal") * page_size();
}

static __u64 now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

/* Fills memory with data that does not compress. */
static void fill(char *map, size_t len)
{
	static __u64 state = 0x9e3779b97f4a7c15;

	for (__u64 *word = (__u64 *)map; word < (__u64 *)(map + len); word++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		*word = state;
	}
}

/* A region, unpinned in ranges of CHUNK pages. */
struct cache {
	int fd;
	size_t chunks, next;
	char *map;
	long uses, losses;
};

static void cache_create(struct cache *cache, size_t len)
{
	*cache = (struct cache){ .chunks = in_pages(len) / CHUNK };
	cache->fd = must("/dev/ashmem", area_create(len));
	cache->map = area_map(cache->fd, len, PROT_RW, MAP_SHARED);
	if (cache->map == MAP_FAILED)
		die("mmap");
	fill(cache->map, len);
	for (size_t i = 0; i < cache->chunks; i++)
		must("unpin", unpin(cache->fd, i * CHUNK, CHUNK));
}

static void cache_close(struct cache *cache)
{
	munmap(cache->map, cache->chunks * CHUNK * page_size());
	close(cache->fd);
}

/* The number of pages that were not purged, in memory or swap. Does not touch them. */
static long data_of(int fd)
{
	off_t data = 0, hole = 0, pages = 0;

	while ((data = lseek(fd, hole, SEEK_DATA)) >= 0) {
		hole = must("SEEK_HOLE", lseek(fd, data, SEEK_HOLE));
		pages += in_pages(hole - data);
	}
	return pages;
}

/* Uses a part of a cache, and fills it again if it was purged. */
static void use(struct cache *cache)
{
	size_t page = cache->next * CHUNK;

	cache->next = (cache->next + 1) % cache->chunks;
	cache->uses++;
	if (must("pin", pin(cache->fd, page, CHUNK)) == ASHMEM_WAS_PURGED) {
		cache->losses++;
		fill(cache->map + page * page_size(), CHUNK * page_size());
	}
	must("unpin", unpin(cache->fd, page, CHUNK));
}

static void use_all(struct cache *cache)
{
	for (size_t i = 0; i < cache->chunks; i++)
		use(cache);
}

static void print_losses(struct cache *cache)
{
	print_result("uses", cache->uses);
	print_result("losses, % of uses", 100.0 * cache->losses / cache->uses);
}

/* The zram devices for reading and for swap, or -ENODEV. */
static int disk = -ENODEV, swap = -ENODEV;

static int disk_open(size_t len, int flags)
{
	int fd;

	disk = must("zram", zram_add(len));
	fd = open(zram_path(disk), flags | O_CLOEXEC);
	if (fd < 0)
		die(zram_path(disk));
	return fd;
}

static void disk_close(int fd)
{
	close(fd);
	zram_remove(disk);
}

static void swap_on(void)
{
	swap = must("swap", swap_add(in_pages(memory())));
}

static void swap_off(void)
{
	swap_remove(swap);
	swap = -ENODEV;
}

static void must_read(int fd, off_t from, size_t len)
{
	if (!read_part(fd, from, len))
		die("read");
}

/* Frees as much memory as possible before a scenario. */
static void drop_caches(void)
{
	must("drop_caches", write_text(AT_FDCWD, "/proc/sys/vm/drop_caches", "3"));
}

/* Fills the page cache with pages that will not be read again. */
static void fill_page_cache(void)
{
	int fd = disk_open(memory(), O_RDONLY);

	/* The file stays open, because closing it would drop the pages. */
	must_read(fd, 0, memory() / MIB * MIB);
}

/* The time of one use of the cache. */
static __u64 time_of_pin(struct cache *cache)
{
	__u64 start = now(), took;

	must("pin", pin(cache->fd, 0, CHUNK));
	took = now() - start;
	must("unpin", unpin(cache->fd, 0, CHUNK));
	return took;
}

static __u64 longer(__u64 a, __u64 b)
{
	return a > b ? a : b;
}

/* Reads or writes a file of four times the memory once. */
static void pass_by(struct cache *cache, bool is_used, bool is_written)
{
	static char buf[MIB];
	size_t len = 4 * memory() / STEP * STEP;
	int fd = disk_open(len, is_written ? O_RDWR : O_RDONLY);
	__u64 longest = 0;

	for (size_t done = 0; done < len; done += MIB) {
		if (is_written) {
			if (pwrite(fd, buf, MIB, done) != MIB)
				die("write");
			longest = longer(longest, time_of_pin(cache));
		} else {
			must_read(fd, done, MIB);
		}
		if ((done + MIB) % STEP)
			continue;
		if (is_used)
			use_all(cache);
		print_point(done + MIB, data_of(cache->fd));
	}
	if (is_written)
		print_result("longest pin, ns", longest);
	disk_close(fd);
}

static void run_read(void)
{
	struct cache cache;

	cache_create(&cache, CACHE);
	pass_by(&cache, false, false);
	print_result("left, %", 100.0 * data_of(cache.fd) / in_pages(CACHE));
	cache_close(&cache);
}

static void run_use(void)
{
	struct cache cache;

	cache_create(&cache, CACHE);
	pass_by(&cache, true, false);
	print_losses(&cache);
	cache_close(&cache);
}

static void run_write(void)
{
	struct cache cache;
	__u64 longest = 0;

	cache_create(&cache, CACHE);
	for (int i = 0; i < 1000; i++)
		longest = longer(longest, time_of_pin(&cache));
	print_result("longest pin when idle, ns", longest);
	pass_by(&cache, false, true);
	print_result("left, %", 100.0 * data_of(cache.fd) / in_pages(CACHE));
	cache_close(&cache);
}

/* Many regions with many ranges of one page. A sixth of the ranges have data. */
#define REGIONS		1000
#define RANGES		100

static int many[REGIONS];

static void many_create(void)
{
	struct rlimit limit = { .rlim_cur = REGIONS + 64, .rlim_max = REGIONS + 64 };
	size_t page = page_size(), len = RANGES * page;

	must("RLIMIT_NOFILE", setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < REGIONS; i++) {
		char *map;

		many[i] = must("/dev/ashmem", area_create(len));
		map = area_map(many[i], len, PROT_RW, MAP_SHARED);
		if (map == MAP_FAILED)
			die("mmap");
		for (size_t j = 0; j < RANGES; j += 6)
			fill(map + j * page, page);
		munmap(map, len);
		for (size_t j = 0; j < RANGES; j++)
			must("unpin", unpin(many[i], j, 1));
	}
}

static long many_left(void)
{
	long left = 0;

	for (int i = 0; i < REGIONS; i++)
		left += data_of(many[i]);
	return left;
}

static void many_close(void)
{
	for (int i = 0; i < REGIONS; i++)
		close(many[i]);
}

static void run_read_many(void)
{
	size_t len = memory() / STEP * 4 * STEP;
	long all;
	int fd;

	many_create();
	all = many_left();
	fd = disk_open(len, O_RDONLY);
	for (size_t done = 0; done < len; done += 4 * STEP) {
		must_read(fd, done, 4 * STEP);
		print_point(done + 4 * STEP, many_left());
	}
	print_result("left, %", 100.0 * many_left() / all);
	disk_close(fd);
	many_close();
}

/* A process that allocates memory in one of several ways, and is first for the OOM killer. */
struct grower {
	pid_t pid;
	int socket;
};

/* The exit status of a grower whose allocation failed. */
#define REFUSED	2

/* Allocates kernel memory: pages of pipes. */
static bool grow_pipes(size_t len)
{
	static char buf[MIB];

	for (size_t done = 0; done < len; done += MIB) {
		int ends[2];

		if (pipe(ends) || fcntl(ends[1], F_SETPIPE_SZ, MIB) < 0)
			return false;
		if (write(ends[1], buf, MIB) != MIB)
			_exit(REFUSED);
	}
	return true;
}

/* Allocates page tables, each for a page of zeros. */
static bool grow_tables(size_t len)
{
	size_t covered = page_size() / sizeof(void *) * page_size();
	size_t tables = in_pages(len);
	volatile char *map = mmap(NULL, (tables + 1) * covered, PROT_READ,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return false;
	madvise((void *)map, (tables + 1) * covered, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < tables; i++)
		(void)map[i * covered];
	return true;
}

static bool grow_anonymous(size_t len)
{
	return grow(in_pages(len));
}

static void grower_start(struct grower *grower, bool (*take)(size_t len), int cgroup)
{
	pid_t parent = getpid();
	int sockets[2];

	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	grower->pid = fork();
	if (grower->pid == 0) {
		struct rlimit limit = { .rlim_cur = 8192, .rlim_max = 8192 };
		size_t len;

		die_with(parent);
		close(sockets[0]);
		setrlimit(RLIMIT_NOFILE, &limit);
		write_text(AT_FDCWD, "/proc/self/oom_score_adj", "1000");
		if (cgroup >= 0 && cgroup_join(cgroup))
			_exit(1);
		while (read(sockets[1], &len, sizeof(len)) == sizeof(len) && take(len))
			if (write(sockets[1], &len, sizeof(len)) != sizeof(len))
				break;
		_exit(0);
	}
	close(sockets[1]);
	grower->socket = sockets[0];
}

/* Lets the grower allocate @len more. Returns false if it was killed or failed. */
static bool grower_grows(struct grower *grower, size_t len)
{
	return send(grower->socket, &len, sizeof(len), MSG_NOSIGNAL) == sizeof(len) &&
	       read(grower->socket, &len, sizeof(len)) == sizeof(len);
}

static void grower_stop(struct grower *grower)
{
	close(grower->socket);
	if (grower->pid <= 0)
		return;
	kill(grower->pid, SIGKILL);
	waitpid(grower->pid, NULL, 0);
}

/* Waits for the end of a grower that stopped. Returns whether an allocation failed. */
static bool grower_was_refused(struct grower *grower)
{
	int status = exit_status_of(grower->pid);

	grower->pid = 0;
	return status == REFUSED;
}

/*
 * Allocates memory in small steps, up to @most, or until the grower is killed. Reports how
 * much was swapped out while some of the cache was left.
 */
static void squeeze(long (*left)(void), bool (*take)(size_t len), size_t most, int cgroup)
{
	/* Larger steps for many regions, which take long to check. */
	const size_t step = most == SIZE_MAX || left == many_left ? MIB : MIB / 4;
	long long out = vm_events("pswpout"), kills = vm_events("oom_kill"), swapped = 0;
	struct grower grower;
	long rest = left();
	size_t grown = 0;

	grower_start(&grower, take, cgroup);
	print_point(0, rest);
	while (grown < most && grower_grows(&grower, step)) {
		grown += step;
		rest = left();
		if (rest > 0)
			swapped = vm_events("pswpout") - out;
		if (grown % (8 * MIB) == 0)
			print_point(grown, rest);
		/* Continues for a while, to show that nothing is left. */
		if (!rest && most != SIZE_MAX && most > grown + 2 * STEP)
			most = grown + 2 * STEP;
	}
	rest = left();
	print_point(grown, rest);
	if (most != SIZE_MAX) {
		print_result("swapped while some was left, pages", swapped);
		print_result("left, pages", rest);
	} else if (grower_was_refused(&grower) || vm_events("oom_kill") > kills) {
		print_result("left at the end, pages", rest);
	} else {
		print_skip("it ended before all memory was taken");
	}
	grower_stop(&grower);
}

static struct cache subject;

static long subject_left(void)
{
	return data_of(subject.fd);
}

/* The amount for which all of the cache must be purged, but little else. */
static size_t all_there_is(void)
{
	return memory_pages("MemAvailable") * page_size() + CACHE;
}

static void squeeze_cache(bool (*take)(size_t len), bool to_the_end)
{
	cache_create(&subject, CACHE);
	squeeze(subject_left, take, to_the_end ? SIZE_MAX : all_there_is(), -EBADF);
	cache_close(&subject);
}

static void run_grow(void)
{
	squeeze_cache(grow_anonymous, swap < 0);
}

static void run_grow_full(void)
{
	fill_page_cache();
	run_grow();
}

static void run_grow_many(void)
{
	many_create();
	squeeze(many_left, grow_anonymous, all_there_is(), -EBADF);
	many_close();
}

static void run_pipes(void)
{
	squeeze_cache(grow_pipes, true);
}

static void run_tables(void)
{
	squeeze_cache(grow_tables, true);
}

#define NR_HUGEPAGES	"/proc/sys/vm/nr_hugepages"

/* Allocates as many huge pages as possible. */
static void run_huge_pages(void)
{
	if (read_number(AT_FDCWD, NR_HUGEPAGES) < 0) {
		print_skip("no hugetlb in this kernel");
		return;
	}
	cache_create(&subject, CACHE);
	print_point(0, subject_left());
	write_number(AT_FDCWD, NR_HUGEPAGES, memory() / (2 * MIB));
	print_point(read_number(AT_FDCWD, NR_HUGEPAGES) * 2 * MIB, subject_left());
	print_result("left at the end, pages", subject_left());
	write_number(AT_FDCWD, NR_HUGEPAGES, 0);
	cache_close(&subject);
}

/* Two caches under memory pressure, one of which is used. */
static void run_two(void)
{
	struct cache used;
	struct grower grower;
	size_t grown = 0, all = in_pages(CACHE / 2);
	long left = all, losses = 0;

	cache_create(&used, CACHE / 2);
	cache_create(&subject, CACHE / 2);
	grower_start(&grower, grow_anonymous, -EBADF);
	while (left > (long)all / 20 && grown < memory() && grower_grows(&grower, MIB)) {
		grown += MIB;
		for (int i = 0; i < 16; i++)
			use(&used);
		left = subject_left();
		if (left > (long)all / 20)
			losses = used.losses;
		if (grown % (8 * MIB) == 0 || left <= (long)all / 20)
			print_point(grown, left);
	}
	print_result("left of the idle one, %", 100.0 * left / all);
	print_result("lost of the used one, %", 100.0 * losses / used.chunks);
	grower_stop(&grower);
	cache_close(&subject);
	cache_close(&used);
}

/*
 * The number of refaults, which are pages of files that were read again after they had been
 * reclaimed: in total, and in the last round.
 */
struct refaults {
	long long all, last;
};

static struct refaults take_turns(int fd, size_t len, bool has_cache)
{
	struct refaults refaults = { 0 };

	must_read(fd, 0, len);
	for (int round = 1; round <= ROUNDS; round++) {
		long long before = vm_events("workingset_refault_file");

		/* Two halves of one file have the same effect as two files. */
		must_read(fd, 0, len);
		refaults.last = vm_events("workingset_refault_file") - before;
		refaults.all += refaults.last;
		if (has_cache)
			print_point(round * len, subject_left());
	}
	return refaults;
}

/* Files that fit into memory without the cache, but not with it. */
static void run_turns(void)
{
	size_t len = (memory_pages("MemAvailable") * page_size() - 52 * MIB) / MIB * MIB;
	int fd = disk_open(len, O_RDONLY);
	struct refaults without, with;

	without = take_turns(fd, len, false);
	drop_caches();
	cache_create(&subject, CACHE);
	with = take_turns(fd, len, true);
	print_result("refaults without a cache, pages", without.all);
	print_result("refaults with one, pages", with.all);
	print_result("more in the last round, pages", with.last - without.last);
	disk_close(fd);
	cache_close(&subject);
}

static struct cgroups cgroups;

/* A cache in a cgroup with a limit of twice its size. */
static bool cgroup_start(const char *limit)
{
	long ret = cgroups_open(&cgroups);

	if (ret) {
		print_skip("no cgroup v2 with memory");
		return false;
	}
	must("cgroup.procs", cgroup_join(cgroups.homes[0]));
	cache_create(&subject, CACHE);
	must("cgroup.procs", cgroup_join(cgroups.root));
	if (limit)
		must(limit, write_number(cgroups.homes[0], limit, 2 * CACHE));
	return true;
}

static void cgroup_end(void)
{
	/* Before the cgroup is removed, or its pages would remain. */
	cache_close(&subject);
	cgroups_close(&cgroups);
}

static void run_cgroup_read(void)
{
	if (!cgroup_start("memory.max"))
		return;
	must("cgroup.procs", cgroup_join(cgroups.homes[0]));
	pass_by(&subject, false, false);
	print_result("left, %", 100.0 * subject_left() / in_pages(CACHE));
	must("cgroup.procs", cgroup_join(cgroups.root));
	cgroup_end();
}

static void cgroup_grow(const char *limit)
{
	if (!cgroup_start(limit))
		return;
	if (swap < 0)
		write_number(cgroups.homes[0], "memory.swap.max", 0);
	squeeze(subject_left, grow_anonymous, swap < 0 ? SIZE_MAX : 2 * CACHE, cgroups.homes[0]);
	cgroup_end();
}

static void run_cgroup_grow(void)
{
	cgroup_grow("memory.max");
}

static void run_cgroup_high(void)
{
	cgroup_grow("memory.high");
}

/* Reclaims a part of the cgroup at a time. */
static void run_cgroup_reclaim(void)
{
	if (!cgroup_start(NULL))
		return;
	for (size_t asked = 0; asked <= CACHE && subject_left(); asked += 4 * MIB) {
		print_point(asked, subject_left());
		if (write_number(cgroups.homes[0], "memory.reclaim", 4 * MIB) == -ENOENT) {
			print_skip("no memory.reclaim in this kernel");
			break;
		}
	}
	print_result("left, pages", subject_left());
	cgroup_end();
}

/* bench/pressure.py has their descriptions and the wanted results. */
static const struct {
	const char *name;
	bool swaps;
	void (*run)(void);
} scenarios[] = {
	{ "read", false, run_read },
	{ "read-zram", true, run_read },
	{ "read-many", false, run_read_many },
	{ "use", false, run_use },
	{ "use-zram", true, run_use },
	{ "write", false, run_write },
	{ "write-zram", true, run_write },
	{ "grow-zram", true, run_grow },
	{ "grow-full-zram", true, run_grow_full },
	{ "grow-many-zram", true, run_grow_many },
	{ "grow", false, run_grow },
	{ "grow-full", false, run_grow_full },
	{ "cgroup-read", false, run_cgroup_read },
	{ "cgroup-grow-zram", true, run_cgroup_grow },
	{ "cgroup-grow", false, run_cgroup_grow },
	{ "cgroup-high-zram", true, run_cgroup_high },
	{ "cgroup-reclaim", false, run_cgroup_reclaim },
	{ "two-zram", true, run_two },
	{ "turns", false, run_turns },
	{ "turns-zram", true, run_turns },
	{ "pipes", false, run_pipes },
	{ "tables", false, run_tables },
	{ "huge-pages", false, run_huge_pages },
};

#define SCENARIOS	(sizeof(scenarios) / sizeof(*scenarios))

static void run(size_t i)
{
	/* In a separate process, so that nothing remains. */
	pid_t child = fork();

	scenario = scenarios[i].name;
	if (child == 0) {
		write_text(AT_FDCWD, "/proc/self/oom_score_adj", "-1000");
		drop_caches();
		if (scenarios[i].swaps)
			swap_on();
		scenarios[i].run();
		if (scenarios[i].swaps)
			swap_off();
		exit(0);
	}
	if (exit_status_of(child))
		print_skip("it failed");
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < SCENARIOS; i++) {
		bool is_wanted = argc < 2;

		for (int j = 1; j < argc; j++)
			is_wanted |= !strcmp(argv[j], scenarios[i].name);
		if (is_wanted)
			run(i);
	}
	return 0;
}
