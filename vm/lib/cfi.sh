# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Tests that a kernel with CONFIG_CFI really stops an indirect call to a function of another
# type. To be sourced.

# mark_other_type MODULE FILE: copies the module to FILE, and changes the type hash of
# read_iter(), which is in the four bytes before a function.
mark_other_type() {
	local section address start
	read -r address section < <(readelf -sW "$1" | awk '$4 == "FUNC" && $8 ~ /^_R.*MiscdeviceVTable.*9read_iter/ { print $2, $7 }') || return 1
	start=$(readelf -SW "$1" | sed 's/^ *\[ *\([0-9]*\)\]/\1/' | awk -v section="$section" '$1 == section { print $5 }')
	cp "$1" "$2"
	printf none | dd of="$2" bs=1 seek=$((16#$start + 16#$address - 4)) conv=notrunc status=none
}

# boot_other_type VM: calls that function in the machine, and adds the result of whether the
# kernel stops it.
boot_other_type() {
	local vm=$1 other=$OUT/$1/other.ko suites=("${SUITES[@]}") GUEST_WORDS=kunit.enable=0
	mark_other_type "$OUT/$vm/module/rust_ashmem.ko" "$other" ||
		die "The module has no read_iter() to mark." "See mark_other_type in vm/lib/cfi.sh."
	SUITES=(cfi)
	make_initramfs "$vm" cfi "$other:/other.ko"
	say "Testing in $vm whether CFI is enforced (usually 10 s)"
	run_vm "$vm" || failed "$vm" "it did not run to its end"
	add_totals "$vm"
	SUITES=("${suites[@]}")
}
