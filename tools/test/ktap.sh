# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions for the tests of the scripts. To be sourced; a test ends with
# 'exit $BAD'.

# A directory for temporary files. The output of a program goes to $TMP/said.
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
NUMBER=0
BAD=0

# result NAME COMMAND...: a test, which passes if the command succeeds.
result() {
	local name=$1
	shift
	NUMBER=$((NUMBER + 1))
	if "$@" >/dev/null; then
		echo "ok $NUMBER $name"
		return
	fi
	echo "not ok $NUMBER $name"
	BAD=1
	[[ ! -s $TMP/said ]] || sed 's/^/# /' "$TMP/said"
}
