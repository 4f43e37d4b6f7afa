// SPDX-License-Identifier: GPL-2.0

//! The `kernel` crate for Linux before 7.1, with the parts of later ones that the driver uses.
//!
//! Kbuild makes the driver use this crate as `kernel`. It re-exports the kernel's own crate,
//! and replaces only what is below. Each replacement states the release from which on it is not
//! needed. The module is not linked with this crate, so its functions must be generic or
//! inline.

#![allow(
    missing_docs,
    reason = "the documentation is that of the later kernel's"
)]

pub use kernel::*;

pub mod bindings {
    pub use kernel::bindings::*;

    #[cfg(before_7_1)]
    pub use super::events::*;

    /// Not needed since 6.19.
    #[cfg(before_6_19)]
    pub const VMA_MAYSHARE_BIT: u32 = 7;

    /// Not needed since 7.0; before, the flags were an integer.
    #[cfg(before_7_0)]
    #[allow(non_camel_case_types, reason = "the name is C's")]
    #[derive(Clone, Copy, Default)]
    #[repr(C)]
    pub struct vma_flags_t {
        pub __vma_flags: [kernel::ffi::c_ulong; 1],
    }

    /// Not needed since 6.19; before, the function had another parameter for the address space.
    ///
    /// # Safety
    ///
    /// `file` is null or valid. The caller has an address space.
    #[cfg(before_6_19)]
    #[inline(always)]
    pub unsafe fn mm_get_unmapped_area(
        file: *mut file,
        address: usize,
        len: usize,
        page_offset: usize,
        flags: usize,
    ) -> usize {
        // SAFETY: By the caller's promise, `file` is valid or null. The current task exists,
        // and has an address space.
        unsafe {
            let mm = (*get_current()).mm;
            kernel::bindings::mm_get_unmapped_area(mm, file, address, len, page_offset, flags)
        }
    }
}

/// Not needed since 7.1; before, scanned pages were only counted for the whole machine.
#[cfg(before_7_1)]
mod events {
    #![allow(non_upper_case_globals, reason = "the names are C's")]

    use kernel::bindings;

    pub const node_stat_item_PGSCAN_ANON: Event = Event(bindings::vm_event_item_PGSCAN_ANON);
    pub const node_stat_item_PGSCAN_FILE: Event = Event(bindings::vm_event_item_PGSCAN_FILE);
    pub const node_stat_item_PGSCAN_KSWAPD: Event = Event(bindings::vm_event_item_PGSCAN_KSWAPD);

    pub struct Event(bindings::vm_event_item);

    impl Event {
        /// Returns the count for the whole machine, in place of that of the node.
        #[inline(always)]
        pub fn count(self, _node: *const bindings::pglist_data) -> isize {
            let states = &raw const bindings::vm_event_states;
            let mut sum = 0_usize;
            for offset in offsets() {
                // SAFETY: Each possible CPU has such a variable at its offset, with this item.
                // It may change meanwhile.
                sum = sum.wrapping_add(unsafe {
                    let state = states.wrapping_byte_add(offset);
                    (&raw const (*state).event[self.0 as usize]).read_volatile()
                });
            }
            // CAST: The caller expects it to wrap.
            sum as isize
        }
    }

    /// Returns the offsets of the per-CPU variables of all possible CPUs. Stops at the last
    /// possible CPU, because the arrays have room for thousands.
    #[cfg(CONFIG_SMP)]
    #[inline(always)]
    fn offsets() -> impl Iterator<Item = usize> {
        // SAFETY: Neither of them changes after boot.
        let (offsets, mask) = unsafe {
            (
                &*(&raw const bindings::__per_cpu_offset),
                &*(&raw const bindings::__cpu_possible_mask),
            )
        };
        let is_possible = |cpu: usize| mask.bits[cpu / 64] >> (cpu % 64) & 1 != 0;
        // CAST: Widening.
        offsets
            .iter()
            .take(kernel::cpu::nr_cpu_ids() as usize)
            .enumerate()
            .filter(move |&(cpu, _)| is_possible(cpu))
            .map(|(_, &offset)| offset)
    }

