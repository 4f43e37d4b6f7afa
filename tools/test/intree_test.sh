#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of intree.sh on a fake kernel tree: what it adds and removes, and that it keeps
# other files.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/test/ktap.sh"

TREE=$TMP/tree
DRIVER=$TREE/drivers/android/ashmem
HEADER=$TREE/include/uapi/linux/ashmem.h
SELFTESTS=$TREE/tools/testing/selftests/ashmem

# tree: makes a kernel tree without ashmem.
tree() {
	rm -rf "$TREE"
	mkdir -p "$TREE"/{drivers/android,include/{uapi/linux,trace/events},rust/kernel,tools/testing/selftests}
	printf '%s\n' 'VERSION = 7' 'PATCHLEVEL = 10' >"$TREE/Makefile"
	touch "$TREE/rust/kernel/miscdevice.rs"
	printf 'menu "Android"\nendmenu\n' >"$TREE/drivers/android/Kconfig"
	echo 'obj-y += binder.o' >"$TREE/drivers/android/Makefile"
	printf 'TARGETS += acct\nTARGETS += bpf\n' >"$TREE/tools/testing/selftests/Makefile"
}

# intree STATUS WORDS COMMAND: whether it exits with this status and prints these words.
intree() {
	local status=0
	KSRC=$TREE "$TOP/tools/intree.sh" "$3" >"$TMP/said" 2>&1 || status=$?
	[[ $status == "$1" ]] && grep -qF -e "$2" "$TMP/said"
}

listing() {
	(cd "$TREE" && find . -type f -exec cksum {} + | sort)
}

# keeps FILE: whether neither command touches a file that it did not add.
keeps() {
	tree
	mkdir -p "$(dirname "$1")"
	echo mine >"$1"
	listing >"$TMP/before"
	intree 1 'did not put there' add && intree 1 'did not put there' remove && listing | diff "$TMP/before" - >>"$TMP/said"
}

tree
listing >"$TMP/before"
echo 1..9
result "driver, header and selftests are added" eval \
	'intree 0 "are in" add && [[ -e $DRIVER/src/area.rs && -e $HEADER && -e $SELFTESTS/area_test.c ]]'
result "it can be repeated" eval \
	'listing >"$TMP/once" && intree 0 "are in" add && listing | diff "$TMP/once" - >>"$TMP/said"'
result "everything is removed" eval 'intree 0 "were removed from" remove && listing | diff "$TMP/before" - >>"$TMP/said"'
result "an interrupted run is continued" eval \
	'mkdir "$DRIVER.new" && touch "$HEADER" && intree 0 "are in" add && [[ ! -e $DRIVER.new ]]'
result "another driver is kept" keeps "$DRIVER/other.c"
result "another header is kept" keeps "$HEADER"
result "other selftests are kept" keeps "$SELFTESTS/other.c"
tree
result "an older tree is refused" eval \
	'sed -i s/10/0/ "$TREE/Makefile" && intree 1 "is Linux 7.0, which is too old" add && [[ ! -e $DRIVER && ! -e $HEADER ]]'
sed -i 's/7/8/; s/1$/0/' "$TREE/Makefile"
result "a newer tree is accepted" intree 0 "are in" add
exit $BAD
