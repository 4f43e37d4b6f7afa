#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Installs the module on systems without systemd, boots them, and uninstalls it; see --help.

. "$(dirname "$0")/../lib.sh"
. "$TOP/vm/lib/guest.sh"

usage() {
	cat <<-EOF
		Usage: make test-inits [INITS='openrc busybox']

		Installs the module into systems without systemd and boots them in QEMU, with
		Debian's own kernel:

		  openrc   Debian's OpenRC, with udev
		  busybox  BusyBox's init, with mdev

		Tests that both nodes appear at boot, appear and disappear with the module, and
		work for all users; that make uninstall leaves nothing behind; make install on
		the running system; and, under OpenRC, containers of Debian's crun. 'make
		test-installed' does the same with systemd. Ends with 'N passed, N failed, N
		skipped'. The complete output is in out/INIT/results.

		The first run installs packages (as root) and fetches 60 MB into
		$CACHE, besides what the tests on Debian's kernel need.
	EOF
}

# The packages of both systems, and more packages of each.
GUEST_PACKAGES=(base-files bash busybox-static coreutils dash debianutils diffutils findutils gawk grep kmod
	make mount sed util-linux xz-utils)
declare -A MORE_PACKAGES=(
	[openrc]="crun dpkg initscripts openrc sysvinit-utils udev"
	[busybox]=""
)
GUEST_LACKS=(usr/share/{doc,info,locale,man} usr/lib/udev/hwdb.d usr/lib/x86_64-linux-gnu/gconv
	var/cache/apt var/lib/{apt,dpkg})
declare -A MANAGERS=([openrc]=udev [busybox]=mdev)

# The whole system is in memory.
MEMORY=1024

finish_guest() {
	link_programs
	: >etc/profile
	printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'nobody:x:65534:65534::/:/bin/sh' >etc/passwd
	printf '%s:x:%s:\n' root 0 tty 5 uucp 10 nogroup 65534 >etc/group
}

# add_openrc ROOT: configures OpenRC to start udev, load modules, and run the tests.
add_openrc() {
	local service
	# Coldplugging all devices takes a minute without KVM.
	sed -i 's/udevadm trigger --type=devices --action=add/& --sysname-match=ashmem/; s/udevadm trigger --type=subsystems --action=add/true/' "$1/etc/init.d/udev"
	for service in udev kmod; do ln -s "/etc/init.d/$service" "$1/etc/runlevels/sysinit/$service"; done
	cat >"$1/etc/init.d/tests" <<-EOF
		#!/usr/sbin/openrc-run
		start() { bash /inits openrc; }
	EOF
	chmod +x "$1/etc/init.d/tests"
	ln -s /etc/init.d/tests "$1/etc/runlevels/default/tests"
	ln -sf openrc-init "$1/usr/sbin/init"
}

# add_busybox ROOT: the same for BusyBox's init, with the step that 'make install' leaves
# to the user.
add_busybox() {
	ln -sf ../bin/busybox "$1/usr/sbin/init"
	printf '%s\n' '::sysinit:/bin/busybox sh /etc/init.d/rcS' '::wait:/bin/bash /inits busybox' >"$1/etc/inittab"
	printf '%s\n' 'busybox mdev -d' /usr/local/sbin/rust_ashmem-nodes >"$1/etc/init.d/rcS"
	# The catch-all line: other devices are for root only.
	printf '%s\n' '.* root:root 0660' >"$1/etc/mdev.conf"
}

# make_guest INIT: makes out/INIT/root, with this checkout in /src and the built module.
make_guest() {
	local root=$OUT/$1/root
	copy_guest "$1"
	mkdir -p "$root/usr/local/sbin" "$root"/etc/{init.d,modules-load.d} "$root/root"
	add_kernel "$root"
	"add_$1" "$root"
	add_checkout "$root" inits
	# The work of an initramfs before it starts the system.
	cat >"$root/init" <<-EOF
		#!/bin/sh
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys
		mount -t devtmpfs devtmpfs /dev
		mount -t tmpfs tmpfs /run
		exec /usr/sbin/init
	EOF
	chmod +x "$root/init"
}

# test_init INIT
test_init() {
	local GUEST_WORDS="" more
	read -r -a more <<<"${MORE_PACKAGES[$1]}"
	with_cache prepare_guest "$1" 1 "20 s" "${GUEST_PACKAGES[@]}" "${more[@]}"
	make_guest "$1"
	step "Installing the module and its files aside" "10 s" "$OUT/$1/install" \
		install_aside "$1" INIT="$1" MANAGER="${MANAGERS[$1]}"
	SUITES=(boot uninstall again)
	[[ $1 != openrc ]] || SUITES+=(containers)
	say "Booting $1 in QEMU (usually 1 min)"
	count_vm "$1"
	tell_tested "$1" debian
}

case ${1:-} in
-h | --help) usage && exit ;;
esac
picked=("$@")
((${#picked[@]})) || picked=(openrc busybox)
for init in "${picked[@]}"; do
	[[ -n ${MANAGERS[$init]-} ]] || die "No system is called '$init'." "Use some of: ${!MANAGERS[*]}."
done

need installed
prepare debian
[[ -z $DEBIAN_LACKS ]] || skip inits "$DEBIAN_LACKS"
make_debian_module
step "Building the selftests" "10 s" "$(selftests_of debian 64).log" build_selftests debian 64
for init in "${picked[@]}"; do test_init "$init"; done
conclude
