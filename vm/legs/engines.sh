#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Passes the device to containers of Debian's engines; see --help.

. "$(dirname "$0")/../lib.sh"
. "$TOP/vm/lib/guest.sh"

usage() {
	cat <<-EOF
		Usage: make test-engines [ENGINES='podman rootless docker containerd lxc incus']

		Boots a system of Debian packages in QEMU, with Debian's own kernel, systemd and
		the module installed, and starts containers in it with Debian's engines: podman,
		also rootless, with quadlet and with podman-compose; Docker, also with compose;
		containerd's ctr; LXC; Incus. Follows docs/containers.md and docs/redroid.md.
		Tests that ashmem-check finds containers without the device, that its advice
		fixes them, and that a program in a container with the device can use it. Ends
		with 'N passed, N failed, N skipped'. The complete output is in
		out/engines/results.

		The images have the names of Android's, but contain only BusyBox and a test. The
		first run installs packages (as root) and fetches 200 MB into
		$CACHE, besides what the tests on Debian's kernel need.
	EOF
}

GUEST_PACKAGES=(base-files bash busybox-static coreutils dash diffutils findutils gawk grep kmod make mount
	procps sed systemd tar udev util-linux xz-utils
	containerd crun docker-cli docker-compose docker.io incus-base incus-client iproute2 iptables lxc
	podman podman-compose)
# The system is copied into memory when it boots.
GUEST_LACKS=(usr/share/{bash-completion,doc,info,locale,man,perl5,zoneinfo} usr/lib/udev/hwdb.d
	usr/lib/x86_64-linux-gnu/{gconv,perl-base} usr/lib/systemd/system-generators usr/lib/cni
	usr/libexec/podman/podman-testing usr/bin/containerd-shim{,-runc-v1} usr/sbin/docker-proxy
	var/cache/apt var/lib/{apt,dpkg})
MEMORY=3072
# On a busy host, unpacking takes a minute without any output.
SILENCE=300
ENGINES=(podman rootless docker containerd lxc incus)

finish_guest() {
	link_programs
	printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'joe:x:1000:1000::/home/joe:/bin/sh' \
		'nobody:x:65534:65534::/:/bin/sh' >etc/passwd
	printf '%s:x:%s:\n' root 0 tty 5 docker 990 incus-admin 991 joe 1000 nogroup 65534 >etc/group
}

# make_guest: makes out/engines/root, the system with this checkout in /src and the built
# module.
make_guest() {
	local root=$OUT/engines/root
	copy_guest engines
	mkdir -p "$root/root" "$root/docs"
	# overlay is for layers of images, vsock takes the number of the device.
	add_modules "$root" fs/overlayfs/overlay net/vmw_vsock/vsock
	add_kernel "$root"
	add_checkout "$root" engines
	cp "$TOP"/docs/{containers,redroid}.md "$root/docs"
	add_unit "$root" engines
	# Containers cannot run from an initramfs, so this moves to a tmpfs.
	cat >"$root/init" <<-EOF
		#!/bin/sh
		mkdir -p /new
		mount -t tmpfs -o size=80% tmpfs /new
		for name in *; do
			[ "\$name" = new ] || cp -a "\$name" /new
		done
		exec busybox switch_root /new /usr/lib/systemd/systemd
	EOF
	chmod +x "$root/init"
}

# build: builds the module and the system, and installs the module in it.
build() {
	make_debian_module
	step "Building the selftests" "10 s" "$(selftests_of debian 64).log" build_selftests debian 64
	make_guest
	step "Installing the module and its files aside" "30 s" "$OUT/engines/install" install_aside engines
}

# boot_engines: boots that system with its own init.
boot_engines() {
	local picked=${SUITES[*]}
	# Without AppArmor: its profiles would be loaded when Debian's packages are installed.
	local GUEST_WORDS="$UNIT_WORDS apparmor=0 engines=${picked// /,}"
	say "Booting with that in QEMU (usually 5 min)"
	count_vm engines
	tell_tested engines debian
}

case ${1:-} in
-h | --help) usage && exit ;;
esac
SUITES=("$@")
((${#SUITES[@]})) || SUITES=("${ENGINES[@]}")
for engine in "${SUITES[@]}"; do
	[[ " ${ENGINES[*]} " == *" $engine "* ]] || die "No engine is called '$engine'." "Use some of: ${ENGINES[*]}."
done

need engines
prepare debian
[[ -z $DEBIAN_LACKS ]] || skip engines "$DEBIAN_LACKS"
with_cache prepare_guest engines 3 "1 min" "${GUEST_PACKAGES[@]}"
build
boot_engines
conclude
