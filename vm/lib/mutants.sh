# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The faults that vm/mutants lists. To be sourced.

# list_mutants [REGULAR-EXPRESSION]: prints the faults whose names match, one per line: name,
# file, first suites, reason and script, separated by tabs, with '-' for none.
list_mutants() {
	awk -v wanted="${1:-.}" '
		function end() {
			if (name ~ wanted) printf "%s\t%s\t%s\t%s\t%s\n", name, file, suites, reason, script
		}
		BEGIN { name = "" }
		/^#/ || !NF { next }
		/^[^ \t]/ {
			if (name != "") end()
			name = $1
			file = $2
			$1 = $2 = ""
			sub(/^ */, "")
			suites = $0 == "" ? "-" : $0
			reason = "-"
			script = ""
			next
		}
		{ sub(/^[ \t]*/, "") }
		sub(/^survives: /, "") { reason = $0; next }
		{ script = script $0 ";" }
		END { if (name != "") end() }' "$TOP/vm/mutants"
}

# put_fault SCRIPT FILE: applies a fault to a file; fails if the script changes nothing.
put_fault() {
	cp "$2" "$2.good"
	sed -i "$1" "$2"
	! cmp -s "$2" "$2.good" || return 1
	rm "$2.good"
}
