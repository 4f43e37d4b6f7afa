// SPDX-License-Identifier: GPL-2.0

//! The device: decodes what user space asks of an [`Area`], and copies.

use kernel::{
    ffi::c_int,
    fs::{
        File,
        Kiocb, //
    },
    iov::IovIterDest,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::virt::VmaNew,
    prelude::*,
    seq_file::{
        seq_print,
        SeqFile, //
    },
    transmute::AsBytes,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

use crate::{
    area::{
        Area,
        State, //
    },
    misc,
    name::Name,
    shmem::Whence,
    task,
    uapi, //
};

impl misc::Device for Area {
    const NAME: &'static CStr = c"ashmem";
    const MODE: u16 = 0o666;

    fn llseek(area: Pin<&Self>, pos: i64, offset: i64, whence: c_int) -> Result<i64> {
        match area.state() {
            State::Empty => Err(EINVAL),
            State::Sized => Err(EBADF),
            State::Mapped(backing) => backing.seek(pos, offset, Whence(whence)),
        }
    }
}

#[vtable]
impl MiscDevice for Area {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _device: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        KBox::pin_init(Area::new(), GFP_KERNEL_ACCOUNT)
    }

    fn mmap(area: Pin<&Self>, _file: &File, vma: &VmaNew) -> Result {
        area.map(vma)
    }

    /// Reads through the device. The mask is not asked, as in the C driver.
    fn read_iter(mut kiocb: Kiocb<'_, Self::Ptr>, to: &mut IovIterDest<'_>) -> Result<usize> {
        match kiocb.file().state() {
            State::Empty => Ok(0),
            State::Sized => Err(EBADF),
            State::Mapped(backing) => backing.read(to, kiocb.ki_pos_mut()),
        }
    }

    fn ioctl(area: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            uapi::SET_NAME => set_name(&area, arg),
            uapi::GET_NAME => get_name(&area, arg),
            uapi::SET_SIZE => area.set_size(arg).map(|()| 0),
            // CAST: Both have the width of a `long`. `vfs_ioctl()` makes an int
            // of it, so that sizes from 2 GiB on look odd and some like errors.
            uapi::GET_SIZE => Ok(area.size() as isize),
            uapi::SET_PROT_MASK => area.narrow_mask(arg, task::read_implies_exec()).map(|()| 0),
            // CAST: At most 7.
            uapi::GET_PROT_MASK => Ok(area.mask().bits() as isize),
            // CAST: An inode number as an `unsigned long`, as it is everywhere.
            uapi::GET_FILE_ID => put_file_id(&area, arg, |number| number as usize),
            _ => Err(ENOTTY),
        }
    }

    /// Translates the numbers that differ for a 32-bit program; its pointers
    /// need no translation where Rust kernels run.
    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(area: Pin<&Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let cmd = match cmd {
            uapi::compat::SET_SIZE => uapi::SET_SIZE,
            uapi::compat::SET_PROT_MASK => uapi::SET_PROT_MASK,
            // CAST: The low bits, which is all that a 32-bit program can take.
            uapi::compat::GET_FILE_ID => {
                return put_file_id(&area, arg, |number| number as u32);
            }
            cmd => cmd,
        };
        Self::ioctl(area, file, cmd, arg)
    }

    fn show_fdinfo(area: Pin<&Self>, m: &SeqFile, _file: &File) {
        let name = area.name();
        if let Some(backing) = area.backing() {
            seq_print!(m, "inode:\t{}\n", backing.inode_number());
        }
        if !name.as_bytes().is_empty() {
            misc::seq_write(m, b"name:\t");
            for piece in name.escaped() {
                misc::seq_write(m, piece);
            }
            misc::seq_write(m, b"\n");
        }
        seq_print!(m, "size:\t{}\n", area.size());
    }
}

/// Copies in a C string, of which 255 bytes count. A bad pointer wins over an
/// area that is mapped.
fn set_name(area: &Area, arg: usize) -> Result<isize> {
    let mut buf = [0; uapi::NAME_LEN];
    let name = user(arg, uapi::NAME_LEN)
        .reader()
        .strcpy_into_buf(&mut buf)?;
    area.set_name(Name::new(name.to_bytes()))?;
    Ok(0)
}

/// Copies out the name and its NUL, and not a byte more.
fn get_name(area: &Area, arg: usize) -> Result<isize> {
    let name = area.name();
    let answer = name.answer();
    user(arg, answer.len()).writer().write_slice(answer)?;
    Ok(0)
}

/// Copies out the number of the memory, once there is any.
fn put_file_id<T: AsBytes>(area: &Area, arg: usize, id: fn(u64) -> T) -> Result<isize> {
    let backing = area.backing().ok_or(EINVAL)?;
    user(arg, size_of::<T>())
        .writer()
        .write(&id(backing.inode_number()))?;
    Ok(0)
}

/// Gives access to `len` bytes at the address `arg` of the caller.
fn user(arg: usize, len: usize) -> UserSlice {
    UserSlice::new(UserPtr::from_addr(arg), len)
}
