#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the reports from the scenarios' rows.

. "$(dirname "$0")/../../vm/lib.sh"
. "$TOP/tools/test/ktap.sh"

# rows ROW...: makes a file with these rows, whose fields are separated by '|' here.
rows() {
	printf '%s\n' "$@" | tr '|' '\t' >"$TMP/rows"
}

# reported STATUS WORDS ROW...: whether a report of these rows exits with STATUS and prints WORDS.
reported() {
	local wanted=$1 words=$2 status=0
	shift 2
	rows "$@"
	"$TOP/bench/pressure.py" --kernel 7.3 --date 2026-01-01 "$TMP/rows" "$TMP" >"$TMP/said" 2>&1 || status=$?
	[[ $status == "$wanted" ]] && grep -qE "$words" "$TMP/said"
}

drawn() {
	grep -qE "$1" "$TMP/pressure.svg"
}

kept='result|uml|read|left, %|97'
point='point|uml|read|16|16384'

echo 1..9
result "a result as wanted is counted" reported 0 '^1 as wanted, 0 not$' "$kept" "$point"
result "the curve of a scenario is drawn" drawn 'polyline .*class="line s0"'
result "the machine is named" drawn '>UML<'
result "a result not as wanted is counted and fails" reported 1 '^0 as wanted, 1 not$' 'result|uml|read|left, %|94'
result "a result not as wanted is marked" reported 1 'read .*>= 95 +94 !$' 'result|uml|read|left, %|94'
result "results of the C driver are not judged" reported 0 '^1 as wanted, 0 not$' "$kept" 'result|c|read|left, %|40'
result "a skipped result is a dash" reported 0 '^use .* - +2 !$' "$kept" 'skip|uml|use|no zram' 'result|c|use|losses, % of uses|2'
result "a line that is not a row is an error" reported 1 '^error: .*not a row' 'pressure: zram: No such file'
result "rows without results are an error" reported 1 '^error: .*no results' 'skip|uml|read|no zram'
exit $BAD
