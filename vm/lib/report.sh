# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Adds up and prints the results of tests.

PASSED=0
FAILED=0
SKIPPED=0
# A line for each failure.
FAILURES=()

# report LEG [AWK-OPTION...]: reads results and prints a summary.
report() {
	local leg=$1
	shift
	awk -v leg="$leg" -v totals="$OUT/$leg/totals" "$@" -f "$TOP/vm/lib/report.awk"
}

# add_totals LEG: adds the totals that report has written.
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

# failed LEG WHY: adds a failure that is not from a test.
failed() {
	say "$1: FAILED: $2"
	FAILED=$((FAILED + 1))
	FAILURES+=("$1: $2")
}

# count_vm VM: runs the machine, and adds its results and problems that its kernel reported.
count_vm() {
	run_vm "$1" || failed "$1" "it did not run to its end"
	add_totals "$1"
	! splats "$1" || failed "$1" "the kernel reported a problem: see ${OUT##*/}/$1/console"
}

# find_warnings VM [PATTERN]: adds a failure if there were compiler warnings about the
# module. PATTERN distinguishes them from those about the kernel.
find_warnings() {
	! grep -B 2 -A 12 -e "${2:-^warning}" "$OUT/$1/module.log" || {
		failed "$1" "building the module gave warnings: see $OUT/$1/module.log"
		# So that the next run compiles it again, and repeats the warnings.
		rm -f "$OUT/${1#android-}/module/rust_ashmem.o"
	}
}

# tell_tested VM BUILT: prints what was tested: the kernel, the processor and the page size
# from the machine's results, and the compiler of the module in out/BUILT/module.
tell_tested() {
	local module=$OUT/$2/module/rust_ashmem.ko release machine kib rustc
	read -r release machine kib < <(tr -d '\r' <"$OUT/$1/results" | sed -n 's/^# machine: //p') || true
	rustc=$(readelf -p .comment "$module" 2>/dev/null | sed -n 's/.*rustc version \([^ ]*\).*/\1/p' | head -n 1) || true
	say "$1: Linux ${release:-?}, ${machine:-?}, pages of ${kib:-?} KiB, rustc ${rustc:-$(version_of "$RUSTC")}"
}

# list_skipped MACHINE...: prints the tests that all machines skipped. One machine lacks what
# another has, so if there are several, each test should run on one of them.
list_skipped() {
	local files=() machine
	for machine in "$@"; do
		[[ ! -e $OUT/$machine/results ]] || files+=("$OUT/$machine/results")
	done
	((${#files[@]} > 1)) || return 0
	awk '
		{ sub(/\r$/, "") }
		/^## begin / { suite = $3; sub(/,$/, "", suite) }
		/^ok / && / # SKIP / { skipped[suite ": " $3 ":" substr($0, index($0, " # SKIP ") + 7)] = suite " " $3; next }
		/^ok / { ran[suite " " $3] }
		END {
			for (test in skipped)
				if (!(skipped[test] in ran))
					print "  " test
		}' "${files[@]}" | sort >"$OUT/skipped"
	[[ ! -s $OUT/skipped ]] || printf '%s\n' "Skipped on every machine:" "$(<"$OUT/skipped")"
}

# conclude: prints the failures and the counts. Fails if a test has failed or none has
# passed.
conclude() {
	local failure
	for failure in "${FAILURES[@]}"; do
		say "failed: $failure"
	done
	say "$PASSED passed, $FAILED failed, $SKIPPED skipped"
	((FAILED == 0 && PASSED > 0))
}
