// SPDX-License-Identifier: GPL-2.0
/*
 * Shows the regions of ashmem, as slabtop shows slabs: their processes, their sizes, and
 * how much of them is unpinned or purged; see --help.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define UNKNOWN	(-1LL)

/* Sizes are in bytes. */
struct region {
	unsigned long long inode;
	long pid;
	long long uid;	/* UNKNOWN if the process is gone */
	long long size, resident, unpinned, purged, ranges;
	char command[80];	/* printable, as the name is */
	char mask[8], state[16];
	char name[1100];
};

static struct region *regions;
static size_t count;

enum source { DEBUGFS, PROC };

static const char *root = "";
static volatile sig_atomic_t was_told_to_end;

static void fail(const char *what, const char *advice)
{
	fprintf(stderr, "ashmem-top: %s\n%s%s", what, advice, *advice ? "\n" : "");
	exit(1);
}

static struct region *add_region(void)
{
	static size_t room;

	if (count == room) {
		room = room ? 2 * room : 64;
		regions = realloc(regions, room * sizeof(*regions));
		if (!regions)
			fail("out of memory.", "Free some and run it again.");
	}
	memset(&regions[count], 0, sizeof(*regions));
	return &regions[count++];
}

/* Copies printable ASCII, but escapes the bytes in @others, and all other bytes, in octal. */
static void escape(char *to, size_t room, const char *from, const char *others)
{
	for (; *from && room > 4; from++) {
		unsigned char byte = *from;
		bool is_plain = byte >= ' ' && byte <= '~' && !strchr(others, byte);
		int len = snprintf(to, room, is_plain ? "%c" : "\\%03o", byte);

		to += len;
		room -= len;
	}
	*to = '\0';
}

/* The size of a region is not limited by memory, so products and sums may overflow. */
static long long times(long long number, long unit)
{
	long long product;

	return __builtin_mul_overflow(number, unit, &product) ? LLONG_MAX : product;
}

static long long plus(long long a, long long b)
{
	long long sum;

	return __builtin_add_overflow(a, b, &sum) ? LLONG_MAX : sum;
}

static FILE *open_file(const char *path)
{
	char whole[4096];

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	return fopen(whole, "re");
}

/* Reads a file of /proc as one word: drops the last newline and escapes all blanks. */
static void read_word(const char *path, char *to, size_t room)
{
	FILE *file = open_file(path);
	char text[256] = "";
	size_t len;

	if (file) {
		len = fread(text, 1, sizeof(text) - 1, file);
		if (len && text[len - 1] == '\n')
			text[len - 1] = '\0';
		fclose(file);
	}
	escape(to, room, *text ? text : "-", " \\");
}

/* The driver escapes names. Other bytes must not get to the terminal in any case. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* Reads the regions from debugfs. Returns false if its file cannot be read. */
static bool read_debugfs(void)
{
	const long page = sysconf(_SC_PAGESIZE);
	FILE *file = open_file("/sys/kernel/debug/ashmem/regions");
	char *line = NULL;
	size_t room = 0;

	if (!file)
		return false;
	while (getline(&line, &room, file) > 0) {
		struct region region = { 0 };
		char uid[16];
		int end = 0;

		line[strcspn(line, "\n")] = '\0';
		make_printable(line);
		if (sscanf(line, "%llu %ld %15s %79s %lld %lld %lld %lld %lld %7s %15s%n",
			   &region.inode, &region.pid, uid, region.command, &region.size,
			   &region.resident, &region.unpinned, &region.purged, &region.ranges,
			   region.mask, region.state, &end) != 11)
			continue;	/* the names of the columns */
		region.uid = strcmp(uid, "-") ? atoll(uid) : UNKNOWN;
		region.resident = times(region.resident, page);
		region.unpinned = times(region.unpinned, page);
		region.purged = times(region.purged, page);
		if (line[end] == ' ')
			end++;
		snprintf(region.name, sizeof(region.name), "%s", line + end);
		*add_region() = region;
	}
	free(line);
	fclose(file);
	return true;
}

