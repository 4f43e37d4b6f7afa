// SPDX-License-Identifier: GPL-2.0
/*
 * Random calls on several areas. Each result is compared with that of a model.
 *
 * To repeat a run exactly, set its seed, with the same page size, pointer size, and
 * right to purge:
 *
 *   ASHMEM_SEED=1 ASHMEM_OPS=4000 ./random_test
 *
 * The model does not include memory pressure or other users that unpin.
 */
#include <stdarg.h>
#include <time.h>

#include "kselftest_harness.h"
#include "model.h"
#include "random.h"

#define AREAS		4
#define OPERATIONS	4000

struct area {
	int fd;
	char *map;	/* all of it, or NULL */
	bool writable;
	struct model model;
};

/* A run, and its last operation with the expected and the actual result. */
struct run {
	__u64 seed, state;
	unsigned int count, done;
	bool may_purge;
	char what[128];
	long expected, seen;
	struct area areas[AREAS];
};

/* A number below @limit. */
static unsigned int below(struct run *run, unsigned int limit)
{
	return mix(&run->state) % limit;
}

static void say(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct run *run, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(run->what, sizeof(run->what), fmt, args);
	va_end(args);
}

/* A request that is mostly valid, and otherwise invalid in some way. */
static void draw_request(struct run *run, struct area *area, struct ashmem_pin *range)
{
	size_t page = page_size(), pages = model_pages(&area->model) % (MODEL_PAGES + 1);
	size_t first = below(run, pages + 1), count = below(run, pages - first + 1);

	range->offset = first * page;
	range->len = count * page;
	switch (below(run, 20)) {
	case 0:
		range->offset += 1 + below(run, page - 1);
		break;
	case 1:
		range->len += 1 + below(run, page - 1);
		break;
	case 2:
		range->offset += (pages - first + below(run, 3)) * page;
		break;
	case 3:
		range->len += (pages - first + below(run, 3)) * page;
		break;
	case 4:
		range->offset = -page * (1 + below(run, 3));
		break;
	case 5:
		range->len = -page * (1 + below(run, 3));
		break;
	}
	if (model_of_c_driver() && !range->len && range->offset == pages * page)
		range->offset = 0;
}

static long predict(struct area *area, unsigned long cmd, const struct ashmem_pin *range)
{
	size_t first, end;
	long error = model_parse(&area->model, range->offset, range->len, &first, &end);

	if (error)
		return error;
	if (cmd == ASHMEM_PIN)
		return model_pin(&area->model, first, end);
	if (cmd == ASHMEM_UNPIN)
		return model_unpin(&area->model, first, end);
	return model_status(&area->model, first, end);
}

static void do_request(struct run *run, struct area *area, unsigned long cmd, const char *name)
{
	struct ashmem_pin range;

	draw_request(run, area, &range);
	if (below(run, 50) == 0) {
		say(run, "%s of nowhere", name);
		run->expected = -EFAULT;
		run->seen = area_ioctl(area->fd, cmd, 0);
		return;
	}
	say(run, "%s offset %#x length %#x", name, range.offset, range.len);
	run->expected = predict(area, cmd, &range);
	run->seen = area_ioctl(area->fd, cmd, (unsigned long)&range);
}

static void do_pin(struct run *run, struct area *area)
{
	do_request(run, area, ASHMEM_PIN, "PIN");
}

static void do_unpin(struct run *run, struct area *area)
{
	do_request(run, area, ASHMEM_UNPIN, "UNPIN");
}

static void do_status(struct run *run, struct area *area)
{
	do_request(run, area, ASHMEM_GET_PIN_STATUS, "GET_PIN_STATUS");
}

static void do_purge(struct run *run, struct area *area)
{
	say(run, "PURGE_ALL_CACHES");
	run->expected = run->may_purge ? 0 : -EPERM;
	for (size_t i = 0; run->may_purge && i < AREAS; i++)
		run->expected += model_purge(&run->areas[i].model);
	run->seen = purge_all(area->fd);
}

static void do_write(struct run *run, struct area *area)
{
	size_t page = below(run, model_pages(&area->model) % MODEL_PAGES + 1);
	char byte = below(run, 256);

	if (!area->map || !area->writable || page >= model_pages(&area->model))
		return;
	memset(area->map + page * page_size(), byte, page_size());
	area->model.fill[page] = byte;
}

