// SPDX-License-Identifier: GPL-2.0

//! Questions about the calling task.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/uapi/linux/personality.h`](srctree/include/uapi/linux/personality.h).

use kernel::{
    current,
    ffi::c_uint, //
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
