#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Checks models for properties that normal tests cannot check: all interleavings of the
# steps of several tasks.

. "$(dirname "$0")/../../vm/lib.sh"
. "$TOP/tools/test/ktap.sh"

command -v spin >/dev/null || {
	echo "1..0 # SKIP there is no spin: apt-get install spin"
	exit 4
}

# finds ERRORS MODEL RULE OPTION...: whether the check finds ERRORS errors. RULE is
# 'safety', or the name of an LTL property that must hold under fair scheduling.
finds() {
	# Without -O: compiling is faster, and it runs for only a second.
	local errors=$1 model=$2 rule=$3 compile=(gcc -w -DCOLLAPSE -o pan pan.c) run=(./pan -m1000000)
	shift 3
	if [[ $rule == safety ]]; then
		compile+=(-DSAFETY -DNOCLAIM)
	else
		run+=(-a -f -N "$rule")
	fi
	(
		cd "$TMP" &&
			spin "$@" -a "$TOP/vm/models/$model.pml" && "${compile[@]}" && "${run[@]}"
	) >"$TMP/said" 2>&1
	# It stops at the first error.
	! grep -qE 'out of memory|max search depth too small' "$TMP/said" &&
		grep -q "errors: $errors\$" "$TMP/said"
}

several=(-DREGIONS=2 -DPAGES=2)
echo 1..6
result "a purge of everything takes all that was unpinned before" finds 0 purge_all safety
result "a purge of everything takes all in several regions" finds 0 purge_all safety "${several[@]}"
result "a purge of everything ends, whatever others do" finds 0 purge_all returns
result "a purge of everything ends with several regions" finds 0 purge_all returns "${several[@]}"
result "a purge that does not wait for another one is found" finds 1 purge_all safety -DDO_NOT_WAIT
result "a purge that skips a page is found" finds 1 purge_all safety -DGO_ON_PAST_IT
exit $BAD
