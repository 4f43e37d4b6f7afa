# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Runs several legs. A leg is a script that ends with the lines of conclude(). Here it is
# written as its name, two spaces, and the command. A series of Linux or of rustc in the
# name selects that series.

# The logs of the legs.
LOGS=$OUT/legs

# log_of NAME: prints the path of a leg's log.
log_of() {
	echo "$LOGS/${1//[^A-Za-z0-9.]/-}.log"
}

# run_leg NAME COMMAND...: runs a leg with its output in its log. Writes its status and its
# duration in seconds to LOG.end.
run_leg() {
	local name=$1 start=$SECONDS log status=0
	shift
	log=$(log_of "$name")
	# Sets the selections for all legs again, which kernel.sh and toolchain.sh have unset.
	unset KERNEL RUST KSRC
	[[ -z $KERNEL_SERIES ]] || export KERNEL=$KERNEL_SERIES
	[[ -z $RUST_SERIES ]] || export RUST=$RUST_SERIES
	[[ -z $OWN_KSRC ]] || export KSRC=$OWN_KSRC
	[[ ! $name =~ Linux\ ([0-9.]+) ]] || export KERNEL=${BASH_REMATCH[1]}
	[[ ! $name =~ rustc\ ([0-9.]+) ]] || export RUST=${BASH_REMATCH[1]}
	say "== $name"
	(cd "$TOP" && "$@") 2>&1 | tee "$log" || status=1
	echo "$status $((SECONDS - start))" >"$log.end"
}

# run_legs JOBS LEG...: runs the legs, JOBS at a time, and adds their results. Sets TABLE to
# a Markdown table, and TIMES.
run_legs() {
	local jobs=$1 leg running=0 command
	shift
	mkdir -p "$LOGS"
	rm -f "$LOGS"/*.log*
	# Each has its own process group, so that it can be killed as a whole.
	set -m
	trap 'end_legs' INT TERM HUP
	for leg in "$@"; do
		read -r -a command <<<"${leg#*  }"
		((running < jobs)) || wait -n || true
		running=$((running < jobs ? running + 1 : jobs))
		run_leg "${leg%%  *}" "${command[@]}" </dev/null &
	done
	wait
	trap - INT TERM HUP
	set +m
	TABLE=("| leg | Linux | processor | pages | rustc | passed | failed | skipped | time |"
		"|---|---|---|---|---|--:|--:|--:|--:|")
	TIMES=()
	for leg in "$@"; do
		add_leg "${leg%%  *}"
	done
}

end_legs() {
	local group
	trap '' INT TERM HUP
	for group in $(jobs -p); do
		kill -- "-$group" 2>/dev/null || true
	done
	wait
	exit 130
}

# add_leg NAME: adds the results in its log.
add_leg() {
	local name=$1 log status seconds passed failed skipped failures
	log=$(log_of "$name")
	read -r status seconds <"$log.end" || status=1 seconds=0
	read -r passed failed skipped < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log" | tail -n 1) ||
		read -r passed failed skipped <<<"$((!status)) 0 0"
	mapfile -t failures < <(sed -n 's/^failed: //p' "$log")
	# A leg without its closing line has failed.
	if ((status && !failed)); then
		failed=1
		failures+=("$name: it ended early: see $log")
	fi
	PASSED=$((PASSED + passed))
	FAILED=$((FAILED + failed))
	SKIPPED=$((SKIPPED + skipped))
	FAILURES+=("${failures[@]}")
	TIMES+=("$name $seconds s")
	TABLE+=("| $name | $(tested_in "$log") | $passed | $failed | $skipped | $seconds s |")
}

# tested_in LOG: prints the cells of kernel, processor, page size and rustc, from the log.
tested_in() {
	sed -n 's/^[a-z0-9-]*: Linux \(.*\), \(.*\), pages of \(.*\), rustc \(.*\)$/\1 | \2 | \3 | \4/p' "$1" |
		tail -n 1 | grep . || echo '| | |'
}