/* Checks all pages of an area. The result is the first wrong page, or -1. */
static void do_look(struct run *run, struct area *area)
{
	size_t len = page_size();

	say(run, "looking for a page with other contents, of which -1 means none");
	run->expected = -1;
	run->seen = -1;
	if (!area->map)
		return;
	for (size_t page = 0; page < model_pages(&area->model) && run->seen == -1; page++)
		if (!is_filled(area->map + page * len, len, area->model.fill[page]))
			run->seen = page;
}

static void do_read(struct run *run, struct area *area)
{
	size_t len = page_size(), page = below(run, MODEL_PAGES);
	char *buf = malloc(len);

	say(run, "pread() of page %zu", page);
	run->expected = model_read(&area->model, page);
	run->seen = buf ? try_pread(area->fd, buf, len, page * len) : -ENOMEM;
	if (run->seen > 0 && !is_filled(buf, run->seen, area->model.fill[page])) {
		say(run, "contents that pread() gave of page %zu", page);
		run->expected = area->model.fill[page];
		run->seen = buf[0];
	}
	free(buf);
}

static void do_set_size(struct run *run, struct area *area)
{
	size_t size = (1 + below(run, MODEL_PAGES)) * page_size();
	unsigned int odd = below(run, page_size());

	switch (below(run, 10)) {
	case 0:
		size = 0;
		break;
	case 1:
		/* With 32 bits, this size could be mapped, but is too large for the model. */
		size = sizeof(size) == 8 ? -1 : 0;
		break;
	case 2:
	case 3:
	case 4:
		size -= odd;
	}
	say(run, "SET_SIZE %#zx", size);
	run->expected = model_set_size(&area->model, size);
	run->seen = set_size(area->fd, size);
}

static void do_set_name(struct run *run, struct area *area)
{
	char name[ASHMEM_NAME_LEN] = "";

	memset(name, 'n', below(run, sizeof(name)));
	say(run, "SET_NAME with %zu letters", strlen(name));
	run->expected = model_set_name(&area->model, name);
	run->seen = set_name(area->fd, name);
}

/* Mostly keeps the mask, because an area without rights tests little. */
static void do_set_mask(struct run *run, struct area *area)
{
	unsigned int mask = below(run, 3) ? PROT_READ | PROT_WRITE : below(run, 2 * PROT_ALL);

	say(run, "SET_PROT_MASK %#x", mask);
	run->expected = model_set_mask(&area->model, mask);
	run->seen = set_mask(area->fd, mask);
}

static void do_get(struct run *run, struct area *area)
{
	char name[ASHMEM_NAME_LEN];

	switch (below(run, 3)) {
	case 0:
		say(run, "GET_SIZE");
		run->expected = (int)area->model.size;
		run->seen = get_size(area->fd);
		break;
	case 1:
		say(run, "GET_PROT_MASK");
		run->expected = area->model.mask;
		run->seen = get_mask(area->fd);
		break;
	default:
		say(run, "GET_NAME, compared");
		run->expected = 0;
		run->seen = get_name(area->fd, name) ?: strcmp(name, model_get_name(&area->model));
	}
}

static void do_unmap(struct run *run, struct area *area)
{
	(void)run;
	if (area->map)
		munmap(area->map, model_pages(&area->model) * page_size());
	area->map = NULL;
}

static void do_map(struct run *run, struct area *area)
{
	size_t all = model_pages(&area->model), pages = all % (2 * MODEL_PAGES) + !below(run, 5);
	int prot = below(run, 4) ? PROT_READ | PROT_WRITE : below(run, 2) * PROT_READ;
	int flags = below(run, 8) ? MAP_SHARED : MAP_PRIVATE;
	char *map;

	/* A length of 0 is refused by mmap() itself, not by the driver. */
	pages += !pages;
	say(run, "%s mmap() of %zu pages with protection %d",
	    flags == MAP_SHARED ? "shared" : "private", pages, prot);
	run->expected = model_map(&area->model, pages, prot);
	map = area_map(area->fd, pages * page_size(), prot, flags);
	run->seen = map == MAP_FAILED ? -errno : 0;
	if (map == MAP_FAILED)
		return;
	if (flags == MAP_SHARED && prot && pages == all) {
		do_unmap(run, area);
		area->map = map;
		area->writable = prot & PROT_WRITE;
		return;
	}
	munmap(map, pages * page_size());
}

