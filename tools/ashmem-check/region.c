// SPDX-License-Identifier: GPL-2.0
/* Tries each call of the device at least once, on regions of its own. */
#include <linux/capability.h>
#include <sys/stat.h>

#include "../../selftests/ashmem.h"
#include "check.h"

#define NAME	"ashmem-check"
#define PAGES	4

/* What is wrong with a result, in words, or NULL. */
static const char *wrong(const char *call, long want, long got)
{
	if (want == got)
		return NULL;
	if (got < 0)
		return text("%s fails: %s", call, strerror(-got));
	if (want < 0)
		return text("%s returns %ld, but should fail: %s", call, got, strerror(-want));
	return text("%s returns %ld instead of %ld", call, got, want);
}

static const char *differs(const char *what, const char *want, const char *got)
{
	return strcmp(want, got) ? text("%s is '%s' instead of '%s'", what, got, want) : NULL;
}

static void report_odd(const char *id, const char *bad)
{
	broken(id, "%s", bad);
	advise("the driver misbehaves: load the newest rust_ashmem; ");
	advise("if this stays, report it");
}

static const char *unless(bool good, const char *what)
{
	return good ? NULL : what;
}

/* Maps a region of PAGES filled pages. On failure returns NULL, with the reason in @bad. */
static char *map_region(int fd, const char **bad)
{
	char *map;

	*bad = wrong("SET_NAME", 0, set_name(fd, NAME)) ?:
		wrong("SET_SIZE", 0, set_size(fd, PAGES * page_size()));
	if (*bad)
		return NULL;
	map = map_filled(fd, PAGES);
	if (map != MAP_FAILED)
		return map;
	*bad = wrong("a shared mapping", 0, -errno);
	return NULL;
}

static const char *try_name(int fd)
{
	char name[ASHMEM_NAME_LEN] = "";

	return wrong("GET_NAME", 0, get_name(fd, name)) ?:
		differs("the name of a new region", ASHMEM_NAME_DEF, name) ?:
		wrong("SET_NAME", 0, set_name(fd, NAME)) ?:
		wrong("GET_NAME", 0, get_name(fd, name)) ?:
		differs("the name", NAME, name);
}

static const char *try_size(int fd)
{
	return wrong("GET_SIZE of a new region", 0, get_size(fd)) ?:
		wrong("SET_SIZE", 0, set_size(fd, page_size())) ?:
		wrong("GET_SIZE", page_size(), get_size(fd));
}

static const char *try_mask(int fd)
{
	return wrong("SET_SIZE", 0, set_size(fd, page_size())) ?:
		wrong("GET_PROT_MASK of a new region", PROT_ALL, get_mask(fd)) ?:
		wrong("SET_PROT_MASK", 0, set_mask(fd, PROT_READ)) ?:
		wrong("GET_PROT_MASK", PROT_READ, get_mask(fd)) ?:
		wrong("SET_PROT_MASK that adds rights", -EINVAL, set_mask(fd, PROT_RW)) ?:
		wrong("a mapping that the mask forbids", -EPERM,
		      try_map(fd, page_size(), PROT_RW, MAP_SHARED)) ?:
		wrong("a mapping that the mask allows", 0,
		      try_map(fd, page_size(), PROT_READ, MAP_SHARED));
}

static const char *try_shared(int fd)
{
	const char *bad;
	char *map = map_region(fd, &bad), *second;

	if (!map)
		return bad;
	second = area_map(fd, PAGES * page_size(), PROT_READ, MAP_SHARED);
	if (second == MAP_FAILED)
		return wrong("a second mapping", 0, -errno);
	return unless(are_intact(second, 0, PAGES), "a second mapping does not show the data") ?:
		wrong("SET_SIZE of a mapped region", -EINVAL, set_size(fd, page_size()));
}

static const char *try_private(int fd)
{
	const char *bad;
	char *map = map_region(fd, &bad), *private;

	if (!map)
		return bad;
	private = area_map(fd, page_size(), PROT_RW, MAP_PRIVATE);
	if (private == MAP_FAILED)
		return wrong("a private mapping", 0, -errno);
	return unless(are_zero(private, 0, 1), "a private mapping is not zero");
}

static const char *try_maps(int fd)
{
	const char *bad;
	char *map = map_region(fd, &bad), line[512] = "";

	if (!map)
		return bad;
	maps_line(map, line, sizeof(line));
	return unless(strstr(line, "/dev/ashmem/" NAME),
		      text("/proc/self/maps shows the region as '%s'", line));
}

