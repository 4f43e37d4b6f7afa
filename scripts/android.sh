#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Boots a virtual machine as Android boots; see --help. test.sh sources it for
# test_android alone.

# android_ramdisk VM DIRECTORY: installs the module there as its user would, and
# lists it for init.
android_ramdisk() {
	local release
	release=$(<"$KDIR/include/config/kernel.release")
	rm -rf "$2"
	mkdir -p "$2"
	kmake "$1" M="$TOP" MO="$OUT/$1/module" INSTALL_MOD_PATH="$2" modules_install || return 1
	# make only warns if there is no depmod.
	[[ -s $2/lib/modules/$release/modules.dep ]] || return 1
	echo rust_ashmem.ko >"$2/lib/modules/$release/modules.load"
}

# test_android VM: runs the test on the kernel of that machine.
test_android() {
	local vm=$1 leg=android-$1 files=() bits programs
	# init may write to the log as often as it likes, and KUnit's suites run elsewhere.
	local GUEST_WORDS='printk.devkmsg=on kunit.enable=0'
	with_cache prepare_kernel "$vm"
	mkdir -p "$OUT/$leg"
	step "Building the module for $vm" "10 s" "$OUT/$vm/module.log" build_module "$vm"
	step "Installing it into a ramdisk" "5 s" "$OUT/$leg/ramdisk.log" android_ramdisk "$vm" "$OUT/$leg/ramdisk"
	SUITES=(boot modules)
	for bits in 64 32; do
		programs=$(selftests_of "$vm" "$bits")
		step "Building the $bits-bit programs" "10 s" "$programs.log" build_selftests "$vm" "$bits"
		files+=("$programs/android_client:/system/bin/android_client-$bits")
		SUITES+=("android_client ($bits-bit)")
	done
	programs=$(selftests_of "$vm" 64)
	# What other machines begin with comes second here.
	install -m 755 "$TOP/scripts/guest/init" "$OUT/$leg/init"
	make_initramfs "$leg" android "$OUT/$leg/ramdisk/lib/modules:/lib/modules" "${files[@]}" \
		"$programs/android_init:/init" "$programs/android_ueventd:/system/bin/ueventd" \
		"$TOP/selftests/ueventd.rc:/system/etc/ueventd.rc" "$OUT/$leg/init:/system/bin/init"
	say "Booting $vm as Android boots (usually 30 s)"
	count_vm "$leg"
	tell_tested "$leg" "$vm"
}

[[ ${BASH_SOURCE[0]} == "$0" ]] || return 0

. "$(dirname "$0")/lib.sh"
. "$TOP/scripts/packages.sh"
. "$TOP/scripts/toolchain.sh"
. "$TOP/scripts/kernel.sh"
. "$TOP/scripts/programs.sh"
. "$TOP/scripts/vm.sh"

usage() {
	cat <<-EOF
		Usage: make test-android [VM=x86|arm64]

		Boots a virtual machine (x86 unless told otherwise) as Android boots: a first
		program mounts a tmpfs at /dev and loads what /lib/modules/RELEASE/modules.load
		lists; ueventd has the kernel tell again of each device and makes its nodes,
		/dev/ashmem and /dev/ashmem<boot_id> among them; apps without privileges, of 64
		and 32 bits, share memory as libcutils does. Ends with 'N passed, N failed, N
		skipped', and with status 1 if one failed. Logs are in out/android-VM.

		The first run installs packages (as root) and builds a kernel into
		$CACHE, which takes about 6 minutes on 2 idle CPUs; a later
		one takes less than a minute.
	EOF
}

VM=${*:-x86}
case $VM in
-h | --help) usage && exit ;;
x86 | arm64) ;;
*) die "No virtual machine that boots as Android does is called '$VM'." "There are: x86, arm64." ;;
esac

need_machine_packages "$VM"
need_packages kmod
with_cache prepare_toolchain
with_cache prepare_source
with_cache prepare_programs "$VM"
test_android "$VM"
conclude
