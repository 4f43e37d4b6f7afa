# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Common code of the tools. To be sourced.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$TOP/tools/lib/common.sh"
. "$TOP/tools/lib/kernels.sh"
. "$TOP/tools/lib/tables.sh"
. "$TOP/tools/lib/packages.sh"
. "$TOP/tools/lib/source.sh"
. "$TOP/tools/lib/headers.sh"
