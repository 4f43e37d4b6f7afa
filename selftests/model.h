/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of an area, which computes the right results in a simple way.
 *
 * The driver keeps unpinned ranges in a tree and on lists. The model keeps the
 * number of the range for each page.
 */
#ifndef _SELFTESTS_ASHMEM_MODEL_H
#define _SELFTESTS_ASHMEM_MODEL_H

#include "ashmem.h"

#define MODEL_PAGES	24

/* A range for each page, a spare one during a change, and 0 for none. */
#define MODEL_RANGES	(MODEL_PAGES + 2)

struct model_range {
	bool purged;		/* PIN reports it */
	bool purgeable;		/* the next purge takes and counts it */
};

struct model {
	char name[ASHMEM_NAME_LEN];
	size_t size;
	unsigned long mask;
	bool backed;
	unsigned int range[MODEL_PAGES];	/* 0 for a pinned page */
	struct model_range ranges[MODEL_RANGES];
	char fill[MODEL_PAGES];			/* the value of all bytes of a page */
};

static inline void model_reset(struct model *model)
{
	memset(model, 0, sizeof(*model));
	model->mask = PROT_ALL;
}

static inline size_t model_pages(const struct model *model)
{
	return model->size / page_size() + !!(model->size % page_size());
}

static inline long model_set_name(struct model *model, const char *name)
{
	if (model->backed)
		return -EINVAL;
	snprintf(model->name, sizeof(model->name), "%s", name);
	return 0;
}

static inline const char *model_get_name(const struct model *model)
{
	return model->name[0] ? model->name : ASHMEM_NAME_DEF;
}

static inline long model_set_size(struct model *model, size_t size)
{
	if (model->backed)
		return -EINVAL;
	model->size = size;
	return 0;
}

static inline long model_set_mask(struct model *model, unsigned long mask)
{
	if (mask & ~model->mask)
		return -EINVAL;
	model->mask = mask;
	return 0;
}

static inline long model_map(struct model *model, size_t pages, int prot)
{
	if (pages > model_pages(model) || model->size > (size_t)-1 / 2)
		return -EINVAL;
	if (prot & ~model->mask)
		return -EPERM;
	model->backed = true;
	return 0;
}

/* The number of bytes that read() returns for a page. */
static inline long model_read(const struct model *model, size_t page)
{
	size_t start = page * page_size();

	if (!model->size)
		return 0;
	if (!model->backed)
		return -EBADF;
	if (start >= model->size)
		return 0;
	return model->size - start < page_size() ? model->size - start : page_size();
}

/* Converts a request to pages from @first up to, but not including, @end. */
static inline long model_parse(const struct model *model, __u32 offset, __u32 len,
			       size_t *first, size_t *end)
{
	__u64 page = page_size(), all = model_pages(model) * page;
	__u64 stop = len ? (__u64)offset + len : all;

	if (!model->backed || offset % page || len % page)
		return -EINVAL;
	if (offset > all || stop > all || (len && stop > 1ULL << 32))
		return -EINVAL;
	*first = offset / page;
	*end = stop / page;
	return 0;
}

/* The number of an unused range. */
static inline unsigned int model_new_range(const struct model *model)
{
	unsigned int range = 1;

	for (size_t page = 0; page < MODEL_PAGES; page++) {
		if (model->range[page] == range) {
			range++;
			page = -1;
		}
	}
	return range;
}

static inline bool model_is_one_range(const struct model *model, size_t first, size_t end)
{
	for (size_t page = first; page < end; page++)
		if (!model->range[page] || model->range[page] != model->range[first])
			return false;
	return true;
}

/*
 * Whether the C driver is tested. There, pages that were joined to purged ones cannot be
 * purged, and an empty request at the end of a region is not empty.
 */
static inline bool model_of_c_driver(void)
{
	return getenv("ASHMEM_C_DRIVER");
}

/* Pages of one range stay as they are. Others form one range with all that they overlap. */
static inline long model_unpin(struct model *model, size_t first, size_t end)
{
	unsigned int range = model_new_range(model);
	struct model_range joined = { .purged = false, .purgeable = false };

	if (model_is_one_range(model, first, end))
		return 0;
	while (first > 0 && model_is_one_range(model, first - 1, first + 1))
		first--;
	while (end < MODEL_PAGES && model_is_one_range(model, end - 1, end + 1))
		end++;
	for (size_t page = first; page < end; page++) {
		const struct model_range *old = &model->ranges[model->range[page]];

		/* A page that was not purged makes a range purgeable. */
		joined.purged |= model->range[page] && old->purged;
		joined.purgeable |= !model->range[page] || old->purgeable;
	}
	if (model_of_c_driver())
		joined.purgeable = !joined.purged;
	for (size_t page = first; page < end; page++)
		model->range[page] = range;
	model->ranges[range] = joined;
	return 0;
}

/* If pages are cut from the middle of a range, the rest becomes two ranges. */
static inline void model_split(struct model *model, size_t first, size_t end)
{
	unsigned int new = model_new_range(model), old = model->range[end - 1];

	if (!first || end == MODEL_PAGES || !model_is_one_range(model, first - 1, end + 1))
		return;
	model->ranges[new] = model->ranges[old];
	for (size_t page = end; page < MODEL_PAGES && model->range[page] == old; page++)
		model->range[page] = new;
}

static inline long model_pin(struct model *model, size_t first, size_t end)
{
	long answer = ASHMEM_NOT_PURGED;

	if (first == end)
		return answer;
	model_split(model, first, end);
	for (size_t page = first; page < end; page++) {
		if (model->range[page] && model->ranges[model->range[page]].purged)
			answer = ASHMEM_WAS_PURGED;
		model->range[page] = 0;
	}
	return answer;
}

static inline long model_status(const struct model *model, size_t first, size_t end)
{
	for (size_t page = first; page < end; page++)
		if (model->range[page])
			return ASHMEM_IS_UNPINNED;
	return ASHMEM_IS_PINNED;
}

/* Purges one area. Returns the number of pages that the purge counts. */
static inline long model_purge(struct model *model)
{
	long pages = 0;

	for (size_t page = 0; page < MODEL_PAGES; page++) {
		if (!model->range[page] || !model->ranges[model->range[page]].purgeable)
			continue;
		model->fill[page] = 0;
		pages++;
	}
	for (size_t i = 0; i < MODEL_RANGES; i++) {
		model->ranges[i].purged |= model->ranges[i].purgeable;
		model->ranges[i].purgeable = false;
	}
	return pages;
}

#endif /* _SELFTESTS_ASHMEM_MODEL_H */
