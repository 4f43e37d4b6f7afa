// SPDX-License-Identifier: GPL-2.0

//! Questions about the calling task.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/capability.h`](srctree/include/linux/capability.h),
//! [`include/uapi/linux/personality.h`](srctree/include/uapi/linux/personality.h).

use core::ptr::NonNull;

use kernel::{
    bindings, current,
    ffi::{
        c_int,
        c_uint,
        c_ulong, //
    },
};

/// `READ_IMPLIES_EXEC`, which `bindings` does not always carry.
const READ_IMPLIES_EXEC: c_uint = 0x0040_0000;

/// Returns whether the caller's personality makes readable memory executable.
pub(crate) fn read_implies_exec() -> bool {
    // SAFETY: `current` is the running task; only that task itself changes its
    // personality, so nothing races with this read.
    let personality = unsafe { (*current!().as_ptr()).personality };
    personality & READ_IMPLIES_EXEC != 0
}

/// Returns whether the caller may administer the whole system: a capability of the
/// first user namespace.
#[doc(alias = "capable")]
pub(crate) fn may_administer() -> bool {
    // SAFETY: A capability that there is; this runs in a task's context.
    // CAST: A small number.
    unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as c_int) }
}

/// Returns whether the caller may have more than limits allow: another of these. That it
/// may not is no event for an audit.
#[doc(alias = "ns_capable_noaudit")]
pub(crate) fn may_exceed_limits() -> bool {
    // Linux before 7.2 does not export `capable_noaudit()`.
    let first = &raw mut bindings::init_user_ns;
    // SAFETY: As above, and the first user namespace is always there. CAST: A small number.
    unsafe { bindings::ns_capable_noaudit(first, bindings::CAP_SYS_RESOURCE as c_int) }
}

/// Returns the user to whom what the caller takes is charged, by the number that is the
/// same in all namespaces.
///
/// In a user namespace there are many, for whoever made it. So it is who made the
/// outermost, unless that is root, who makes such namespaces for others.
pub(crate) fn user() -> u32 {
    // SAFETY: The credentials of the running task, which only that changes.
    let cred = unsafe { (*current!().as_ptr()).cred };
    // SAFETY: They have a user, and a user namespace.
    let (mut user, mut namespace) = unsafe { ((*cred).euid.val, (*cred).user_ns) };
    let own = user;
    // SAFETY: A namespace exists for as long as those below it. The first has no parent.
    while let Some(parent) = NonNull::new(unsafe { (*namespace).parent }) {
        // SAFETY: As above.
        user = unsafe { (*namespace).owner.val };
        namespace = parent.as_ptr();
    }
    match user {
        0 => own,
        user => user,
    }
}

/// Who opened something.
pub(crate) struct Opener {
    /// Of the process, in the first namespace.
    pub(crate) pid: i32,
    /// Its effective user, in the first namespace.
    pub(crate) uid: u32,
    /// Its name then, up to a zero.
    command: [u8; COMMAND],
}

/// `TASK_COMM_LEN`.
const COMMAND: usize = 16;

impl Opener {
    /// Returns what its name was, which may be any bytes.
    pub(crate) fn command(&self) -> &[u8] {
        self.command.split(|&byte| byte == 0).next().unwrap_or(&[])
    }
}

/// Returns the caller.
pub(crate) fn opener() -> Opener {
    let task = current!().as_ptr();
    // SAFETY: `current` is the running task. Its other threads may be changing its name,
    // byte by byte.
    let command = unsafe {
        (&raw const (*task).comm)
            .cast::<[u8; COMMAND]>()
            .read_volatile()
    };
    Opener {
        // SAFETY: As above; this does not change.
        pid: unsafe { (*task).tgid },
        // SAFETY: The credentials of the running task, which only that changes.
        uid: unsafe { (*(*task).cred).euid.val },
        command,
    }
}

/// Returns whether the caller was killed: nobody will see what it answers.
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
