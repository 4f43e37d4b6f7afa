// SPDX-License-Identifier: GPL-2.0

//! Questions about the calling task, and about the process of a number.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/pid.h`](srctree/include/linux/pid.h),
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
    sync::rcu,
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
/// Whoever makes a user namespace can be many users in it. So a caller in one counts as the
/// user who made the outermost, unless that is root, who makes such namespaces for others.
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

/// Returns the process of the caller, in the first namespace.
pub(crate) fn pid() -> i32 {
    // SAFETY: `current` is the running task, of which this does not change.
    unsafe { (*current!().as_ptr()).tgid }
}

/// What there is to tell of a process.
pub(crate) struct Process {
    /// Its effective user, in the first namespace.
    pub(crate) uid: u32,
    /// Its name, up to a zero.
    command: [u8; COMMAND],
}

/// `TASK_COMM_LEN`.
const COMMAND: usize = 16;

impl Process {
    /// Returns the process of this number in the first namespace, if there is one.
    #[doc(alias = "find_pid_ns")]
    #[doc(alias = "pid_task")]
    pub(crate) fn find(pid: i32) -> Option<Self> {
        let _rcu = rcu::read_lock();
        let first = &raw mut bindings::init_pid_ns;
        // SAFETY: The first namespace is always there, and RCU keeps what is found.
        let pid = unsafe { bindings::find_pid_ns(pid, first) };
        // SAFETY: RCU keeps both; null leads to null.
        let task = unsafe { bindings::pid_task(pid, bindings::pid_type_PIDTYPE_TGID) };
        let task = NonNull::new(task)?.as_ptr();
        // SAFETY: RCU keeps the task. It may be changing its name, byte by byte.
        let command = unsafe {
            (&raw const (*task).comm)
                .cast::<[u8; COMMAND]>()
                .read_volatile()
        };
        // SAFETY: As above. The task may be changing its credentials, as a whole.
        let cred = unsafe { (&raw const (*task).real_cred).read_volatile() };
        // SAFETY: RCU keeps those, too.
        let uid = unsafe { (*cred).euid.val };
        Some(Self { uid, command })
    }

    /// Returns its name, which may be any bytes.
    pub(crate) fn command(&self) -> &[u8] {
        self.command.split(|&byte| byte == 0).next().unwrap_or(&[])
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
