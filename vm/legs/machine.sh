#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# All suites in one of the machines with a kernel of ours: 'make test VM=uml'.

. "$(dirname "$0")/../lib.sh"

# build: the module and the programs that are tested with it.
build() {
	local widths=(64 32)
	SUITES=(kunit "${MODULE_SUITES[@]}")
	step "Building the module for $VM" "10 s" "$OUT/$VM/module.log" build_module "$VM"
	find_warnings "$VM"
	case $VM in
	uml | arm64-16k) widths=(64) ;;
	esac
	build_suites "$VM" "${widths[@]}"
	build_tools "$VM" "${widths[@]}"
	[[ $VM == uml ]] || SUITES+=("${HUGE_SUITES[@]}")
}

# boot_nodes: tests reclaim again on x86, where memory is in two nodes and MGLRU finds
# what to reclaim.
boot_nodes() {
	SUITES=({order,cgroup,pressure,purge_race,stranger,torture}_test', two nodes, MGLRU')
	make_initramfs x86-nodes nodes "$OUT/x86/module/rust_ashmem.ko:/rust_ashmem.ko" \
		"$(selftests_of x86 64):/selftests-64"
	say "Testing in x86-nodes (usually 1 to 2 min)"
	count_vm x86-nodes
}

VM=${1:-}
need_test_vm "$VM"
need "$VM"
prepare "$VM"
build
boot "$VM" "$OUT/$VM/module/rust_ashmem.ko"
[[ $VM != x86 ]] || boot_nodes
conclude
