#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs every leg and prints a table; see --help.

. "$(dirname "$0")/lib.sh"

LEGS=(
	"scripts                 vm/legs/scripts.sh"
	"uml                     vm/legs/machine.sh uml"
	"x86                     vm/legs/machine.sh x86"
	"x86-nodes               vm/legs/nodes.sh"
	"arm64                   vm/legs/machine.sh arm64"
	"arm64-16k               vm/legs/machine.sh arm64-16k"
	"debian                  vm/legs/debian.sh"
	"debian-rt               vm/legs/debian.sh debian-rt"
	"debian-arm64            vm/legs/debian.sh debian-arm64"
	"modversions, Linux 7.1  vm/legs/modversions.sh"
	"hard                    vm/legs/machine.sh hard"
	"gki                     vm/legs/machine.sh gki"
	"gki-builtin             vm/legs/machine.sh gki-builtin"
	"intree, rustc 1.96      vm/legs/intree.sh"
	"uml, Linux 7.2          vm/legs/machine.sh uml"
	"uml, Linux 7.1          vm/legs/machine.sh uml"
	"uml, Linux 6.18, rustc 1.85  vm/legs/machine.sh uml"
	"x86, Linux 6.18, rustc 1.85  vm/legs/machine.sh x86"
	"debian, Linux 7.2       vm/legs/debian.sh"
	"canary                  vm/legs/canary.sh"
	"android                 android/android.sh x86"
	"android, arm64          android/android.sh arm64"
	"android, gki            android/android.sh gki"
	"installed               vm/legs/installed.sh"
	"inits                   vm/legs/inits.sh"
	"engines                 vm/legs/engines.sh"
	"secureboot              vm/legs/secureboot.sh"
	"package                 vm/legs/package.sh test"
	"fresh, Debian 12        vm/legs/fresh.sh bookworm scripts uml"
	"fresh, Debian 13        vm/legs/fresh.sh trixie scripts uml"
	"check                   vm/legs/check.sh"
	"check, rustc 1.96       vm/legs/check.sh clippy"
	"check, Debian's rustc   vm/legs/check.sh clippy-debian"
)

usage() {
	cat <<-EOF
		Usage: make test-all [LEGS='REGULAR-EXPRESSION']

		Runs 'make test' for every kernel, architecture, page size and rustc that this
		project is tested with, and the tests and checks that are not part of that.
		Prints a Markdown table, which is also in out/legs/table.md, and 'N passed, N
		failed, N skipped'. The exit status is 1 if a test failed. LEGS selects those
		whose names match, such as LEGS='^uml|7.2':

		$(printf '  %s\n' "${LEGS[@]%%  *}")

		The first run builds a kernel for most of them, 5 minutes each on 2 idle CPUs;
		later runs take about half an hour. Logs are in out/legs.
	EOF
}

case ${1:-} in
-h | --help) usage && exit ;;
esac
printf '%s\n' "${LEGS[@]%%  *}" | grep -qE -e "${1:-}" ||
	die "No leg's name matches '$1'." "The legs are: $(printf '%s; ' "${LEGS[@]%%  *}" | sed 's/; $/./')"
picked=()
for leg in "${LEGS[@]}"; do
	[[ ! ${leg%%  *} =~ ${1:-} ]] || picked+=("${leg%%  *}  $(xargs <<<"${leg#*  }")")
done
# One at a time, so that the times are those of an otherwise idle machine.
export LONG=1
run_legs 1 "${picked[@]}"
printf '%s\n' "${TABLE[@]}" >"$LOGS/table.md"
printf '%s\n' "" "${TABLE[@]}" ""
conclude
