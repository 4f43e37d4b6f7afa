#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The suites in one of the machines with a kernel of ours: 'make test VM=uml'.

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
	# The legs uml and debian test the tools in less time.
	[[ -n ${LONG:-} || $VM == uml ]] || widths=()
	build_tools "$VM" "${widths[@]}"
	[[ $VM == uml ]] || SUITES+=("${HUGE_SUITES[@]}")
}

VM=${1:-}
need_test_vm "$VM"
need "$VM"
prepare "$VM"
build
boot "$VM" "$OUT/$VM/module/rust_ashmem.ko"
conclude
