// SPDX-License-Identifier: GPL-2.0
/*
 * Draws pictures of a cache that is unpinned while another program needs its memory.
 * At the next pin, each region reports whether it lost something.
 *
 *	demo_cache [plain|live|colour [CGROUP [COMMAND]]]
 *
 * A live picture replaces the last one. CGROUP is a directory of cgroup v2 with the
 * empty cgroups "cache" and "program", which have the memory controller. Between
 * plain pictures, the output of the shell command COMMAND for the purged cache is
 * shown.
 *
 * Nothing else may unpin or allocate memory in CGROUP, or the picture is out of date
 * when it is drawn. Each memory node has its own order of purging, so this must run
 * on one node.
 */
#include "demo.h"
#include "picture.h"
#include "reclaim.h"

#define MIB		(1024 * 1024)
#define PIECE		(128 * 1024)	/* bytes unpinned at a time */
#define PIECES		24		/* per region, each a character of its bar */
#define REGIONS		6
#define CACHE		((long long)REGIONS * PIECES * PIECE)
/* The limit of both programs together, and the step of the other one's allocations. */
#define LIMIT		(CACHE / 3 * 4)
#define STEP		MIB
/* The squeeze ends when fewer pieces are unpinned, to show that some are left. */
#define ENOUGH		(PIECES * 3 / 2)

#define PINNED		'#'
#define UNPINNED	'-'
#define PURGED		'.'
#define CACHE_MEMORY	'='
#define PROGRAM_MEMORY	'+'

static struct region {
	const char *name;
	int turn;		/* the turn in which it is unpinned, or 0 for never */
	int used, used_end;	/* the pieces that stay pinned */
	int fd;
	char *map, bar[PIECES + 1];
	const char *state;
} regions[REGIONS] = {
	{ .name = "thumbnails", .turn = 3 },
	{ .name = "map tiles", .turn = 1, .used = 9, .used_end = 15 },
	{ .name = "fonts", .used_end = PIECES },
	{ .name = "web pages", .turn = 5 },
	{ .name = "previews", .turn = 2 },
	{ .name = "searches", .turn = 4 },
};

static const char *const turns[] = {
	"pinned", "unpinned 1st", "unpinned 2nd", "unpinned 3rd", "unpinned 4th", "unpinned 5th",
};

#define LAST		(regions + REGIONS - 1)

#define for_each_region(at) \
	for (struct region *(at) = regions; (at) <= LAST; (at)++)

static bool is_used(const struct region *region, int piece)
{
	return piece >= region->used && piece < region->used_end;
}

static struct region *region_of_turn(int turn)
{
	for_each_region(region)
		if (region->turn == turn)
			return region;
	return NULL;
}

static size_t piece_pages(void)
{
	return PIECE / page_size();
}

static size_t first_page(int piece)
{
	return piece * piece_pages();
}

/* The cgroup of both programs, or an error. */
static int top = -ENOENT;

static long long read_cgroup(const char *file)
{
	long long number = read_number(top, file);

	if (number < 0)
		fail(file, number);
	return number;
}

static void write_cgroup(const char *file, long long number)
{
	check(file, write_number(top, file, number));
}

/* Puts the cache in its cgroup, or prints what is done without cgroups. */
static void limit_memory(const char *dir)
{
	if (dir)
		top = open_dir(AT_FDCWD, dir);
	if (top >= 0 && !faccessat(top, "cache/memory.min", W_OK, 0)) {
		write_cgroup("memory.max", LIMIT);
		/* If there is swap, pinned pages must not be swapped out. */
		write_number(top, "memory.swap.max", 0);
		write_cgroup("cache/cgroup.procs", 0);
		return;
	}
	top = -ENOENT;
	say("no memory cgroup to fill, so ASHMEM_PURGE_ALL_CACHES takes all that is unpinned");
}

static int pieces_in(const struct region *region, char state)
{
	int count = 0;

	for (const char *piece = region->bar; *piece; piece++)
		count += *piece == state;
	return count;
}

static int all_in(char state)
{
	int count = 0;

	for_each_region(region)
		count += pieces_in(region, state);
	return count;
}

static void draw_region(const struct region *region)
{
	size_t pages = piece_pages();

	printf("  %-10s ", region->name);
	draw_bar(region->bar, PIECES);
	printf(" %6zu %8zu %6zu  %s", pieces_in(region, PINNED) * pages,
	       pieces_in(region, UNPINNED) * pages, pieces_in(region, PURGED) * pages,
	       region->state ?: "");
	end_line();
}

