# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The C driver, with the last kernel of Debian that had it.

# prepare_driver: sets KERNEL, DRIVER (the C driver's module for it) and MODULES (those for
# zram, for make_initramfs), unless the archive no longer has that kernel.
prepare_driver() {
	local package version
	! cached_driver || return 0
	need_space 1
	in_bullseye open_archive
	package=$(in_bullseye archive apt-cache search --names-only '^linux-image-5\.10\.[0-9]+-[0-9]+-amd64$' |
		awk '{ print $1 }' | sort -V | tail -n 1)
	[[ -n $package ]] || return 0
	version=$(in_bullseye archive apt-cache show --no-all-versions "$package" | awk '$1 == "Version:" { print $2 }')
	step "Fetching $package" "20 s" "$CACHE/log/oracle" \
		fill "$CACHE/oracle/$version" in_bullseye fetch_driver "$package" "$version"
	cached_driver
}

# cached_driver: uses the newest driver in the cache.
cached_driver() {
	local dir module
	dir=$(find "$CACHE/oracle" -mindepth 1 -maxdepth 1 2>/dev/null | sort -V | tail -n 1)
	# Older caches lack zram.
	[[ -n $dir && -e $dir/modules ]] || return 1
	KERNEL=$dir/vmlinuz
	DRIVER=$dir/ashmem_linux.ko
	MODULES=()
	for module in "$dir"/modules/*; do
		MODULES+=("$module:/modules/${module##*/}")
	done
	say "C driver: ashmem_linux.ko of Debian's Linux ${dir##*/}"
}

# fetch_driver PACKAGE VERSION DIRECTORY
fetch_driver() {
	local package=$1 version=$2 to=$3 tmp=$CACHE/tmp/kernel-package number=0 module
	rm -rf "$tmp"
	fetch "$package=$version" "$tmp" || return 1
	mkdir "$to/modules"
	cp "$tmp"/boot/vmlinuz-* "$to/vmlinuz" || return 1
	# The driver depends on no other module.
	cp "$tmp"/lib/modules/*/kernel/drivers/staging/android/ashmem_linux.ko "$to" || return 1
	# In the order in which they must be loaded.
	for module in zsmalloc lzo lzo-rle zram; do
		number=$((number + 1))
		find "$tmp"/lib/modules -name "$module.ko" -exec cp {} "$to/modules/$number-$module.ko" \; || return 1
	done
	rm -rf "$tmp"
}
