#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# Compares the fields of the trace events with docs/observability.md, on which programs
# rely.
#
# DOCS  that file
#
# Needs root and busybox.

events=/sys/kernel/tracing/events/ashmem
mounted=
[ -e "${events%/*}" ] || ! mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null || mounted=1
[ -e "${events%/*}" ] || {
	echo "1..0 # SKIP the kernel has no trace events"
	exit 4
}
number=0
failed=0
said=$(mktemp)
expected=$(mktemp)

# same NAME: a test, which passes if $said equals $expected.
same() {
	number=$((number + 1))
	if diff "$expected" "$said" >"$said.diff" && [ -s "$said" ]; then
		echo "ok $number $1"
		return
	fi
	echo "not ok $number $1"
	sed 's/^/# /' "$said.diff"
	failed=1
}

# fields EVENT: prints the documented types and names, one per line.
fields() {
	sed -n "s/^| \`$1\` | \(.*\) | .*/\1/p" "$DOCS" | tr -d '`' | sed 's/, /\n/g'
}

sed -n 's/^| `\(ashmem_[a-z_]*\)` | .*/\1/p' "$DOCS" | sort >"$expected"
names=$(cat "$expected")
echo "1..$((2 + 2 * $(wc -l <"$expected")))"
(cd $events && echo *_* | tr ' ' '\n' | sort) >"$said"
same "all events are documented"
for name in $names; do
	fields "$name" | sort >"$expected"
	sed -n -e '/common_/d' -e 's/__data_loc char\[\]/string/' -e 's/^\tfield:\([^;]*\);.*/\1/p' \
		"$events/$name/format" | sort >"$said"
	same "the fields of $name are those documented"
	fields "$name" | sed 's/.* //' >"$expected"
	sed -n 's/^print fmt: "\([^"]*\)".*/\1/p' "$events/$name/format" | tr ' ' '\n' | sed 's/=.*//' >"$said"
	same "$name prints them in that order"
done
# In the documentation, each word is in backticks after its number.
grep -o '[0-9] `[a-z]*`' "$DOCS" >"$expected"
grep -o '{ [0-9], "[a-z]*" }' $events/ashmem_scan_begin/format | sed 's/{ \([0-9]\), "\(.*\)" }/\1 `\2`/' >"$said"
same "the words for numbers are those documented"
rm -f "$said" "$said.diff" "$expected"
[ -z "$mounted" ] || umount /sys/kernel/tracing
exit $failed
