// SPDX-License-Identifier: GPL-2.0

//! An OOM notifier, which can have the kernel try reclaim again instead of killing a process.
//!
//! C header: [`include/linux/oom.h`](srctree/include/linux/oom.h).

use core::ptr::NonNull;

use kernel::{
    bindings,
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    prelude::*,
    sync::Arc,
};

extern "C" {
    // `bindings` lacks `linux/oom.h`.
    fn register_oom_notifier(block: *mut bindings::notifier_block) -> c_int;
    fn unregister_oom_notifier(block: *mut bindings::notifier_block) -> c_int;
}

/// A registered notifier, which is unregistered when this is dropped.
///
/// # Invariants
///
/// `block` is that of a leaked [`KBox`], and is registered.
pub(crate) struct Registration<S: Send + Sync + 'static> {
    block: NonNull<Block<S>>,
}

#[repr(C)]
struct Block<S> {
    /// First, so that a pointer to it is a pointer to the whole.
    notifier: bindings::notifier_block,
    state: Arc<S>,
    may_retry: fn(&S) -> bool,
}

// SAFETY: `unregister_oom_notifier()` may be called from any thread.
unsafe impl<S: Send + Sync + 'static> Send for Registration<S> {}
// SAFETY: A shared reference gives access to nothing.
unsafe impl<S: Send + Sync + 'static> Sync for Registration<S> {}

impl<S: Send + Sync + 'static> Registration<S> {
    /// Registers a notifier. From now on, `may_retry` is called before the kernel kills a
    /// process for want of memory, but not for the limit of a memory cgroup. If it returns
    /// true, the kernel kills none, and the current task tries to reclaim memory again. A kill
    /// that was requested with SysRq takes place whatever it returns.
    ///
    /// `may_retry` may sleep, but must not allocate memory, nor take a lock that is held across
    /// allocations. May sleep. Fails with `ENOMEM`.
    #[doc(alias = "register_oom_notifier")]
    pub(crate) fn new(state: Arc<S>, may_retry: fn(&S) -> bool) -> Result<Self> {
        let notifier = bindings::notifier_block {
            notifier_call: Some(call::<S>),
            ..pin_init::zeroed()
        };
        let block = Block {
            notifier,
            state,
            may_retry,
        };
        let block = NonNull::from(KBox::leak(KBox::new(block, GFP_KERNEL)?));
        // SAFETY: The block is not moved or freed while it is registered. The only error would
        // be that it is registered already.
        unsafe { register_oom_notifier(block.as_ptr().cast()) };
        // INVARIANT: The block was just registered.
        Ok(Self { block })
    }
}

impl<S: Send + Sync + 'static> Drop for Registration<S> {
    fn drop(&mut self) {
        let block = self.block.as_ptr();
        // SAFETY: By the invariant the block is registered. This waits for calls to end.
        unsafe { unregister_oom_notifier(block.cast()) };
        // SAFETY: By the invariant it is that of a box, and nobody else has it any more.
        drop(unsafe { KBox::from_raw(block) });
    }
}

/// # Safety
///
/// Called by the kernel for the block of a [`Registration<S>`].
unsafe extern "C" fn call<S: Send + Sync + 'static>(
    block: *mut bindings::notifier_block,
    _action: c_ulong,
    freed: *mut c_void,
) -> c_int {
    let block = block.cast::<Block<S>>();
    // SAFETY: The notifier is the first field of a `Block<S>`, which lives during the call. Its
    // other fields do not change.
    let (state, may_retry) = unsafe { (&(*block).state, (*block).may_retry) };
    // SAFETY: The kernel passes a pointer to a number of its own: of pages that were freed, but
    // it only tells 0 from others.
    let freed = unsafe { &mut *freed.cast::<c_ulong>() };
    *freed = freed.saturating_add(may_retry(state).into());
    // CAST: A small number.
    bindings::NOTIFY_OK as c_int
}
