// SPDX-License-Identifier: GPL-2.0
/*
 * Makes the N-th allocation, or copy to or from user space, of each call fail, for every
 * possible N. The call must return a documented error and change nothing, and must work
 * when it is repeated.
 *
 * Needs a kernel with CONFIG_FAULT_INJECTION, FAULT_INJECTION_DEBUG_FS and FAILSLAB. With
 * FAULT_INJECTION_USERCOPY and FAIL_PAGE_ALLOC, more can fail. If MODULE is the path of
 * rust_ashmem.ko, loading the module is tested as well.
 */
#include <dirent.h>
#include <sched.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "reclaim.h"

#define PAGES		16
/* More places than any call has. */
#define MOST_PLACES	2000
/*
 * After this many places in a row without a failure, a call has no more places. One is not
 * enough, because the number of page allocations of a call varies.
 */
#define MISSES		3

#define LONG_NAME	"a name that is longer than the room that an area has for short ones"

/* The errors that a call may return: ENOMEM, and EFAULT. */
#define MEMORY		1
#define ADDRESS		2
/* As ADDRESS, but not all architectures can make the copy of a string fail. */
#define STRING		4

/* The fail-nth file of this thread. */
static int fail_nth = -EBADF;

static bool write_once(int fd, const char *text)
{
	return write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Makes the @n-th place that this thread reaches fail. */
static bool arm(unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	return write_once(fail_nth, text);
}

/*
 * Ends the failures. Returns whether there was one. The calls for this copy data as well: a
 * failure in one of them does not count.
 */
static bool disarm(void)
{
	char text[16] = "";
	bool has_failed = pread(fail_nth, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;

	while (!write_once(fail_nth, "0"))
		;
	return has_failed;
}

static const char * const settings[] = {
	"verbose", "ignore-gfp-wait", "ignore-gfp-highmem", "min-order",
};

static const char * const failures[] = { "failslab", "fail_page_alloc", "fail_usercopy" };

#define CONSOLE	"/proc/sys/kernel/printk"

/* The settings before the test. */
static char found[ARRAY_SIZE(failures)][ARRAY_SIZE(settings)][16], found_console[64];
static pid_t program;

/* Calls @visit for each setting, with its saved text. */
static void visit_settings(void (*visit)(const char *path, char *text, size_t size))
{
	char path[80];

	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(settings); j++) {
			snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", failures[i],
				 settings[j]);
			visit(path, found[i][j], sizeof(found[i][j]));
		}
	}
	visit(CONSOLE, found_console, sizeof(found_console));
}

static void note(const char *path, char *text, size_t size)
{
	if (read_text(AT_FDCWD, path, text, size) < 0)
		*text = '\0';
}

/* Writes only settings that have changed. */
static void put_back(const char *path, char *text, size_t size)
{
	char now[64];

	if (*text && read_text(AT_FDCWD, path, now, size) > 0 && strcmp(now, text))
		write_text(AT_FDCWD, path, text);
}

/* Not in the fixture, because a test that times out skips its teardown. */
__attribute__((constructor)) static void note_settings(void)
{
	program = getpid();
	visit_settings(note);
}

__attribute__((destructor)) static void put_settings_back(void)
{
	if (getpid() == program)
		visit_settings(put_back);
}

/* Lets allocations that may sleep fail as well, without a message in the log. */
static long prepare_failures(const char *name)
{
	char path[64];
	int dir;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", name);
	dir = open_dir(AT_FDCWD, path);
	if (dir < 0)
		return dir;
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		long ret = write_number(dir, settings[i], 0);

		if (ret && ret != -ENOENT)
			return ret;
	}
	close(dir);
	return 0;
}

static bool can_fail_copies;

static long failures_open(void)
{
	long ret = prepare_failures("failslab");

	if (ret)
		return ret;
	/* The kernel may lack either. */
	prepare_failures("fail_page_alloc");
	can_fail_copies = !prepare_failures("fail_usercopy");
	fail_nth = answer(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC));
	return fail_nth < 0 ? fail_nth : 0;
}

/* The visible state of an area. */
struct view {
	char name[ASHMEM_NAME_LEN], pins[PAGES + 3], fdinfo[1024];
	long size, mask, id_answer;
	unsigned long id;
	off_t position;
};

