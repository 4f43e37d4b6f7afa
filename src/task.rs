// SPDX-License-Identifier: GPL-2.0

//! Queries about the current task, and about other processes by their ID.
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

/// `READ_IMPLIES_EXEC`, which `bindings` does not have in every configuration.
const READ_IMPLIES_EXEC: c_uint = 0x0040_0000;

/// Returns whether the personality of the current task makes readable memory executable.
pub(crate) fn read_implies_exec() -> bool {
    // SAFETY: `current` is the running task, and only the task itself changes its personality.
    let personality = unsafe { (*current!().as_ptr()).personality };
    personality & READ_IMPLIES_EXEC != 0
}

/// Returns whether the current task has `CAP_SYS_ADMIN` in the initial user namespace.
#[doc(alias = "capable")]
pub(crate) fn may_administer() -> bool {
    // SAFETY: The capability exists, and this runs in process context. CAST: A small number.
    unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as c_int) }
}

/// Returns whether the current task has `CAP_SYS_RESOURCE` in the initial user namespace, which
/// exempts it from limits. Not audited: being subject to a limit is no denial.
#[doc(alias = "ns_capable_noaudit")]
pub(crate) fn may_exceed_limits() -> bool {
    // `capable_noaudit()` is not exported before Linux 7.2.
    let first = &raw mut bindings::init_user_ns;
    // SAFETY: The capability exists, and so does the initial user namespace, always. CAST: A
    // small number.
    unsafe { bindings::ns_capable_noaudit(first, bindings::CAP_SYS_RESOURCE as c_int) }
}

/// Returns the user to whom resources of the current task are charged, as a UID in the initial
/// user namespace.
///
/// In a user namespace of its own, a process can have many UIDs. So a task in a user namespace
/// counts as the user who created the outermost one below the initial namespace. If that is
/// root, who creates namespaces for others, the task counts as its own effective UID.
pub(crate) fn user() -> u32 {
    // SAFETY: `current` is the running task, and only the task itself changes its credentials.
    let cred = unsafe { (*current!().as_ptr()).cred };
    // SAFETY: Credentials always have a user namespace.
    let (mut user, mut namespace) = unsafe { ((*cred).euid.val, (*cred).user_ns) };
    let own = user;
    // SAFETY: A namespace keeps its parent. Only the initial one has none.
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

/// Returns the ID of the current thread, in the initial PID namespace.
pub(crate) fn pid() -> i32 {
    // SAFETY: `current` is the running task, and only the task itself changes its ID.
    unsafe { (*current!().as_ptr()).pid }
}

/// Returns the thread group ID of the current process, in the initial PID namespace.
pub(crate) fn tgid() -> i32 {
    // SAFETY: `current` is the running task, and this field never changes.
    unsafe { (*current!().as_ptr()).tgid }
}

/// Information about a process.
pub(crate) struct Process {
    /// The effective UID, in the initial user namespace.
    pub(crate) uid: u32,
    /// The command name, up to the first NUL.
    command: [u8; COMMAND],
}

/// `TASK_COMM_LEN`.
const COMMAND: usize = 16;

impl Process {
    /// Returns information about the process with this ID in the initial PID namespace, if
    /// there is one. Does not sleep.
    #[doc(alias = "find_pid_ns")]
    #[doc(alias = "pid_task")]
    pub(crate) fn find(pid: i32) -> Option<Self> {
        let _rcu = rcu::read_lock();
        let first = &raw mut bindings::init_pid_ns;
        // SAFETY: The initial namespace always exists, and RCU keeps the `struct pid` from
        // being freed.
        let pid = unsafe { bindings::find_pid_ns(pid, first) };
        // SAFETY: RCU keeps the `struct pid` and the task from being freed. For null, null is
        // returned.
        let task = unsafe { bindings::pid_task(pid, bindings::pid_type_PIDTYPE_TGID) };
        let task = NonNull::new(task)?.as_ptr();
        // SAFETY: RCU keeps the task from being freed. It may be changing its name, byte by
        // byte.
        let command = unsafe {
            (&raw const (*task).comm)
                .cast::<[u8; COMMAND]>()
                .read_volatile()
        };
        // SAFETY: As above. The task may be replacing its credentials; the pointer changes in
        // one access.
        let cred = unsafe { (&raw const (*task).real_cred).read_volatile() };
        // SAFETY: RCU keeps the credentials from being freed, too.
        let uid = unsafe { (*cred).euid.val };
        Some(Self { uid, command })
    }

    /// Returns the command name, which may consist of any bytes.
    pub(crate) fn command(&self) -> &[u8] {
        self.command.split(|&byte| byte == 0).next().unwrap_or(&[])
    }
}

/// Returns whether none of the current task's allocations may enter file systems.
#[doc(alias = "memalloc_nofs_save")]
pub(crate) fn has_nofs_scope() -> bool {
    const NOFS: c_uint = bindings::PF_MEMALLOC_NOFS | bindings::PF_MEMALLOC_NOIO;

    // SAFETY: `current` is the running task, and only the task itself changes its flags.
    unsafe { (*current!().as_ptr()).flags & NOFS != 0 }
}

/// Returns whether the current task was killed, so that nobody will see the result of its
/// system call.
#[doc(alias = "fatal_signal_pending")]
pub(crate) fn was_killed() -> bool {
    const SIGKILL: c_ulong = 1 << (bindings::SIGKILL - 1);

    if !current!().signal_pending() {
        return false;
    }
    // SAFETY: `current` is the running task.
    let pending = unsafe { &raw const (*current!().as_ptr()).pending.signal.sig[0] };
    // SAFETY: As above. Others may change the word, in one access.
    let pending = unsafe { pending.read_volatile() };
    pending & SIGKILL != 0
}
