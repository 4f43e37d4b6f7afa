#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the module with the newest compilers and kernel of Debian, those of sid:
# 'make test-canary'. They change every day, so a failure is reported and skipped.

. "$(dirname "$0")/../lib.sh"

usage() {
	cat <<-EOF
		Usage: make test-canary

		Builds the module with the rustc and gcc of Debian sid for sid's kernel, without a
		warning, and checks that it fits the kernel. Boots nothing. These packages change
		every day, so a failure is reported as skipped.
	EOF
}

case ${1:-} in
-h | --help) usage && exit ;;
esac
MODULE=$OUT/canary/module/rust_ashmem.ko

# build: builds the module without a warning, and checks that it fits the kernel.
build() {
	with_cache prepare_debian canary
	[[ -z $DEBIAN_LACKS ]] || die "There is no kernel to build it for: $DEBIAN_LACKS." "Run it again another day."
	make_debian_module
	! grep -B 2 -A 12 '^warning' "$OUT/canary/module.log" || return 1
	metadata check "$MODULE"
	say "canary: Linux $DEBIAN_RELEASE, x86_64 (not booted), pages of 4 KiB, rustc $(inside "$DEBIAN_ROOT" rustc --version | cut -d " " -f 2)"
}

need debian
rm -rf "$OUT/canary/module"
set +e
(set -e && build)
status=$?
set -e
((status == 0)) || skip canary "the newest compilers failed or gave warnings; see above"
PASSED=1
conclude
