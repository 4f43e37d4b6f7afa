#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Asks the C driver what is right; see --help.

. "$(dirname "$0")/lib.sh"
. "$TOP/scripts/packages.sh"
. "$TOP/scripts/toolchain.sh"
. "$TOP/scripts/kernel.sh"
. "$TOP/scripts/programs.sh"
. "$TOP/scripts/vm.sh"

CORRECTIONS=$TOP/selftests/corrections

usage() {
	cat <<-EOF
		Usage: make oracle

		Runs the kselftests, 64-bit and 32-bit, on the C driver: in QEMU, on the last
		kernel of Debian that carried it. Tells each test that differs, and ends with
		'N same, N corrected, N unexplained, N skipped':

		  same         passes on the C driver
		  corrected    fails on it, as selftests/corrections says
		  unexplained  fails on it without being named there, or is named and passes

		Ends with status 1 if one is unexplained, and well, without running a test, if
		the archive has no such kernel any more. Logs are in out/oracle.

		The first run installs packages (as root) and fetches 60 MB into
		$CACHE; a later one takes about a minute.
	EOF
}

# prepare_driver: sets KERNEL and DRIVER, the C driver's module for it, unless
# the archive has none.
prepare_driver() {
	local package
	! cached_driver || return 0
	need_space 1
	in_bullseye open_archive
	package=$(in_bullseye archive apt-cache search --names-only '^linux-image-5\.10\.[0-9]+-[0-9]+-amd64$' |
		awk '{ print $1 }' | sort -V | tail -n 1)
	[[ -n $package ]] || return 0
	step "Fetching $package" "20 s" "$CACHE/log/oracle" in_bullseye fetch_driver "$package"
	cached_driver
}

# cached_driver: takes the newest that is in the cache.
cached_driver() {
	local dir
	dir=$(find "$CACHE/oracle" -mindepth 1 -maxdepth 1 2>/dev/null | sort -V | tail -n 1)
	[[ -n $dir ]] || return 1
	KERNEL=$dir/vmlinuz
	DRIVER=$dir/ashmem_linux.ko
	say "C driver: ashmem_linux.ko of Debian's Linux ${dir##*/}"
}

fetch_driver() {
	local package=$1 tmp=$CACHE/tmp/oracle version
	rm -rf "$tmp"
	version=$(archive apt-cache show --no-all-versions "$package" | awk '$1 == "Version:" { print $2 }')
	fetch "$package=$version" "$tmp" || return 1
	mkdir -p "$tmp/whole" "$CACHE/oracle"
	cp "$tmp"/boot/vmlinuz-* "$tmp/whole/vmlinuz" || return 1
	# It depends on no other module.
	cp "$tmp"/lib/modules/*/kernel/drivers/staging/android/ashmem_linux.ko "$tmp/whole" || return 1
	# The move is what makes it whole.
	mv "$tmp/whole" "$CACHE/oracle/$version" || return 1
	rm -rf "$tmp"
}

case ${1:-} in
"") ;;
-h | --help) usage && exit ;;
*) usage >&2 && exit 2 ;;
esac

need_packages busybox-static cpio gcc gcc-multilib libc6-dev make qemu-system-x86 util-linux xz-utils
DRIVER=
with_cache prepare_driver
if [[ -z $DRIVER ]]; then
	say "Skipped: the archive has no Linux 5.10 of Debian 11 any more, which is the last that carried the C driver."
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
