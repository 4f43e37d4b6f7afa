#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Measures which code of the module the tests execute; see --help.

. "$(dirname "$0")/../lib.sh"

VM=coverage

usage() {
	cat <<-EOF
		Usage: make coverage

		Runs the tests of 'make test VM=x86' on the same kernel, with a QEMU plugin that
		records which instructions of the module are executed. Prints for each file the
		number of instructions, of lines, and of places, which are pairs of a line and a
		column. Ends with 'N passed, N failed, N skipped'. The exit status is 1 if a test
		failed, or if a place was not executed and vm/not-run has no reason for it. Code
		that only leads to a panic is counted separately, as it is executed only if there
		is a bug.

		  out/coverage/index.html  the table and the sources; code that was not run is red
		  out/coverage/not-run     the places that were not run

		Takes twice as long as those tests, half an hour on 2 busy CPUs.
	EOF
}

# build_with_lines: builds the module with debug info.
build_with_lines() {
	one_by_one "$OUT/$VM/module" kmake x86 M="$TOP" MO="$OUT/$VM/module" KRUSTFLAGS=-Cdebuginfo=2 KCFLAGS=-g modules
}

# build: builds the module, the plugin and the programs.
build() {
	mkdir -p "$OUT/$VM"
	SUITES=(kunit "${MODULE_SUITES[@]}" "${HUGE_SUITES[@]}")
	step "Building the module with debug info" "15 s" "$OUT/$VM/module.log" build_with_lines
	step "Building the plugin for QEMU" "1 s" "$OUT/$VM/plugin.log" \
		build_plugin "$TOP/vm/plugin/executed.c" "$OUT/$VM/executed.so"
	# The address range of modules on x86.
	PLUGIN=$OUT/$VM/executed.so,begin=ffffffffa0000000,end=ffffffffff000000,out=$OUT/$VM/executed
	build_suites x86 64 32
	build_tools x86 64 32
}

case ${1:-} in
-h | --help) usage && exit ;;
esac
need x86
prepare x86
build
boot $VM "$OUT/$VM/module/rust_ashmem.ko"
[[ -s $OUT/$VM/executed ]] || die "The QEMU plugin recorded nothing." "QEMU's output is in out/$VM/qemu."
step "Looking up what was executed" "30 s" "$OUT/$VM/table" \
	"$TOP/vm/lib/coverage.py" "$TOP" "$OUT/$VM/module/rust_ashmem.ko" "$OUT/$VM/executed" "$TOP/vm/not-run" "$OUT/$VM"
cat "$OUT/$VM/table"
while read -r line; do
	failed $VM "$line"
done <"$OUT/$VM/unexplained"
say "Written: out/coverage/index.html and not-run"
conclude
