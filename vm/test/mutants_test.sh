#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of the list of faults: each can still be applied to the driver.

. "$(dirname "$0")/../../vm/lib.sh"
. "$TOP/tools/test/ktap.sh"

# names_differ: whether each name is unique.
names_differ() {
	[[ -z $(list_mutants | cut -f 1 | sort | uniq -d | tee "$TMP/said") ]]
}

# Whether every fault changes its file.
all_apply() {
	local name file suites reason script status=0
	: >"$TMP/said"
	while IFS=$'\t' read -r name file suites reason script; do
		cp "$TOP/$file" "$TMP/file"
		put_fault "$script" "$TMP/file" && continue
		echo "$name changes nothing in $file" >>"$TMP/said"
		status=1
	done < <(list_mutants)
	return $status
}

# Whether the suites that run first exist.
suites_exist() {
	local suite status=0
	: >"$TMP/said"
	for suite in $(list_mutants | cut -f 3 | tr ' ' '\n' | sort -u); do
		[[ $suite == - || $suite == x86 || $suite == unload || -e $TOP/selftests/${suite%.sh}.sh || -e $TOP/selftests/$suite.c ]] && continue
		echo "there is no suite $suite" >>"$TMP/said"
		status=1
	done
	return $status
}

has_enough() {
	(($(list_mutants | wc -l) >= 60))
}

picks_by_name() {
	[[ $(list_mutants '^was_killed' | cut -f 1) == was_killed_never ]]
}

refuses_what_changes_nothing() {
	echo text >"$TMP/file"
	! put_fault 's/other/another/;' "$TMP/file"
}

echo 1..6
result "no two faults have the same name" names_differ
result "each fault changes its file" all_apply
result "a fault that changes nothing is found" refuses_what_changes_nothing
result "the suites that run first exist" suites_exist
result "there are at least sixty faults" has_enough
result "faults are selected by their names" picks_by_name
exit $BAD
