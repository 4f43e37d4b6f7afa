// SPDX-License-Identifier: GPL-2.0

//! Slab caches, for objects of one type whose memory is charged to memory cgroups.
//!
//! C header: [`include/linux/slab.h`](srctree/include/linux/slab.h).

use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::NonNull, //
};

use kernel::{
    bindings,
    error::from_err_ptr,
    ffi::c_uint,
    prelude::*, //
};

/// `SLAB_ACCOUNT`.
#[cfg(CONFIG_MEMCG)]
const ACCOUNT: bindings::slab_flags_t = 1 << bindings::_slab_flag_bits__SLAB_ACCOUNT;
/// Nothing is accounted without memory cgroups.
#[cfg(not(CONFIG_MEMCG))]
const ACCOUNT: bindings::slab_flags_t = 0;

/// A cache for objects of a type. If some are left when it is dropped, the kernel says so,
/// and keeps it.
///
/// # Invariants
///
/// What the pointer points to was made for objects of this size and alignment.
pub(crate) struct Cache<T>(NonNull<bindings::kmem_cache>, PhantomData<T>);

// SAFETY: Any thread may use a cache.
unsafe impl<T: Send> Send for Cache<T> {}
// SAFETY: As above.
unsafe impl<T: Send> Sync for Cache<T> {}

impl<T> Cache<T> {
    /// Makes an empty one.
    ///
    /// Fails with `ENOMEM`.
    #[doc(alias = "kmem_cache_create")]
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        let mut args = bindings::kmem_cache_args {
            // CAST: The alignment of a few words.
            align: align_of::<T>() as c_uint,
            ..pin_init::zeroed()
        };
        // SAFETY: The name and the arguments are valid.
        let cache = unsafe {
            bindings::__kmem_cache_create_args(
                name.as_char_ptr(),
                // CAST: The size of a few words.
                size_of::<T>() as c_uint,
                &raw mut args,
                ACCOUNT,
            )
        };
        let cache = NonNull::new(from_err_ptr(cache)?).ok_or(ENOMEM)?;
        // INVARIANT: Just made.
        Ok(Self(cache, PhantomData))
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::kmem_cache {
        self.0.as_ptr()
    }

    /// Makes an object, charged to the caller's memory cgroup. It must be dropped before this
    /// is.
    ///
    /// Fails with `ENOMEM`.
    #[doc(alias = "kmem_cache_alloc")]
    pub(crate) fn make(&self, value: impl PinInit<T>) -> Result<Pin<KBox<T>>> {
        // SAFETY: The cache is valid.
        let object =
            unsafe { bindings::kmem_cache_alloc_noprof(self.as_ptr(), bindings::GFP_KERNEL) };
        let object = NonNull::new(object.cast::<MaybeUninit<T>>()).ok_or(ENOMEM)?;
        // SAFETY: By the invariant there is room for a `T`, and nobody else has it. What frees
        // it is kfree(), which takes objects of every cache.
        let object = unsafe { KBox::from_raw(object.as_ptr()) };
        let Ok(object) = object.write_pin_init(value);
        Ok(object)
    }
}

impl<T> Drop for Cache<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariant. Its objects are gone, by the promise at `make()`, or for
        // lists at `Lru::item()`.
        unsafe { bindings::kmem_cache_destroy(self.as_ptr()) };
    }
}