/* Reclaim may purge the unpinned pages meanwhile, so both results of PIN are right. */
static const char *try_pin(int fd)
{
	const char *bad;
	char *map = map_region(fd, &bad);
	long got;

	if (!map)
		return bad;
	bad = wrong("GET_PIN_STATUS", ASHMEM_IS_PINNED, pin_status(fd, 0, 0)) ?:
		wrong("UNPIN", 0, unpin(fd, 1, 2)) ?:
		wrong("GET_PIN_STATUS of unpinned pages", ASHMEM_IS_UNPINNED, pin_status(fd, 1, 2));
	if (bad)
		return bad;
	got = pin(fd, 1, 2);
	return wrong("PIN", 0, got == ASHMEM_WAS_PURGED ? 0 : got) ?:
		wrong("GET_PIN_STATUS", ASHMEM_IS_PINNED, pin_status(fd, 0, 0)) ?:
		unless(are_intact(map, 0, 1) && are_intact(map, 3, 1),
		       "pinned pages lost their data");
}

static const char *try_unknown(int fd)
{
	return wrong("an unknown request", -ENOTTY, area_ioctl(fd, _IO(__ASHMEMIOC, 99), 0));
}

/* In a child: receives the descriptor, checks the data, and writes a word. */
static int receive(int socket)
{
	int fd = recv_fd(socket);
	char *map = fd < 0 ? MAP_FAILED : area_map(fd, PAGES * page_size(), PROT_RW, MAP_SHARED);

	if (map == MAP_FAILED || !are_intact(map, 0, PAGES))
		return 1;
	memcpy(map, NAME, sizeof(NAME));
	return 0;
}

static const char *try_socket(int fd)
{
	const char *bad;
	char *map = map_region(fd, &bad);
	int ends[2];
	pid_t child;

	if (!map)
		return bad;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return wrong("socketpair()", 0, -errno);
	bad = wrong("sending the descriptor", 0, send_fd(ends[0], fd));
	if (bad)
		return bad;
	child = fork();
	if (!child)
		_exit(receive(ends[1]));
	close(ends[0]);
	close(ends[1]);
	return unless(exit_status_of(child) == 0, "another process does not see the data") ?:
		differs("the text that another process wrote", NAME, map);
}

static const struct {
	const char *id, *fine;
	const char *(*try)(int fd);
} trials[] = {
	{ "name", "SET_NAME and GET_NAME", try_name },
	{ "size", "SET_SIZE and GET_SIZE", try_size },
	{ "mask", "SET_PROT_MASK and GET_PROT_MASK; the mask is obeyed", try_mask },
	{ "shared", "shared mappings show the same data", try_shared },
	{ "private", "private mappings are zero", try_private },
	{ "maps", "/proc/self/maps shows the name", try_maps },
	{ "pin", "PIN, UNPIN and GET_PIN_STATUS", try_pin },
	{ "unknown", "unknown requests are refused with ENOTTY", try_unknown },
	{ "socket", "another process maps a region that it got over a socket", try_socket },
};

/* Each trial has a region of its own. Its mappings stay until this program exits. */
static void run(const char *id, const char *fine, const char *(*try)(int fd))
{
	int fd = open_region();
	const char *bad = fd < 0 ? wrong("opening the device", 0, fd) : try(fd);

	if (bad)
		report_odd(id, bad);
	else
		ok(id, "%s", fine);
	if (fd >= 0)
		close(fd);
}

static void check_file_id(int fd)
{
	unsigned long id = 0, unmapped;
	const char *bad;

	if (get_file_id(fd, &unmapped) == -ENOTTY) {
		note("file-id", "GET_FILE_ID is not supported, as in mainline's C driver");
		advise("tools that match descriptors by it do without it; rust_ashmem has it");
		return;
	}
	if (map_region(fd, &bad))
		bad = wrong("GET_FILE_ID", 0, get_file_id(fd, &id)) ?:
			unless(id, "GET_FILE_ID gives no number");
	if (bad)
		report_odd("file-id", bad);
	else
		ok("file-id", "GET_FILE_ID");
}