/* Orders by inode, then by process. */
static int compare_memory(const void *left, const void *right)
{
	const struct region *a = left, *b = right;

	if (a->inode != b->inode)
		return a->inode < b->inode ? -1 : 1;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

/* Keeps only the first process of each region. A region without memory has no inode. */
static void drop_repeated(void)
{
	size_t kept = 0;

	qsort(regions, count, sizeof(*regions), compare_memory);
	for (size_t i = 0; i < count; i++)
		if (!i || !regions[i].inode || regions[i].inode != regions[kept - 1].inode)
			regions[kept++] = regions[i];
	count = kept;
}

/* Adds the region of a descriptor. */
static void add_descriptor(const char *pid, const char *fd, long long uid)
{
	struct region region = {
		.pid = atol(pid),
		.uid = uid,
		.size = UNKNOWN,
		.resident = UNKNOWN,
		.ranges = UNKNOWN,
	};
	char path[600], *line = NULL;
	size_t room = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, fd);
	file = open_file(path);
	if (!file)
		return;
	while (getline(&line, &room, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		sscanf(line, "inode: %llu", &region.inode);
		sscanf(line, "size: %lld", &region.size);
		if (sscanf(line, "unpinned: %lld kB", &region.unpinned) == 1)
			region.unpinned = times(region.unpinned, 1024);
		if (sscanf(line, "purged: %lld kB", &region.purged) == 1)
			region.purged = times(region.purged, 1024);
		/* Newlines are \012 already, so backslashes stay. */
		if (!strncmp(line, "name:\t", 6))
			escape(region.name, sizeof(region.name), line + 6, "");
	}
	free(line);
	fclose(file);
	/* The process has exited, or the descriptor was reused. */
	if (region.size == UNKNOWN)
		return;
	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	read_word(path, region.command, sizeof(region.command));
	*add_region() = region;
}

static bool is_ashmem(const char *path)
{
	char target[80], *rest = target + 11;
	ssize_t len = readlink(path, target, sizeof(target) - 1);

	if (len < 0)
		return false;
	target[len] = '\0';
	if (strncmp(target, "/dev/ashmem", 11))
		return false;
	/* Android's second node has the boot ID at the end of its name. */
	return !*rest || !strcmp(rest, " (deleted)") || isxdigit((unsigned char)*rest);
}

/* Reads the descriptors of all processes, as far as the caller may see them. */
static void read_proc(void)
{
	struct dirent *process, *fd;
	char path[4600];
	DIR *processes, *fds;
	struct stat status;
	long long uid;

	snprintf(path, sizeof(path), "%s/proc", root);
	processes = opendir(path);
	if (!processes)
		fail("/proc is not mounted.", "Mount it: mount -t proc none /proc");
	while ((process = readdir(processes))) {
		/* Descriptors that this program inherited are not its own. */
		if (!isdigit((unsigned char)*process->d_name) || atol(process->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "%s/proc/%s/fd", root, process->d_name);
		fds = opendir(path);
		if (!fds)
			continue;
		uid = stat(path, &status) ? UNKNOWN : status.st_uid;
		while ((fd = readdir(fds))) {
			snprintf(path, sizeof(path), "%s/proc/%s/fd/%s", root, process->d_name,
				 fd->d_name);
			if (is_ashmem(path))
				add_descriptor(process->d_name, fd->d_name, uid);
		}
		closedir(fds);
	}
	closedir(processes);
	drop_repeated();
}

static enum source read_regions(void)
{
	count = 0;
	if (read_debugfs())
		return DEBUGFS;
	read_proc();
	return PROC;
}

static const char *const keys[] = {
	"resident", "size", "unpinned", "purged", "ranges",
	"pid", "uid", "inode", "command", "name", NULL,
};

static const char *key = keys[0];

static long long number_of(const struct region *region)
{
	if (!strcmp(key, "size"))
		return region->size;
	if (!strcmp(key, "unpinned"))
		return region->unpinned;
	if (!strcmp(key, "purged"))
		return region->purged;
	if (!strcmp(key, "ranges"))
		return region->ranges;
	if (!strcmp(key, "pid"))
		return -region->pid;
	if (!strcmp(key, "uid"))
		return -region->uid;
	if (!strcmp(key, "inode"))
		return -(long long)region->inode;
	return region->resident;
}

/* Sizes descend, numbers and texts ascend. Ties are ordered by size, then by inode. */
static int compare(const void *left, const void *right)
{
	const struct region *a = left, *b = right;
	long long x, y;
	int texts = 0;

	if (!strcmp(key, "command"))
		texts = strcmp(a->command, b->command);
	else if (!strcmp(key, "name"))
		texts = strcmp(a->name, b->name);
	if (texts)
		return texts;
	x = number_of(a);
	y = number_of(b);
	if (x == y) {
		x = a->size;
		y = b->size;
	}
	if (x == y) {
		x = -(long long)a->inode;
		y = -(long long)b->inode;
	}
	return (x < y) - (x > y);
}

/* A size in at most five characters. */
static const char *human(long long bytes)
{
	static char texts[8][16];
	static size_t next;
	const char *unit = "BKMGTPE";
	double size = bytes;
	char *text = texts[next++ % 8];

	if (bytes == UNKNOWN)
		return "-";
	while (size >= 1000 && unit[1]) {
		size /= 1024;
		unit++;
	}
	snprintf(text, sizeof(texts[0]), "%.*f%c", *unit != 'B' && size < 9.95, size, *unit);
	return text;
}

/* The name of a user in /etc/passwd. Does without NSS, so that static builds work. */
static const char *user_of(long long uid)
{
	static long long last = UNKNOWN;
	const struct passwd *user;
	static char text[33];
	FILE *users;

	if (uid == UNKNOWN)
		return "-";
	if (uid == last)
		return text;
	last = uid;
	users = open_file("/etc/passwd");
	snprintf(text, sizeof(text), "%lld", uid);
	while (users && (user = fgetpwent(users)))
		if (user->pw_uid == uid)
			escape(text, sizeof(text), user->pw_name, " \\");
	if (users)
		fclose(users);
	return text;
}

/* Prints a line, cut to @columns unless that is 0. */
static void print_line(int columns, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print_line(int columns, const char *format, ...)
{
	char line[2048];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (columns && len > columns)
		len = columns;
	while (len > 0 && line[len - 1] == ' ')
		len--;
	printf("%.*s\n", len, line);
}

static void print_region(const struct region *region, int columns)
{
	char ranges[24] = "-";

	if (region->ranges != UNKNOWN)
		snprintf(ranges, sizeof(ranges), "%lld", region->ranges);
	print_line(columns, "%7ld %-8.8s %-15.15s %5s %5s %5s %5s %5s %s", region->pid,
		   user_of(region->uid), region->command, human(region->size),
		   human(region->resident), human(region->unpinned), human(region->purged),
		   ranges, region->name);
}

/* Prints the table. 0 means no limit. The last line of a terminal is left for the cursor. */
static void print_table(enum source source, int lines, int columns)
{
	long long size = 0, unpinned = 0, purged = 0;
	long long resident = source == PROC ? UNKNOWN : 0;
	size_t room = lines > 3 ? lines - 3 : 0;

	for (size_t i = 0; i < count; i++) {
		size = plus(size, regions[i].size);
		unpinned = plus(unpinned, regions[i].unpinned);
		purged = plus(purged, regions[i].purged);
		if (source != PROC)
			resident = plus(resident, regions[i].resident);
	}
	print_line(columns, "%zu region%s: size %s, resident %s, unpinned %s, purged %s; by %s",
		   count, count == 1 ? "" : "s", human(size), human(resident), human(unpinned),
		   human(purged), key);
	if (source == PROC) {
		print_line(columns, geteuid() ?
			   "Not root: only regions that your processes have open." :
			   "No debugfs: read from /proc/*/fdinfo, first process only.");
		room -= room > 0;
	}
	print_line(columns, "%7s %-8s %-15s %5s %5s %5s %5s %5s %s", "PID", "USER", "COMMAND",
		   "SIZE", "RES", "UNPIN", "PURGE", "RANGE", "NAME");
	for (size_t i = 0; i < count && (!lines || i < room); i++)
		print_region(&regions[i], columns);
}

static void print_text(const char *name, const char *text)
{
	printf("\"%s\":\"", name);
	for (; *text; text++)
		printf(strchr("\"\\", *text) ? "\\%c" : "%c", *text);
	putchar('"');
}

static void print_number(const char *name, long long number)
{
	if (number == UNKNOWN)
		printf("\"%s\":null,", name);
	else
		printf("\"%s\":%lld,", name, number);
}

static void print_json(enum source source)
{
	printf("{\"source\":\"%s\",\"regions\":[", source == DEBUGFS ? "debugfs" : "proc");
	for (size_t i = 0; i < count; i++) {
		const struct region *region = &regions[i];

		printf("%s\n{", i ? "," : "");
		printf("\"inode\":%llu,\"pid\":%ld,", region->inode, region->pid);
		print_number("uid", region->uid);
		print_text("command", region->command);
		putchar(',');
		print_number("size", region->size);
		print_number("resident", region->resident);
		print_number("unpinned", region->unpinned);
		print_number("purged", region->purged);
		print_number("ranges", region->ranges);
		if (source == DEBUGFS) {
			print_text("mask", region->mask);
			putchar(',');
			print_text("state", region->state);
			putchar(',');
		}
		print_text("name", region->name);
		putchar('}');
	}
	puts("\n]}");
}

/* Interrupts the wait for a key: most signals end the program, the others redraw. */
static void wake(int signal)
{
	if (signal != SIGWINCH && signal != SIGCONT)
		was_told_to_end = true;
}

/* Blocks signals except during the wait for a key; sets @awaited to the mask for that. */
static void hold_signals(sigset_t *awaited)
{
	static const int signals[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT };
	struct sigaction action = { .sa_handler = wake };
	sigset_t held;

	sigemptyset(&held);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		sigaddset(&held, signals[i]);
		sigaction(signals[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &held, awaited);
}

/* Shows the table until q is typed or a signal comes. */
static void watch(long seconds)
{
	bool is_plain = !getenv("TERM") || !strcmp(getenv("TERM"), "dumb");
	const struct timespec delay = { .tv_sec = seconds };
	struct termios before, raw;
	bool has_keys = !tcgetattr(STDIN_FILENO, &before);
	sigset_t awaited;

	hold_signals(&awaited);
	while (!was_told_to_end) {
		struct pollfd keyboard = { .fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN };
		struct winsize window = { 0 };
		enum source source = read_regions();
		char typed;

		if (has_keys) {
			/* The shell may have changed the modes while this was stopped. */
			raw = before;
			raw.c_lflag &= ~(ICANON | ECHO);
			tcsetattr(STDIN_FILENO, TCSANOW, &raw);
		}
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
		qsort(regions, count, sizeof(*regions), compare);
		if (!is_plain)
			fputs("\033[H\033[2J", stdout);
		print_table(source, window.ws_row ?: 24, window.ws_col ?: 80);
		if (is_plain)
			puts("");
		if (fflush(stdout))
			break;
		if (ppoll(&keyboard, 1, &delay, &awaited) > 0 &&
		    (read(STDIN_FILENO, &typed, 1) != 1 || typed == 'q'))
			break;
	}
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void usage(FILE *to)
{
	fputs("Usage: ashmem-top [-o] [-s KEY] [-d SECONDS] [--json]\n"
	      "\n"
	      "Shows the regions of Android shared memory (ashmem): the process that opened each,\n"
	      "its size, how much of it is in memory (RES), unpinned (UNPIN) and purged (PURGE),\n"
	      "and the number of unpinned ranges (RANGE).\n"
	      "\n"
	      "Root sees all regions, from debugfs. Others see the regions that their own\n"
	      "processes have open, from /proc/*/fdinfo, which does not have RES.\n"
	      "\n"
	      "  -o, --once           print all regions once; the default in a pipe or a file\n"
	      "  -s, --sort=KEY       sort by resident (the default), size, unpinned, purged,\n"
	      "                       ranges, pid, uid, inode, command or name\n"
	      "  -d, --delay=SECONDS  redraw after so many seconds, 1 to 3600 (default: 2)\n"
	      "      --json           print a JSON object once, with sizes in bytes\n"
	      "      --help, --version\n"
	      "\n"
	      "q quits, any other key redraws. Unprintable bytes of names are shown in octal:\n"
	      "\\012.\n", to);
}

static int refuse(const char *text, const char *what)
{
	fprintf(stderr, "ashmem-top: '%s' is %s.\n", text, what);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "once", no_argument, NULL, 'o' },
		{ "sort", required_argument, NULL, 's' },
		{ "delay", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	bool once = !isatty(STDOUT_FILENO), json = false;
	char *rest;
	long delay = 2;
	int option;
	enum source source;
	size_t i;

	while ((option = getopt_long(argc, argv, "os:d:h", options, NULL)) != -1) {
		switch (option) {
		case 'o':
			once = true;
			break;
		case 's':
			for (i = 0; keys[i] && strcmp(keys[i], optarg); i++)
				;
			key = keys[i];
			if (!key)
				return refuse(optarg, "not a sort key; --help lists them");
			break;
		case 'd':
			delay = strtol(optarg, &rest, 10);
			if (*rest || delay < 1 || delay > 3600)
				return refuse(optarg, "not a delay of 1 to 3600 seconds");
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'v':
			puts("ashmem-top " VERSION);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return 2;
	}
	if (getenv("ASHMEM_TOP_ROOT"))
		root = getenv("ASHMEM_TOP_ROOT");
	if (!*root && access("/sys/class/misc/ashmem", F_OK))
		fail("no driver for /dev/ashmem is loaded.",
		     "Load it: modprobe rust_ashmem. ashmem-check says more.");
	if (!once && !json) {
		watch(delay);
		return 0;
	}
	source = read_regions();
	qsort(regions, count, sizeof(*regions), compare);
	if (json)
		print_json(source);
	else
		print_table(source, 0, 0);
	if (fflush(stdout) || ferror(stdout))
		fail("cannot write to the standard output.",
		     "Check for a full disk or a closed pipe.");
	return 0;
}