static void view_of(int fd, struct view *view)
{
	char path[64], *purged;

	memset(view, 0, sizeof(*view));
	get_name(fd, view->name);
	view->size = get_size(fd);
	view->mask = get_mask(fd);
	view->id_answer = get_file_id(fd, &view->id);
	view->position = try_seek(fd, 0, SEEK_CUR);
	snprintf(view->pins, sizeof(view->pins), "%s", picture(fd, PAGES));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	read_text(AT_FDCWD, path, view->fdinfo, sizeof(view->fdinfo));
	/* Ignores this last line, because reclaim may purge unpinned pages at any time. */
	purged = strstr(view->fdinfo, "purged:");
	if (purged)
		*purged = '\0';
}

/* An area, with the arguments and the results of a call. */
struct subject {
	int fd;
	char *map;		/* all of it, filled, or NULL */
	char buf[ASHMEM_NAME_LEN];
	int opened;
	char *mapped;
	size_t len;
};

/* Returns 0 for any result that is not an error. */
static long error_of(long ret)
{
	return ret < 0 ? ret : 0;
}

/* Returns an error as it is, 0 for the expected result, or 1 for another. */
static long compare(long ret, long expected)
{
	return ret < 0 ? ret : ret != expected;
}

static long do_open(struct subject *subject)
{
	subject->opened = area_open(O_RDWR);
	return error_of(subject->opened);
}

static long do_set_name(struct subject *subject)
{
	return set_name(subject->fd, "short");
}

static long do_set_long_name(struct subject *subject)
{
	return set_name(subject->fd, LONG_NAME);
}

static long do_get_name(struct subject *subject)
{
	return get_name(subject->fd, subject->buf);
}

static long do_set_size(struct subject *subject)
{
	return set_size(subject->fd, 3 * page_size());
}

static long do_get_size(struct subject *subject)
{
	return compare(get_size(subject->fd), PAGES * page_size());
}

static long do_set_mask(struct subject *subject)
{
	return set_mask(subject->fd, PROT_READ);
}

static long do_get_mask(struct subject *subject)
{
	return compare(get_mask(subject->fd), PROT_ALL);
}

static long do_get_file_id(struct subject *subject)
{
	unsigned long id = 0;

	return get_file_id(subject->fd, &id) ?: id == 0;
}

static long map_all(struct subject *subject, int flags)
{
	subject->len = PAGES * page_size();
	subject->mapped = area_map(subject->fd, subject->len, PROT_RW, flags);
	if (subject->mapped != MAP_FAILED)
		return 0;
	subject->mapped = NULL;
	return -errno;
}

static long do_map_shared(struct subject *subject)
{
	return map_all(subject, MAP_SHARED);
}

static long do_map_private(struct subject *subject)
{
	return map_all(subject, MAP_PRIVATE);
}

static long do_unpin(struct subject *subject)
{
	return unpin(subject->fd, 3, 2);
}

/* Unpins ranges that are counted for their user. */
static void have_ranges(struct subject *subject)
{
	for (size_t page = 6; page < PAGES; page += 2)
		unpin(subject->fd, page, 1);
}

/* Unpins a range, which pinning its middle will split. */
static void have_range(struct subject *subject)
{
	unpin(subject->fd, 1, 8);
}

static long do_pin(struct subject *subject)
{
	return error_of(pin(subject->fd, 3, 2));
}

static long do_pin_status(struct subject *subject)
{
	return compare(pin_status(subject->fd, 3, 2), ASHMEM_IS_UNPINNED);
}

/* Unpins as a user without any ranges yet. Changing the user can fail, too. */
static long do_unpin_as_stranger(struct subject *subject)
{
	long ret = answer(syscall(SYS_setresuid, -1, STRANGER, -1));

	if (ret)
		return ret;
	ret = unpin(subject->fd, 3, 2);
	while (syscall(SYS_setresuid, -1, 0, -1))
		;
	return ret;
}

static long do_purge_all(struct subject *subject)
{
	return error_of(purge_all(subject->fd));
}

static long do_read(struct subject *subject)
{
	long ret = try_pread(subject->fd, subject->buf, 8, page_size());

	return compare(ret, 8) ?: !is_filled(subject->buf, 8, letter_of(1));
}

static long do_seek(struct subject *subject)
{
	off_t position = try_seek(subject->fd, 0, SEEK_CUR);

	return compare(position, page_size()) ?:
	       compare(try_seek(subject->fd, position, SEEK_SET), position);
}

