#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the test runner: how it judges good and bad results and logs.

. "$(dirname "$0")/../../vm/lib.sh"
. "$TOP/tools/test/ktap.sh"

# counts RESULTS WANTED [SUITE]: whether the report has these counts for the results.
counts() {
	printf '%b' "$1" | awk -v leg=test -v totals="$TMP/totals" -v expected="${3:-}" \
		-f "$TOP/vm/lib/report.awk" >"$TMP/report"
	[[ $(head -n 1 "$TMP/totals") == "$2" ]]
}

# counts_corrected RESULTS WANTED: the same, with a correction for the test x of the
# suite a.
counts_corrected() {
	printf '# %s\n\na x  for a reason\n' "what is meant" >"$TMP/corrections"
	printf '%b' "$1" | awk -v leg=test -v totals="$TMP/totals" -v corrections="$TMP/corrections" \
		-f "$TOP/vm/lib/report.awk" >"$TMP/report"
	[[ $(head -n 1 "$TMP/totals") == "$2" ]]
}

finds() {
	printf '%b\n' "$1" >"$TMP/console"
	splats_in "$TMP/console"
}

finds_nothing() {
	! finds "$1"
}

# start COMMANDS: starts a shell as the machine. It writes its results to the file $R.
start() {
	OUT=$TMP
	mkdir -p "$TMP/vm"
	: >"$TMP/vm/results"
	: >"$TMP/vm/console"
	R=$TMP/vm/results setsid bash -c "$1" &
	VM_PID=$!
}

# ends COMMANDS WANTED: whether wait_vm returns WANTED for such a machine, and ends it.
ends() {
	local status=0
	SILENCE=2
	OFF=1
	LIMIT=4
	start "$1"
	wait_vm vm >"$TMP/why" || status=$?
	[[ $status == "$2" ]] && ! kill -0 "$VM_PID" 2>/dev/null
}

# boots COMMANDS: whether such a machine is not found stuck before its first result.
boots() {
	local status=1
	SILENCE=9
	start "$1"
	is_stuck vm || status=0
	stop_vm 2>/dev/null
	return $status
}

gets_stuck() {
	! boots "$1"
}

# lists_skipped WANTED RESULTS...: whether these are the tests that all machines with these
# results skipped.
lists_skipped() {
	local OUT=$TMP/skips wanted=$1 results machines=()
	shift
	rm -rf "$OUT"
	for results in "$@"; do
		machines+=("m${#machines[@]}")
		mkdir -p "$OUT/${machines[-1]}"
		printf '## begin a_test (64-bit)\n%b' "$results" >"$OUT/${machines[-1]}/results"
	done
	list_skipped "${machines[@]}" none >"$TMP/said"
	[[ $(<"$TMP/said") == "$wanted" ]]
}

# legs LEG...: runs legs two at a time; the output of conclude is in TMP/concluded.
legs() {
	LOGS=$TMP/legs
	PASSED=0 FAILED=0 SKIPPED=0 FAILURES=()
	run_legs 2 "$@" >"$TMP/said" 2>&1
	conclude >"$TMP/concluded" || true
}

# legs_come_to COUNTS FAILURE LEG...: whether the legs have these counts, and only that
# failure, or none if it is empty.
legs_come_to() {
	local counts=$1 failure=$2
	legs "${@:3}"
	[[ $(tail -n 1 "$TMP/concluded") == "$counts" ]] &&
		[[ $(sed -n 's/^failed: //p' "$TMP/concluded") == "$failure" ]]
}

# Runs two legs that wait for each other to start.
meets() {
	local meet='touch $1; until [ -e $2 ]; do sleep 0.1; done; echo 1 passed, 0 failed, 0 skipped'
	printf '%s\n' "$meet" >"$TMP/meet"
	timeout 20 bash -c '. "$0/vm/lib.sh"; LOGS=$1/legs; run_legs 2 "a  sh $1/meet $1/a $1/b" "b  sh $1/meet $1/b $1/a"' \
		"$TOP" "$TMP" >"$TMP/said" 2>&1
}