    #[cfg(not(CONFIG_SMP))]
    #[inline(always)]
    fn offsets() -> [usize; 1] {
        [0]
    }
}

/// Not needed since 7.0, whose function checks for overflow.
#[cfg(before_7_0)]
pub mod page {
    pub use kernel::page::*;

    #[inline(always)]
    pub const fn page_align(address: usize) -> Option<usize> {
        match address.checked_add(PAGE_SIZE - 1) {
            Some(sum) => Some(sum & PAGE_MASK),
            None => None,
        }
    }
}

/// Not needed since 6.19, where the kernel uses `core::ffi::CStr`.
#[cfg(before_6_19)]
pub mod prelude {
    pub use core::ffi::CStr;
    pub use kernel::prelude::*;

    pub trait CStrExt {
        fn as_char_ptr(&self) -> *const kernel::ffi::c_char;
    }

    impl CStrExt for CStr {
        #[inline(always)]
        fn as_char_ptr(&self) -> *const kernel::ffi::c_char {
            self.as_ptr().cast()
        }
    }
}

/// Not needed since 6.19, for the same reason.
#[cfg(before_6_19)]
pub mod miscdevice {
    pub use kernel::miscdevice::*;

    #[derive(Clone, Copy)]
    pub struct MiscDeviceOptions {
        pub name: &'static core::ffi::CStr,
    }

    impl MiscDeviceOptions {
        #[inline(always)]
        pub const fn into_raw<T: MiscDevice>(self) -> kernel::bindings::miscdevice {
            let name = self.name.to_bytes_with_nul();
            // SAFETY: The bytes are those of a C string, including its NUL.
            let name = unsafe { kernel::str::CStr::from_bytes_with_nul_unchecked(name) };
            kernel::miscdevice::MiscDeviceOptions { name }.into_raw::<T>()
        }
    }
}

/// Not needed since 6.19.
#[cfg(before_6_19)]
pub mod sync {
    pub use kernel::sync::*;

    use core::{
        cell::UnsafeCell,
        mem::MaybeUninit, //
    };
    use kernel::sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    };

    const EMPTY: u32 = 0;
    const BUSY: u32 = 1;
    const SET: u32 = 2;

    /// # Invariants
    ///
    /// `state` only grows. The thread that changes it to `BUSY` may write `value`, and changes
    /// it to `SET` afterwards. From then on `value` is initialised, and nobody changes it.
    pub struct SetOnce<T> {
        state: Atomic<u32>,
        value: UnsafeCell<MaybeUninit<T>>,
    }

    // SAFETY: It is a `T`, or nothing.
    unsafe impl<T: Send> Send for SetOnce<T> {}
    // SAFETY: One thread may set the `T`, to which others get shared references.
    unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}

    impl<T> SetOnce<T> {
        #[expect(clippy::new_without_default, reason = "nobody asks for it")]
        pub const fn new() -> Self {
            Self {
                state: Atomic::new(EMPTY),
                value: UnsafeCell::new(MaybeUninit::uninit()),
            }
        }

        pub fn as_ref(&self) -> Option<&T> {
            // SAFETY: By the invariant, `value` is initialised if `state` is `SET`.
            (self.state.load(Acquire) == SET)
                .then(|| unsafe { (*self.value.get()).assume_init_ref() })
        }

        pub fn populate(&self, value: T) -> bool {
            if self.state.cmpxchg(EMPTY, BUSY, Relaxed).is_err() {
                return false;
            }
            // SAFETY: By the invariant, only this thread may access `value` now.
            unsafe { (*self.value.get()).write(value) };
            self.state.store(SET, Release);
            true
        }
    }

    impl<T> Drop for SetOnce<T> {
        fn drop(&mut self) {
            if self.state.load(Relaxed) == SET {
                // SAFETY: By the invariant, `value` is initialised.
                unsafe { self.value.get_mut().assume_init_drop() };
            }
        }
    }
}