static void draw_memory(void)
{
	long long all = read_cgroup("memory.current");
	long long other = read_cgroup("program/memory.current");
	char bar[PIECES + 1] = "";

	memset(bar, PROGRAM_MEMORY, bar_share(all, LIMIT, PIECES));
	memset(bar, CACHE_MEMORY, bar_share(all - other, LIMIT, PIECES));
	printf("  %-10s ", "cgroup");
	draw_bar(bar, PIECES);
	printf(" %.1f of %.1f MiB, %.1f the program's", (double)all / MIB, (double)LIMIT / MIB,
	       (double)other / MIB);
	end_line();
}

static void draw_legend(void)
{
	static const struct {
		char state;
		const char *meaning;
	} legend[] = {
		{ PINNED, "pinned" }, { UNPINNED, "unpinned" }, { PURGED, "purged" },
		{ CACHE_MEMORY, "the cache's memory" }, { PROGRAM_MEMORY, "the program's" },
	};

	for (int i = 0; i < (top < 0 ? 3 : 5); i++) {
		printf("  ");
		draw(legend[i].state);
		printf(" %s", legend[i].meaning);
	}
	end_line();
}

static void draw_picture(void)
{
	printf("  %-10s  %3d x %zu pages of %3zu KiB %7s %8s %6s", "region", PIECES,
	       piece_pages(), page_size() / 1024, "pinned", "unpinned", "purged");
	end_line();
	for_each_region(region)
		draw_region(region);
	if (top >= 0)
		draw_memory();
	draw_legend();
	fflush(stdout);
}