/* The memory of a mapping outlives the descriptor; unpinned ranges do not. */
static void do_reopen(struct run *run, struct area *area)
{
	close(area->fd);
	do_look(run, area);
	do_unmap(run, area);
	if (run->expected != run->seen)
		return;
	model_reset(&area->model);
	area->fd = area_open(O_RDWR);
	say(run, "open(), of which 1 means that it worked");
	run->expected = 1;
	run->seen = area->fd < 0 ? area->fd : 1;
}

static void do_dup(struct run *run, struct area *area)
{
	int copy = dup(area->fd);

	say(run, "dup(), of which 1 means that it worked");
	run->expected = 1;
	run->seen = copy < 0 ? -errno : 1;
	if (copy >= 0) {
		close(area->fd);
		area->fd = copy;
	}
}

static const struct {
	void (*run)(struct run *run, struct area *area);
	unsigned int weight;
} operations[] = {
	{ do_pin, 60 }, { do_unpin, 80 }, { do_status, 40 }, { do_purge, 15 },
	{ do_write, 50 }, { do_look, 10 }, { do_read, 20 }, { do_get, 6 },
	{ do_set_size, 12 }, { do_set_name, 4 }, { do_set_mask, 3 },
	{ do_map, 20 }, { do_unmap, 3 }, { do_dup, 3 }, { do_reopen, 2 },
};

/* Makes the next random call. */
static bool do_next(struct run *run)
{
	struct area *area = &run->areas[below(run, AREAS)];
	unsigned int i, total = 0, chosen;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		total += operations[i].weight;
	chosen = below(run, total);
	for (i = 0; chosen >= operations[i].weight; i++)
		chosen -= operations[i].weight;
	run->what[0] = '\0';
	run->expected = 0;
	run->seen = 0;
	operations[i].run(run, area);
	return run->expected == run->seen;
}

FIXTURE(random)
{
	struct run run;
};

/* A seed of 0 means the one in ASHMEM_SEED, or else a new one each time. */
FIXTURE_VARIANT(random)
{
	__u64 seed;
};

FIXTURE_VARIANT_ADD(random, seed_1) { .seed = 1 };
FIXTURE_VARIANT_ADD(random, seed_2) { .seed = 2 };
FIXTURE_VARIANT_ADD(random, seed_3) { .seed = 3 };
FIXTURE_VARIANT_ADD(random, any_seed) { .seed = 0 };

FIXTURE_SETUP(random)
{
	struct run *run = &self->run;
	long purged;

	if (variant->seed && getenv("ASHMEM_SEED"))
		SKIP(return, "ASHMEM_SEED is given");
	run->seed = variant->seed ?: number_from("ASHMEM_SEED", time(NULL));
	run->state = run->seed;
	run->count = number_from("ASHMEM_OPS", OPERATIONS);
	for (int i = 0; i < AREAS; i++) {
		model_reset(&run->areas[i].model);
		run->areas[i].fd = area_open_or_skip(O_RDWR);
		if (run->areas[i].fd < 0)
			return;
	}
	purged = purge_all(run->areas[0].fd);
	ASSERT_TRUE(purged >= 0 || purged == -EPERM);
	run->may_purge = purged >= 0;
}

FIXTURE_TEARDOWN(random)
{
	for (int i = 0; i < AREAS; i++)
		if (self->run.areas[i].fd > 0)
			close(self->run.areas[i].fd);
}

TEST_F_TIMEOUT(random, answers_match_the_model, 600)
{
	struct run *run = &self->run;

	TH_LOG("seed %llu, %u operations", run->seed, run->count);
	while (run->done < run->count && do_next(run))
		run->done++;
	for (int i = 0; i < AREAS && run->expected == run->seen; i++)
		do_look(run, &run->areas[i]);
	EXPECT_EQ(run->expected, run->seen) {
		TH_LOG("operation %u: %s", run->done, run->what);
		TH_LOG("again with: ASHMEM_SEED=%llu ASHMEM_OPS=%u ./random_test",
		       run->seed, run->done + 1);
	}
}

TEST_HARNESS_MAIN
