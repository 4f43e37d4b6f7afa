#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs every leg there is and prints a table; see --help.

. "$(dirname "$0")/lib.sh"

# A leg's name, and the command that runs it. The name ends with the series of Linux
# or of rustc that is picked.
LEGS=(
	"scripts                 scripts/test.sh scripts"
	"uml                     scripts/test.sh uml"
	"x86                     scripts/test.sh x86"
	"arm64                   scripts/test.sh arm64"
	"arm64-16k               scripts/test.sh arm64-16k"
	"debian                  scripts/test.sh debian"
	"intree, rustc 1.96      scripts/test.sh intree"
	"uml, Linux 7.2          scripts/test.sh uml"
	"debian, Linux 7.2       scripts/test.sh debian"
	"android                 scripts/android.sh x86"
	"android, arm64          scripts/android.sh arm64"
	"installed               scripts/installed.sh"
	"secureboot              scripts/secureboot.sh"
	"package                 scripts/package.sh test"
	"check                   scripts/check.sh"
	"check, rustc 1.96       scripts/check.sh clippy"
	"check, Debian's rustc   scripts/check.sh clippy-debian"
)

usage() {
	cat <<-EOF
		Usage: make test-all [LEGS='REGULAR-EXPRESSION']

		Runs 'make test' for every kernel, architecture, page size and rustc that this
		project is tested with, and the tests and checks that are no part of that.
		Prints a table in Markdown, which is also in out/test-all/table.md. Ends with
		'N passed, N failed, N skipped', and with status 1 if one failed. LEGS picks
		those whose names match, such as LEGS='^uml|7.2':

		$(printf '  %s\n' "${LEGS[@]%%  *}")

		The first run builds a kernel for most of them, 5 minutes each on 2 idle CPUs;
		a later one takes about half an hour. Logs are in out/test-all.
	EOF
}

# run NAME COMMAND...: runs a leg and adds its row to the table.
run() {
	local name=$1 start=$SECONDS log passed failed skipped status=0 series
	shift
	log=$OUT/test-all/${name//[^A-Za-z0-9.]/-}.log
	unset KERNEL RUST
	series=${name##* }
	case $name in
	*Linux\ [0-9]*) export KERNEL=$series ;;
	*rustc\ [0-9]*) export RUST=$series ;;
	esac
	say "== $name"
	(cd "$TOP" && "$@") 2>&1 | tee "$log" || status=1
	read -r passed failed skipped < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log" | tail -n 1) ||
		read -r passed failed skipped <<<"$((1 - status)) $status 0"
	# What did not come to its closing line has failed.
	((status == 0 || failed > 0)) || failed=1
	PASSED=$((PASSED + passed))
	FAILED=$((FAILED + failed))
	SKIPPED=$((SKIPPED + skipped))
	printf '| %s | %s | %s | %s | %s | %s s |\n' "$name" "$(tested_in "$log")" \
		"$passed" "$failed" "$skipped" $((SECONDS - start)) >>"$TABLE"
}

# tested_in LOG: prints the cells of kernel, processor, page size and rustc, as the
# leg told them.
tested_in() {
	sed -n 's/^[a-z0-9-]*: Linux \(.*\), \(.*\), pages of \(.*\), rustc \(.*\)$/\1 | \2 | \3 | \4/p' "$1" |
		tail -n 1 | grep . || echo '| | |'
}

case ${1:-} in
-h | --help) usage && exit ;;
esac
printf '%s\n' "${LEGS[@]%%  *}" | grep -qE -e "${1:-}" ||
	die "No leg's name matches '$1'." "There are: $(printf '%s; ' "${LEGS[@]%%  *}" | sed 's/; $/./')"
PASSED=0
FAILED=0
SKIPPED=0
TABLE=$OUT/test-all/table.md
mkdir -p "$OUT/test-all"
{
	echo "| leg | Linux | processor | pages | rustc | passed | failed | skipped | time |"
	echo "|---|---|---|---|---|--:|--:|--:|--:|"
} >"$TABLE"
for leg in "${LEGS[@]}"; do
	name=${leg%%  *}
	[[ $name =~ ${1:-} ]] || continue
	read -r -a command <<<"${leg#*  }"
	run "$name" "${command[@]}"
done
say ""
cat "$TABLE"
say ""
echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
((FAILED == 0 && PASSED > 0))
