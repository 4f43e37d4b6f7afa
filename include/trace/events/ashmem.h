/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace events of ashmem. Programs rely on the fields: some may be added, but none is
 * changed or removed.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ashmem

#if !defined(_TRACE_ASHMEM_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_ASHMEM_H

#include <linux/string_helpers.h>
#include <linux/tracepoint.h>

#ifndef _TRACE_ASHMEM_ONCE
#define _TRACE_ASHMEM_ONCE

/* Prints unprintable bytes and backslashes of a name in octal. */
#define ashmem_escape(name, len, to, room)				\
	string_escape_mem(name, len, to, room, ESCAPE_NAP | ESCAPE_OCTAL | ESCAPE_APPEND, "\\")

/* The same as in src/trace.rs. */
#define ashmem_show_why(why)						\
	__print_symbolic(why, { 0, "cgroup" }, { 1, "node" }, { 2, "manual" }, { 3, "ioctl" })

#define ashmem_show_mood(mood)						\
	__print_symbolic(mood, { 0, "plenty" }, { 1, "calm" }, { 2, "short" }, { 3, "none" })

#endif /* _TRACE_ASHMEM_ONCE */

/* A mapping was made. */
TRACE_EVENT(ashmem_map,

	TP_PROTO(u64 inode, u64 size, const char *name, size_t len),

	TP_ARGS(inode, size, name, len),

	TP_STRUCT__entry(
		__field(u64, inode)
		__field(u64, size)
		__dynamic_array(char, name, ashmem_escape(name, len, NULL, 0) + 1)
	),

	TP_fast_assign(
		char *to = __get_dynamic_array(name);
		int room = __get_dynamic_array_len(name) - 1;

		__entry->inode = inode;
		__entry->size = size;
		ashmem_escape(name, len, to, room);
		to[room] = '\0';
	),

	TP_printk("inode=%llu size=%llu name=%s", __entry->inode, __entry->size, __get_str(name))
);

/* The last descriptor of a region that was ever mapped was closed. */
TRACE_EVENT(ashmem_close,

	TP_PROTO(u64 inode, u64 size),

	TP_ARGS(inode, size),

	TP_STRUCT__entry(
		__field(u64, inode)
		__field(u64, size)
	),

	TP_fast_assign(
		__entry->inode = inode;
		__entry->size = size;
	),

	TP_printk("inode=%llu size=%llu", __entry->inode, __entry->size)
);

/* ASHMEM_UNPIN succeeded for the pages that the caller named. */
TRACE_EVENT(ashmem_unpin,

	TP_PROTO(u64 inode, u64 first, u64 pages),

	TP_ARGS(inode, first, pages),

	TP_STRUCT__entry(
		__field(u64, inode)
		__field(u64, first)
		__field(u64, pages)
	),

	TP_fast_assign(
		__entry->inode = inode;
		__entry->first = first;
		__entry->pages = pages;
	),

	TP_printk("inode=%llu first=%llu pages=%llu",
		  __entry->inode, __entry->first, __entry->pages)
);

/* ASHMEM_PIN succeeded for the pages that the caller named. */
TRACE_EVENT(ashmem_pin,

	TP_PROTO(u64 inode, u64 first, u64 pages, bool was_purged),

	TP_ARGS(inode, first, pages, was_purged),

	TP_STRUCT__entry(
		__field(u64, inode)
		__field(u64, first)
		__field(u64, pages)
		__field(bool, was_purged)
	),

	TP_fast_assign(
		__entry->inode = inode;
		__entry->first = first;
		__entry->pages = pages;
		__entry->was_purged = was_purged;
	),

	TP_printk("inode=%llu first=%llu pages=%llu was_purged=%d",
		  __entry->inode, __entry->first, __entry->pages, __entry->was_purged)
);

/* A range is about to be purged. */
TRACE_EVENT(ashmem_purge,

	TP_PROTO(u64 inode, u64 first, u64 pages, u8 why),

	TP_ARGS(inode, first, pages, why),

	TP_STRUCT__entry(
		__field(u64, inode)
		__field(u64, first)
		__field(u64, pages)
		__field(u8, why)
	),

	TP_fast_assign(
		__entry->inode = inode;
		__entry->first = first;
		__entry->pages = pages;
		__entry->why = why;
	),

	TP_printk("inode=%llu first=%llu pages=%llu why=%s", __entry->inode, __entry->first,
		  __entry->pages, ashmem_show_why(__entry->why))
);

/* A scan begins, which is to purge the wanted number of pages. */
TRACE_EVENT(ashmem_scan_begin,

	TP_PROTO(u64 cgroup, int node, u64 wanted, u8 why, u8 mood),

	TP_ARGS(cgroup, node, wanted, why, mood),

	TP_STRUCT__entry(
		__field(u64, cgroup)
		__field(u64, wanted)
		__field(int, node)
		__field(u8, why)
		__field(u8, mood)
	),

	TP_fast_assign(
		__entry->cgroup = cgroup;
		__entry->wanted = wanted;
		__entry->node = node;
		__entry->why = why;
		__entry->mood = mood;
	),

	TP_printk("cgroup=%llu node=%d wanted=%llu why=%s mood=%s", __entry->cgroup, __entry->node,
		  __entry->wanted, ashmem_show_why(__entry->why), ashmem_show_mood(__entry->mood))
);

/* A scan has ended. It purged some pages, and skipped ranges that it could not purge. */
TRACE_EVENT(ashmem_scan_end,

	TP_PROTO(u64 cgroup, int node, u64 purged, u64 skipped),

	TP_ARGS(cgroup, node, purged, skipped),

	TP_STRUCT__entry(
		__field(u64, cgroup)
		__field(u64, purged)
		__field(u64, skipped)
		__field(int, node)
	),

	TP_fast_assign(
		__entry->cgroup = cgroup;
		__entry->purged = purged;
		__entry->skipped = skipped;
		__entry->node = node;
	),

	TP_printk("cgroup=%llu node=%d purged=%llu skipped=%llu", __entry->cgroup, __entry->node,
		  __entry->purged, __entry->skipped)
);

#endif /* _TRACE_ASHMEM_H */

/* This part must be outside protection. */
#include <trace/define_trace.h>
