// SPDX-License-Identifier: GPL-2.0

//! A directory in debugfs, whose files keep this module while they are open.
//!
//! The files of the kernel crate's own `debugfs` do not, neither in 7.2 nor in 7.3: they have
//! no owner, and closing one after the module was unloaded would call what is gone.
//!
//! C headers: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h),
//! [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h).

use core::ptr;

use kernel::{
    bindings,
    error::from_result,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    seq_file::SeqFile,
    sync::Arc, //
};

use crate::{
    misc,
    module,
    task, //
};

#[cfg(CONFIG_DEBUG_FS)]
use bindings::{
    debugfs_create_dir,
    debugfs_create_file_full,
    debugfs_remove, //
};
#[cfg(not(CONFIG_DEBUG_FS))]
use none::{
    debugfs_create_dir,
    debugfs_create_file_full,
    debugfs_remove, //
};

/// What a kernel without debugfs has in its place, inline in C.
#[cfg(not(CONFIG_DEBUG_FS))]
#[allow(clippy::missing_safety_doc, reason = "they do nothing")]
mod none {
    use super::*;
    use kernel::ffi::c_char;

    pub(super) unsafe fn debugfs_create_dir(
        _name: *const c_char,
        _parent: *mut bindings::dentry,
    ) -> *mut bindings::dentry {
        ptr::null_mut()
    }

    pub(super) unsafe fn debugfs_create_file_full(
        _name: *const c_char,
        _mode: bindings::umode_t,
        _parent: *mut bindings::dentry,
        _data: *mut c_void,
        _aux: *const c_void,
        _operations: *const bindings::file_operations,
    ) -> *mut bindings::dentry {
        ptr::null_mut()
    }

    pub(super) unsafe fn debugfs_remove(_entry: *mut bindings::dentry) {}
}

/// What a file has that shows a line for each of many entries, by their numbers.
///
/// They may come and go while the file is read: no lock is held from line to line.
pub(crate) trait Lines: Send + Sync {
    /// The first line.
    const HEADING: &'static CStr;

    /// Returns the greatest number that there is now. Where the file ends is asked when
    /// reading begins.
    fn last(&self) -> usize;

    /// Returns the first number from this one on, which is at least 1.
    fn first_from(&self, number: usize) -> Option<usize>;

    /// Prints the line of a number; returns whether it was still there.
    fn print(&self, number: usize, m: &SeqFile) -> bool;
}

/// What a file has that is printed at once.
pub(crate) trait Text: Send + Sync {
    /// Prints it.
    fn print(&self, m: &SeqFile) -> Result;
}

/// A directory, until this is dropped.
///
/// # Invariants
///
/// - `entry` is what `debugfs_create_dir()` returned, and nobody else removes it.
/// - The private data of each file in it is `shown`.
pub(crate) struct Dir<T> {
    entry: *mut bindings::dentry,
    shown: Arc<T>,
}

// SAFETY: debugfs may be called from any thread; `Arc<T>` asks for these.
unsafe impl<T: Send + Sync> Send for Dir<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Dir<T> {}

impl<T> Dir<T> {
    /// Makes a directory for files that show `shown`. If it cannot be made there will be no
    /// files, which is no error: nothing may rely on debugfs.
    #[doc(alias = "debugfs_create_dir")]
    pub(crate) fn new(name: &CStr, shown: Arc<T>) -> Self {
        // INVARIANT: Nobody else has what the call returns, and no file is in it yet.
        Self {
            // SAFETY: The name is a string; no parent is the root.
            entry: unsafe { debugfs_create_dir(name.as_char_ptr(), ptr::null_mut()) },
            shown,
        }
    }

    /// Adds a file for root to read.
    ///
    /// Of the ways to make a file this is the one that every kernel since 6.18 exports, that
    /// takes the owner's reference at open, and that has the removal wait for who is reading.
    ///
    /// # Safety
    ///
    /// `operations` are for files whose inode has a `T` as private data.
    unsafe fn add(&self, name: &CStr, operations: &'static bindings::file_operations) {
        // SAFETY: The name is a string, and the directory or an error is fine as a parent.
        // The private data lives as long as `self`, which removes the file first.
        // INVARIANT: It is `shown`.
        unsafe {
            debugfs_create_file_full(
                name.as_char_ptr(),
                0o400,
                self.entry,
                ptr::from_ref(&*self.shown).cast_mut().cast(),
                ptr::null(),
                operations,
            )
        };
    }
}

impl<T> Drop for Dir<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariant. An error is fine, too. Who reads a file is waited for, so
        // that `shown` can go. The rest of an open file needs the module only, and keeps it.
        unsafe { debugfs_remove(self.entry) };
    }
}

