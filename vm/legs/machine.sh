#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs the suites in a machine with a kernel that this project builds: 'make test VM=uml'.

. "$(dirname "$0")/../lib.sh"

# build: builds the module, unless it is built into the kernel, and the test programs.
build() {
	local widths=(64 32)
	SUITES=('mask_test, /dev noexec' kmemleak)
	MODULE=
	if [[ $VM != *-builtin ]]; then
		SUITES=(kunit "${MODULE_SUITES[@]}")
		MODULE=$OUT/$VM/module/rust_ashmem.ko
		step "Building the module for $VM" "10 s" "$OUT/$VM/module.log" build_module "$VM"
		find_warnings "$VM"
	fi
	case $VM in
	uml | arm64-16k) widths=(64) ;;
	esac
	build_suites "$VM" "${widths[@]}"
	# Without LONG, only the legs uml and debian test the tools, as they are faster.
	[[ -n ${LONG:-} || $VM == uml ]] || widths=()
	build_tools "$VM" "${widths[@]}"
	# Real-time kernels have no huge pages. With the driver built in, they are not tested.
	[[ $VM == uml || $VM == hard || $VM == *-builtin ]] || SUITES+=("${HUGE_SUITES[@]}")
}

VM=${1:-}
need_test_vm "$VM"
need "$VM"
prepare "$VM"
build
# First, so that the machine's files at the end are those of the main run.
[[ -z $MODULE ]] || ! grep -q '^CONFIG_CFI=y' "$KDIR/.config" || boot_other_type "$VM"
boot "$VM" "$MODULE"
conclude
