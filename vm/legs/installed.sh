#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Installs the module on a system with systemd, boots it, and uninstalls it; see --help.

. "$(dirname "$0")/../lib.sh"
. "$TOP/vm/lib/guest.sh"

usage() {
	cat <<-EOF
		Usage: make test-installed

		Installs the module on a system with Debian's own kernel, systemd and udev, as a
		package does, and boots that in QEMU. Tests that systemd loads it, that udev
		makes /dev/ashmem and /dev/ashmem<boot_id> and removes them with the module, that
		trace-cmd reads the events, that make uninstall leaves nothing behind, and make
		install. Ends with 'N passed, N failed, N skipped'. The exit status is 1 if a
		test failed. The complete output is in out/installed/results.

		The first run installs packages (as root) and fetches 30 MB into
		$CACHE, besides what the tests on Debian's kernel need.
	EOF
}

# The packages of the system.
GUEST_PACKAGES=(base-files bash coreutils dash diffutils findutils grep kmod make sed systemd
	trace-cmd udev util-linux xz-utils)
# Files that are left out, so that it boots within a few seconds.
GUEST_LACKS=(usr/share usr/lib/udev/hwdb.d usr/lib/x86_64-linux-gnu/gconv usr/lib/systemd/system-generators
	var/cache/apt var/lib/{apt,dpkg})

# The whole system is in memory.
MEMORY=1024

# make_guest: makes out/installed/root, the system with this checkout in /src and the
# built module.
make_guest() {
	local root=$OUT/installed/root
	copy_guest installed
	# Another module with a misc device, to take the number of ours.
	add_modules "$root" net/vmw_vsock/vsock
	add_kernel "$root"
	add_checkout "$root" installed
	cp "$(selftests_of debian 64)/hold" "$root/selftests"
	add_unit "$root" installed
}

# build: builds the module and the system, and installs the module in it.
build() {
	make_debian_module
	step "Building the selftests" "10 s" "$(selftests_of debian 64).log" build_selftests debian 64
	make_guest
	step "Installing the module and its files aside" "10 s" "$OUT/installed/install" install_aside installed
}

# boot_installed: boots that system with its own init.
boot_installed() {
	local GUEST_WORDS="rdinit=/usr/lib/systemd/systemd $UNIT_WORDS"
	SUITES=(boot uninstall again)
	say "Booting with that in QEMU (usually 1 min)"
	count_vm installed
	tell_tested installed debian
}

case ${1:-} in
"") ;;
-h | --help) usage && exit ;;
*) usage >&2 && exit 2 ;;
esac

need installed
prepare debian
[[ -z $DEBIAN_LACKS ]] || skip installed "$DEBIAN_LACKS"
with_cache prepare_guest systemd 1 "20 s" "${GUEST_PACKAGES[@]}"
build
boot_installed
conclude
