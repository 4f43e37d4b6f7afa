// SPDX-License-Identifier: GPL-2.0

//! Shrinkers: what memory reclaim calls when it needs pages.
//!
//! C header: [`include/linux/shrinker.h`](srctree/include/linux/shrinker.h).

use core::ptr::NonNull;

use kernel::{
    bindings,
    ffi::{
        c_int,
        c_ulong, //
    },
    prelude::*,
    sync::Arc,
};

/// A memory cgroup and a node: what a call of a shrinker is about.
///
/// # Invariants
///
/// Both exist during that call, which this does not outlive.
pub(crate) struct Place<'a> {
    control: &'a bindings::shrink_control,
}

impl Place<'_> {
    pub(crate) fn node(&self) -> c_int {
        self.control.nid
    }

    pub(crate) fn memcg(&self) -> *mut bindings::mem_cgroup {
        self.control.memcg
    }
}

/// What a scan came to.
pub(crate) enum Scan {
    /// So many objects were freed, and it took as long as for `scanned`.
    Freed {
        objects: usize,
        /// At least 1.
        scanned: usize,
    },
    /// Nothing can be done now.
    Stop,
}

/// Something that can give memory back, per memory cgroup and node.
pub(crate) trait Shrinker: Send + Sync {
    /// How much dearer its objects are to make again than a page cache page to
    /// read, in units of which 2 is par. With 0, reclaim wants half of them each
    /// time, however little pressure there is.
    const SEEKS: c_int;