static void check_fdinfo(int fd)
{
	char *info;

	set_name(fd, NAME);
	set_size(fd, page_size());
	/* An absolute path, because tests have another root, and this is the real process. */
	info = read_file(text("/proc/self/fdinfo/%d", fd));
	if (!info || !strstr(info, "\nname:\t" NAME "\n"))
		report_odd("fdinfo", "/proc/self/fdinfo does not show the name");
	else if (!strstr(info, text("\nsize:\t%zu\n", page_size())))
		note("fdinfo", "/proc/self/fdinfo shows the name but no size, as before 5.14");
	else
		ok("fdinfo", "/proc/self/fdinfo shows the name and the size");
}

/* ART maps code from regions. A noexec mount of /dev forbids that. */
static void check_exec(int fd)
{
	long got;

	set_size(fd, page_size());
	got = try_map(fd, page_size(), PROT_READ | PROT_EXEC, MAP_SHARED);
	if (!got) {
		ok("exec", "regions can be mapped for execution");
	} else if (is_noexec(fd)) {
		note("exec", "regions cannot be mapped for execution, as /dev is mounted noexec");
		advise("for programs that keep code in regions, sudo mount -o remount,exec /dev");
	} else {
		note("exec", "regions cannot be mapped for execution: %s", strerror(-got));
		advise("a security module may forbid it; see dmesg on the host");
	}
}

static bool drop_administration(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return false;
	data[0].effective &= ~(1U << CAP_SYS_ADMIN);
	return !syscall(SYS_capset, &header, data);
}

/* Checks that others are refused. Drops the capability first, so that nothing is purged. */
static void check_purge_refused(int fd)
{
	pid_t child = fork();
	int status;

	if (!child) {
		if (!drop_administration())
			_exit(2);
		_exit(purge_all(fd) == -EPERM ? 0 : 1);
	}
	status = exit_status_of(child);
	if (status == 0)
		ok("purge-refused", "PURGE_ALL_CACHES is refused without CAP_SYS_ADMIN");
	else if (status == 1)
		report_odd("purge-refused", "PURGE_ALL_CACHES works without CAP_SYS_ADMIN");
	else
		note("purge-refused", "PURGE_ALL_CACHES was not tried: cannot drop capabilities");
}

static void check_purge(int fd)
{
	const char *bad;
	char *map = map_region(fd, &bad);
	long got;

	if (!map) {
		report_odd("purge", bad);
		return;
	}
	unpin(fd, 0, 0);
	got = purge_all(fd);
	if (got == -EPERM) {
		note("purge", "PURGE_ALL_CACHES needs CAP_SYS_ADMIN, which this user lacks");
		advise("run --purge as root, outside of containers");
		return;
	}
	bad = got < 0 ? wrong("PURGE_ALL_CACHES", 0, got) :
		wrong("PIN after a purge", ASHMEM_WAS_PURGED, pin(fd, 0, 0)) ?:
		unless(are_zero(map, 0, PAGES), "purged pages are not zero");
	if (bad)
		report_odd("purge", bad);
	else
		ok("purge", "PURGE_ALL_CACHES purged %ld pages, and PIN reports that", got);
}

/* Runs a check that reports its own findings, with a new region. */
static void with_region(const char *id, void (*check)(int fd))
{
	int fd = open_region();

	if (fd < 0) {
		report_odd(id, wrong("opening the device", 0, fd));
		return;
	}
	check(fd);
	close(fd);
}

void check_region(bool purge)
{
	for (size_t i = 0; i < ARRAY_SIZE(trials); i++)
		run(trials[i].id, trials[i].fine, trials[i].try);
	with_region("fdinfo", check_fdinfo);
	with_region("file-id", check_file_id);
	with_region("exec", check_exec);
	with_region("purge-refused", check_purge_refused);
	if (purge)
		with_region("purge", check_purge);
}

void check_memfd(void)
{
	int fd = syscall(SYS_memfd_create, NAME, MFD_CLOEXEC);

	if (fd < 0) {
		note("memfd", "there is no memfd here: %s", strerror(errno));
		advise("Android needs the device, as its memfd mode (sys.use_memfd) cannot work");
	} else if (get_size(fd) == -ENOTTY) {
		note("memfd", "a memfd does not support ASHMEM_GET_SIZE, as in mainline");
		advise("Android 16 needs the device; sys.use_memfd does not help it");
	} else {
		note("memfd", "a memfd supports ASHMEM_GET_SIZE, as in Android's kernels");
		advise("Android 16 can use memfds here; older programs still open the device");
	}
	if (fd >= 0)
		close(fd);
}