/* Reads a file, which must begin with @words. */
static long read_file(struct subject *subject, const char *path, const char *words)
{
	long ret = read_text(AT_FDCWD, path, subject->buf, sizeof(subject->buf));

	return ret < 0 ? ret : strncmp(subject->buf, words, strlen(words)) != 0;
}

static long do_fdinfo(struct subject *subject)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", subject->fd);
	return read_file(subject, path, "pos:");
}

static long do_stats(struct subject *subject)
{
	return read_file(subject, "/sys/kernel/debug/ashmem/stats", "regions ");
}

static long do_regions(struct subject *subject)
{
	return read_file(subject, "/sys/kernel/debug/ashmem/regions", "inode ");
}

/* Forks a child that changes nothing. */
static long do_fork(struct subject *subject)
{
	pid_t child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	int status;

	if (child == 0)
		_exit(!are_intact(subject->map, 0, 1));
	if (child < 0)
		return -errno;
	if (waitpid(child, &status, 0) != child)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Closing a descriptor never fails, and always frees the region. */
static long do_close(struct subject *subject)
{
	close(subject->fd);
	subject->fd = -EBADF;
	return 0;
}

/* Whether a call that returned 0 did its work. */
static bool has_opened(const struct subject *subject)
{
	return get_size(subject->opened) == 0;
}

static bool is_named(const struct subject *subject, const char *name)
{
	char now[ASHMEM_NAME_LEN] = "";

	return !get_name(subject->fd, now) && !strcmp(now, name);
}

static bool has_name(const struct subject *subject)
{
	return is_named(subject, "short");
}

static bool has_long_name(const struct subject *subject)
{
	return is_named(subject, LONG_NAME);
}

static bool has_told_name(const struct subject *subject)
{
	return *subject->buf && is_named(subject, subject->buf);
}

static bool has_size(const struct subject *subject)
{
	return get_size(subject->fd) == 3 * (long)page_size();
}

static bool has_mask(const struct subject *subject)
{
	return get_mask(subject->fd) == PROT_READ;
}

static bool has_mapped(const struct subject *subject)
{
	return subject->map ? are_intact(subject->mapped, 0, PAGES) :
			      are_zero(subject->mapped, 0, PAGES);
}

/* A private mapping of an area is anonymous memory, which begins as zeros. */
static bool has_mapped_zeros(const struct subject *subject)
{
	return are_zero(subject->mapped, 0, PAGES);
}

static bool has_unpinned(const struct subject *subject)
{
	return !strcmp(picture(subject->fd, PAGES), "|PPP..PPPPPPPPPPP|");
}

static bool has_unpinned_more(const struct subject *subject)
{
	return !strcmp(picture(subject->fd, PAGES), "|PPP..P.P.P.P.P.P|");
}

static bool has_split(const struct subject *subject)
{
	return !strcmp(picture(subject->fd, PAGES), "|P..PP....PPPPPPP|");
}

static const struct call {
	const char *name;
	long (*make)(struct subject *subject);
	void (*prepare)(struct subject *subject);
	bool is_mapped;
	unsigned int errors;
	bool (*has_worked)(const struct subject *subject);	/* NULL: the result suffices */
	bool has_no_place;	/* where it could fail */
} calls[] = {
	{ "open", do_open, .errors = MEMORY | ADDRESS, .has_worked = has_opened },
	{ "SET_NAME", do_set_name, .errors = STRING, .has_worked = has_name },
	{ "SET_NAME of a long one", do_set_long_name, .errors = MEMORY | STRING,
	  .has_worked = has_long_name },
	{ "GET_NAME", do_get_name, .errors = ADDRESS, .has_worked = has_told_name },
	{ "SET_SIZE", do_set_size, .has_worked = has_size, .has_no_place = true },
	{ "GET_SIZE", do_get_size, .has_no_place = true },
	{ "SET_PROT_MASK", do_set_mask, .has_worked = has_mask, .has_no_place = true },
	{ "GET_PROT_MASK", do_get_mask, .has_no_place = true },
	{ "first shared mmap", do_map_shared, NULL, false, MEMORY, has_mapped },
	{ "first private mmap", do_map_private, NULL, false, MEMORY, has_mapped_zeros },
	{ "later shared mmap", do_map_shared, NULL, true, MEMORY, has_mapped },
	{ "later private mmap", do_map_private, NULL, true, MEMORY, has_mapped_zeros },
	{ "GET_FILE_ID", do_get_file_id, .is_mapped = true, .errors = ADDRESS },
	{ "first UNPIN", do_unpin, NULL, true, MEMORY | ADDRESS, has_unpinned },
	{ "UNPIN of one more", do_unpin, have_ranges, true, MEMORY | ADDRESS,
	  has_unpinned_more },
	{ "UNPIN by another user", do_unpin_as_stranger, have_ranges, true, MEMORY | ADDRESS,
	  has_unpinned_more },
	{ "PIN that splits", do_pin, have_range, true, MEMORY | ADDRESS, has_split },
	{ "GET_PIN_STATUS", do_pin_status, have_range, true, ADDRESS },
	{ "PURGE_ALL_CACHES", do_purge_all, .is_mapped = true, .has_no_place = true },
	{ "pread", do_read, .is_mapped = true, .errors = ADDRESS },
	{ "lseek", do_seek, .is_mapped = true, .has_no_place = true },
	{ "fdinfo", do_fdinfo, .is_mapped = true, .errors = MEMORY | ADDRESS },
	{ "stats", do_stats, have_range, true, MEMORY | ADDRESS },
	{ "regions", do_regions, have_range, true, MEMORY | ADDRESS },
	{ "fork", do_fork, have_range, true, MEMORY },
	{ "close", do_close, have_ranges, true },
};

static bool is_documented(const struct call *call, long error)
{
	return (error == -ENOMEM && call->errors & MEMORY) ||
	       (error == -EFAULT && call->errors & (ADDRESS | STRING));
}

static bool subject_make(struct subject *subject, const struct call *call)
{
	memset(subject, 0, sizeof(*subject));
	subject->opened = -EBADF;
	subject->fd = area_create(PAGES * page_size());
	if (subject->fd < 0)
		return false;
	if (!call->is_mapped)
		return true;
	subject->map = map_filled(subject->fd, PAGES);
	if (subject->map == MAP_FAILED)
		return false;
	try_seek(subject->fd, page_size(), SEEK_SET);
	if (call->prepare)
		call->prepare(subject);
	return true;
}

/* Undoes a call that worked. */
static void subject_undo(struct subject *subject)
{
	if (subject->mapped)
		munmap(subject->mapped, subject->len);
	if (subject->opened >= 0)
		close(subject->opened);
	subject->mapped = NULL;
	subject->opened = -EBADF;
}

static void subject_free(struct subject *subject)
{
	subject_undo(subject);
	if (subject->map)
		munmap(subject->map, PAGES * page_size());
	close(subject->fd);
}

/* Whether this kernel can make the call fail at all. */
static bool must_fail(const struct call *call)
{
	return call->errors & MEMORY || (call->errors & ADDRESS && can_fail_copies);
}

static bool has_worked(const struct call *call, const struct subject *subject)
{
	return !call->has_worked || call->has_worked(subject);
}

/* Whether each page has its letter, or zeros if it was unpinned before or after the call. */
static bool are_kept(const struct subject *subject, const struct view *before)
{
	const char *pins = subject->fd < 0 ? before->pins : picture(subject->fd, PAGES);

	for (size_t page = 0; page < PAGES; page++) {
		bool may_go = before->pins[page + 1] == '.' || pins[page + 1] == '.';

		if (!are_intact(subject->map, page, 1) &&
		    !(may_go && are_zero(subject->map, page, 1)))
			return false;
	}
	return true;
}

/* Whether the kernel survives: User-mode Linux 6.18 crashes if a fork fails. */
static bool survives(const struct call *call)
{
	FILE *cpus = call->make == do_fork ? fopen("/proc/cpuinfo", "r") : NULL;
	struct utsname uts;
	bool is_uml = false;
	char line[256];

	if (!cpus)
		return true;
	while (!is_uml && fgets(line, sizeof(line), cpus))
		is_uml = strstr(line, "User Mode Linux");
	fclose(cpus);
	return !is_uml || uname(&uts) || atoi(uts.release) >= 7;
}

#define fail_at(call, n) __fail_at(_metadata, call, n)

/* Makes the call with a failure at the @n-th place. Returns whether there is such a place. */
static bool __fail_at(struct __test_metadata *_metadata, const struct call *call, unsigned int n)
{
	struct subject subject;
	struct view before, after;
	bool has_failed;
	long ret;

	ASSERT_TRUE(subject_make(&subject, call));
	view_of(subject.fd, &before);
	ASSERT_TRUE(arm(n));
	ret = call->make(&subject);
	has_failed = disarm();
	if (!ret) {
		EXPECT_TRUE(has_worked(call, &subject)) {
			TH_LOG("%s, place %u: returns 0, but did nothing", call->name, n);
		}
	} else if (!has_failed) {
		EXPECT_EQ(0, ret) TH_LOG("%s, without a failure", call->name);
	} else {
		EXPECT_TRUE(is_documented(call, ret)) {
			TH_LOG("%s, place %u: %s", call->name, n,
			       ret < 0 ? strerror(-ret) : "returns 0, but with a wrong result");
		}
		view_of(subject.fd, &after);
		EXPECT_EQ(0, memcmp(&before, &after, sizeof(before))) {
			TH_LOG("%s, place %u, before and after:\n%s %s\n%s%s %s\n%s", call->name, n,
			       before.name, before.pins, before.fdinfo, after.name, after.pins,
			       after.fdinfo);
		}
		/* If the area is not mapped, its name and size can still be changed. */
		if (!call->is_mapped) {
			EXPECT_EQ(0, set_name(subject.fd, "other"));
			EXPECT_EQ(0, set_size(subject.fd, before.size));
		}
		EXPECT_TRUE(!call->make(&subject) && has_worked(call, &subject)) {
			TH_LOG("%s, place %u, again", call->name, n);
		}
	}
	if (subject.map) {
		EXPECT_TRUE(are_kept(&subject, &before)) {
			TH_LOG("%s, place %u: contents", call->name, n);
		}
	}
	subject_free(&subject);
	return has_failed;
}

static long long regions(void)
{
	return read_stat(AT_FDCWD, "/sys/kernel/debug/ashmem/stats", "regions");
}

FIXTURE(failing)
{
	long long regions;
};

FIXTURE_SETUP(failing)
{
	int fd = area_open_or_skip(O_RDWR);
	long ret;

	if (fd < 0)
		return;
	close(fd);
	self->regions = regions();
	if (self->regions < 0 && getenv("ASHMEM_C_DRIVER"))
		SKIP(return, "the C driver has no files in debugfs");
	ret = failures_open();
	if (ret)
		SKIP(return, "this kernel has no fault injection: %s", strerror(-ret));
	/* Fault injection is set up in debugfs, so debugfs is mounted. */
	ASSERT_LE(0, self->regions);
}

FIXTURE_TEARDOWN(failing)
{
	if (fail_nth >= 0)
		close(fail_nth);
}

TEST_F_TIMEOUT(failing, call_changes_nothing_and_works_again, 900)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		unsigned int n, places = 0;

		if (!survives(&calls[i]))
			continue;
		/* First without a failure, to touch pages and allocate lists that stay. */
		fail_at(&calls[i], MOST_PLACES);
		for (n = 1; n <= places + MISSES && n < MOST_PLACES; n++)
			if (fail_at(&calls[i], n))
				places = n;
		TH_LOG("%s can fail in %u places", calls[i].name, places);
		ASSERT_GT(MOST_PLACES, n);
		if (calls[i].has_no_place) {
			EXPECT_EQ(0, places);
		}
		if (must_fail(&calls[i])) {
			EXPECT_LT(0, places) TH_LOG("%s never failed", calls[i].name);
		}
		ASSERT_EQ(self->regions, regions()) TH_LOG("after %s", calls[i].name);
	}
}