# picks: whether legs get the selected kernel and compiler.
picks() {
	KERNEL=7.2 RUST=1.96 bash -c '. "$0/vm/lib.sh"; LOGS=$1/legs; run_legs 1 "a  env"' "$TOP" "$TMP" >"$TMP/said" 2>&1
	grep -qx KERNEL=7.2 "$TMP/said" && grep -qx RUST=1.96 "$TMP/said"
}

# picks_named: whether a leg gets the kernel and compiler in its name.
picks_named() {
	bash -c '. "$0/vm/lib.sh"; LOGS=$1/legs; run_legs 1 "a, Linux 7.2, rustc 1.96  env"' "$TOP" "$TMP" >"$TMP/said" 2>&1
	grep -qx KERNEL=7.2 "$TMP/said" && grep -qx RUST=1.96 "$TMP/said"
}

# picks_source: whether a leg uses the user's own kernel source.
picks_source() {
	local dir=$TMP/linux
	mkdir -p "$dir/rust/kernel"
	printf 'kernelversion:\n\t@echo 7.0.14\n' >"$dir/Makefile"
	touch "$dir/Kbuild" "$dir/rust/kernel/miscdevice.rs"
	KSRC=$dir bash -c '. "$0/vm/lib.sh"; LOGS=$1/legs; run_legs 1 "a  env"; prepare_source; echo "$OUT"' "$TOP" "$TMP" >"$TMP/said" 2>&1
	grep -qx "KSRC=$dir" "$TMP/said" && grep -qx "Kernel source: Linux 7.0.14 in $dir" "$TMP/said" &&
		grep -qx "$TOP/out-linux" "$TMP/said"
}

# refuses_source FILE WHY: adds or removes this file; whether the source is then refused.
refuses_source() {
	if [[ -e $TMP/linux/$1 ]]; then rm "$TMP/linux/$1"; else touch "$TMP/linux/$1"; fi
	! KSRC=$TMP/linux bash -c '. "$0/vm/lib.sh"' "$TOP" >"$TMP/said" 2>&1 && grep -qF "$2" "$TMP/said"
}

# ends_legs: whether legs end with the script that runs them.
ends_legs() {
	local pid i
	rm -f "$TMP/pid"
	bash -c '. "$0/vm/lib.sh"; LOGS=$1/legs; run_legs 2 "a  bash $1/leg"' "$TOP" "$TMP" >"$TMP/said" 2>&1 &
	pid=$!
	for i in {1..50}; do
		[[ ! -s $TMP/pid ]] || break
		sleep 0.1
	done
	kill -TERM $pid
	dies "$(<"$TMP/pid")"
}

# dies PID: whether a process ends within five seconds. It may remain as a zombie.
dies() {
	local _
	for _ in {1..50}; do
		grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status" || return 0
		sleep 0.1
	done
	return 1
}

# A machine must end with the script that started it, even if that gets several signals.
ends_machine() {
	local pid i
	bash -c '. "$0/vm/lib.sh"
		setsid sleep 1000 & VM_PID=$!; own_vm; echo $VM_PID >"$1"; while :; do sleep 0.1; done' "$TOP" "$TMP/machine" &
	pid=$!
	for i in {1..50}; do
		[[ ! -s $TMP/machine ]] || break
		sleep 0.1
	done
	for i in {1..20}; do kill -TERM $pid 2>/dev/null; done
	dies "$(<"$TMP/machine")"
}

# An interrupted step must leave no process behind.
interrupts_all() {
	local pid status=0
	step Testing "1 s" "$TMP/log" bash -c "sleep 1000 & echo \$! >'$TMP/pid'; wait" >/dev/null &
	pid=$!
	until [[ -s $TMP/pid ]]; do sleep 0.1; done
	kill -TERM "$pid"
	wait "$pid" || status=$?
	[[ $status == 130 ]] && dies "$(<"$TMP/pid")"
}

