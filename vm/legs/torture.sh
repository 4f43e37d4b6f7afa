#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Pins and unpins for a long time while everything that can purge does so; see --help.

. "$(dirname "$0")/../lib.sh"

usage() {
	cat <<-EOF
		Usage: make torture [VM=uml|x86|arm64] [PAIRS=1000000]

		In a virtual machine (default: uml), four processes pin, verify, rewrite and
		unpin pages, PAIRS times in total, while ASHMEM_PURGE_ALL_CACHES, drop_caches,
		scans of the shrinker and reclaim of their memory cgroup purge them. If pinned
		data is lost, a purge is not reported, or data is neither as written nor zero,
		it stops with status 1.

		A million pairs take a quarter of an hour on 2 CPUs with other work.
	EOF
}

VM=${1:-uml}
PAIRS=${2:-1000000}
case $VM in
-h | --help) usage && exit ;;
*) need_test_vm "$VM" ;;
esac
[[ $PAIRS =~ ^[1-9][0-9]*$ ]] || die "PAIRS is '$PAIRS'." "Set it to the number of times to pin and unpin."

start=$SECONDS
run_alone "$VM" torture "pairs=$PAIRS" 'pairs|Expected'
say "passed in $((SECONDS - start)) s"
