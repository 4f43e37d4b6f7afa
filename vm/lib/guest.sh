# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A system of Debian's packages with Debian's kernel, in which the module is installed and
# which then boots with it. To be sourced by the legs that have one.

# prepare_guest NAME GIB TIME PACKAGE...: sets GUEST_ROOT, a system of these packages without
# GUEST_LACKS, which takes so many GiB and usually so long to fetch. Another one of that name
# is forgotten.
prepare_guest() {
	local name=$1 gib=$2 time=$3 key
	shift 3
	key=$({ echo "$* ${GUEST_LACKS[*]}" && declare -f finish_guest; } | sha256sum | cut -c 1-12)
	GUEST_ROOT=$CACHE/guest/$name-$key
	[[ ! -d $GUEST_ROOT ]] || return 0
	need_space "$gib"
	open_archive
	step "Fetching Debian's packages for $name" "$time" "$CACHE/log/guest-$name" \
		fill "$GUEST_ROOT" fetch_guest "$name" "$@"
}

# fetch_guest NAME PACKAGE... DIRECTORY
fetch_guest() {
	local to=${*: -1}
	extract_packages "$to" "${@:2:$#-2}" || return 1
	(cd "$to" && rm -rf "${GUEST_LACKS[@]}" && finish_guest) || return 1
	rm -rf "$CACHE/guest/$1"-*
}

# finish_guest: does in the system's directory what its packages do when they are installed.
finish_guest() {
	:
}

# link_programs: has awk and sh there.
link_programs() {
	ln -sf gawk usr/bin/awk && ln -sf dash usr/bin/sh
}

# copy_guest VM: makes out/VM/root a copy of GUEST_ROOT.
copy_guest() {
	local root=$OUT/$1/root
	rm -rf "$root"
	mkdir -p "$root"
	cp -a "$GUEST_ROOT/." "$root"
	# Debian's base-files make them when they are installed.
	mkdir -p "$root"/usr/local/{bin,lib}
}

# add_kernel ROOT: adds the kernel's modules, as far as they are needed, and a build
# directory that installs as Kbuild does, but does not take half a minute for that.
add_kernel() {
	local root=$1 dir=usr/lib/modules/$DEBIAN_RELEASE
	mkdir -p "$root/$dir/kernel" "$root/$dir/build/include/config"
	cp "$DEBIAN_ROOT/$dir"/modules.{builtin,builtin.modinfo,order} "$root/$dir"
	inside "$DEBIAN_ROOT" depmod -b "$root" "$DEBIAN_RELEASE"
	echo "$DEBIAN_RELEASE" >"$root/$dir/build/include/config/kernel.release"
	printf 'modules_install:; install -D -t $(INSTALL_MOD_PATH)/lib/modules/%s/updates $(M)/rust_ashmem.ko\n' \
		"$DEBIAN_RELEASE" >"$root/$dir/build/Makefile"
}

# add_checkout ROOT SCRIPT: adds this checkout in /src, with its module built, and what
# tests there, of which SCRIPT is a file of vm/guest.
add_checkout() {
	local root=$1
	mkdir -p "$root/src" "$root/selftests"
	cp -a "$TOP"/{Makefile,rust_ashmem.rs,packaging,debian,tools} "$OUT/debian/module/rust_ashmem.ko" "$root/src"
	# It has no compiler to build them anew.
	rm -r "$root"/src/tools/ashmem-{check,top}
	cp "$(selftests_of debian 64)"/{area,mmap}_test "$root/selftests"
	cp "$TOP"/vm/guest/{files,suites,"$2"} "$root"
}

# install_aside VM [VARIABLE=VALUE...]: installs into out/VM/root, as a package does, and
# has what it was before listed there. Makes out/VM/initramfs.gz of it.
install_aside() {
	local vm=$1 root=$OUT/$1/root
	shift
	(cd "$root" && sh files) >"$root/var/before"
	inside "$DEBIAN_ROOT" make -C "$TOP" KDIR="$DEBIAN_HEADERS" MO="$OUT/debian/module" \
		DESTDIR="$root" CC=gcc "$@" install
	inside "$DEBIAN_ROOT" depmod -b "$root" "$DEBIAN_RELEASE"
	(cd "$root" && find . | cpio -o -H newc --owner=0:0 --quiet) | gzip -1 >"$OUT/$vm/initramfs.gz"
}

# add_unit ROOT SCRIPT: has systemd, booted with UNIT_WORDS, do no more than that script
# takes, which says on the second serial port what it finds.
add_unit() {
	local units=$1/etc/systemd/system
	# Else this would be a first boot, which takes its time.
	echo 0123456789abcdef0123456789abcdef >"$1/etc/machine-id"
	unit "$2" >"$units/$2.service"
	# Coldplugging all devices takes a minute without KVM.
	mkdir "$units/systemd-udev-trigger.service.d"
	printf '[Service]\nExecStart=\nExecStart=udevadm trigger --action=add --sysname-match=ashmem\n' \
		>"$units/systemd-udev-trigger.service.d/ashmem.conf"
	UNIT_WORDS="systemd.unit=$2.service systemd.show_status=0 audit=0"
}

# unit SCRIPT: prints what the system is booted for, as far as modules and devices go.
unit() {
	cat <<-EOF
		[Unit]
		DefaultDependencies=no
		Requires=systemd-udevd.service systemd-udev-trigger.service systemd-modules-load.service
		After=systemd-udevd.service systemd-udev-trigger.service systemd-modules-load.service

		[Service]
		Type=oneshot
		ExecStart=/bin/bash /$1
		StandardOutput=file:/dev/ttyS1
		StandardError=inherit
	EOF
}

# add_modules ROOT FILE...: adds these modules of the kernel, for add_kernel to list.
add_modules() {
	local root=$1 dir=usr/lib/modules/$DEBIAN_RELEASE/kernel
	shift
	mkdir -p "$root/$dir"
	(cd "$DEBIAN_ROOT/$dir" && cp --parents "${@/%/.ko.xz}" "$root/$dir")
}
