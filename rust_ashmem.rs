// SPDX-License-Identifier: GPL-2.0

//! Android shared memory (ashmem) as a misc device.
//!
//! An [`area::Area`] is one open `/dev/ashmem`: a name, a size, a protection
//! mask and, once mapped, a [`reclaim::Backing`]. That is the shmem file with
//! the memory, and the set of its pages that are unpinned. Memory reclaim may
//! purge those of all areas, the longest unpinned first.
//!
//! # Rooms
//!
//! What each uses of the others; it is listed above all of those. The crate's root uses
//! what is needed to load the module. The rooms marked FFI are the only ones that call C.
//!
//! ```text
//! debug             area, debugfs, name, task, trace, unpinned
//! debugfs (FFI)     misc, module, task
//! device            area, misc, name, pages, reclaim, shmem, shrinker, task, trace, tree, uapi
//! area              name, pages, prot, reclaim, registry, shmem, tree
//! registry          slab, tree
//! reclaim           lru, mood, pages, quota, shmem, shrinker, task, trace, tree, unpinned, vmstat
//! unpinned          pages, quota, tree
//! lru (FFI)         shrinker, slab, tree
//! shrinker (FFI)    mood
//! shmem (FFI)       misc, module, pages
//! trace (FFI)       mood, pages
//! vmstat (FFI)      mood
//! misc (FFI)        module
//! name              uapi
//! prot              uapi
//! module (FFI)
//! mood
//! pages
//! quota
//! task (FFI)
//! tree (FFI)
//! slab (FFI)
//! uapi
//! ```
//!
//! # Lock order
//!
//! An indented lock is taken while the one above it may be held.
//!
//! ```text
//! misc_mtx                  held by the core around open()
//!   Registry::entries       as below
//! seq_file::lock            held by the core while fdinfo or a file of debugfs is read
//!   Registry::entries       Mutex; held while some 32 areas are looked at
//!     Area::inner           as below; nothing under it takes Registry::entries
//!     Backing::unpinned     as below
//!   Reclaim::counting       as below
//! mmap_lock                 held by the core around mmap()
//!   Area::inner             Mutex; may be held across allocations, never across
//!                           an access to user memory
//! Reclaim::counting         Mutex; taken by who reads statistics, and held for long
//!   Reclaim::backings       Mutex; may be held across allocations
//!   ------------------------ memory reclaim may begin here ------------------------
//!     Backing::unpinned     spinlock; never held for longer than some 64 ranges take
//!       lists of Lru        spinlocks of list_lru; no lock of ours is taken under them
//!     Reclaim::nodes        spinlock; nothing is taken under it
//! ```
//!
//! Pages are purged under no lock of ours. A range whose purge is under way says so;
//! who wants to pin or join it waits for `Backing::purge_ended`.
//!
//! A fault on user memory takes `mmap_lock`, which is why no user memory is
//! touched under `Area::inner`.

use kernel::prelude::*;

use crate::{
    device::Context,
    misc::Registration,
    reclaim::Reclaim, //
};

#[path = "src/area.rs"]
mod area;
#[path = "src/debug.rs"]
mod debug;
#[path = "src/debugfs.rs"]
mod debugfs;
#[path = "src/device.rs"]
mod device;
#[path = "src/lru.rs"]
mod lru;
#[path = "src/misc.rs"]
mod misc;
#[path = "src/module.rs"]
mod module;
#[path = "src/mood.rs"]
mod mood;
#[path = "src/name.rs"]
mod name;
#[path = "src/pages.rs"]
mod pages;
#[path = "src/prot.rs"]
mod prot;
#[path = "src/quota.rs"]
mod quota;
#[path = "src/reclaim.rs"]
mod reclaim;
#[path = "src/registry.rs"]
mod registry;
#[path = "src/shmem.rs"]
mod shmem;
#[path = "src/shrinker.rs"]
mod shrinker;
#[path = "src/slab.rs"]
mod slab;
#[path = "src/task.rs"]
mod task;
#[path = "src/trace.rs"]
mod trace;
#[path = "src/tree.rs"]
mod tree;
#[path = "src/uapi.rs"]
mod uapi;
#[path = "src/unpinned.rs"]
mod unpinned;
#[path = "src/vmstat.rs"]
mod vmstat;

module! {
    type: Ashmem,
    name: "rust_ashmem",
    authors: ["The rust_ashmem authors"],
    description: "Android shared memory (ashmem)",
    license: "GPL",
    alias: ["ashmem_linux"],
}

// Here and nowhere else: `make version` reads this line.
module::version!("1.0.0");

/// Everything that exists while the module is loaded.
#[pin_data]
struct Ashmem {
    // Dropped first: they show what the device has.
    _files: debug::Files,
    #[pin]
    _device: Registration<area::Area>,
}

impl kernel::InPlaceModule for Ashmem {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // User space can open the device as soon as it is registered, so
            // what it needs comes first.
            _: { shmem::init()? },
            _device <- Registration::new(Context::new(Reclaim::register()?)?),
            // Nothing may fail any more: a file that is open does not keep a module whose
            // initialisation fails.
            _files: debug::show(_device.context().shared().clone()),
            _: { pr_info!("/dev/ashmem is ready\n") },
        })
    }
}
