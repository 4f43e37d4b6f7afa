#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds and runs every test; see --help.

. "$(dirname "$0")/lib.sh"
. "$TOP/scripts/packages.sh"
. "$TOP/scripts/toolchain.sh"
. "$TOP/scripts/kernel.sh"
. "$TOP/scripts/debian.sh"
. "$TOP/scripts/tree.sh"
. "$TOP/scripts/programs.sh"
. "$TOP/scripts/vm.sh"
. "$TOP/scripts/android.sh"

usage() {
	cat <<-EOF
		Usage: make test [VM='scripts uml x86 arm64 debian android'] [KERNEL=7.3] [RUST=1.95]

		Builds the module for each virtual machine, without a warning, boots it and
		runs in it the KUnit suites and the kselftests; runs the tests of the scripts.
		Ends with 'N passed, N failed, N skipped', and with status 1 if one failed.

		  scripts    no machine: the tests of the scripts
		  uml        User-mode Linux with KASAN on one CPU, 64-bit
		  x86        QEMU x86-64 with lockdep, 64-bit and 32-bit; then tests of reclaim
		             with two NUMA nodes and MGLRU
		  arm64      QEMU arm64 with kmemleak and pages of 4 KiB, 64-bit and 32-bit
		  debian     QEMU x86-64 with Debian's own kernel, 64-bit and 32-bit
		  android    QEMU x86-64 that boots as Android does, clients of 64 and 32 bits
		  arm64-16k  QEMU arm64 with KASAN and pages of 16 KiB, 64-bit; only if named
		  intree     a kernel tree with driver and selftests in it: kunit.py, then as
		             uml, built in, and as a module; only if named

		KERNEL picks a series of Linux, RUST one of rustc; logs are then in
		out-KERNEL/ or out-rust-RUST/. Debian's own kernel takes Debian's own rustc.

		The first run installs packages (as root) and builds kernels into
		$CACHE, which takes about 25 minutes on 2 idle CPUs; a later
		one five to fifteen. Logs are in out/.
	EOF
}

test_scripts() {
	local test
	mkdir -p "$OUT/scripts"
	say "Testing the scripts (usually 30 s)"
	for test in "$TOP"/scripts/*_test.sh; do
		echo "## begin ${test##*/}"
		"$test" 2>&1 && echo "## status 0" || echo "## status $?"
	done | report scripts
	add_totals "$OUT/scripts/totals"
}

# build_for VM: the module and the programs that are tested in it.
build_for() {
	local widths=(64 32)
	SUITES=('mask_test, /dev noexec' unload module_test.sh kmemleak)
	case $1 in
	debian) SUITES+=(load) && build_for_debian ;;
	*)
		SUITES+=(kunit)
		step "Building the module for $1" "10 s" "$OUT/$1/module.log" build_module "$1"
		;;
	esac
	find_warnings "$1"
	case $1 in
	uml | arm64-16k) widths=(64) ;;
	esac
	build_suites "$1" "${widths[@]}"
	build_tools "$1" "${widths[@]}"
	[[ $1 == uml ]] || SUITES+=({mmap,pin,purge,random}_test', huge pages')
}

# find_warnings VM [PATTERN]: counts it as a failure if the compilers warned of the
# module; the pattern finds such warnings among those of the kernel.
find_warnings() {
	! grep -B 2 -A 12 -e "${2:-^warning}" "$OUT/$1/module.log" || {
		say "$1: FAILED: building the module gave warnings, see above and $OUT/$1/module.log"
		FAILED=$((FAILED + 1))
		# Else the next run, which would not compile it, would find none.
		rm -f "$OUT/$1/module/rust_ashmem.o"
	}
}

# build_for_debian: the module, as a user of Debian does, who proves that it fits
# before it is loaded.
build_for_debian() {
	make_debian_module
	metadata check "$OUT/debian/module/rust_ashmem.ko"
	refused_module | tee "$OUT/debian/metadata.log" | report debian
	add_totals "$OUT/debian/totals"
	unpack_debian_module zram
}

# refused_module: the results of a test that what was built with other metadata is
# refused. Most often, another rustc has made that of x86.
refused_module() {
	local module=$OUT/x86/module/rust_ashmem.ko said
	echo '## begin metadata'
	if [[ ! -e $module ]]; then
		echo '1..0 # SKIP no module has been built for x86'
		echo '## status 4'
		return
	fi
	echo 1..1
	said=$(metadata check "$module" 2>&1 || true)
	printf '%s\n' "$said"
	[[ $said == *"must not be loaded"* ]] || printf 'not '
	echo 'ok 1 a module built with other metadata is refused'
	echo '## status 0'
}

test_in() {
	case $1 in
	scripts) test_scripts ;;
	debian) test_in_debian ;;
	android) test_android x86 ;;
	intree) test_in_tree ;;
	*)
		with_cache prepare_kernel "$1"
		build_for "$1"
		boot_module "$1"
		[[ $1 != x86 ]] || test_nodes
		;;
	esac
}

test_in_debian() {
	with_cache prepare_debian
	if [[ -n $DEBIAN_LACKS ]]; then
		say "Skipped: debian: $DEBIAN_LACKS."
		SKIPPED=$((SKIPPED + 1))
		return
	fi
	MODULES=()
	build_for debian
	boot_module debian "${MODULES[@]}"
	say "debian: $(tr -d '\r' <"$OUT/debian/results" | sed -n 's/^# \(loaded:\)/\1/p')"
}

# boot_module VM FILE...: tests the module that was built for it.
boot_module() {
	boot "$1" "$OUT/$1/module/rust_ashmem.ko:/rust_ashmem.ko" "${PROGRAMS[@]}" "${@:2}" \
		"$TOP/selftests/module_test.sh:/selftests-64/module_test.sh"
}

# test_nodes: tests reclaim again on x86, where memory is in two nodes and MGLRU finds
# what to reclaim.
test_nodes() {
	SUITES=({order,cgroup,pressure,purge_race,stranger,torture}_test', two nodes, MGLRU')
	make_initramfs x86-nodes nodes "$OUT/x86/module/rust_ashmem.ko:/rust_ashmem.ko" \
		"$(selftests_of x86 64):/selftests-64"
	say "Testing in x86-nodes (usually 1 to 2 min)"
	count_vm x86-nodes
}

# boot VM FILE...: runs SUITES there.
boot() {
	make_initramfs "$1" test "${@:2}"
	say "Testing in $1 (usually 1 to 5 min)"
	count_vm "$1"
	tell_tested "$1" "$1"
}

# The kernel of one comes built, the other has that of x86.
TEST_VMS=(scripts "${TEST_VMS[@]}" debian android intree)
VMS=("$@")
(($#)) || VMS=(scripts uml x86 arm64 debian android)
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
for vm in "${VMS[@]}"; do
	test_in "$vm"
done
conclude
