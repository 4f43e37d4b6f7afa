# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Common code of the scripts that build and run virtual machines. To be sourced.

. "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"
. "$TOP/vm/lib/toolchain.sh"
. "$TOP/vm/lib/kernel.sh"
. "$TOP/vm/lib/debian.sh"
. "$TOP/vm/lib/programs.sh"
. "$TOP/vm/lib/machine.sh"
. "$TOP/vm/lib/cfi.sh"
. "$TOP/vm/lib/mutants.sh"
. "$TOP/vm/lib/needs.sh"
. "$TOP/vm/lib/report.sh"
. "$TOP/vm/lib/legs.sh"
