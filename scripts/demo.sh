#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Shows the module at work in a virtual machine; see --help.

. "$(dirname "$0")/lib.sh"
. "$TOP/scripts/packages.sh"
. "$TOP/scripts/toolchain.sh"
. "$TOP/scripts/kernel.sh"
. "$TOP/scripts/vm.sh"

usage() {
	cat <<-EOF
		Usage: make demo [VM=uml|x86]

		Boots a virtual machine (uml unless told otherwise), loads the module there
		and shows two processes that share memory through /dev/ashmem.

		The first run installs packages (as root) and builds a kernel into
		$CACHE, which takes about 6 minutes on 2 idle CPUs; a later
		one takes seconds.
	EOF
}

VM=${*:-uml}
case $VM in
-h | --help) usage && exit ;;
*) arch_of "$VM" >/dev/null ;;
esac

need_machine_packages "$VM"
with_cache prepare_toolchain
with_cache prepare_source
with_cache prepare_kernel "$VM"
step "Building the module" "10 s" "$OUT/$VM/module.log" build_module "$VM"
step "Building the demo" "5 s" "$OUT/selftests-64.log" build_selftests 64
make_initramfs "$VM" demo "$OUT/$VM/module/rust_ashmem.ko:/rust_ashmem.ko" \
	"$OUT/selftests-64/demo:/demo"
say "Booting Linux $KVERSION in $VM"
say ""
follow_vm "$VM" grep --line-buffered -v '^## ' ||
	die "The demo did not work." "What it printed is above; the kernel's log is out/$VM/console."
say ""
! splats "$VM" || die "The kernel complained." "Its log is out/$VM/console."

if "$TOP/scripts/doctor.sh" >/dev/null 2>&1; then
	say "This machine's own kernel can load the module too: make && sudo insmod rust_ashmem.ko"
else
	say "This machine's own kernel ($(uname -r)) cannot load the module; 'make doctor' says why."
fi
