#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Says what of the module the tests execute; see --help.

. "$(dirname "$0")/../lib.sh"

VM=coverage

usage() {
	cat <<-EOF
		Usage: make coverage

		Runs the tests of 'make test VM=x86' on the same kernel, with a plugin for QEMU
		that writes down which instructions of the module are executed. Prints how many
		there are for each file, how many lines and how many places, which are a line and a
		column. Ends with 'N passed, N failed, N skipped', and with status 1 if a test
		failed or a place was not run that vm/not-run gives no reason for. What only leads
		to a panic is counted apart, as it is executed if there is a bug.

		  out/coverage/index.html  the table and the sources; what was not run is red
		  out/coverage/not-run     the places that were not run

		Takes twice as long as those tests, half an hour on 2 busy CPUs.
	EOF
}

# build_with_lines: the module, which says what each instruction was made of.
build_with_lines() {
	one_by_one "$OUT/$VM/module" kmake x86 M="$TOP" MO="$OUT/$VM/module" KRUSTFLAGS=-Cdebuginfo=2 KCFLAGS=-g modules
}

# build: the module, the plugin and the programs.
build() {
	mkdir -p "$OUT/$VM"
	SUITES=(kunit "${MODULE_SUITES[@]}" "${HUGE_SUITES[@]}")
	step "Building the module with debug info" "15 s" "$OUT/$VM/module.log" build_with_lines
	step "Building the plugin for QEMU" "1 s" "$OUT/$VM/plugin.log" \
		build_plugin "$TOP/vm/plugin/executed.c" "$OUT/$VM/executed.so"
	# Where x86 has modules.
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
[[ -s $OUT/$VM/executed ]] || die "QEMU wrote nothing down." "What it said is out/$VM/qemu."
step "Looking up what was executed" "30 s" "$OUT/$VM/table" \
	"$TOP/vm/lib/coverage.py" "$TOP" "$OUT/$VM/module/rust_ashmem.ko" "$OUT/$VM/executed" "$TOP/vm/not-run" "$OUT/$VM"
cat "$OUT/$VM/table"
while read -r line; do
	failed $VM "$line"
done <"$OUT/$VM/unexplained"
say "Written: out/coverage/index.html and not-run"
conclude
