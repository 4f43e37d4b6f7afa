// SPDX-License-Identifier: GPL-2.0

//! Slab caches for objects of one type, which are charged to memory cgroups.
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
/// Without memory cgroups nothing is charged.
#[cfg(not(CONFIG_MEMCG))]
const ACCOUNT: bindings::slab_flags_t = 0;

/// A cache for objects of type `T`. If objects are left when it is dropped, the kernel warns
/// and does not free the cache.
///
/// # Invariants
///
/// The pointer is to a cache that was created for objects of the size and alignment of `T`.
pub(crate) struct Cache<T>(NonNull<bindings::kmem_cache>, PhantomData<T>);

// SAFETY: Any thread may use a cache.
unsafe impl<T: Send> Send for Cache<T> {}
// SAFETY: As above.
unsafe impl<T: Send> Sync for Cache<T> {}

impl<T> Cache<T> {
    /// Creates an empty cache. `name` appears in `/proc/slabinfo`, unless the
    /// kernel merges the cache with another one. May sleep.
    ///
    /// Fails with `ENOMEM`.
    #[doc(alias = "kmem_cache_create")]
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        let mut args = bindings::kmem_cache_args {
            // CAST: The alignment of the objects is small.
            align: align_of::<T>() as c_uint,
            ..pin_init::zeroed()
        };
        // SAFETY: The name and the arguments are valid.
        let cache = unsafe {
            bindings::__kmem_cache_create_args(
                name.as_char_ptr(),
                // CAST: The size of the objects is small.
                size_of::<T>() as c_uint,
                &raw mut args,
                ACCOUNT,
            )
        };
        let cache = NonNull::new(from_err_ptr(cache)?).ok_or(ENOMEM)?;
        // INVARIANT: The cache was just created for objects of this size and alignment.
        Ok(Self(cache, PhantomData))
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::kmem_cache {
        self.0.as_ptr()
    }

    /// Allocates an object, charges it to the memory cgroup of the current task, and
    /// initialises it with `value`. It must be dropped before the cache is. May sleep.
    ///
    /// Fails with `ENOMEM`.
    #[doc(alias = "kmem_cache_alloc")]
    pub(crate) fn make(&self, value: impl PinInit<T>) -> Result<Pin<KBox<T>>> {
        // SAFETY: By the invariant the cache is valid.
        let object =
            unsafe { bindings::kmem_cache_alloc_noprof(self.as_ptr(), bindings::GFP_KERNEL) };
        let object = NonNull::new(object.cast::<MaybeUninit<T>>()).ok_or(ENOMEM)?;
        // SAFETY: By the invariant the object has room for a `T`, and nobody else has it. The
        // box frees it by kfree(), which accepts objects of any cache.
        let object = unsafe { KBox::from_raw(object.as_ptr()) };
        let Ok(object) = object.write_pin_init(value);
        Ok(object)
    }
}

impl<T> Drop for Cache<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariant the cache is valid. Its objects are gone, as callers of
        // `make()` or, for LRU lists, of `Lru::item()` promise.
        unsafe { bindings::kmem_cache_destroy(self.as_ptr()) };
    }
}
