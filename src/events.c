// SPDX-License-Identifier: GPL-2.0
/*
 * The trace events, which only C can define; src/trace.rs calls them.
 */
#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include <trace/events/ashmem.h>
