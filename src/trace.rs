// SPDX-License-Identifier: GPL-2.0

//! Trace events. Each is a no-op unless it is enabled.
//!
//! They are defined in `src/events.c`. `kernel::declare_trace!` cannot be used: it expects
//! their declarations in `kernel::bindings`, to which a module cannot add.
//!
//! C header: `include/trace/events/ashmem.h`.

use kernel::ffi::c_int;
#[cfg(CONFIG_TRACEPOINTS)]
use kernel::macros::paste;

use crate::{
    mood::Mood,
    pages::PageRange, //
};

/// Why pages are purged. The numbers are the same on the C side.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
pub(crate) enum Why {
    /// A memory cgroup is at its limit.
    Cgroup = 0,
    /// A node is short of memory.
    Node = 1,
    /// Somebody wrote to `/proc/sys/vm/drop_caches` or to the shrinker's debugfs files.
    Manual = 2,
    /// `ASHMEM_PURGE_ALL_CACHES`.
    Ioctl = 3,
}

impl Why {
    /// All reasons, in the order of their numbers.
    pub(crate) const ALL: [Self; 4] = [Self::Cgroup, Self::Node, Self::Manual, Self::Ioctl];

    /// Returns the name of the reason, as on the C side.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Node => "node",
            Self::Manual => "manual",
            Self::Ioctl => "ioctl",
        }
    }
}

/// Returns the number that stands for a mood on the C side.
#[cfg(CONFIG_TRACEPOINTS)]
fn number(mood: Option<Mood>) -> u8 {
    match mood {
        Some(Mood::Plenty) => 0,
        Some(Mood::Calm) => 1,
        Some(Mood::Short) => 2,
        None => 3,
    }
}

/// The offset of the static key in a tracepoint.
#[cfg(CONFIG_TRACEPOINTS)]
const KEY: usize = core::mem::offset_of!(kernel::bindings::tracepoint, key);

/// Returns whether an event is enabled, like `static_branch_unlikely()`.
#[cfg(all(CONFIG_TRACEPOINTS, CONFIG_JUMP_LABEL))]
macro_rules! is_on {
    ($tracepoint:path) => {'on: {
        // SAFETY: The kernel may patch this into a jump to the label, and back, as it does with
        // all entries of `__jump_table`. The code has no other effect.
        unsafe {
            kernel::asm!(
                include!(env!("ASHMEM_STATIC_BRANCH"));
                l_yes = label {
                    break 'on true;
                },
                symb = sym $tracepoint,
                off = const KEY,
                branch = const 0,
            )
        };
        break 'on false;
    }};
}

#[cfg(all(CONFIG_TRACEPOINTS, not(CONFIG_JUMP_LABEL)))]
use kernel::bindings::static_key_count;

#[cfg(all(CONFIG_TRACEPOINTS, not(CONFIG_JUMP_LABEL)))]
macro_rules! is_on {
    ($tracepoint:path) => {{
        let tracepoint = &raw const $tracepoint;
        // SAFETY: The key is at this offset of the tracepoint, which exists while this module
        // does. It may be read at any time.
        unsafe { static_key_count(tracepoint.byte_add(KEY).cast_mut().cast()) > 0 }
    }};
}

/// Defines a function for each event. If the event is enabled, the function calls its argument
/// with a function that records the event. So arguments of an event are only computed if they
/// are needed. The part after the arrow lists what is passed to C.
macro_rules! events {
    ($(
        $(#[$doc:meta])*
        $name:ident($($arg:ident: $type:ty),*)
            => $event:ident($($field:expr => $c_type:ty),*);
    )*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name(tell: impl FnOnce(fn($($type),*))) {
            #[cfg(CONFIG_TRACEPOINTS)]
            paste! {
                extern "C" {
                    // Only the address is used.
                    static [<__tracepoint_ $event>]: u8;
                    fn [<rust_do_trace_ $event>]($(_: $c_type),*);
                }

                fn record($($arg: $type),*) {
                    // SAFETY: The event is defined with these arguments in `src/events.c`,
                    // which follows pointers among them only during this call.
                    unsafe { [<rust_do_trace_ $event>]($($field),*) };
                }

                if is_on!([<__tracepoint_ $event>]) {
                    cold(|| tell(record));
                }
            }
            #[cfg(not(CONFIG_TRACEPOINTS))]
            let _ = tell;
        }
    )*};
}

/// Calls `f`, out of line, to keep code that seldom runs out of hot paths.
#[cfg(CONFIG_TRACEPOINTS)]
#[cold]
#[inline(never)]
fn cold(f: impl FnOnce()) {
    f();
}

// CAST: The number of an enumeration's variant; a `usize` fits 64 bits.
events! {
    /// An area was mapped. `size` is in bytes.
    map(inode: u64, size: usize, name: &[u8])
        => ashmem_map(
            inode => u64, size as u64 => u64, name.as_ptr() => *const u8, name.len() => usize
        );

    /// An area that has been mapped is closed. `size` is in bytes.
    close(inode: u64, size: usize)
        => ashmem_close(inode => u64, size as u64 => u64);

    /// Pages were unpinned.
    unpin(inode: u64, pages: PageRange)
        => ashmem_unpin(inode => u64, pages.first() as u64 => u64, pages.len() as u64 => u64);

    /// Pages were pinned.
    pin(inode: u64, pages: PageRange, was_purged: bool)
        => ashmem_pin(
            inode => u64, pages.first() as u64 => u64, pages.len() as u64 => u64, was_purged => bool
        );

    /// A range is about to be purged.
    purge(inode: u64, pages: PageRange, why: Why)
        => ashmem_purge(
            inode => u64, pages.first() as u64 => u64, pages.len() as u64 => u64, why as u8 => u8
        );

    /// A scan begins. `wanted` is in pages.
    scan_begin(cgroup: u64, node: c_int, wanted: usize, why: Why, mood: Option<Mood>)
        => ashmem_scan_begin(
            cgroup => u64, node => c_int, wanted as u64 => u64, why as u8 => u8, number(mood) => u8
        );

    /// A scan has ended. `purged` is about how many pages it freed, `skipped` how many ranges
    /// it could not purge.
    scan_end(cgroup: u64, node: c_int, purged: usize, skipped: usize)
        => ashmem_scan_end(
            cgroup => u64, node => c_int, purged as u64 => u64, skipped as u64 => u64
        );
}
