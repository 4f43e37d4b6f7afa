// SPDX-License-Identifier: GPL-2.0

//! The `struct module` of this module, its reference count and its version.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h).

use kernel::bindings;

/// Returns `THIS_MODULE`, which is null in built-in code.
///
/// The kernel crate has it, too, but Linux 7.3 changed its name.
#[cfg(MODULE)]
pub(crate) const fn this_module() -> *mut bindings::module {
    extern "C" {
        // Only the address is used.
        static __this_module: u8;
    }
    (&raw const __this_module).cast_mut().cast()
}

/// Returns null, which is `THIS_MODULE` in built-in code.
#[cfg(not(MODULE))]
pub(crate) const fn this_module() -> *mut bindings::module {
    core::ptr::null_mut()
}

/// Takes a reference to this module. The caller must hold one already.
#[cfg(CONFIG_MODULE_UNLOAD)]
#[doc(alias = "__module_get")]
pub(crate) fn get() {
    // SAFETY: The pointer is null or to this module, to which the caller holds a reference.
    unsafe { bindings::__module_get(this_module()) };
}

/// Does nothing: no module can be unloaded.
#[cfg(not(CONFIG_MODULE_UNLOAD))]
pub(crate) fn get() {}

/// Declares the version of the module, like `MODULE_VERSION()` in C. `modinfo` shows it, and
/// `/sys/module/rust_ashmem/version` once the module is loaded.
///
/// Up to Linux 7.3, `module!` has no key for the version, so this macro emits the
/// `.modinfo` entry in the same form as `module!` does.
macro_rules! version {
    ($version:literal) => {
        const _: () = {
            #[cfg(MODULE)]
            const LINE: &str = concat!("version=", $version, "\0");
            // Built-in modules share one section, so each entry has the module's name as a
            // prefix.
            #[cfg(not(MODULE))]
            const LINE: &str = concat!("rust_ashmem.version=", $version, "\0");

            // Evaluated at compile time, so unwrap() cannot fail at run time.
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static BYTES: [u8; LINE.len()] = *LINE.as_bytes().first_chunk().unwrap();
        };
    };
}
pub(crate) use version;
