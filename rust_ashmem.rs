// SPDX-License-Identifier: GPL-2.0

//! Android shared memory (ashmem) as a misc device.
//!
//! An [`area::Area`] is one open `/dev/ashmem`: a name, a size, a protection
//! mask and, once mapped, a [`reclaim::Backing`]. A backing is the shmem file
//! that holds the memory, and the set of its pages that are unpinned. When
//! memory is short, unpinned pages of all areas may be purged, those that have
//! been unpinned for longest first.
//!
//! # Modules
//!
//! Each module is listed with the modules that it uses, all of which are listed below it.
//! The crate root uses what it needs to load the driver. Only the modules marked FFI contain
//! unsafe code and call C.
//!
//! ```text
//! debug           area, debugfs, name, task, trace, unpinned
//! debugfs (FFI)   misc, module, task
//! device          area, misc, name, oom, pages, reclaim, shmem, shrinker, task, trace, tree, uapi
//! area            name, pages, prot, reclaim, registry, shmem, tree
//! registry        slab, tree
//! reclaim         lru, mood, pages, quota, retries, shmem, shrinker, task, trace, tree, unpinned,
//!                 vmstat
//! unpinned        pages, quota, tree
//! lru (FFI)       shrinker, slab, tree
//! shrinker (FFI)  mood
//! shmem (FFI)     misc, module, pages
//! trace (FFI)     mood, pages
//! vmstat (FFI)    mood
//! misc (FFI)      module
//! name            uapi
//! prot            uapi
//! module (FFI)
//! mood
//! oom (FFI)
//! pages
//! quota
//! retries
//! task (FFI)
//! tree (FFI)
//! slab (FFI)
//! uapi
//! ```
//!
//! # Lock order
//!
//! A lock may be taken while the less indented locks above it are held.
//!
//! ```text
//! misc_mtx                  held by the core around open()
//!   Registry::entries       as below
//! seq_file::lock            held by the core while fdinfo or a debugfs file is read
//!   Registry::entries       Mutex; held while up to 32 areas are visited
//!     Area::inner           as below; Registry::entries is never taken under it
//!     Backing::unpinned     as below
//!   Reclaim::counting       as below
//! mmap_lock                 held by the core around mmap()
//!   Area::inner             Mutex; may be held across allocations, never across
//!                           an access to user memory
//! Reclaim::counting         Mutex; taken to read the statistics, and held throughout
//!   Reclaim::backings       Mutex; may be held across allocations
//!   ------------------------ memory reclaim may begin here ------------------------
//!     Backing::unpinned     spinlock; held for at most about 64 ranges at a time
//!       lists of Lru        spinlocks of list_lru; no lock of ours is taken under them
//!     Reclaim::nodes        spinlock; no lock is taken under it
//! ```
//!
//! Pages are purged with none of these locks held. Instead, a range is marked while it is
//! being purged. A task that wants to pin it, to merge it with others, or to close
//! the area, waits on `Backing::purge_ended`.
//!
//! A fault on user memory takes `mmap_lock`, so user memory is never accessed
//! under `Area::inner`.

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
#[path = "src/oom.rs"]
mod oom;
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
#[path = "src/retries.rs"]
mod retries;
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

// The only place that states the version: `make version` reads this line.
module::version!("1.0.0");

/// Everything that exists while the module is loaded.
#[pin_data]
struct Ashmem {
    // Fields are dropped in declaration order: the files show areas of the device, so they
    // have to go before it.
    _files: debug::Files,
    #[pin]
    _device: Registration<area::Area>,
}

impl kernel::InPlaceModule for Ashmem {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // User space can open the device as soon as it is registered, so
            // everything that the device needs is set up before.
            _: { shmem::init()? },
            _device <- Registration::new(Context::new(Reclaim::register()?)?),
            // From here on nothing may fail: an open file does not keep a module loaded
            // whose initialisation fails.
            _files: debug::show(_device.context().shared().clone()),
            _: { pr_info!("/dev/ashmem is ready\n") },
        })
    }
}
