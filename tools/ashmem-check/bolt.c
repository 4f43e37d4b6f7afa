// SPDX-License-Identifier: GPL-2.0
/*
 * Searches containerd's database, in the format of bbolt: a B+ tree in pages. The tree must be
 * followed, because free pages still have the data of containers that were removed.
 */
#include <endian.h>
#include <string.h>

#include "check.h"
#include "engines.h"

#define MAGIC		0xed0cdaedu
#define HEADER		16
#define ELEMENT		16
#define IS_BRANCH	1
#define IS_BUCKET	1
/* More than the height of any real tree. */
#define HIGHEST		32

struct span {
	const char *at;
	size_t len;
};

static struct span file;
static size_t page_size;
/* No more bytes are read than the file has, even if its pages form a loop. */
static size_t bytes_left;

static bool spend(size_t bytes)
{
	bool is_enough = bytes <= bytes_left;

	bytes_left -= is_enough ? bytes : bytes_left;
	return is_enough;
}

/* The part of a span from @offset, cut at its end. */
static struct span part(struct span of, size_t offset, size_t len)
{
	if (offset > of.len)
		offset = of.len;
	return (struct span){ of.at + offset, len < of.len - offset ? len : of.len - offset };
}

/* The number of @bytes bytes at @offset, or 0 if the span ends before. */
static unsigned long long number(struct span of, size_t offset, size_t bytes)
{
	struct span from = part(of, offset, bytes);
	unsigned long long value = 0;
	bool is_big = htobe16(1) == 1;

	/* bbolt uses the byte order of the processor. */
	if (from.len == bytes)
		memcpy((char *)&value + (is_big ? sizeof(value) - bytes : 0), from.at, bytes);
	return value;
}

static struct span page(unsigned long long id)
{
	return part(file, id < file.len / page_size ? id * page_size : file.len, file.len);
}

static bool is(struct span key, const char *name)
{
	return key.len == strlen(name) && !memcmp(key.at, name, key.len);
}

/* Whether a key is on the path to a container's configuration. Docker's are checked elsewhere. */
static bool leads_on(struct span key, int depth)
{
	static const char * const names[] = { "v1", NULL, "containers", NULL, "spec" };

	return names[depth] ? is(key, names[depth]) : depth > 1 || !is(key, "moby");
}

static bool is_androids(struct span below, int depth, int height);

/* The same for an element of a leaf: its value is a bucket, or the end of the path. */
static bool is_androids_element(struct span leaf, size_t at, int depth)
{
	size_t start = at + number(leaf, at + 4, 4), len = number(leaf, at + 8, 4);
	struct span value = part(leaf, start + len, number(leaf, at + 12, 4));
	unsigned long long root = number(value, 0, 8);

	if (!leads_on(part(leaf, start, len), depth))
		return false;
	if (depth == 4)
		return !spend(value.len) || memmem(value.at, value.len, "androidboot.", 12);
	/* A small bucket is stored in the value itself. */
	return (number(leaf, at, 4) & IS_BUCKET) &&
		is_androids(root ? page(root) : part(value, HEADER, value.len), depth + 1, 0);
}

/* Whether an Android container is below a page. Assumes so if the search does not end. */
static bool is_androids(struct span below, int depth, int height)
{
	unsigned int flags = number(below, 8, 2), count = number(below, 10, 2);
	bool found = height > HIGHEST || !spend(HEADER + count * ELEMENT);

	for (size_t at = HEADER; count-- && !found; at += ELEMENT)
		found = flags & IS_BRANCH ?
			is_androids(page(number(below, at + 8, 8)), depth, height + 1) :
			is_androids_element(below, at, depth);
	return found;
}

bool bolt_has_android(const char *data, size_t len)
{
	struct span newest = { }, root;

	file = (struct span){ data, len };
	page_size = number(file, HEADER + 8, 4) ?: 4096;
	bytes_left = len;
	for (int i = 0; i < 2; i++) {
		struct span meta = part(page(i), HEADER, 64);

		if (number(meta, 0, 4) == MAGIC &&
		    (!newest.at || number(meta, 48, 8) > number(newest, 48, 8)))
			newest = meta;
	}
	root = newest.at ? page(number(newest, 16, 8)) : (struct span){ };
	/* A file in another format is searched as a whole. */
	return newest.at ? is_androids(root, 0, 0) : !!memmem(data, len, "androidboot.", 12);
}
