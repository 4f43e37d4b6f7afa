#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Puts driver and selftests into a kernel tree, or takes them out; see --help.

. "$(dirname "$0")/lib.sh"

DRIVER=drivers/android/ashmem
HEADER=include/uapi/linux/ashmem.h
EVENTS=include/trace/events/ashmem.h
SELFTESTS=tools/testing/selftests/ashmem

usage() {
	cat <<-EOF
		Usage: make intree KSRC=DIR
		       make intree-remove KSRC=DIR

		DIR is the source tree of Linux $OLDEST_TREE or newer. It gets

		  $DRIVER                 the driver, CONFIG_ASHMEM_RUST
		  $HEADER     its header
		  $EVENTS  its trace events
		  $SELFTESTS  its selftests

		and a line in the Kconfig and the Makefile of drivers/android and in the
		Makefile of the selftests. Doing it again brings them up to date;
		intree-remove takes them out. After that, in DIR:

		  tools/testing/kunit/kunit.py run --kunitconfig=$DRIVER --make_options LLVM=1
		  make LLVM=1 menuconfig      # Device Drivers, Android
		  make LLVM=1                 # and boot that; then, as root:
		  make headers && make -C tools/testing/selftests TARGETS=ashmem run_tests
	EOF
}

# need_tree: ends unless the tree is one that the driver can be put into.
need_tree() {
	local file other version
	[[ -n ${KSRC:-} ]] || die "No kernel tree is named." "Say which: make intree KSRC=/path/to/linux"
	for file in Makefile drivers/android/{Kconfig,Makefile} tools/testing/selftests/Makefile; do
		[[ -f $KSRC/$file ]] || die "$KSRC is no kernel source tree: it has no $file." "Name one by KSRC=."
	done
	version=$(sed -n 's/^VERSION = //p' "$KSRC/Makefile").$(sed -n 's/^PATCHLEVEL = //p' "$KSRC/Makefile")
	[[ $(printf '%s\n' "$OLDEST_TREE" "$version" | sort -V | head -n 1) == "$OLDEST_TREE" && -f $KSRC/rust/kernel/miscdevice.rs ]] ||
		die "$KSRC is Linux $version, which is too old." "Take Linux $OLDEST_TREE or newer."
	[[ -w $KSRC && -w $KSRC/drivers/android ]] || die "$KSRC cannot be written to." "Run it as the tree's owner."
	# Android's own kernels have one, and two cannot be the same device.
	other=$(grep -rlE --include=Kconfig '^config ASHMEM(_RUST)?$' "$KSRC/drivers" | grep -v "^$KSRC/$DRIVER/" || true)
	[[ -z $other ]] ||
		die "$KSRC has an ashmem driver already, in ${other#"$KSRC"/}." "Remove that first; two drivers cannot be /dev/ashmem."
	for file in "$DRIVER" "$HEADER" "$EVENTS" "$SELFTESTS"; do
		[[ ! -e $KSRC/$file ]] || is_ours ||
			die "$KSRC has a $file that this did not put there." "Move it away, if you want to keep it, or remove it."
	done
}

# is_ours: returns whether what is in these places came from here, be it by a run that
# was interrupted.
is_ours() {
	[[ -e $KSRC/$DRIVER/rust_ashmem.rs || (! -e $KSRC/$DRIVER && -e $KSRC/$DRIVER.new) ]]
}

# without PATTERN FILE: takes matching lines out. A file that another tree shares is
# left alone: it is replaced, not written to.
without() {
	! grep -q "$1" "$KSRC/$2" || sed -i "/$1/d" "$KSRC/$2"
}

remove() {
	without '^source "drivers\/android\/ashmem\/Kconfig"$' drivers/android/Kconfig
	without '^obj-y[[:space:]]*+= ashmem\/$' drivers/android/Makefile
	without '^TARGETS += ashmem$' tools/testing/selftests/Makefile
	# The driver last: it tells that the others are ours.
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
	# What a build in this checkout made.
	rm -f "$new/src/static_branch.rs"
	cp "$TOP/$HEADER" "$KSRC/$HEADER"
	cp "$TOP/$EVENTS" "$KSRC/$EVENTS"
	mkdir "$KSRC/$SELFTESTS"
	(cd "$TOP/selftests" && cp ./*.[ch] ./*.sh .gitignore Makefile README.md config settings "$KSRC/$SELFTESTS")
	# The lines come last: until then the tree is what it was.
	mv "$new" "$KSRC/$DRIVER"
	sed -i '$a obj-y\t\t\t\t\t+= ashmem/' "$KSRC/drivers/android/Makefile"
	sed -i '/^endmenu$/i source "drivers/android/ashmem/Kconfig"' "$KSRC/drivers/android/Kconfig"
	sed -i '0,/^TARGETS += [b-z]/s//TARGETS += ashmem\n&/' "$KSRC/tools/testing/selftests/Makefile"
	grep -q ashmem "$KSRC/drivers/android/Makefile" && grep -q ashmem "$KSRC/drivers/android/Kconfig" &&
		grep -q ashmem "$KSRC/tools/testing/selftests/Makefile" && return
	remove
	die "$KSRC has a drivers/android or selftests of another form." "Tell the project which tree it is."
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
remove) say "$KSRC is without them." ;;
esac
