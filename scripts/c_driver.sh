# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The C driver, with the last kernel of Debian that carried it. To be sourced after
# lib.sh and packages.sh.

# prepare_driver: sets KERNEL, DRIVER, the C driver's module for it, and MODULES, those
# that zram takes, for make_initramfs; unless the archive has none.
prepare_driver() {
	local package
	! cached_driver || return 0
	need_space 1
	in_bullseye open_archive
	package=$(in_bullseye archive apt-cache search --names-only '^linux-image-5\.10\.[0-9]+-[0-9]+-amd64$' |
		awk '{ print $1 }' | sort -V | tail -n 1)
	[[ -n $package ]] || return 0
	step "Fetching $package" "20 s" "$CACHE/log/oracle" in_bullseye fetch_driver "$package"
	cached_driver
}

# cached_driver: takes the newest that is in the cache.
cached_driver() {
	local dir module
	dir=$(find "$CACHE/oracle" -mindepth 1 -maxdepth 1 2>/dev/null | sort -V | tail -n 1)
	# Earlier ones came without zram.
	[[ -n $dir && -e $dir/modules ]] || return 1
	KERNEL=$dir/vmlinuz
	DRIVER=$dir/ashmem_linux.ko
	MODULES=()
	for module in "$dir"/modules/*; do
		MODULES+=("$module:/modules/${module##*/}")
	done
	say "C driver: ashmem_linux.ko of Debian's Linux ${dir##*/}"
}

fetch_driver() {
	local package=$1 tmp=$CACHE/tmp/oracle version number=0 module
	rm -rf "$tmp"
	version=$(archive apt-cache show --no-all-versions "$package" | awk '$1 == "Version:" { print $2 }')
	fetch "$package=$version" "$tmp" || return 1
	mkdir -p "$tmp/whole/modules" "$CACHE/oracle"
	cp "$tmp"/boot/vmlinuz-* "$tmp/whole/vmlinuz" || return 1
	# It depends on no other module.
	cp "$tmp"/lib/modules/*/kernel/drivers/staging/android/ashmem_linux.ko "$tmp/whole" || return 1
	# In the order in which they must be loaded.
	for module in zsmalloc lzo lzo-rle zram; do
		number=$((number + 1))
		find "$tmp"/lib/modules -name "$module.ko" -exec cp {} "$tmp/whole/modules/$number-$module.ko" \; || return 1
	done
	rm -rf "$CACHE/oracle/$version"
	# The move is what makes it whole.
	mv "$tmp/whole" "$CACHE/oracle/$version" || return 1
	rm -rf "$tmp"
}
