#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The suites in one of the machines with a kernel of ours: 'make test VM=uml'.

. "$(dirname "$0")/../lib.sh"

# build: the module, unless the kernel has it built in, and the programs that are tested
# with it.
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
	# The legs uml and debian test the tools in less time.
	[[ -n ${LONG:-} || $VM == uml ]] || widths=()
	build_tools "$VM" "${widths[@]}"
	# One for real time has no huge pages, and none are tried if the driver is built in.
	[[ $VM == uml || $VM == hard || $VM == *-builtin ]] || SUITES+=("${HUGE_SUITES[@]}")
}

VM=${1:-}
need_test_vm "$VM"
need "$VM"
prepare "$VM"
build
# First, so that what is found of the machine afterwards is that of all other tests.
[[ -z $MODULE ]] || ! grep -q '^CONFIG_CFI=y' "$KDIR/.config" || boot_other_type "$VM"
boot "$VM" "$MODULE"
conclude
