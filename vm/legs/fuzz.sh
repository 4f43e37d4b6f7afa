#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes random calls for as long as is wanted; see --help.

. "$(dirname "$0")/../lib.sh"

usage() {
	cat <<-EOF
		Usage: make fuzz [VM=uml|x86|arm64] [SECONDS=60] [SEED=NUMBER] [CALLS=3000]

		In a virtual machine (uml unless told otherwise), three processes make random
		calls on the same regions: ioctls, those of memory, fork, swapoff, compaction,
		moves between memory cgroups, and what purges. Pinned pages that lose their
		contents, wrong answers and complaints of the kernel end it with status 1.

		It goes on in rounds of CALLS calls of each process, of some seconds, until
		SECONDS are over. A round prints its seed, which is SEED (or the time) and then
		one more each time, so that SEED=NUMBER SECONDS=0 makes the calls of one round
		again. In which order those of several processes come is up to the kernel: if
		it does not fail at once, name the same seed and more SECONDS.
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
[[ $LENGTH =~ ^[0-9]+$ ]] || die "SECONDS is '$LENGTH'." "It is for how long to go on."
[[ $SEED =~ ^[0-9]+$ ]] || die "SEED is '$SEED'." "It is the number that a round printed."
[[ $CALLS =~ ^[1-9][0-9]*$ ]] || die "CALLS is '$CALLS'." "It is how many calls each process makes in a round."

run_alone "$VM" fuzz "seconds=$LENGTH seed=$SEED calls=$CALLS" 'seed |process |Expected'
say "passed: $(tr -d '\r' <"$OUT/$VM/results" | sed -n 's/^.*seed [0-9]*: //p' | tail -n 1)"
