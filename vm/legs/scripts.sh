#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs the tests of the scripts, without a virtual machine: 'make test VM=scripts'.

. "$(dirname "$0")/../lib.sh"

# run_tests: runs them and prints their results.
run_tests() {
	local test
	for test in "$TOP"/{tools,vm,bench}/test/*_test.sh; do
		echo "## begin ${test##*/}"
		local start=$SECONDS status=0
		"$test" 2>&1 || status=$?
		echo "## status $status $((SECONDS - start))"
	done
}

need scripts
mkdir -p "$OUT/scripts"
say "Testing the scripts (usually 1 min)"
run_tests | report scripts
add_totals scripts
conclude
