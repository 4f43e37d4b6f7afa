#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds and runs every test; see --help.

. "$(dirname "$0")/lib.sh"
. "$TOP/scripts/packages.sh"
. "$TOP/scripts/toolchain.sh"
. "$TOP/scripts/kernel.sh"
. "$TOP/scripts/vm.sh"

usage() {
	cat <<-EOF
		Usage: make test [VM='uml x86']

		Builds the module for each virtual machine, boots it and runs in it the
		KUnit suites and the kselftests; runs the tests of the scripts. Ends with
		'N passed, N failed, N skipped', and with status 1 if one failed.

		  uml  User-mode Linux with KASAN and kmemleak, 64-bit
		  x86  QEMU x86-64 with lockdep, 64-bit and 32-bit

		The first run installs packages (as root) and builds kernels into
		$CACHE, which takes about 15 minutes on 2 CPUs; a later one
		about a minute. Logs are in out/.
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

# report LEG [SUITE...]: reads results and prints what they come to; all of those
# suites must have run.
report() {
	local leg=$1
	shift
	awk -v leg="$leg" -v totals="$OUT/$leg/totals" -v expected="$(printf '%s\n' "$@")" \
		-f "$TOP/scripts/report.awk"
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

# expect BITS: adds the programs of that word size to those that must run.
expect() {
	local source
	for source in "$TOP"/selftests/*_test.c; do
		SUITES+=("$(basename "$source" .c) ($1-bit)")
	done
}

# build_for VM: the module and the programs that are tested in it.
build_for() {
	SUITES=(kunit 'mask_test, /dev noexec' unload module_test.sh kmemleak)
	step "Building the module for $1" "10 s" "$OUT/$1/module.log" build_module "$1"
	step "Building the selftests" "10 s" "$OUT/selftests-64.log" build_selftests 64
	PROGRAMS=("$OUT/selftests-64:/selftests-64")
	expect 64
	if [[ $1 == x86 ]]; then
		need_packages qemu-system-x86 gcc-multilib
		step "Building the 32-bit selftests" "10 s" "$OUT/selftests-32.log" build_selftests 32 -m32
		PROGRAMS+=("$OUT/selftests-32:/selftests-32")
		expect 32
	fi
}

test_in() {
	local vm=$1 reporter
	with_cache prepare_kernel "$vm"
	build_for "$vm"
	make_initramfs "$vm" test "$OUT/$vm/module/rust_ashmem.ko:/rust_ashmem.ko" "${PROGRAMS[@]}" \
		"$TOP/selftests/module_test.sh:/selftests-64/module_test.sh"
	say "Testing in $vm (usually 30 s)"
	start_vm "$vm"
	tail -s 0.2 -n +1 -f --pid="$VM_PID" "$OUT/$vm/results" |
		report "$vm" "${SUITES[@]}" &
	reporter=$!
	wait_vm "$vm" || FAILED=$((FAILED + 1))
	wait "$reporter"
	add_totals "$OUT/$vm/totals"
	if splats "$vm"; then
		say "$vm: FAILED: the kernel complained, see above and out/$vm/console"
		FAILED=$((FAILED + 1))
	fi
}

VMS=("$@")
(($#)) || VMS=(uml x86)
for vm in "${VMS[@]}"; do
	case $vm in
	uml | x86) ;;
	-h | --help) usage && exit ;;
	*) usage >&2 && exit 2 ;;
	esac
done

need_packages util-linux
with_cache prepare_toolchain
with_cache prepare_source
test_scripts
for vm in "${VMS[@]}"; do
	test_in "$vm"
done
echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
((FAILED == 0 && PASSED > 0))
