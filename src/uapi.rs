// SPDX-License-Identifier: GPL-2.0

//! The constants of the ashmem ABI.
//!
//! C header: `include/uapi/linux/ashmem.h`.

use kernel::{
    ioctl::{
        _IO,
        _IOR,
        _IOW, //
    },
    prelude::*,
};

/// The size of a name buffer in bytes, including the NUL.
pub(crate) const NAME_LEN: usize = 256;

/// Result of `ASHMEM_PIN`: the contents of the pages are unchanged.
pub(crate) const NOT_PURGED: isize = 0;
/// Result of `ASHMEM_PIN`: some of the pages may have been purged, and read as zeros.
pub(crate) const WAS_PURGED: isize = 1;

/// Result of `ASHMEM_GET_PIN_STATUS`: at least one of the pages is unpinned.
pub(crate) const IS_UNPINNED: isize = 0;
/// Result of `ASHMEM_GET_PIN_STATUS`: all of the pages are pinned.
pub(crate) const IS_PINNED: isize = 1;

/// Pages may be read.
pub(crate) const PROT_READ: usize = 0x1;
/// Pages may be written.
pub(crate) const PROT_WRITE: usize = 0x2;
/// Pages may be executed.
pub(crate) const PROT_EXEC: usize = 0x4;

/// `struct ashmem_pin`: an offset and a length, in bytes.
pub(crate) type Pin = [u32; 2];

const TYPE: u32 = 0x77;

pub(crate) const SET_NAME: u32 = _IOW::<[u8; NAME_LEN]>(TYPE, 1);
pub(crate) const GET_NAME: u32 = _IOR::<[u8; NAME_LEN]>(TYPE, 2);
pub(crate) const SET_SIZE: u32 = _IOW::<usize>(TYPE, 3);
pub(crate) const GET_SIZE: u32 = _IO(TYPE, 4);
pub(crate) const SET_PROT_MASK: u32 = _IOW::<usize>(TYPE, 5);
pub(crate) const GET_PROT_MASK: u32 = _IO(TYPE, 6);
pub(crate) const PIN: u32 = _IOW::<Pin>(TYPE, 7);
pub(crate) const UNPIN: u32 = _IOW::<Pin>(TYPE, 8);
/// Takes a pointer to a [`Pin`], although its number does not encode it.
pub(crate) const GET_PIN_STATUS: u32 = _IO(TYPE, 9);
pub(crate) const PURGE_ALL_CACHES: u32 = _IO(TYPE, 10);
pub(crate) const GET_FILE_ID: u32 = _IOR::<usize>(TYPE, 11);

static_assert!(SET_NAME == 0x4100_7701);
static_assert!(GET_NAME == 0x8100_7702);
static_assert!(SET_SIZE == 0x4008_7703);
static_assert!(GET_SIZE == 0x0000_7704);
static_assert!(SET_PROT_MASK == 0x4008_7705);
static_assert!(GET_PROT_MASK == 0x0000_7706);
static_assert!(PIN == 0x4008_7707);
static_assert!(UNPIN == 0x4008_7708);
static_assert!(GET_PIN_STATUS == 0x0000_7709);
static_assert!(PURGE_ALL_CACHES == 0x0000_770a);
static_assert!(GET_FILE_ID == 0x8008_770b);

/// The ioctl numbers that differ in 32-bit processes, because they encode the size of a
/// `size_t` or a `long`.
#[cfg(CONFIG_COMPAT)]
pub(crate) mod compat {
    use super::*;

    pub(crate) const SET_SIZE: u32 = _IOW::<u32>(TYPE, 3);
    pub(crate) const SET_PROT_MASK: u32 = _IOW::<u32>(TYPE, 5);
    pub(crate) const GET_FILE_ID: u32 = _IOR::<u32>(TYPE, 11);

    static_assert!(SET_SIZE == 0x4004_7703);
    static_assert!(SET_PROT_MASK == 0x4004_7705);
    static_assert!(GET_FILE_ID == 0x8004_770b);
}