static bool has_entry(const char *path, const char *prefix)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		found = !strncmp(entry->d_name, prefix, strlen(prefix));
	if (dir)
		closedir(dir);
	return found;
}

static bool exists(const char *path)
{
	return !access(path, F_OK);
}

/* A slab cache that was merged leaves a symbolic link, which does not count. */
static bool is_dir(const char *path)
{
	struct stat stat;

	return !lstat(path, &stat) && S_ISDIR(stat.st_mode);
}

/* Something that the module left behind, in words, or NULL. */
static const char *left_by_module(void)
{
	if (exists("/sys/module/rust_ashmem"))
		return "the module";
	if (is_in_text("/proc/misc", " ashmem\n") || exists("/sys/class/misc/ashmem") ||
	    exists("/dev/ashmem"))
		return "the device";
	if (has_entry("/sys/kernel/debug/shrinker", "ashmem-"))
		return "the shrinker";
	if (is_dir("/sys/kernel/slab/ashmem_unpinned"))
		return "the slab cache";
	if (exists("/sys/kernel/debug/ashmem"))
		return "its files in debugfs";
	return NULL;
}

static long load(int module)
{
	return answer(syscall(SYS_finit_module, module, "", 0));
}

static long unload(void)
{
	return answer(syscall(SYS_delete_module, "rust_ashmem", O_NONBLOCK));
}

