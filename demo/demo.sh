#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Shows the module at work in a virtual machine; see --help.

. "$(dirname "$0")/../vm/lib.sh"

usage() {
	cat <<-EOF
		Usage: make demo [VM=uml|x86|arm64]
		       make demo-picture [...]

		Boots a virtual machine (default: uml), loads the module, and shows two processes
		that share memory through /dev/ashmem. Then shows a cache that is unpinned, and
		purged when another program needs its memory: as an animation in a terminal of at
		least 80 columns, or else as one picture per step. NO_COLOR=1 disables colours.

		demo-picture makes docs/demo.svg from the output, and docs/ashmem-top.svg from
		the table in it.

		The first run installs packages (as root) and builds a kernel in
		$CACHE, which takes about 6 minutes on 2 idle CPUs; later runs
		take half a minute.
	EOF
}

# choose_mode: sets MODE for demo_cache. A live picture needs a terminal that is large
# enough.
choose_mode() {
	MODE=plain
	[[ -z $PICTURE ]] || return 0
	# The terminal must be able to move the cursor up.
	[[ -t 1 ]] && tput cuu1 >/dev/null 2>&1 || return 0
	(($(tput cols) >= 80 && $(tput lines) >= 14)) || return 0
	MODE=live
	[[ -n ${NO_COLOR:-} ]] || (($(tput colors) < 8)) || MODE=colour
}

# draw PROGRAM NAME: makes docs/NAME.svg from the output.
draw() {
	tr -d '\r' <"$OUT/$VM/results" | "$TOP/demo/$1" "$KVERSION" "$(date -u +%F)" >"$TOP/docs/$2.svg.new"
	mv "$TOP/docs/$2.svg.new" "$TOP/docs/$2.svg"
	say "Written: docs/$2.svg"
}

PICTURE=
if [[ ${1:-} == --picture ]]; then
	PICTURE=1
	shift
fi
VM=${*:-uml}
case $VM in
-h | --help) usage && exit ;;
*) need_test_vm "$VM" ;;
esac

need "$VM"
prepare "$VM"
DIR=$(programs_of demo "$VM" 64)
step "Building the module" "10 s" "$OUT/$VM/module.log" build_module "$VM"
step "Building the demo" "5 s" "$DIR.log" build_programs demo "$VM" 64
step "Building ashmem-top" "5 s" "$(tool_of "$VM" 64).log" build_tool "$VM" 64
make_initramfs "$VM" demo "$OUT/$VM/module/rust_ashmem.ko:/rust_ashmem.ko" \
	"$DIR/demo:/demo" "$DIR/demo_cache:/demo_cache" "$(tool_of "$VM" 64)/ashmem-top:/bin/ashmem-top"
say "Booting Linux $KVERSION in $VM"
say ""
choose_mode
# Without this, the KUnit suites would run when the module is loaded.
GUEST_WORDS="demo=$MODE kunit.enable=0"
follow_vm "$VM" grep --line-buffered -v '^## ' ||
	die "The demo failed." "See its output above, and the kernel's log in out/$VM/console."
say ""
! splats "$VM" || die "The kernel reported a problem." "See its log: out/$VM/console."
if [[ -n $PICTURE ]]; then
	draw demo_picture.py demo
	draw top_picture.py ashmem-top
fi

if "$TOP/tools/doctor.sh" >/dev/null 2>&1; then
	say "This machine's own kernel can load the module too: make && sudo insmod rust_ashmem.ko"
else
	say "This machine's own kernel ($(uname -r)) cannot load the module. Run 'make doctor' to see why."
fi
