// SPDX-License-Identifier: GPL-2.0

//! Questions about the calling task.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/capability.h`](srctree/include/linux/capability.h),
//! [`include/uapi/linux/personality.h`](srctree/include/uapi/linux/personality.h).

use kernel::{
    bindings, current,
    ffi::{
        c_int,
        c_uint,
        c_ulong, //
    },
    fs::File,
};

/// `READ_IMPLIES_EXEC`, which `bindings` does not always carry.
const READ_IMPLIES_EXEC: c_uint = 0x0040_0000;

/// Tells whether the caller's personality makes readable memory executable.
pub(crate) fn read_implies_exec() -> bool {
    // SAFETY: `current` is the running task; only that task itself changes its
    // personality, so nothing races with this read.
    let personality = unsafe { (*current!().as_ptr()).personality };
    personality & READ_IMPLIES_EXEC != 0
}

/// Tells whether the caller may administer the whole system.
pub(crate) fn may_administer() -> bool {
    capable(bindings::CAP_SYS_ADMIN)
}

/// Tells whether the caller may have more than limits allow.
pub(crate) fn may_exceed_limits() -> bool {
    capable(bindings::CAP_SYS_RESOURCE)
}

/// Tells whether the caller has a capability, in the first user namespace.
fn capable(capability: c_uint) -> bool {
    // SAFETY: A capability that there is; this runs in a task's context.
    // CAST: A small number.
    unsafe { bindings::capable(capability as c_int) }
}

/// Returns the effective user of whoever opened a file, by the number that is the same in all namespaces.
pub(crate) fn opener(file: &File) -> u32 {
    file.cred().euid().into_raw().val
}

/// Tells whether the caller was killed: nobody will see what it answers.
#[doc(alias = "fatal_signal_pending")]
pub(crate) fn was_killed() -> bool {
    const SIGKILL: c_ulong = 1 << (bindings::SIGKILL - 1);

    if !current!().signal_pending() {
        return false;
    }
    // SAFETY: `current` is the running task.
    let pending = unsafe { &raw const (*current!().as_ptr()).pending.signal.sig[0] };
    // SAFETY: As above. Others change the word, as a whole.
    let pending = unsafe { pending.read_volatile() };
    pending & SIGKILL != 0
}