/* Messages that show a bug in the kernel or the driver. */
static const char * const complaints[] = {
	"WARNING: ", "BUG: ", "KASAN: ", "UBSAN: ", "Oops", "general protection fault",
	"nable to handle", "circular locking", "recursive locking", "inconsistent lock state",
	"suspicious RCU usage", "lock held when", "sleeping function called",
	"scheduling while atomic", "blocked for more than", "soft lockup", "hard LOCKUP",
	"detected stall", "refcount_t:", "list_add corruption",
	"list_del corruption", "unreferenced object",
};

/* If allocations fail, the kernel itself warns about trace events. That is not the driver. */
static bool is_complaint(const char *line, bool is_busy)
{
	if (strstr(line, "WARNING: ") && strstr(line, "trace_events.c"))
		return false;
	/* Right only if the device name is taken. */
	if (strstr(line, "another driver"))
		return !is_busy;
	for (size_t i = 0; i < ARRAY_SIZE(complaints); i++)
		if (strstr(line, complaints[i]))
			return true;
	return false;
}

/*
 * The first complaint in the kernel's log since the last call, or NULL. Each read() returns
 * a line.
 */
static const char *complaint_in(int log, bool is_busy)
{
	static char line[8192];
	long len;

	while ((len = try_read(log, line, sizeof(line) - 1)) > 0 || len == -EPIPE) {
		line[len < 0 ? 0 : len] = '\0';
		if (is_complaint(line, is_busy))
			return line;
	}
	return NULL;
}

