#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests that only src/compat depends on the release of Linux, and that the oldest supported
# release is the same everywhere.

. "$(dirname "$0")/../../tools/lib.sh"
. "$TOP/tools/test/ktap.sh"

# Patterns of version checks: in C, in Rust, in Kbuild.
SWITCH='LINUX_VERSION_CODE|KERNEL_VERSION|UTS_RELEASE|CONFIG_RUSTC_VERSION|\bbefore_[0-9]|\$\((VERSION|PATCHLEVEL|KERNELVERSION)\)'

# no_switch DIRECTORY: whether the driver has no version checks outside src/compat.
no_switch() {
	! grep -rnE --exclude-dir=compat -e "$SWITCH" "$1"/{src,include,rust_ashmem.rs,Kbuild,Kconfig} >"$TMP/said"
}

# switched LINE: whether a version check in this line of the driver is found.
switched() {
	rm -rf "$TMP/copy"
	mkdir "$TMP/copy"
	cp -r "$TOP"/{src,include,rust_ashmem.rs,Kbuild,Kconfig} "$TMP/copy"
	echo "$1" >>"$TMP/copy/src/lru.rs"
	! no_switch "$TMP/copy" && [[ $(wc -l <"$TMP/said") == 1 ]]
}

# compat_is_asked FILE: whether the version checks of src/compat are found.
compat_is_asked() {
	grep -qE -e "$SWITCH" "$TOP/src/compat/$1"
}

# tells_floor: whether the oldest kernel is that of tools/lib/kernels.sh in all files.
tells_floor() {
	local file wrong=0
	for file in \
		"README.md any before $OLDEST_KERNEL," \
		"docs/install.md Linux $OLDEST_KERNEL or later with" \
		"docs/install.md Kernels before $OLDEST_KERNEL or" \
		"docs/emulator.md Linux $OLDEST_KERNEL or later" \
		"docs/cuttlefish.md Linux $OLDEST_KERNEL or later" \
		"docs/halium.md Linux $OLDEST_KERNEL or later" \
		"docs/troubleshooting.md $OLDEST_KERNEL are skipped" \
		"src/compat/Kbuild ashmem-lacks-$OLDEST_KERNEL := " \
		"src/compat/Kbuild needs $OLDEST_KERNEL or later" \
		'dkms.conf BUILD_EXCLUSIVE_KERNEL_MIN="#OLDEST_KERNEL#"' \
		'debian/control ${oldest:Kernel}'; do
		grep -qF -e "${file#* }" "$TOP/${file%% *}" || { echo "$file" && wrong=1; }
	done >"$TMP/said"
	return $wrong
}

# other_floor: whether a different oldest kernel is found.
other_floor() {
	local OLDEST_KERNEL=6.19
	! tells_floor && [[ $(wc -l <"$TMP/said") -ge 8 ]]
}

echo "1..9"
result "only src/compat has version checks" no_switch "$TOP"
result "src/compat has version checks in Rust" compat_is_asked kernel.rs
result "src/compat has version checks in Kbuild" compat_is_asked Kbuild
result "a version check in Rust elsewhere is found" switched '#[cfg(not(before_7_1))]'
result "a check of the compiler's version elsewhere is found" switched '#[cfg(CONFIG_RUSTC_VERSION = "108500")]'
result "a version check in C elsewhere is found" switched '#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)'
result "a version check in Kbuild elsewhere is found" switched 'ifeq ($(VERSION).$(PATCHLEVEL),7.1)'
result "the oldest kernel is the same in all files" tells_floor
result "a different oldest kernel is found" other_floor
exit $BAD
