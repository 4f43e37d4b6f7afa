/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random numbers that depend only on the seed.
 */
#ifndef _SELFTESTS_ASHMEM_RANDOM_H
#define _SELFTESTS_ASHMEM_RANDOM_H

#include <stdlib.h>

#include <linux/types.h>

/* SplitMix64: returns the next number, which may also seed another sequence. */
static inline __u64 mix(__u64 *state)
{
	__u64 z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline __u64 number_from(const char *variable, __u64 otherwise)
{
	const char *text = getenv(variable);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

#endif /* _SELFTESTS_ASHMEM_RANDOM_H */