/*
 * The kernel logs a trace if it cannot allocate memory for a module. So the console does not
 * show warnings during this test.
 */
#define QUIET	4

TEST_F_TIMEOUT(failing, load_leaves_nothing, 900)
{
	const char *path = getenv("MODULE"), *complaint = NULL;
	unsigned int n, places = 0, refused = 0;
	int module, log;
	long ret;

	if (!path || !*path)
		SKIP(return, "MODULE is not set to the path of the module");
	module = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, module);
	log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, log);
	ret = unload();
	if (ret)
		SKIP(return, "the module cannot be unloaded: %s", strerror(-ret));
	ASSERT_EQ(NULL, left_by_module());
	write_number(AT_FDCWD, CONSOLE, QUIET);
	ASSERT_LE(0, try_seek(log, 0, SEEK_END));
	for (n = 1; n <= places + MISSES && n < MOST_PLACES && !complaint; n++) {
		const char *left;
		bool has_failed;

		ASSERT_TRUE(arm(n));
		ret = load(module);
		has_failed = disarm();
		if (has_failed)
			places = n;
		refused += ret < 0;
		/* Other errors come from finit_module() and misc_register(). */
		EXPECT_TRUE(!ret || (has_failed && (ret == -ENOMEM || ret == -EFAULT ||
						    ret == -EBUSY))) {
			TH_LOG("place %u: %s", n, strerror(-ret));
		}
		complaint = complaint_in(log, ret == -EBUSY);
		if (!ret)
			ASSERT_EQ(0, unload());
		left = left_by_module();
		EXPECT_EQ(NULL, left) TH_LOG("place %u: %s is left", n, left);
		if (left)
			break;
	}
	TH_LOG("loading can fail in %u places, and did so in %u", places, refused);
	EXPECT_GT(MOST_PLACES, n);
	EXPECT_LT(0, refused);
	EXPECT_EQ(NULL, complaint) {
		TH_LOG("place %u: %.*s", n - 1, (int)strcspn(complaint, "\n"), complaint);
	}
	close(log);
	/* The module must be loaded again at the end. */
	EXPECT_TRUE(exists("/sys/module/rust_ashmem") || !load(module));
	close(module);
}

TEST_HARNESS_MAIN
