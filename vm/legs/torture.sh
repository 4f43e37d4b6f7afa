#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Pins and unpins for a long time while everything that purges is at it; see --help.

. "$(dirname "$0")/../lib.sh"

usage() {
	cat <<-EOF
		Usage: make torture [VM=uml|x86|arm64] [PAIRS=1000000]

		In a virtual machine (uml unless told otherwise), four processes pin, verify,
		rewrite and unpin pages, so often in all, while ASHMEM_PURGE_ALL_CACHES,
		drop_caches, scans of the shrinker and reclaim of their memory cgroup purge
		them. Pinned data that was lost, a purge that was not reported, and data that
		is neither as written nor zero end it with status 1.

		A million pairs take a quarter of an hour on 2 CPUs that have other work, too.
	EOF
}

VM=${1:-uml}
PAIRS=${2:-1000000}
case $VM in
-h | --help) usage && exit ;;
*) need_test_vm "$VM" ;;
esac
[[ $PAIRS =~ ^[1-9][0-9]*$ ]] || die "PAIRS is '$PAIRS'." "It is the number of times to pin and unpin."

start=$SECONDS
run_alone "$VM" torture "pairs=$PAIRS" 'pairs|Expected'
say "passed in $((SECONDS - start)) s"
