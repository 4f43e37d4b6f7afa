// SPDX-License-Identifier: GPL-2.0

//! What memory management counts of a node of memory.
//!
//! C headers: [`include/linux/mmzone.h`](srctree/include/linux/mmzone.h),
//! [`include/linux/vmstat.h`](srctree/include/linux/vmstat.h).

use kernel::{
    bindings,
    ffi::c_int,
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

/// Reads what is counted of a node, which has to be online.
///
/// What each CPU has counted since it last added it to the node's is left out. That is
/// 125 pages at most, and it is added within a second or so.
#[doc(alias = "node_page_state")]
pub(crate) fn read(node: c_int) -> Readings {
    // CAST: Small numbers.
    const ZONES: usize = bindings::zone_type___MAX_NR_ZONES as usize;
    const FREE: usize = bindings::zone_stat_item_NR_FREE_PAGES as usize;
    const HIGH: usize = bindings::zone_watermarks_WMARK_HIGH as usize;

    let data = data(node);
    let count = |item: bindings::node_stat_item| {
        // SAFETY: The data exists, and has such an item. CAST: A small number.
        value(unsafe { &raw const (*data).vm_stat[item as usize] })
    };
    let mut read = Readings {
        anon_scanned: count(bindings::node_stat_item_PGSCAN_ANON),
        file_scanned: count(bindings::node_stat_item_PGSCAN_FILE),
        file_refaulted: count(bindings::node_stat_item_WORKINGSET_REFAULT_FILE),
        free: 0,
        high: 0,
    };
    for zone in 0..ZONES {
        // SAFETY: The data exists, and has that many zones; this reads nothing of them.
        let zone = unsafe {
            (&raw const (*data).node_zones)
                .cast::<bindings::zone>()
                .add(zone)
        };
        // SAFETY: As above.
        let (free, high) = unsafe {
            (
                &raw const (*zone).vm_stat[FREE],
                &raw const (*zone)._watermark[HIGH],
            )
        };
        // A zone without memory has zeros.
        read.free = read.free.saturating_add(value(free));
        // SAFETY: As above; others may change it.
        read.high = read.high.saturating_add(unsafe { high.read_volatile() });
    }
    read
}

/// Reads what others may change meanwhile.
fn value(count: *const bindings::atomic_long_t) -> usize {
    // SAFETY: The callers' counts exist. CAST: It is not negative, or wraps.
    unsafe { (&raw const (*count).counter).read_volatile() as usize }
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
