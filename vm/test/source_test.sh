#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests that the driver's source matches its documentation: in rust_ashmem.rs, which rooms
# each room uses and which have unsafe code; in docs/reclaim.md, the thresholds of reclaim.

. "$(dirname "$0")/../../tools/lib.sh"
. "$TOP/tools/test/ktap.sh"

# rooms_used FILE: prints the rooms that a source file uses, one per line.
rooms_used() {
	awk '
		/^ *use crate::/ { text = ""; on = 1 }
		on { sub(/\/\/.*/, ""); text = text $0 }
		on && /;/ { on = 0; names(text) }

		# Prints the first name of each path: use crate::{a::{b, c}, d} has a and d.
		function names(text, i, c, depth, path) {
			gsub(/ *use crate::|[ ;]/, "", text)
			if (text !~ /^\{/)
				text = "{" text "}"
			for (i = 1; i <= length(text); i++) {
				c = substr(text, i, 1)
				if (depth == 1 && (c == "," || c == "}")) {
					sub(/:.*/, "", path)
					if (path != "")
						print path
					path = ""
				} else if (depth == 1)
					path = path c
				depth += (c == "{") - (c == "}")
			}
		}
	' "$1" | sort -u
}

# rooms_told DIRECTORY: prints the table of rooms, one per line, with "FFI" or "-" after the name.
# A room's line may continue on the next one.
rooms_told() {
	sed -e ':a' -e '$!N' -e 's|\n//! \{10,\}| |' -e 'ta' -e 'P' -e 'D' "$1/rust_ashmem.rs" | sed -n 's|^//! \([a-z_]*\)\( *(FFI)\)\{0,1\}\( .*\)\{0,1\}$|\1\2 :\3|p' |
		awk -v src="$1/src/" '
			{ room = $1; file = src room ".rs" }
			(getline line < file) < 0 { next }
			{
				close(file)
				mark = $2 == "(FFI)" ? "FFI" : "-"
				sub(/.*:/, "")
				gsub(/[, ]+/, " ")
				sub(/^ /, "")
				print room, mark, $0
			}'
}

# rooms_are_as_told DIRECTORY: whether each room uses exactly the rooms in the table, which
# must be below it, and has unsafe code exactly if it is marked FFI.
rooms_are_as_told() {
	local room mark told used above=" " wrong=0
	rooms_told "$1" >"$TMP/table"
	while read -r room mark told; do
		used=$(rooms_used "$1/src/$room.rs" | paste -sd ' ')
		[[ $used == "$told" ]] || { echo "$room uses: $used" && wrong=1; }
		above+="$room "
		for used in $told; do
			[[ $above != *" $used "* ]] || { echo "$room uses what is above it: $used" && wrong=1; }
		done
		used=-
		! grep -qE '\bunsafe\b' "$1/src/$room.rs" || used=FFI
		[[ $used == "$mark" ]] || { echo "$room is said to be $mark, and is $used" && wrong=1; }
	done <"$TMP/table" >"$TMP/said"
	# The table must have all rooms.
	cut -d' ' -f1 "$TMP/table" | sort >"$TMP/told"
	(cd "$1/src" && printf '%s\n' *.rs) | sed 's/\.rs$//' | sort | diff "$TMP/told" - >>"$TMP/said" || wrong=1
	return $wrong
}

# copied SCRIPT FILE: copies the driver and the page, and changes one file.
copied() {
	rm -rf "$TMP/copy"
	mkdir -p "$TMP/copy/docs"
	cp -r "$TOP"/{src,rust_ashmem.rs} "$TMP/copy"
	cp "$TOP/docs/reclaim.md" "$TMP/copy/docs"
	sed -i "$1" "$TMP/copy/$2"
	! cmp -s "$TOP/$2" "$TMP/copy/$2"
}

# rooms_differ SCRIPT FILE: whether such a change is found.
rooms_differ() {
	copied "$@" && ! rooms_are_as_told "$TMP/copy"
}

# thresholds_are_told DIRECTORY: whether the constants in the page's table match the source,
# and the table has all usize constants of src/mood.rs.
thresholds_are_told() {
	local name file value count=0 wrong=0
	sed -n 's/^| `\([A-Z_]*\)` | `\([a-z/.]*\)` | `\([^`]*\)` | .*/\1 \2 \3/p' "$1/docs/reclaim.md" >"$TMP/table"
	while read -r name file value; do
		count=$((count + 1))
		grep -qE "^const $name: [A-Za-z_0-9]+ = " "$1/$file" &&
			[[ $(sed -n "s/^const $name: [A-Za-z_0-9]* = \(.*\);\$/\1/p" "$1/$file") == "$value" ]] ||
			{ echo "$name is not $value in $file" && wrong=1; }
	done <"$TMP/table" >"$TMP/said"
	for name in $(sed -n 's/^const \([A-Z_]*\): usize = .*/\1/p' "$1/src/mood.rs"); do
		grep -q "^$name src/mood.rs " "$TMP/table" || { echo "$name is not told" && wrong=1; }
	done >>"$TMP/said"
	((count > 0 && !wrong))
}

# thresholds_differ SCRIPT FILE: whether such a change is found.
thresholds_differ() {
	copied "$@" && ! thresholds_are_told "$TMP/copy"
}

echo "1..9"
result "rooms use what the table says" rooms_are_as_told "$TOP"
result "a room that uses more is found" rooms_differ 's/^use crate::uapi::NAME_LEN;/use crate::{task, uapi::NAME_LEN};/' src/name.rs
result "a room that uses another one is found" rooms_differ 's/^    shmem::{$/    shmen::{/' src/area.rs
result "a room that uses one above it is found" rooms_differ '/^.*! pages$/d;s|^//! debug .*|//! pages\n&|' rust_ashmem.rs
result "unsafe code in another room is found" rooms_differ 's/^    pub(crate) fn len(self)/    pub(crate) unsafe fn len(self)/' src/pages.rs
result "a room that is not listed is found" rooms_differ '/^.*! mood$/d' rust_ashmem.rs
result "the thresholds in the docs match the source" thresholds_are_told "$TOP"
result "a threshold with another value is found" thresholds_differ 's/^const PLENTY: usize = 4;/const PLENTY: usize = 5;/' src/mood.rs
result "a threshold that is not documented is found" thresholds_differ '/^| `FEW_NEEDED` /d' docs/reclaim.md
exit $BAD
