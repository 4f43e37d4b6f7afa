# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A system of Debian's packages with Debian's kernel, in which the module is installed before
# it boots. To be sourced by the legs that use one.

# prepare_guest NAME GIB TIME PACKAGE...: sets GUEST_ROOT to a system of these packages, without
# the files in GUEST_LACKS. Fetching it needs GIB gigabytes and usually TIME. Removes an older
# system of that name.
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

# finish_guest: does the work of the packages' installation, in the system's directory.
finish_guest() {
	:
}

# link_programs: makes links for awk and sh.
link_programs() {
	ln -sf gawk usr/bin/awk && ln -sf dash usr/bin/sh
}

# copy_guest VM: makes out/VM/root a copy of GUEST_ROOT.
copy_guest() {
	local root=$OUT/$1/root
	rm -rf "$root"
	mkdir -p "$root"
	cp -a "$GUEST_ROOT/." "$root"
	# The installation of base-files would make them.
	mkdir -p "$root"/usr/local/{bin,lib}
}

# add_kernel ROOT: adds the lists of the kernel's modules, and a build directory that installs
# as Kbuild does, but without taking half a minute.
add_kernel() {
	local root=$1 dir=usr/lib/modules/$DEBIAN_RELEASE
	mkdir -p "$root/$dir/kernel" "$root/$dir/build/include/config"
	cp "$DEBIAN_ROOT/$dir"/modules.{builtin,builtin.modinfo,order} "$root/$dir"
	inside "$DEBIAN_ROOT" depmod -b "$root" "$DEBIAN_RELEASE"
	echo "$DEBIAN_RELEASE" >"$root/$dir/build/include/config/kernel.release"
	printf 'modules_install:; install -D -t $(INSTALL_MOD_PATH)/lib/modules/%s/updates $(M)/rust_ashmem.ko\n' \
		"$DEBIAN_RELEASE" >"$root/$dir/build/Makefile"
}

# add_checkout ROOT SCRIPT: adds this checkout in /src with the built module, and the tests.
# SCRIPT is a file of vm/guest.
add_checkout() {
	local root=$1
	mkdir -p "$root/src" "$root/selftests"
	cp -a "$TOP"/{Makefile,rust_ashmem.rs,packaging,debian,tools} "$OUT/debian/module/rust_ashmem.ko" "$root/src"
	# The system has no compiler to build them.
	rm -r "$root"/src/tools/ashmem-{check,top}
	cp "$(selftests_of debian 64)"/{area,mmap}_test "$root/selftests"
	cp "$TOP"/vm/guest/{files,suites,"$2"} "$root"
}

# install_aside VM [VARIABLE=VALUE...]: lists the files of out/VM/root, then installs the
# module there, as a package does. Makes out/VM/initramfs.gz from it.
install_aside() {
	local vm=$1 root=$OUT/$1/root
	shift
	(cd "$root" && sh files) >"$root/var/before"
	inside "$DEBIAN_ROOT" make -C "$TOP" KDIR="$DEBIAN_HEADERS" MO="$OUT/debian/module" \
		DESTDIR="$root" CC=gcc "$@" install
	inside "$DEBIAN_ROOT" depmod -b "$root" "$DEBIAN_RELEASE"
	(cd "$root" && find . | cpio -o -H newc --owner=0:0 --quiet) | gzip -1 >"$OUT/$vm/initramfs.gz"
}

# add_unit ROOT SCRIPT: adds a unit that runs the script, with its output on the second serial
# port. Booted with UNIT_WORDS, systemd starts only this unit and its dependencies.
add_unit() {
	local units=$1/etc/systemd/system
	# Without this, systemd does the slow setup of a first boot.
	echo 0123456789abcdef0123456789abcdef >"$1/etc/machine-id"
	unit "$2" >"$units/$2.service"
	# Coldplugging all devices takes a minute without KVM.
	mkdir "$units/systemd-udev-trigger.service.d"
	printf '[Service]\nExecStart=\nExecStart=udevadm trigger --action=add --sysname-match=ashmem\n' \
		>"$units/systemd-udev-trigger.service.d/ashmem.conf"
	UNIT_WORDS="systemd.unit=$2.service systemd.show_status=0 audit=0"
}

# unit SCRIPT: prints the unit, which requires the services for modules and devices.
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

# add_modules ROOT FILE...: adds these modules of the kernel. Call it before add_kernel.
add_modules() {
	local root=$1 dir=usr/lib/modules/$DEBIAN_RELEASE/kernel
	shift
	mkdir -p "$root/$dir"
	(cd "$DEBIAN_ROOT/$dir" && cp --parents "${@/%/.ko.xz}" "$root/$dir")
}
