#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the reports from the benchmark's rows.

. "$(dirname "$0")/../../vm/lib.sh"
. "$TOP/tools/test/ktap.sh"

bench() {
	"$TOP/bench/bench.py" --kernel 7.3 --toolchain rustc --date 2026-01-01 "$@" >"$TMP/said" 2>&1
}

# rows ROW...: makes a file with these rows, whose fields are separated by '|' here.
rows() {
	printf '%s\n' '# what the program says' "$@" | tr '|' '\t' >"$TMP/rows"
}

# compared STATUS WORDS ROW...: whether the comparison of these rows with the baseline exits
# with STATUS and prints WORDS.
compared() {
	local wanted=$1 words=$2 status=0
	shift 2
	rows "$@"
	bench check "$TMP/rows" "$TMP/baseline" || status=$?
	[[ $status == "$wanted" ]] && grep -qE "$words" "$TMP/said"
}

# Whether a note says that the existing rows are from another kernel.
names_another_kernel() {
	"$TOP/bench/bench.py" --kernel 7.4 check "$TMP/rows" "$TMP/baseline" >"$TMP/said"
	grep -q "^note: the baseline's kernel is 7.3, this one's 7.4" "$TMP/said"
}

# tabulated LINE ROW...: whether the table of these rows has a line.
tabulated() {
	local line=$1
	shift
	rows "$@"
	bench report "$TMP/rows" "$TMP" && grep -qE "$line" "$TMP/table.txt"
}

# refused ROW...: whether these rows are refused as invalid.
refused() {
	local status=0
	rows "$@"
	bench report "$TMP/rows" "$TMP" || status=$?
	[[ $status == 2 ]] && grep -q '^error: ' "$TMP/said"
}

is_xml() {
	python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$1"
}

PIN='pin+unpin|100|instructions|ashmem'
REGION='open region|-|bytes|ashmem'
PARALLEL='pin+unpin own region|2|ns|ashmem'
CREATE='create|-|instructions'

rows "$PIN|2000.0" "$REGION|448" "$PARALLEL|1250"
echo "1..26"
result "a baseline is written" bench baseline "$TMP/rows" "$TMP/baseline"
result "rows in real time are not in the baseline" bash -c "! grep -q '\"ns\"' '$TMP/baseline'"
result "equal values pass" compared 0 '^2 rows compared: 0 dearer and 0 cheaper .* 0 gone, 0 new' \
	"$PIN|2000.0" "$REGION|448"
result "2 % dearer passes" compared 0 ' 0 dearer' "$PIN|2040.0" "$REGION|448"
result "3 % dearer passes" compared 0 ' 0 dearer' "$PIN|2060.0" "$REGION|448"
result "4 % dearer fails" compared 1 '^pin\+unpin +100 +instructions +ashmem +2,000\.0 +2,080\.0 +\+4\.0% +dearer' \
	"$PIN|2080.0" "$REGION|448"
result "more bytes fail" compared 1 '^open region +- +bytes .* dearer' "$PIN|2000.0" "$REGION|512"
result "4 % cheaper is reported and passes" compared 0 ' -4\.0% +cheaper' "$PIN|1920.0" "$REGION|448"
result "rows in real time are not compared" compared 0 '^2 rows compared' "$PIN|2000.0" "$REGION|448" "$PARALLEL|9999"
result "a row that vanished fails" compared 1 '^open region .* gone' "$PIN|2000.0"
result "a new row is reported and passes" compared 0 '^GET_SIZE .* new' "$PIN|2000.0" "$REGION|448" \
	'GET_SIZE|-|instructions|ashmem|300'
result "another kernel is reported" names_another_kernel

result "the table has the ratio to memfd" tabulated '^create +- +1,100\.5 +1,000\.0 +1\.101 ' \
	"$CREATE|ashmem|1100.5" "$CREATE|memfd|1000.0"
result "a ratio above its target is missed" grep -qE '<= 1\.05 x memfd +MISSED' "$TMP/table.txt"
result "the picture is XML" is_xml "$TMP/cost.svg"
result "a ratio below its target is met" tabulated '<= 1\.05 x memfd +met' \
	"$CREATE|ashmem|1040.0" "$CREATE|memfd|1000.0"
result "a target without memfd's value is not judged" tabulated '^0 of 14 targets met, 0 missed, 14 not measured' \
	"$CREATE|ashmem|1040.0"
result "a number is compared with the target of its n" tabulated '^pin\+unpin +1,000 +2,500.* <= 2,700 +met' \
	"$PIN|2400" 'pin+unpin|1000|instructions|ashmem|2500'
result "another machine has other targets" eval 'bench report --machine debian "$TMP/rows" "$TMP" && grep -q "^0 of 14 targets met, 0 missed, 14 not" "$TMP/table.txt"'
bench report "$TMP/rows" "$TMP"
result "a missed target is reported" grep -q '^missed: pin+unpin (n=100): 2,400' "$TMP/table.txt"
result "another device has a ratio as well" tabulated '^create +- +1,100 +2,000 +1,000 +1\.100 +2\.000' \
	"$CREATE|ashmem|1100" "$CREATE|c_ashmem|2000" "$CREATE|memfd|1000"

result "a line that is not a row is refused" refused "$PIN|2000" 'insmod: cannot insert'
result "a value that is not a number is refused" refused "$PIN|nan"
result "an unknown unit is refused" refused 'create|-|apples|ashmem|1'
result "two values for one row are refused" refused "$PIN|2000" "$PIN|2001"
result "no rows are refused" refused
exit $BAD
