#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs the selftests on the C driver, which is the reference; see --help.

. "$(dirname "$0")/../lib.sh"
. "$TOP/vm/lib/c_driver.sh"

CORRECTIONS=$TOP/vm/corrections

usage() {
	cat <<-EOF
		Usage: make oracle

		Runs the kselftests, 64-bit and 32-bit, on the C driver: in QEMU, on the last
		kernel of Debian that had it. Prints each difference, and at the end 'N same, N
		corrected, N unexplained, N skipped':

		  same         passes on the C driver
		  corrected    fails there, and vm/corrections has the reason
		  unexplained  fails there and is not in vm/corrections, or is listed and passes

		The exit status is 1 if a test is unexplained. If the archive no longer has that
		kernel, no test is run, and the status is 0. Logs are in out/oracle.

		The first run installs packages (as root) and fetches 60 MB into
		$CACHE; later runs take about a minute.
	EOF
}

case ${1:-} in
"") ;;
-h | --help) usage && exit ;;
*) usage >&2 && exit 2 ;;
esac

need oracle
DRIVER=
with_cache prepare_driver
if [[ -z $DRIVER ]]; then
	say "Skipped: the archive no longer has Linux 5.10 of Debian 11, the last with the C driver."
	exit
fi
with_cache prepare_source
SUITES=()
build_suites oracle 64 32
build_tools oracle 64 32
make_initramfs oracle oracle "$DRIVER:/ashmem_linux.ko" "${PROGRAMS[@]}"
say "Testing the C driver (usually 30 s)"
ended=1
run_vm oracle -v corrections="$CORRECTIONS" || ended=0
read -r same unexplained skipped corrected <"$OUT/oracle/totals"
((ended)) || unexplained=$((unexplained + 1))
echo "$same same, $corrected corrected, $unexplained unexplained, $skipped skipped"
((unexplained == 0 && same > 0))
