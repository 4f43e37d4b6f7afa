#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests the module with CONFIG_MODVERSIONS, which gives each symbol a CRC, also Rust's:
# 'make test VM=modversions'.

. "$(dirname "$0")/../lib.sh"

DIR=$OUT/modversions

# other_module: makes DIR/other.ko, with another CRC for the first Rust symbol it needs.
other_module() {
	local number start
	number=$(crcs_in "$DIR/module/rust_ashmem.ko" | awk '$2 ~ /^_R/ && !first { first = NR } END { print first }')
	[[ -n $number ]] || return 1
	start=$(readelf -SW "$DIR/module/rust_ashmem.ko" | sed 's/^ *\[[^]]*\]//' | awk '$1 == "__version_ext_crcs" { print $4 }')
	cp "$DIR/module/rust_ashmem.ko" "$DIR/other.ko"
	printf none | dd of="$DIR/other.ko" bs=1 seek=$((16#$start + 4 * (number - 1))) conv=notrunc status=none
}

# check_crcs: runs metadata-check on both modules, and prints the results.
check_crcs() {
	local said
	echo '## begin metadata-check'
	echo 1..2
	said=$("$TOP/tools/metadata.sh" check "$KDIR" "$DIR/module/rust_ashmem.ko" 2>&1) || printf 'not '
	echo 'ok 1 a module with the CRCs of the kernel is let pass'
	printf '%s\n' "$said"
	said=$("$TOP/tools/metadata.sh" check "$KDIR" "$DIR/other.ko" 2>&1 || true)
	printf '%s\n' "$said"
	[[ $said == *"must not be loaded: 1 of the symbols it needs have other CRCs"*" such as _R"* ]] || printf 'not '
	echo 'ok 2 a module with another CRC is refused'
	echo '## status 0'
}

build() {
	step "Building the module for modversions" "10 s" "$DIR/module.log" build_module modversions
	find_warnings modversions
	step "Building the 64-bit selftests" "10 s" "$(selftests_of modversions 64).log" build_selftests modversions 64
	other_module || die "The module has no CRC of a Rust symbol." "See $DIR/module.log, and CONFIG_MODVERSIONS in $KDIR/.config."
	check_crcs | tee "$DIR/crcs.log" | report modversions
	add_totals modversions
}

boot_modversions() {
	make_initramfs modversions modversions "$DIR/module/rust_ashmem.ko:/rust_ashmem.ko" "$DIR/other.ko:/other.ko" \
		"$(selftests_of modversions 64):/selftests-64"
	SUITES=(load {area,mmap,pin,purge}_test 'another CRC')
	say "Testing in modversions (usually 10 s)"
	count_vm modversions
	tell_tested modversions modversions
}

need modversions
prepare modversions
build
boot_modversions
conclude