static void show(int ms, bool matters, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Shows a picture for a while. In plain mode, only those that matter are printed. */
static void show(int ms, bool matters, const char *fmt, ...)
{
	va_list args;

	if (picture_mode == PLAIN && !matters)
		return;
	start_picture();
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	end_line();
	draw_picture();
	wait_for_viewer(ms);
}

/* Purged pages are a hole in the region's file until they are read or written. */
static char state_of(const struct region *region, int piece)
{
	off_t start = (off_t)piece * PIECE, data = try_seek(region->fd, start, SEEK_DATA);
	long status;

	if (data == -ENXIO || data >= start + PIECE)
		return PURGED;
	if (data != start || try_seek(region->fd, start, SEEK_HOLE) < start + PIECE)
		fail("a piece that is purged in part", 1);
	status = pin_status(region->fd, first_page(piece), piece_pages());
	if (status < 0)
		fail("ASHMEM_GET_PIN_STATUS", status);
	return status == ASHMEM_IS_PINNED ? PINNED : UNPINNED;
}

static void survey(struct region *region)
{
	for (int piece = 0; piece < PIECES; piece++)
		region->bar[piece] = state_of(region, piece);
}

static void fill(struct region *region)
{
	region->fd = area_create((size_t)PIECES * PIECE);
	if (region->fd < 0)
		fail(area_device(), region->fd);
	check("ASHMEM_SET_NAME", set_name(region->fd, region->name));
	region->map = map_filled(region->fd, first_page(PIECES));
	if (region->map == MAP_FAILED)
		fail("mmap", -errno);
	region->state = turns[0];
	survey(region);
}

static void fill_cache(void)
{
	for_each_region(region) {
		fill(region);
		show(250, region == LAST, "1/4  The cache: regions of /dev/ashmem, full of data");
	}
}

/* Piece by piece, so that they can be purged one by one. */
static void unpin_region(struct region *region)
{
	for (int piece = 0; piece < PIECES; piece++)
		if (!is_used(region, piece))
			check("ASHMEM_UNPIN",
			      unpin(region->fd, first_page(piece), piece_pages()));
	region->state = turns[region->turn];
	survey(region);
}

static void unpin_cache(void)
{
	struct region *region;

	for (int turn = 1; (region = region_of_turn(turn)); turn++) {
		unpin_region(region);
		show(700, !region_of_turn(turn + 1),
		     "2/4  Not used now: one after the other is unpinned and may be purged");
	}
}

/* Pinned pages are all there, and what is purged was unpinned before all the rest. */
static void check_order(void)
{
	bool rest = false;

	for (int i = 0; i < REGIONS * PIECES; i++) {
		const struct region *region = region_of_turn(i / PIECES);
		char state = region->bar[i % PIECES];

		if (is_used(region, i % PIECES) ? state != PINNED : state == PINNED)
			fail("pages that are in use", 1);
		if (state == PURGED && rest)
			fail("a piece was purged before one that was unpinned earlier", 1);
		rest = rest || state == UNPINNED;
	}
}

/* Returns the number of pieces that were purged since the last call. */
static int look_again(void)
{
	int before = all_in(PURGED);

	for_each_region(region)
		survey(region);
	return all_in(PURGED) - before;
}

/* The other program: allocates memory in each of its turns. */
static int be_program(int socket)
{
	who = "program";
	write_cgroup("program/cgroup.procs", 0);
	/* The OOM killer must choose this program. */
	write_number(AT_FDCWD, "/proc/self/oom_score_adj", 1000);
	while (has_turn(socket)) {
		char *memory = mmap(NULL, STEP, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
			fail("mmap", -errno);
		memset(memory, 1, STEP);
		give_turn(socket);
	}
	return 0;
}

/*
 * Reclaim of a cgroup does not count pages that a shrinker frees, so it continues, and
 * takes about a quarter each time. Protected memory ends that.
 */
static void protect_most(void)
{
	long long min = read_cgroup("cache/memory.current") - 2 * STEP;

	write_cgroup("cache/memory.min", min < 0 ? 0 : min);
}

static void squeeze_step(int socket)
{
	int gone;

	protect_most();
	give_turn(socket);
	if (!has_turn(socket))
		fail("the program got no memory, though there is unpinned memory", 1);
	gone = look_again();
	if (gone)
		show(1200, true, "3/4  Memory is full: %zu pages go, the longest unpinned first",
		     gone * piece_pages());
	else
		show(150, false, "3/4  Another program in the same cgroup takes memory");
	check_order();
}

static void squeeze(void)
{
	int socket;
	pid_t child = fork_partner(&socket);

	if (child == 0)
		exit(be_program(socket));
	for (long long taken = 0; all_in(UNPINNED) >= ENOUGH; taken += STEP) {
		if (taken > LIMIT)
			fail("a cgroup that never gets full", 1);
		squeeze_step(socket);
	}
	close(socket);
	if (exit_status_of(child))
		fail("the program", 1);
}

static void purge_cache(void)
{
	long pages = purge_all(regions[0].fd);

	if (pages < 0)
		fail("ASHMEM_PURGE_ALL_CACHES", pages);
	look_again();
	show(1200, true, "3/4  ASHMEM_PURGE_ALL_CACHES: %ld pages were purged", pages);
	check_order();
}

static void show_output(const char *command)
{
	if (picture_mode != PLAIN)
		return;
	printf("\n$ %s\n", command);
	fflush(stdout);
	if (system(command))
		fail(command, 1);
}

static void pin_region(struct region *region)
{
	bool lost = pieces_in(region, PURGED);
	long answer = pin(region->fd, 0, 0);

	if (answer != (lost ? ASHMEM_WAS_PURGED : ASHMEM_NOT_PURGED))
		fail("the answer of ASHMEM_PIN", answer);
	region->state = lost ? "WAS_PURGED" : "NOT_PURGED";
	survey(region);
	if (pieces_in(region, UNPINNED) || (pieces_in(region, PURGED) > 0) != lost)
		fail("a piece that changed when it was pinned", 1);
}

/* This fills the holes, so it must come after the last survey. */
static void check_data(const struct region *region)
{
	for (int piece = 0; piece < PIECES; piece++) {
		size_t page = first_page(piece), count = piece_pages();

		if (!(region->bar[piece] == PURGED ? are_zero(region->map, page, count) :
						     are_intact(region->map, page, count)))
			fail("the data of a region", 1);
	}
}

static void pin_cache(void)
{
	look_again();
	check_order();
	for_each_region(region) {
		pin_region(region);
		show(400, region == LAST, "4/4  Used again: the pin tells what was lost");
	}
	for_each_region(region)
		check_data(region);
}

int main(int argc, char **argv)
{
	int unpinned;

	who = "cache";
	if (access(area_device(), F_OK))
		fail(area_device(), -errno);
	picture_init(argc > 1 ? argv[1] : "plain");
	limit_memory(argc > 2 ? argv[2] : NULL);
	fill_cache();
	unpin_cache();
	unpinned = all_in(UNPINNED);
	if (top >= 0)
		squeeze();
	else
		purge_cache();
	if (argc > 3)
		show_output(argv[3]);
	pin_cache();
	printf("\ndemo: of %d pieces, the %d unpinned first are zero, the others as they were\n",
	       unpinned, all_in(PURGED));
	return 0;
}