GOOD='## begin a\nTAP version 13\n1..3\nok 1 x\nok 2 y # SKIP why\nok 3 z\n## status 0\n'
KUNIT='## begin kunit\n1..1\n    KTAP version 1\n    1..2\n    ok 1 x\n    ok 2 y\nok 1 s\n## status 0\n'

echo "1..61"
result "good results are counted" counts "$GOOD" "2 0 1"
result "results with carriage returns are counted" counts "${GOOD//\\n/\\r\\n}" "2 0 1"
result "KUnit's suites do not count as tests" counts "$KUNIT" "2 0 0"
result "suites add up" counts "$GOOD$KUNIT$GOOD" "6 0 2"
result "a failure counts" counts '## begin a\n1..2\n# why\nnot ok 1 x\nok 2 y\n## status 1\n' "1 1 0"
result "the output before a failure is shown" grep -q '# why' "$TMP/report"
result "a skipped suite counts as skipped" counts '## begin a\n1..0 # SKIP no device\n## status 4\n' "0 0 1"
result "the reason of a skipped suite is shown" grep -q 'no device' "$TMP/report"
result "a suite without a test fails" counts '## begin a\n## status 0\n' "0 1 0"
result "a suite with fewer tests than planned fails" counts '## begin a\n1..3\nok 1 x\n## status 0\n' "1 1 0"
result "a suite that dies fails" counts '## begin a\n1..1\nok 1 x\n## status 139\n' "1 1 0"
result "a suite that does not end fails" counts '## begin a\n1..1\nok 1 x\n' "1 1 0"
result "a suite in which another begins fails" counts "## begin a\n1..2\nok 1 x\n$GOOD" "3 1 1"
result "an expected suite may run" counts "$GOOD" "2 0 1" a
result "an expected suite that does not run fails" counts "$GOOD" "2 1 1" b
result "no results count as nothing" counts '' "0 0 0"
result "an expected failure is corrected" counts_corrected \
	'## begin a (64-bit)\n1..2\nnot ok 1 x\nok 2 y\n## status 1\n' "1 0 0 1"
result "the reason of a correction is shown" grep -q 'corrected: x: for a reason' "$TMP/report"
result "an unexpected failure is unexplained" counts_corrected \
	'## begin a\n1..2\nnot ok 1 x\nnot ok 2 y\n## status 1\n' "0 1 0 1"
result "an unexpected success is unexplained" counts_corrected \
	'## begin a\n1..2\nok 1 x\nok 2 y\n## status 0\n' "1 1 0 0"
result "a skip of an expected failure is a skip" counts_corrected \
	'## begin a\n1..2\nok 1 x # SKIP why\nok 2 y\n## status 0\n' "1 0 1 0"
result "a correction of a missing test is unexplained" counts_corrected \
	'## begin a\n1..1\nok 1 y\n## status 0\n' "1 1 0 0"
result "a correction of a missing suite is unexplained" counts_corrected \
	'## begin b\n1..1\nok 1 x\n## status 0\n' "1 1 0 0"
result "a correction is for one suite only" counts_corrected \
	'## begin a\n1..1\nnot ok 1 x\n## status 1\n## begin b\n1..1\nnot ok 1 x\n## status 1\n' "0 1 0 1"
result "a suite that dies fails in spite of a correction" counts_corrected \
	'## begin a\n1..1\nnot ok 1 x\n## status 139\n' "0 1 0 1"
for line in 'WARNING: CPU: 0 PID: 1 at mm/shmem.c:1' 'BUG: KASAN: slab-use-after-free in x' \
	'WARNING: possible circular locking dependency detected' \
	'Unable to handle kernel paging request at virtual address dead000000000108' \
	'Internal error: synchronous external abort: 0000000096000010 [#1]  SMP'; do
	result "the log's '${line:0:24}' is found" finds "[    1.0] a\n[    1.1] $line\n[    1.2] b"
