#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Boots a virtual machine as Android boots; see --help.

. "$(dirname "$0")/../vm/lib.sh"

usage() {
	cat <<-EOF
		Usage: make test-android [VM=x86|arm64|gki]

		Boots a virtual machine (default: x86) as Android boots: init mounts a tmpfs at
		/dev and loads the modules in /lib/modules/RELEASE/modules.load; ueventd makes the
		kernel send the uevents of all devices again, and makes the nodes, also
		/dev/ashmem and /dev/ashmem<boot_id>; unprivileged 64-bit and 32-bit apps share
		memory as libcutils does. Ends with 'N passed, N failed, N skipped'. The exit
		status is 1 if a test failed. Logs are in out/android-VM.

		The first run installs packages (as root) and builds a kernel in
		$CACHE, which takes about 6 minutes on 2 idle CPUs; later runs
		take less than a minute.
	EOF
}

# install_module DIRECTORY: installs the module there with make modules_install, and lists
# it for init.
install_module() {
	local release
	release=$(<"$KDIR/include/config/kernel.release")
	rm -rf "$1"
	mkdir -p "$1"
	kmake "$VM" M="$TOP" MO="$OUT/$VM/module" INSTALL_MOD_PATH="$1" modules_install || return 1
	# Without depmod, make only warns.
	[[ -s $1/lib/modules/$release/modules.dep ]] || return 1
	echo rust_ashmem.ko >"$1/lib/modules/$release/modules.load"
}

# build: builds the module in a ramdisk, and the programs.
build() {
	local bits dir
	mkdir -p "$OUT/$LEG"
	step "Building the module for $VM" "10 s" "$OUT/$LEG/module.log" build_module "$VM"
	find_warnings "$LEG"
	step "Installing it into a ramdisk" "5 s" "$OUT/$LEG/ramdisk.log" \
		one_by_one "$OUT/$VM/module" install_module "$OUT/$LEG/ramdisk"
	SUITES=(boot modules)
	PROGRAMS=("$OUT/$LEG/ramdisk/lib/modules:/lib/modules")
	for bits in 64 32; do
		dir=$(programs_of android "$VM" "$bits")
		step "Building the $bits-bit programs" "10 s" "$dir.log" build_programs android "$VM" "$bits"
		PROGRAMS+=("$dir/android_client:/system/bin/android_client-$bits")
		SUITES+=("android_client ($bits-bit)")
	done
}

# boot_android: boots with a program that works as Android's init. The init of the other
# machines runs second here.
boot_android() {
	local dir GUEST_WORDS
	dir=$(programs_of android "$VM" 64)
	# Lets init write to the log without a rate limit. Other legs run the KUnit suites.
	GUEST_WORDS='printk.devkmsg=on kunit.enable=0'
	install -m 755 "$TOP/vm/guest/init" "$OUT/$LEG/init"
	make_initramfs "$LEG" android "${PROGRAMS[@]}" "$dir/android_init:/init" \
		"$dir/android_ueventd:/system/bin/ueventd" "$TOP/android/ueventd.rc:/system/etc/ueventd.rc" \
		"$OUT/$LEG/init:/system/bin/init"
	say "Booting $VM as Android boots (usually 30 s)"
	count_vm "$LEG"
	tell_tested "$LEG" "$VM"
}

VM=${*:-x86}
case $VM in
-h | --help) usage && exit ;;
x86 | arm64 | gki) ;;
*) die "No virtual machine that boots as Android does is called '$VM'." "Use one of: x86, arm64, gki." ;;
esac
LEG=android-$VM

need "$LEG"
prepare "$VM"
build
boot_android
conclude
