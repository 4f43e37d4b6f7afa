# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the results of tests come to.

PASSED=0
FAILED=0
SKIPPED=0
# A line for each failure.
FAILURES=()

# report LEG [AWK-OPTION...]: reads results and prints what they come to.
report() {
	local leg=$1
	shift
	awk -v leg="$leg" -v totals="$OUT/$leg/totals" "$@" -f "$TOP/vm/lib/report.awk"
}

# add_totals LEG: adds what a report of it has written.
add_totals() {
	local passed failed skipped failures
	{
		read -r passed failed skipped
		mapfile -t failures
	} <"$OUT/$1/totals"
	PASSED=$((PASSED + passed))
	FAILED=$((FAILED + failed))
	SKIPPED=$((SKIPPED + skipped))
	FAILURES+=("${failures[@]}")
}

# failed LEG WHY: adds a failure that no test reports.
failed() {
	say "$1: FAILED: $2"
	FAILED=$((FAILED + 1))
	FAILURES+=("$1: $2")
}

# count_vm VM: runs the machine and adds its results and what its kernel complained of.
count_vm() {
	run_vm "$1" || failed "$1" "it did not come to its end"
	add_totals "$1"
	! splats "$1" || failed "$1" "the kernel complained: see ${OUT##*/}/$1/console"
}

# find_warnings VM [PATTERN]: counts it as a failure if the compilers warned of the
# module; the pattern finds such warnings among those of the kernel.
find_warnings() {
	! grep -B 2 -A 12 -e "${2:-^warning}" "$OUT/$1/module.log" || {
		failed "$1" "building the module gave warnings: see $OUT/$1/module.log"
		# Else the next run, which would not compile it, would find none.
		rm -f "$OUT/${1#android-}/module/rust_ashmem.o"
	}
}

# tell_tested VM BUILT: says what was tested there: the kernel, the processor and the
# page size that it told, and the compiler of the module, which is out/BUILT/module's.
tell_tested() {
	local module=$OUT/$2/module/rust_ashmem.ko release machine kib rustc
	read -r release machine kib < <(tr -d '\r' <"$OUT/$1/results" | sed -n 's/^# machine: //p') || true
	rustc=$(readelf -p .comment "$module" 2>/dev/null | sed -n 's/.*rustc version \([^ ]*\).*/\1/p' | head -n 1) || true
	say "$1: Linux ${release:-?}, ${machine:-?}, pages of ${kib:-?} KiB, rustc ${rustc:-$(version_of "$RUSTC")}"
}

# conclude: prints the failures and the counts; fails if a test has failed or none has
# passed.
conclude() {
	local failure
	for failure in "${FAILURES[@]}"; do
		say "failed: $failure"
	done
	say "$PASSED passed, $FAILED failed, $SKIPPED skipped"
	((FAILED == 0 && PASSED > 0))
}
