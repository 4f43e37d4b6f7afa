#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds and runs every test; see --help.

. "$(dirname "$0")/lib.sh"
. "$TOP/scripts/packages.sh"
. "$TOP/scripts/toolchain.sh"
. "$TOP/scripts/kernel.sh"
. "$TOP/scripts/programs.sh"
. "$TOP/scripts/vm.sh"

usage() {
	cat <<-EOF
		Usage: make test [VM='uml x86 arm64'] [KERNEL=7.3]

		Builds the module for each virtual machine, boots it and runs in it the
		KUnit suites and the kselftests; runs the tests of the scripts. Ends with
		'N passed, N failed, N skipped', and with status 1 if one failed.

		  uml        User-mode Linux with KASAN on one CPU, 64-bit
		  x86        QEMU x86-64 with lockdep, 64-bit and 32-bit
		  arm64      QEMU arm64 with kmemleak and pages of 4 KiB, 64-bit and 32-bit
		  arm64-16k  QEMU arm64 with KASAN and pages of 16 KiB, 64-bit; only if named

		KERNEL picks a series of Linux; logs are then in out-KERNEL/.

		The first run installs packages (as root) and builds kernels into
		$CACHE, which takes about 20 minutes on 2 idle CPUs; a later
		one about three minutes. Logs are in out/.
	EOF
}

PASSED=0
FAILED=0
SKIPPED=0

# add_totals FILE
add_totals() {
	local passed failed skipped
	read -r passed failed skipped <"$1"
	PASSED=$((PASSED + passed))
	FAILED=$((FAILED + failed))
	SKIPPED=$((SKIPPED + skipped))
}

test_scripts() {
	local test
	mkdir -p "$OUT/scripts"
	for test in "$TOP"/scripts/*_test.sh; do
		echo "## begin ${test##*/}"
		"$test" 2>&1 && echo "## status 0" || echo "## status $?"
	done | report scripts
	add_totals "$OUT/scripts/totals"
}

# build_for VM: the module and the programs that are tested in it.
build_for() {
	SUITES=(kunit 'mask_test, /dev noexec' unload module_test.sh kmemleak)
	step "Building the module for $1" "10 s" "$OUT/$1/module.log" build_module "$1"
	case $1 in
	uml | arm64-16k) build_suites "$1" 64 ;;
	x86 | arm64) build_suites "$1" 64 32 ;;
	esac
	[[ $1 == uml ]] || SUITES+=({mmap,pin,purge,random}_test', huge pages')
}

test_in() {
	local vm=$1
	with_cache prepare_kernel "$vm"
	build_for "$vm"
	make_initramfs "$vm" test "$OUT/$vm/module/rust_ashmem.ko:/rust_ashmem.ko" "${PROGRAMS[@]}" \
		"$TOP/selftests/module_test.sh:/selftests-64/module_test.sh"
	say "Testing in $vm (usually 30 s)"
	run_vm "$vm" || FAILED=$((FAILED + 1))
	add_totals "$OUT/$vm/totals"
	if splats "$vm"; then
		say "$vm: FAILED: the kernel complained, see above and out/$vm/console"
		FAILED=$((FAILED + 1))
	fi
}

VMS=("$@")
(($#)) || VMS=(uml x86 arm64)
for vm in "${VMS[@]}"; do
	case $vm in
	-h | --help) usage && exit ;;
	*) need_test_vm "$vm" ;;
	esac
done

need_machine_packages "${VMS[@]}"
with_cache prepare_toolchain
with_cache prepare_source
with_cache prepare_programs "${VMS[@]}"
test_scripts
for vm in "${VMS[@]}"; do
	test_in "$vm"
done
echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
((FAILED == 0 && PASSED > 0))
