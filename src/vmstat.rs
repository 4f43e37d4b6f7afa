// SPDX-License-Identifier: GPL-2.0

//! What memory management counts of a node of memory.
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

/// Returns how many nodes there can be; they are numbered from 0.
#[doc(alias = "nr_node_ids")]
pub(crate) fn nodes() -> usize {
    #[cfg(CONFIG_NUMA)]
    // SAFETY: It does not change after boot. CAST: From an `unsigned int`.
    return unsafe { bindings::nr_node_ids } as usize;
    #[cfg(not(CONFIG_NUMA))]
    1
}

/// Goes through the nodes that have memory.
#[doc(alias = "for_each_node_state")]
pub(crate) fn nodes_with_memory() -> impl Iterator<Item = c_int> {
    // CAST: There are not many.
    (0..nodes())
        .filter(|&node| has_memory(node))
        .map(|node| node as c_int)
}

/// Returns whether a node has memory, of those that there can be.
#[doc(alias = "node_state")]
fn has_memory(node: usize) -> bool {
    const BITS: usize = c_ulong::BITS as usize;
    // CAST: A small number.
    const MEMORY: usize = bindings::node_states_N_MEMORY as usize;

    let bits = (&raw const bindings::node_states).cast::<bindings::nodemask_t>();
    // SAFETY: There are as many sets of nodes as there are states.
    let bits = unsafe { &raw const (*bits.add(MEMORY)).bits };
    // SAFETY: There is a bit for each node. Others change them, a word as a whole.
    let word = unsafe { bits.cast::<c_ulong>().add(node / BITS).read_volatile() };
    word & 1 << (node % BITS) != 0
}

/// Reads what is counted of a node, which has to be online.
///
/// What each CPU has counted since it last added it to the node's is left out. That is
/// 125 pages at most, and it is added within a second or so.
#[doc(alias = "node_page_state")]
// Not in each place where it is read.
#[inline(never)]
pub(crate) fn read(node: c_int) -> Readings {
    let data = data(node);
    // What a CPU has yet to add may have been subtracted already.
    let pages = |item: bindings::node_stat_item| item.count(data).max(0).unsigned_abs();
    let mut read = Readings {
        // CAST: These wrap.
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
        // SAFETY: The data exists, and has that many zones.
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

/// What is counted.
trait Item {
    /// Reads how many of a node's there are.
    fn count(self, data: *const bindings::pglist_data) -> isize;
}

impl Item for bindings::node_stat_item {
    fn count(self, data: *const bindings::pglist_data) -> isize {
        // SAFETY: The callers' data exists, and has such an item. CAST: A small number.
        value(unsafe { &raw const (*data).vm_stat[self as usize] })
    }
}

/// Adds what is free in a zone, and should be.
fn read_zone(zone: *const bindings::zone, read: &mut Readings) {
    // CAST: Small numbers.
    const FREE: usize = bindings::zone_stat_item_NR_FREE_PAGES as usize;
    const FREE_CMA: usize = bindings::zone_stat_item_NR_FREE_CMA_PAGES as usize;
    const HIGH: usize = bindings::zone_watermarks_WMARK_HIGH as usize;

    // SAFETY: The caller's zone exists; this reads nothing of it.
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
    // SAFETY: As above; others may change both.
    let (high, reserved) = unsafe { (high.read_volatile(), reserved.read_volatile()) };
    // Pages that few allocations can have do not count. A CPU may have subtracted what another
    // has yet to add.
    let free = value(free).saturating_sub(value(cma)).max(0).unsigned_abs();
    let free = free.saturating_sub(reserved);
    read.free = read.free.saturating_add(free);
    read.high = read.high.saturating_add(high);
    read.lacking = read.lacking.saturating_add(high.saturating_sub(free));
}

/// Reads what others may change meanwhile.
fn value(count: *const bindings::atomic_long_t) -> isize {
    // SAFETY: The callers' counts exist. CAST: It has the width of a `long`.
    unsafe { (&raw const (*count).counter).read_volatile() as isize }
}

/// Returns the data of a node, which is never freed.
#[doc(alias = "NODE_DATA")]
fn data(node: c_int) -> *const bindings::pglist_data {
    #[cfg(CONFIG_NUMA)]
    {
        let nodes = (&raw const bindings::node_data).cast::<*mut bindings::pglist_data>();
        // SAFETY: There is an entry for each number of a node. CAST: Not negative.
        unsafe { *nodes.add(node as usize) }
    }
    #[cfg(not(CONFIG_NUMA))]
    {
        let _ = node;
        &raw const bindings::contig_page_data
    }
}

/// Returns the time.
#[doc(alias = "jiffies")]
pub(crate) fn now() -> Jiffies {
    // SAFETY: It exists; others change it, as a whole.
    unsafe { (&raw const bindings::jiffies).read_volatile() }
}
