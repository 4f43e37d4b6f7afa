# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the tests of the scripts share. To be sourced; a test ends with
# 'exit $BAD'.

# For files of theirs. What a program had to say goes to TMP/said.
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
NUMBER=0
BAD=0

# result NAME COMMAND...: a test is that the command succeeds.
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