    /// Returns how many objects could be freed. Must not sleep.
    fn count(&self, place: &Place<'_>) -> usize;

    /// Frees about `wanted` objects.
    ///
    /// May be called from any allocation that lets file systems work, so locks
    /// that are held across allocations can only be tried.
    fn scan(&self, place: &Place<'_>, wanted: usize) -> Scan;
}

/// A shrinker that is not called yet.
///
/// # Invariants
///
/// From `shrinker_alloc()`, and not registered.
pub(crate) struct Unregistered(NonNull<bindings::shrinker>);

impl Unregistered {
    /// Allocates a shrinker that is aware of memory cgroups and nodes.
    ///
    /// Fails with `ENOMEM`.
    #[doc(alias = "shrinker_alloc")]
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: A format, and what it asks for.
        let shrinker = unsafe {
            bindings::shrinker_alloc(
                AWARE_OF_NODES | AWARE_OF_MEMCGS,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        };
        // INVARIANT: Just allocated.
        Ok(Self(NonNull::new(shrinker).ok_or(ENOMEM)?))
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::shrinker {
        self.0.as_ptr()
    }

    /// Lets memory reclaim call `state`.
    #[doc(alias = "shrinker_register")]
    pub(crate) fn register<S: Shrinker>(self, state: Arc<S>) -> Registration<S> {
        let shrinker = self.0;
        core::mem::forget(self);
        // SAFETY: The shrinker is not registered, so it is ours to change.
        let fields = unsafe { &mut *shrinker.as_ptr() };
        fields.count_objects = Some(count::<S>);
        fields.scan_objects = Some(scan::<S>);
        fields.seeks = S::SEEKS;
        // The last objects are worth a call, too.
        fields.batch = 1;
        fields.private_data = Arc::as_ptr(&state).cast_mut().cast();
        // SAFETY: All its fields are set, and `state` stays until it is freed.
        unsafe { bindings::shrinker_register(shrinker.as_ptr()) };
        // INVARIANT: Registered, with that state.
        Registration { shrinker, state }
    }
}

impl Drop for Unregistered {
    fn drop(&mut self) {
        // SAFETY: By the invariant it is allocated and ours.
        unsafe { bindings::shrinker_free(self.as_ptr()) };
    }
}

/// A shrinker that memory reclaim calls until this is dropped.
///
/// # Invariants
///
/// `shrinker` is registered and its private data is `state`.
pub(crate) struct Registration<S: Shrinker> {
    shrinker: NonNull<bindings::shrinker>,
    state: Arc<S>,
}

// SAFETY: `shrinker_free()` may be called from any thread.
unsafe impl<S: Shrinker> Send for Registration<S> {}
// SAFETY: Shared, it gives away `state` alone.
unsafe impl<S: Shrinker> Sync for Registration<S> {}

impl<S: Shrinker> Registration<S> {
    /// Returns what is called.
    pub(crate) fn state(&self) -> &Arc<S> {
        &self.state
    }
}

impl<S: Shrinker> Drop for Registration<S> {
    fn drop(&mut self) {
        // SAFETY: By the invariant. It waits until no call is under way, so
        // that `state` can go after.
        unsafe { bindings::shrinker_free(self.shrinker.as_ptr()) };
    }
}

/// Tells memory reclaim, if that is who calls, that so many pages were freed, so
/// that it can stop when it has enough.
#[doc(alias = "mm_account_reclaimed_pages")]
pub(crate) fn account_reclaimed(pages: usize) {
    // SAFETY: The current task exists; the field is only used by the task itself.
    let state = unsafe { (*bindings::get_current()).reclaim_state };
    // SAFETY: Reclaim sets it to something on the task's own stack, or to null.
    if let Some(state) = unsafe { state.as_mut() } {
        // OVERFLOW: No more pages are freed than there are.
        state.reclaimed = state.reclaimed.wrapping_add(pages);
    }
}

/// Returns how many pages the reclaim that calls has got by other means than its own
/// lists of pages, or 0 if it counts them itself.
pub(crate) fn reclaimed() -> usize {
    // SAFETY: There always is a current task.
    let task = unsafe { bindings::get_current() };
    // SAFETY: The current task exists; the field is only used by the task itself.
    if unsafe { (*task).flags } & bindings::PF_KSWAPD != 0 {
        return 0;
    }
    // SAFETY: As above.
    let state = unsafe { (*task).reclaim_state };
    // SAFETY: Reclaim sets it to something on the task's own stack, or to null.
    unsafe { state.as_ref() }.map_or(0, |state| state.reclaimed)
}

const AWARE_OF_NODES: u32 = 1 << 2;
const AWARE_OF_MEMCGS: u32 = 1 << 3;
/// `SHRINK_STOP`.
const STOP: c_ulong = !0;
/// `SHRINK_EMPTY`, which lets reclaim forget a memory cgroup until there is
/// something again.
const EMPTY: c_ulong = !0 - 1;

/// # Safety
///
/// Called by memory reclaim for a [`Registration<S>`].
unsafe extern "C" fn count<S: Shrinker>(
    shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> c_ulong {
    // SAFETY: The private data of a registered shrinker.
    let state = unsafe { &*(*shrinker).private_data.cast::<S>() };
    // SAFETY: `control` is valid during the call.
    let control = unsafe { &*control };
    // INVARIANT: A call is under way.
    match state.count(&Place { control }) {
        0 => EMPTY,
        // `do_shrink_slab()` multiplies by up to 8, in signed numbers.
        objects => objects.min(c_ulong::MAX / 16),
    }
}

/// # Safety
///
/// Called by memory reclaim for a [`Registration<S>`].
unsafe extern "C" fn scan<S: Shrinker>(
    shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> c_ulong {
    // SAFETY: `control` is valid during the call, and this call's alone.
    let control = unsafe { &mut *control };
    // A purge takes locks of the file system shmem.
    if control.gfp_mask & (1 << bindings::___GFP_FS_BIT) == 0 {
        return STOP;
    }
    // SAFETY: The private data of a registered shrinker.
    let state = unsafe { &*(*shrinker).private_data.cast::<S>() };
    // INVARIANT: A call is under way.
    match state.scan(&Place { control }, control.nr_to_scan) {
        Scan::Stop => STOP,
        Scan::Freed { objects, scanned } => {
            // `do_shrink_slab()` goes on until it has scanned what it wants.
            control.nr_scanned = scanned.max(1);
            objects
        }
    }
}

#[kunit_tests(rust_ashmem_shrinker)]
mod tests {
    use super::*;

    /// Has so many objects, all of which a scan frees, if there are any.
    struct Objects(usize);

    impl Shrinker for Objects {
        const SEEKS: c_int = 0;

        fn count(&self, _place: &Place<'_>) -> usize {
            self.0
        }

        fn scan(&self, _place: &Place<'_>, _wanted: usize) -> Scan {
            match self.0 {
                0 => Scan::Stop,
                objects => Scan::Freed {
                    objects,
                    scanned: objects.saturating_add(1),
                },
            }
        }
    }

    /// Returns what a count and a scan answer, and how many objects that one is said
    /// to have looked at.
    fn answers(objects: usize, gfp_mask: bindings::gfp_t) -> (c_ulong, c_ulong, c_ulong) {
        let objects = Objects(objects);
        let mut shrinker: bindings::shrinker = pin_init::zeroed();
        shrinker.private_data = (&raw const objects).cast_mut().cast();
        let mut control = bindings::shrink_control {
            gfp_mask,
            nr_to_scan: 1,
            nr_scanned: 1,
            ..pin_init::zeroed()
        };
        // SAFETY: As if a registered shrinker had that private data.
        let counted = unsafe { count::<Objects>(&raw mut shrinker, &raw mut control) };
        // SAFETY: As above.
        let freed = unsafe { scan::<Objects>(&raw mut shrinker, &raw mut control) };
        (counted, freed, control.nr_scanned)
    }

    #[test]
    fn scans_say_what_they_freed() {
        assert_eq!(answers(7, bindings::GFP_KERNEL), (7, 7, 8));
        assert_eq!(answers(0, bindings::GFP_KERNEL), (EMPTY, STOP, 1));
    }

    #[test]
    fn file_systems_have_to_be_allowed() {
        let no_fs = bindings::GFP_KERNEL & !(1 << bindings::___GFP_FS_BIT);
        assert_eq!(answers(7, no_fs), (7, STOP, 1));
    }

    #[test]
    fn counts_can_be_multiplied() {
        let (counted, _, _) = answers(usize::MAX, bindings::GFP_KERNEL);
        assert!(i64::try_from(counted).is_ok_and(|n| n.checked_mul(8).is_some()));
    }
}