done
killed='[    1.0] a invoked oom-killer: gfp_mask=0x1\n[    1.1] Call Trace:\n[    1.2] Out of memory: Killed process 2 (a)'
result "an OOM kill is ignored" finds_nothing "$killed"
result "a trace after an OOM kill is found" finds "$killed\n[    1.3] Call Trace:"
failed='[    1.0] a: page allocation failure: order:0, mode:0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_ZERO)\n[    1.1] Call Trace:\n[    1.2] 7495 pages reserved'
result "a failed page allocation of the killed process is ignored" finds_nothing "$failed"
table='[    1.0] kswapd0: page allocation failure: order:0, mode:0xc0de0(GFP_KERNEL|__GFP_HIGH|__GFP_ZERO|__GFP_COMP|__GFP_NOMEMALLOC), nodemask=(null)\n[    1.1] Call Trace:\n[    1.2] 8007 pages reserved'
result "a failed allocation of a swap table is ignored" finds_nothing "$table"
result "another failed allocation of kswapd is found" finds "${table/|__GFP_NOMEMALLOC/}"
result "a failed allocation of another kind is found" finds "${failed/HIGHUSER_MOVABLE/KERNEL}"
result "a stalled allocation is found" finds "${failed/failure:/stall for 10 secs:}"
result "a log without problems is accepted" finds_nothing '[    1.0] rust_ashmem: /dev/ashmem is ready'
result "a machine that ends is accepted" ends "echo '$END_MARK' >>\$R" 0
result "a machine that ends early fails" ends 'echo half >>$R' 1
result "a machine that hangs is stopped" ends 'sleep 1000' 1
result "a machine that stays after its end is accepted" ends \
	"echo '$END_MARK' >>\$R; echo '[  1.0] reboot: Power down' >>\${R%results}console; sleep 1000" 0
result "a machine that does not end is stopped" eval \
	"ends 'while echo word >>\$R; do sleep 0.1; done' 1 && grep -q 'does not end' \"\$TMP/why\""
result "a machine ends with the script that started it" ends_machine
result "a machine that boots is not stopped" boots 'sleep 0.5; echo word >>$R; sleep 1000'
result "a machine that gets stuck is found" gets_stuck 'sleep 1000'
result "an interrupted step leaves nothing behind" interrupts_all
here='ok 1 x\nok 2 y # SKIP no huge pages\n' there='ok 1 y # SKIP no swap\nok 2 x # SKIP no swap\n'
result "tests that all machines skipped are listed" lists_skipped \
	$'Skipped on every machine:\n  a_test: y: no huge pages\n  a_test: y: no swap' "$here" "$there"
result "a test that one machine runs is not listed" lists_skipped '' "$here" "$there" 'ok 1 y\r\n'
result "what one machine skips is not listed if there are no others" lists_skipped '' "$here"
good='good  echo 3 passed, 0 failed, 1 skipped'
printf 'echo "failed: bad: x"; echo "2 passed, 1 failed, 0 skipped"; exit 1\n' >"$TMP/bad"
printf 'echo $$ >"%s"; sleep 1000\n' "$TMP/pid" >"$TMP/leg"
result "legs add up" legs_come_to '6 passed, 0 failed, 2 skipped' '' "$good" "other ${good#good }"
result "the time of each leg is recorded" eval '[[ ${#TIMES[@]} == 2 && ${TIMES[0]} == "good "*" s" ]]'
result "the failures of a leg are named at the end" legs_come_to '5 passed, 1 failed, 1 skipped' 'bad: x' "$good" "bad  bash $TMP/bad"
result "a leg that ends early fails" legs_come_to '3 passed, 1 failed, 1 skipped' \
	"dead: it ended early: see $TMP/legs/dead.log" "$good" 'dead  false'
result "two legs run at the same time" meets
result "legs use the selected kernel and compiler" picks
result "legs use the kernel and compiler in their names" picks_named
result "legs use the user's own kernel source" picks_source
result "a kernel source with a build in it is refused" refuses_source .config 'Run make mrproper there'
result "a directory that is not a kernel source is refused" refuses_source Kbuild 'is not the source of a Linux with Rust'
result "legs end with the script that runs them" ends_legs
exit $BAD
