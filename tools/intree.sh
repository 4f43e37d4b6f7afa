#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Adds the driver and the selftests to a kernel tree, or removes them; see --help.

. "$(dirname "$0")/lib.sh"

DRIVER=drivers/android/ashmem
HEADER=include/uapi/linux/ashmem.h
EVENTS=include/trace/events/ashmem.h
SELFTESTS=tools/testing/selftests/ashmem

usage() {
	cat <<-EOF
		Usage: make intree KSRC=DIR
		       make intree-remove KSRC=DIR

		DIR is the source tree of Linux $OLDEST_TREE or newer. This adds

		  $DRIVER                 the driver, CONFIG_ASHMEM_RUST
		  $HEADER     its header
		  $EVENTS  its trace events
		  $SELFTESTS  its selftests

		and a line to the Kconfig and the Makefile of drivers/android and to the
		Makefile of the selftests. Running it again updates them; intree-remove
		removes them. After that, in DIR:

		  tools/testing/kunit/kunit.py run --kunitconfig=$DRIVER --make_options LLVM=1
		  make LLVM=1 menuconfig      # Device Drivers, Android
		  make LLVM=1                 # and boot that; then, as root:
		  make headers && make -C tools/testing/selftests TARGETS=ashmem run_tests
	EOF
}

# need_tree: fails unless the driver can be added to the tree.
need_tree() {
	local file other version
	[[ -n ${KSRC:-} ]] || die "KSRC is not set." "Set it to a kernel tree: make intree KSRC=/path/to/linux"
	for file in Makefile drivers/android/{Kconfig,Makefile} tools/testing/selftests/Makefile; do
		[[ -f $KSRC/$file ]] || die "$KSRC is not a kernel source tree: it has no $file." "Set KSRC= to one."
	done
	version=$(sed -n 's/^VERSION = //p' "$KSRC/Makefile").$(sed -n 's/^PATCHLEVEL = //p' "$KSRC/Makefile")
	[[ $(printf '%s\n' "$OLDEST_TREE" "$version" | sort -V | head -n 1) == "$OLDEST_TREE" && -f $KSRC/rust/kernel/miscdevice.rs ]] ||
		die "$KSRC is Linux $version, which is too old." "Use Linux $OLDEST_TREE or newer."
	[[ -w $KSRC && -w $KSRC/drivers/android ]] || die "$KSRC cannot be written to." "Run it as the tree's owner."
	# Android's own kernels have a driver, and only one can register the device.
	other=$(grep -rlE --include=Kconfig '^config ASHMEM(_RUST)?$' "$KSRC/drivers" | grep -v "^$KSRC/$DRIVER/" || true)
	[[ -z $other ]] ||
		die "$KSRC has an ashmem driver already, in ${other#"$KSRC"/}." "Remove it first: only one driver can be /dev/ashmem."
	for file in "$DRIVER" "$HEADER" "$EVENTS" "$SELFTESTS"; do
		[[ ! -e $KSRC/$file ]] || is_ours ||
			die "$KSRC has a $file that this did not put there." "Move it away, or remove it."
	done
}

# is_ours: returns whether existing files were added by this script, perhaps by an
# interrupted run.
is_ours() {
	[[ -e $KSRC/$DRIVER/rust_ashmem.rs || (! -e $KSRC/$DRIVER && -e $KSRC/$DRIVER.new) ]]
}

# without PATTERN FILE: removes matching lines. Replaces the file instead of writing to it,
# as another tree may share it by a hard link.
without() {
	! grep -q "$1" "$KSRC/$2" || sed -i "/$1/d" "$KSRC/$2"
}

remove() {
	without '^source "drivers\/android\/ashmem\/Kconfig"$' drivers/android/Kconfig
	without '^obj-y[[:space:]]*+= ashmem\/$' drivers/android/Makefile
	without '^TARGETS += ashmem$' tools/testing/selftests/Makefile
	# The driver last: is_ours looks for it.
	rm -rf "${KSRC:?}"/{"$HEADER","$EVENTS","$SELFTESTS"}
	rm -rf "${KSRC:?}"/{"$DRIVER","$DRIVER.new"}
}

add() {
	local new=$KSRC/$DRIVER.new
	remove
	mkdir -p "$new"
	mkdir "$new/src"
	cp "$TOP"/{Kbuild,Kconfig,.kunitconfig,rust_ashmem.rs} "$new"
	cp -r "$TOP"/src/*.{rs,c,S} "$TOP/src/compat" "$new/src"
	# A build in this checkout makes this.
	rm -f "$new/src/static_branch.rs"
	cp "$TOP/$HEADER" "$KSRC/$HEADER"
	cp "$TOP/$EVENTS" "$KSRC/$EVENTS"
	mkdir "$KSRC/$SELFTESTS"
	(cd "$TOP/selftests" && cp ./*.[ch] ./*.sh .gitignore Makefile README.md config settings "$KSRC/$SELFTESTS")
	# The lines come last: until then, builds of the tree are unchanged.
	mv "$new" "$KSRC/$DRIVER"
	sed -i '$a obj-y\t\t\t\t\t+= ashmem/' "$KSRC/drivers/android/Makefile"
	sed -i '/^endmenu$/i source "drivers/android/ashmem/Kconfig"' "$KSRC/drivers/android/Kconfig"
	sed -i '0,/^TARGETS += [b-z]/s//TARGETS += ashmem\n&/' "$KSRC/tools/testing/selftests/Makefile"
	grep -q ashmem "$KSRC/drivers/android/Makefile" && grep -q ashmem "$KSRC/drivers/android/Kconfig" &&
		grep -q ashmem "$KSRC/tools/testing/selftests/Makefile" && return
	remove
	die "The files of drivers/android or of the selftests in $KSRC have an unknown form." "Report which tree it is."
}

case ${1:-} in
-h | --help) usage && exit ;;
add | remove) ;;
*) usage >&2 && exit 2 ;;
esac
need_tree
KSRC=$(cd "$KSRC" && pwd)
"$1"
case $1 in
add) say "Driver and selftests are in $KSRC; 'tools/intree.sh --help' says how to build them." ;;
remove) say "Driver and selftests were removed from $KSRC." ;;
esac
