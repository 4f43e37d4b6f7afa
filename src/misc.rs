// SPDX-License-Identifier: GPL-2.0

//! Registers a [`MiscDevice`] with a mode and the hooks that the trait lacks.
//!
//! C headers: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h),
//! [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h).

use core::{
    marker::PhantomData,
    ptr, //
};

use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions, //
    },
    module::this_module,
    prelude::*,
    seq_file::SeqFile,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

/// A misc device with the hooks that [`MiscDevice`] lacks.
pub(crate) trait Device: MiscDevice {
    /// The name below `/dev`.
    const NAME: &'static CStr;

    /// The permissions of the node.
    const MODE: u16;

    /// Returns the position that seeking from `pos` leads to.
    fn llseek(
        device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        pos: i64,
        offset: i64,
        whence: c_int,
    ) -> Result<i64>;
}

/// The registration of a [`Device`].
///
/// # Invariants
///
/// `inner` is registered by `misc_register()` from the end of the initialiser
/// until the drop.
#[repr(transparent)]
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: Device> {
    // Pinned and transparent, as `MiscDeviceRegistration` is: `MiscDevice::open`
    // gets this very field as one of those.
    #[pin]
    inner: Opaque<bindings::miscdevice>,
    _device: PhantomData<T>,
}

// SAFETY: `misc_deregister()` may be called from any thread.
unsafe impl<T: Device> Send for Registration<T> {}
// SAFETY: There is no method that takes `&self`.
unsafe impl<T: Device> Sync for Registration<T> {}

impl<T: Device> Registration<T> {
    const OPTIONS: MiscDeviceOptions = MiscDeviceOptions { name: T::NAME };

    /// The trait's operations with our hooks.
    ///
    /// Linux 7.2 leaves their owner empty, so that a module could be unloaded
    /// under its open descriptors.
    const OPERATIONS: bindings::file_operations = bindings::file_operations {
        owner: this_module::<crate::LocalModule>().as_ptr(),
        llseek: Some(Self::llseek),
        // SAFETY: `into_raw()` points to a constant.
        ..unsafe { *Self::OPTIONS.into_raw::<T>().fops }
    };

    /// Registers the device, which from then on can be opened.
    ///
    /// Fails with `EEXIST` if the name is taken, `EBUSY` if there are no more
    /// minor numbers, or `ENOMEM`.
    #[doc(alias = "misc_register")]
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inner <- Opaque::try_ffi_init(|slot: *mut bindings::miscdevice| {
                let device = bindings::miscdevice {
                    fops: &Self::OPERATIONS,
                    mode: T::MODE,
                    ..Self::OPTIONS.into_raw::<T>()
                };
                // SAFETY: The initialiser may write to its slot.
                unsafe { slot.write(device) };
                // SAFETY: The slot is a complete device and stays where it is
                // until `drop` deregisters it.
                // INVARIANT: Only a success initialises `Self`.
                to_result(unsafe { bindings::misc_register(slot) }).inspect_err(|_| {
                    pr_err!("cannot register /dev/{}: has another driver that name?\n", T::NAME)
                })
            }),
            _device: PhantomData,
        })
    }

    /// `llseek` of the device's files.
    ///
    /// # Safety
    ///
    /// `file` is a file of this device, in a call of its `llseek`.
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        // SAFETY: The file is valid by the caller's promise.
        let private = unsafe { (*file).private_data };
        // SAFETY: `open` set it by `into_foreign()`, and it is taken back only
        // by `release`, which comes after every other call.
        let device = unsafe { <T::Ptr as ForeignOwnable>::borrow(private) };
        // SAFETY: As above. No lock guards the position of a character device;
        // being volatile, the access is a single one, as in `READ_ONCE()`.
        let pos = unsafe { ptr::read_volatile(&raw const (*file).f_pos) };

        match T::llseek(device, pos, offset, whence) {
            Ok(pos) => {
                // SAFETY: As for the read.
                unsafe { ptr::write_volatile(&raw mut (*file).f_pos, pos) };
                pos
            }
            Err(err) => err.to_errno().into(),
        }
    }
}

#[pinned_drop]
impl<T: Device> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The device is registered by the invariant.
        unsafe { bindings::misc_deregister(self.inner.get()) };
    }
}

/// Writes bytes that need not be UTF-8, as `seq_print!` cannot.
pub(crate) fn seq_write(m: &SeqFile, bytes: &[u8]) {
    // CAST: `SeqFile` is a transparent wrapper around the C type.
    let m = ptr::from_ref(m).cast_mut().cast::<bindings::seq_file>();
    // SAFETY: `m` is valid and this thread's alone, as every `SeqFile` is. What
    // does not fit sets a flag in `m`, for which the core tries again.
    unsafe { bindings::seq_write(m, bytes.as_ptr().cast(), bytes.len()) };
}