impl<T: Lines> Dir<T> {
    const LINES: bindings::file_operations = bindings::file_operations {
        owner: module::this_module(),
        open: Some(Self::open_lines),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::seq_release),
        ..pin_init::zeroed()
    };

    const SEQUENCE: bindings::seq_operations = bindings::seq_operations {
        start: Some(Self::start),
        next: Some(Self::next),
        stop: Some(Self::stop),
        show: Some(Self::show_line),
    };

    /// Adds a file of lines.
    pub(crate) fn lines(self, name: &CStr) -> Self {
        // SAFETY: These take the private data of the inode for a `T`, in `shown()`.
        unsafe { self.add(name, &Self::LINES) };
        self
    }

    /// `open` of a file of lines.
    ///
    /// # Safety
    ///
    /// Called by the core.
    unsafe extern "C" fn open_lines(
        _inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: The file is being opened; the operations are a constant.
        unsafe { bindings::seq_open(file, &Self::SEQUENCE) }
    }

    /// Returns what a file of lines shows.
    ///
    /// # Safety
    ///
    /// `m` is of such a file, in a call that the removal of the file waits for.
    unsafe fn shown<'a>(m: *mut bindings::seq_file) -> &'a T {
        // SAFETY: By the caller's promise. The private data of the inode is a `T` that lives
        // until the file was removed.
        unsafe { &*(*(*(*m).file).f_inode).i_private.cast::<T>() }
    }

    /// Moves on to the first line that is at a position or after it; null is the end.
    ///
    /// # Safety
    ///
    /// As for [`Self::shown()`]; `pos` is a position.
    unsafe fn seek(m: *mut bindings::seq_file, pos: *mut bindings::loff_t) -> *mut c_void {
        // SAFETY: By the caller's promise. `start()` has set the private data.
        let (shown, last) = unsafe { (Self::shown(m), (*m).private.addr()) };
        // SAFETY: By the caller's promise. CAST: It was 0 or a number.
        let found = shown.first_from(unsafe { *pos } as usize);
        match found.filter(|&number| number <= last) {
            None => ptr::null_mut(),
            Some(number) => {
                // SAFETY: By the caller's promise. CAST: Nobody counts so far.
                unsafe { *pos = number as bindings::loff_t };
                ptr::without_provenance_mut(number + 1)
            }
        }
    }

    /// `start` of a file of lines. A line's position is its number, that of the heading 0;
    /// what stands for a line here is one more.
    ///
    /// # Safety
    ///
    /// Called by the core while a file of lines is read or its position changed; `pos` is a
    /// position.
    unsafe extern "C" fn start(
        m: *mut bindings::seq_file,
        pos: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: By the caller's promise.
        if unsafe { *pos } != 0 {
            // SAFETY: By the caller's promise.
            return unsafe { Self::seek(m, pos) };
        }
        // Every walk begins here.
        // SAFETY: By the caller's promise. Nobody else uses this field.
        unsafe { (*m).private = ptr::without_provenance_mut(Self::shown(m).last()) };
        ptr::without_provenance_mut(1)
    }

    /// `next` of a file of lines.
    ///
    /// # Safety
    ///
    /// As for [`Self::start()`].
    unsafe extern "C" fn next(
        m: *mut bindings::seq_file,
        _line: *mut c_void,
        pos: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: By the caller's promise. OVERFLOW: Nobody counts so far.
        unsafe { *pos += 1 };
        // SAFETY: By the caller's promise.
        unsafe { Self::seek(m, pos) }
    }

    /// `stop` of a file of lines: nothing is held.
    extern "C" fn stop(_m: *mut bindings::seq_file, _line: *mut c_void) {}

    /// `show` of a file of lines.
    ///
    /// # Safety
    ///
    /// As for [`Self::start()`]; `line` is what that or `next` returned, and not null.
    unsafe extern "C" fn show_line(m: *mut bindings::seq_file, line: *mut c_void) -> c_int {
        /// `SEQ_SKIP`.
        const SKIP: c_int = 1;

        // Seeking walks over all lines before.
        if task::was_killed() {
            return EINTR.to_errno();
        }
        // SAFETY: By the caller's promise.
        let shown = unsafe { Self::shown(m) };
        // SAFETY: It is this thread's for the time of the call.
        let file = unsafe { SeqFile::from_raw(m) };
        match line.addr() - 1 {
            0 => {
                misc::seq_write(file, T::HEADING.to_bytes());
                0
            }
            number if shown.print(number, file) => 0,
            _ => SKIP,
        }
    }
}

impl<T: Text> Dir<T> {
    const TEXT: bindings::file_operations = bindings::file_operations {
        owner: module::this_module(),
        open: Some(Self::open_text),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::single_release),
        ..pin_init::zeroed()
    };

    /// Adds a file of text.
    pub(crate) fn text(self, name: &CStr) -> Self {
        // SAFETY: These take the private data of the inode for a `T`, in `show_text()`.
        unsafe { self.add(name, &Self::TEXT) };
        self
    }

    /// `open` of a file of text.
    ///
    /// # Safety
    ///
    /// Called by the core for a file whose inode has a `T` as private data.
    unsafe extern "C" fn open_text(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: The file is being opened. `show_text()` gets the private data.
        unsafe { bindings::single_open(file, Some(Self::show_text), (*inode).i_private) }
    }

    /// Prints the text.
    ///
    /// # Safety
    ///
    /// Called by the core while a file of text is read, which its removal waits for.
    unsafe extern "C" fn show_text(m: *mut bindings::seq_file, _: *mut c_void) -> c_int {
        // SAFETY: `open_text()` set it, and it lives until the file was removed.
        let shown = unsafe { &*(*m).private.cast::<T>() };
        // SAFETY: It is this thread's for the time of the call.
        let file = unsafe { SeqFile::from_raw(m) };
        from_result(|| shown.print(file).map(|()| 0))
    }
}
