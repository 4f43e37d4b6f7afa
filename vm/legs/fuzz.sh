#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes random calls for a given time; see --help.

. "$(dirname "$0")/../lib.sh"

usage() {
	cat <<-EOF
		Usage: make fuzz [VM=uml|x86|arm64] [SECONDS=60] [SEED=NUMBER] [CALLS=3000]

		In a virtual machine (default: uml), three processes make random calls on the
		same regions: ioctls, memory management, fork, swapoff, compaction, moves between
		memory cgroups, and purges. If pinned pages lose their contents, a result is
		wrong, or the kernel complains, it stops with status 1.

		It runs rounds of some seconds, with CALLS calls of each process, until SECONDS
		have passed. Each round prints its seed. The first seed is SEED (default: the
		time), and each further round adds one. So SEED=NUMBER SECONDS=0 repeats the
		calls of one round. The order between processes is up to the kernel: if it does
		not fail at once, set the same seed and more SECONDS.
	EOF
}

VM=${1:-uml}
LENGTH=${2:-60}
SEED=${3:-$(date +%s)}
CALLS=${4:-3000}
case $VM in
-h | --help) usage && exit ;;
*) need_test_vm "$VM" ;;
esac
[[ $LENGTH =~ ^[0-9]+$ ]] || die "SECONDS is '$LENGTH'." "Set it to the duration in seconds."
[[ $SEED =~ ^[0-9]+$ ]] || die "SEED is '$SEED'." "Set it to a number that a round printed."
[[ $CALLS =~ ^[1-9][0-9]*$ ]] || die "CALLS is '$CALLS'." "Set it to the number of calls of each process in a round."

run_alone "$VM" fuzz "seconds=$LENGTH seed=$SEED calls=$CALLS" 'seed |process |Expected'
say "passed: $(tr -d '\r' <"$OUT/$VM/results" | sed -n 's/^.*seed [0-9]*: //p' | tail -n 1)"
