#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs the suites of reclaim on a machine with two NUMA nodes, with MGLRU:
# 'make test VM=x86-nodes'.

. "$(dirname "$0")/../lib.sh"

# build: builds the module and the programs.
build() {
	step "Building the module for x86" "10 s" "$OUT/x86/module.log" build_module x86
	step "Building the 64-bit selftests" "10 s" "$(selftests_of x86 64).log" build_selftests x86 64
	SUITES=({order,cgroup,pressure,purge_race,stranger,torture}_test', two nodes, MGLRU')
}

# boot_nodes: boots the machine with the kernel of x86.
boot_nodes() {
	make_initramfs x86-nodes nodes "$OUT/x86/module/rust_ashmem.ko:/rust_ashmem.ko" \
		"$(selftests_of x86 64):/selftests-64"
	say "Testing in x86-nodes (usually 1 to 2 min)"
	count_vm x86-nodes
	tell_tested x86-nodes x86
}

need x86
prepare x86
build
boot_nodes
conclude
