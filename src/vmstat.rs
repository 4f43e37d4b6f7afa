// SPDX-License-Identifier: GPL-2.0

//! Statistics that the kernel keeps of a node of memory.
//!
//! C headers: [`include/linux/mmzone.h`](srctree/include/linux/mmzone.h),
//! [`include/linux/vmstat.h`](srctree/include/linux/vmstat.h).

use kernel::{
    bindings,
    ffi::{
        c_int,
        c_ulong, //
    },
    time::Jiffies, //
};

use crate::mood::Readings;

/// Returns the number of possible nodes, which are numbered from 0.
#[doc(alias = "nr_node_ids")]
pub(crate) fn nodes() -> usize {
    #[cfg(CONFIG_NUMA)]
    // SAFETY: The variable does not change after boot. CAST: From an `unsigned int`.
    return unsafe { bindings::nr_node_ids } as usize;
    #[cfg(not(CONFIG_NUMA))]
    1
}

/// Returns an iterator over the nodes that have memory.
#[doc(alias = "for_each_node_state")]
pub(crate) fn nodes_with_memory() -> impl Iterator<Item = c_int> {
    // CAST: The number of a node is small.
    (0..nodes())
        .filter(|&node| has_memory(node))
        .map(|node| node as c_int)
}

/// Returns whether a possible node has memory.
#[doc(alias = "node_state")]
fn has_memory(node: usize) -> bool {
    const BITS: usize = c_ulong::BITS as usize;
    // CAST: A small number.
    const MEMORY: usize = bindings::node_states_N_MEMORY as usize;

    let bits = (&raw const bindings::node_states).cast::<bindings::nodemask_t>();
    // SAFETY: `node_states` has a set of nodes for each state.
    let bits = unsafe { &raw const (*bits.add(MEMORY)).bits };
    // SAFETY: The set has a bit for each possible node. Others may change the word, in one
    // access.
    let word = unsafe { bits.cast::<c_ulong>().add(node / BITS).read_volatile() };
    word & 1 << (node % BITS) != 0
}

/// Reads the statistics of a node, which must be online. Does not sleep.
///
/// They do not include what each CPU has counted and not yet added to those of the node: at
/// most 125 pages, which are added within about a second.
#[doc(alias = "node_page_state")]
// Not inlined, to have this code only once.
#[inline(never)]
pub(crate) fn read(node: c_int) -> Readings {
    let data = data(node);
    // The sum may be negative for a moment: one CPU has subtracted pages that another has not
    // added yet.
    let pages = |item: bindings::node_stat_item| item.count(data).max(0).unsigned_abs();
    let mut read = Readings {
        // CAST: These counters wrap.
        anon_scanned: bindings::node_stat_item_PGSCAN_ANON.count(data) as usize,
        file_scanned: bindings::node_stat_item_PGSCAN_FILE.count(data) as usize,
        kswapd_scanned: bindings::node_stat_item_PGSCAN_KSWAPD.count(data) as usize,
        file_refaulted: bindings::node_stat_item_WORKINGSET_REFAULT_FILE.count(data) as usize,
        cached: pages(bindings::node_stat_item_NR_INACTIVE_FILE)
            .saturating_add(pages(bindings::node_stat_item_NR_ACTIVE_FILE)),
        ..Readings::default()
    };
    // CAST: A small number.
    for zone in 0..bindings::zone_type___MAX_NR_ZONES as usize {
        // SAFETY: The data of the node exists, and has that many zones.
        read_zone(
            unsafe {
                (&raw const (*data).node_zones)
                    .cast::<bindings::zone>()
                    .add(zone)
            },
            &mut read,
        );
    }
    read
}

/// A counter of a node. Before Linux 7.1, `src/compat` provides some of these as a type that
/// has the same method.
trait Item {
    /// Reads the counter of a node.
    fn count(self, data: *const bindings::pglist_data) -> isize;
}

impl Item for bindings::node_stat_item {
    fn count(self, data: *const bindings::pglist_data) -> isize {
        // SAFETY: The callers' data exists, and has this counter. CAST: A small number.
        value(unsafe { &raw const (*data).vm_stat[self as usize] })
    }
}

/// Adds the free pages of a zone, its high watermark, and what is missing between them.
fn read_zone(zone: *const bindings::zone, read: &mut Readings) {
    // CAST: Small numbers.
    const FREE: usize = bindings::zone_stat_item_NR_FREE_PAGES as usize;
    const FREE_CMA: usize = bindings::zone_stat_item_NR_FREE_CMA_PAGES as usize;
    const HIGH: usize = bindings::zone_watermarks_WMARK_HIGH as usize;

    // SAFETY: The caller's zone exists, and only addresses are taken.
    let (managed, free, cma, high, reserved) = unsafe {
        (
            &raw const (*zone).managed_pages,
            &raw const (*zone).vm_stat[FREE],
            &raw const (*zone).vm_stat[FREE_CMA],
            &raw const (*zone)._watermark[HIGH],
            &raw const (*zone).nr_free_highatomic,
        )
    };
    if value(managed) == 0 {
        return;
    }
    // SAFETY: As above; others may change both values.
    let (high, reserved) = unsafe { (high.read_volatile(), reserved.read_volatile()) };
    // Leave out pages that only few allocations can get. The difference may be negative for a
    // moment: one CPU has subtracted pages that another has not added yet.
    let free = value(free).saturating_sub(value(cma)).max(0).unsigned_abs();
    let free = free.saturating_sub(reserved);
    read.free = read.free.saturating_add(free);
    read.high = read.high.saturating_add(high);
    read.lacking = read.lacking.saturating_add(high.saturating_sub(free));
}

/// Reads a counter that others may change.
fn value(count: *const bindings::atomic_long_t) -> isize {
    // SAFETY: The callers' counter exists. CAST: It has the width of a `long`.
    unsafe { (&raw const (*count).counter).read_volatile() as isize }
}

/// Returns the data of a node, which is never freed.
#[doc(alias = "NODE_DATA")]
fn data(node: c_int) -> *const bindings::pglist_data {
    #[cfg(CONFIG_NUMA)]
    {
        let nodes = (&raw const bindings::node_data).cast::<*mut bindings::pglist_data>();
        // SAFETY: The array has an entry for each possible node. CAST: Not negative.
        unsafe { *nodes.add(node as usize) }
    }
    #[cfg(not(CONFIG_NUMA))]
    {
        let _ = node;
        &raw const bindings::contig_page_data
    }
}

/// Returns the current time in jiffies.
#[doc(alias = "jiffies")]
pub(crate) fn now() -> Jiffies {
    // SAFETY: The variable always exists. Others change it, in one access.
    unsafe { (&raw const bindings::jiffies).read_volatile() }
}
