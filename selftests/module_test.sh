#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Loads and unloads the module: what it leaves behind, and what prevents unloading.
#
# MODULE  the module's file; by default modprobe must find the module
# HOLD    the program built from hold.c; by default the one beside this script
# LOOPS   how often to load and unload (100)
#
# Needs root, and only busybox. Leaves the module loaded if it was, and unloaded if not.

NAME=rust_ashmem
DEVICE=${ASHMEM_DEVICE:-/dev/ashmem}
LOOPS=${LOOPS:-100}
HERE=$(dirname "$0")

TESTS="
	load_makes_device_for_everyone
	load_registers_misc_device
	module_has_driver_alias
	unload_with_open_descriptor_fails
	unload_with_shared_mapping_fails
	unload_with_private_mapping_fails
	unload_with_open_debugfs_file_fails
	unload_after_munmap_works
	unload_after_exit_works
	unload_right_after_purge_works
	unload_removes_device
	load_and_unload_repeat
	kernel_stays_untainted
"

number=0
passed=0
failed=0
skipped=0
holder=

note() {
	echo "# $*"
}

skip_all() {
	echo "TAP version 13"
	echo "1..0 # SKIP $*"
	exit 4
}

# A test returns 0 (pass), 1 (fail) or 4 (skip, with the reason in $why).
run() {
	number=$((number + 1))
	why=
	"$1"
	case $? in
	0)
		passed=$((passed + 1))
		echo "ok $number $1" ;;
	4)
		skipped=$((skipped + 1))
		echo "ok $number $1 # SKIP $why" ;;
	*)
		failed=$((failed + 1))
		echo "not ok $number $1" ;;
	esac
}

is_loaded() {
	grep -q "^$NAME " /proc/modules
}

load() {
	is_loaded && return 0
	if [ -n "$MODULE" ]; then
		insmod "$MODULE"
	else
		modprobe "$NAME"
	fi
}

unload() {
	! is_loaded || rmmod "$NAME"
}

can_load() {
	if [ -n "$MODULE" ]; then
		[ -r "$MODULE" ]
	else
		modprobe -n -q "$NAME" 2>/dev/null
	fi
}

# The taint flags of the kernel for warnings (512), oopses (128), bad pages (32)
# and soft lockups (16384).
taint() {
	echo $(($(cat /proc/sys/kernel/tainted) & (32 | 128 | 512 | 16384)))
}

# Starts hold with a pipe to (3) and from (4) it, and waits until it is ready.
hold() {
	holder=
	rm -f "$scratch/in" "$scratch/out"
	mkfifo "$scratch/in" "$scratch/out" || return 1
	"$HOLD" "$1" <"$scratch/in" >"$scratch/out" &
	holder=$!
	exec 3>"$scratch/in" 4<"$scratch/out"
	heard= && read -r heard <&4
	[ "$heard" = ready ]
}

# Sends $1 to hold and expects the reply $2.
ask() {
	echo "$1" >&3
	heard= && read -r heard <&4
	[ "$heard" = "$2" ] && return 0
	note "hold answered '$heard' instead of '$2' to '$1'"
	return 1
}

release() {
	exec 3>&- 4<&-
	[ -z "$holder" ] || wait "$holder"
}

have_hold() {
	[ -x "$HOLD" ] && return 0
	why="no program hold; set HOLD to its path"
	return 1
}

have_devtmpfs() {
	grep -q '^[^ ]* /dev devtmpfs ' /proc/mounts && return 0
	why="/dev is not a devtmpfs"
	return 1
}

# Tries to unload while hold uses an area in the way $1. The module must stay, and work.
refuses_unload_with() {
	have_hold || return 4
	load && hold "$1" || { release; return 1; }
	result=0
	if rmmod "$NAME" 2>/dev/null || ! is_loaded; then
		note "rmmod was not refused"
		result=1
	fi
	if [ "$1" != open ]; then
		ask check intact || result=1
	fi
	release || result=1
	return $result
}

load_makes_device_for_everyone() {
	have_devtmpfs || return 4
	load || return 1
	mode=$(ls -l "$DEVICE")
	note "$mode"
	case $mode in
	crw-rw-rw-*) return 0 ;;
	*) return 1 ;;
	esac
}

load_registers_misc_device() {
	load && grep -q '^ *[0-9]* ashmem$' /proc/misc
}

# Without modinfo, searches the file itself, unless it is compressed.
module_has_driver_alias() {
	if modinfo "${MODULE:-$NAME}" >/dev/null 2>&1; then
		modinfo -F alias "${MODULE:-$NAME}" | grep -q '^ashmem_linux$'
	elif [ -n "$MODULE" ] && tr '\0' '\n' <"$MODULE" | grep -q '^license='; then
		tr '\0' '\n' <"$MODULE" | grep -q '^alias=ashmem_linux$'
	else
		why="no modinfo, or it cannot read the module"
		return 4
	fi
}

unload_with_open_descriptor_fails() {
	refuses_unload_with open
}

unload_with_shared_mapping_fails() {
	refuses_unload_with shared
}

unload_with_private_mapping_fails() {
	refuses_unload_with private
}

# These files are open without any region.
unload_with_open_debugfs_file_fails() {
	load || return 1
	for file in regions stats; do
		path=/sys/kernel/debug/ashmem/$file
		if ! [ -r "$path" ]; then
			why="no $path: no debugfs, or it is not mounted"
			return 4
		fi
		result=0
		exec 3<"$path"
		if rmmod "$NAME" 2>/dev/null || ! is_loaded; then
			note "rmmod was not refused while $file is open"
			result=1
		fi
		exec 3<&-
		[ $result = 0 ] && unload && ! is_loaded && load || return 1
	done
}

unload_after_munmap_works() {
	have_hold || return 4
	load && hold shared && ask unmap unmapped && unload && ! is_loaded
	result=$?
	release
	return $result
}

unload_after_exit_works() {
	have_hold || return 4
	for what in open shared private; do
		load && hold "$what" || { release; return 1; }
		release
		unload && ! is_loaded || return 1
	done
}

# Frees everything that can be freed, repeatedly while this script runs.
shrink_all() {
	while kill -0 $$; do
		echo 2 >/proc/sys/vm/drop_caches || return
		for shrinker in /sys/kernel/debug/shrinker/ashmem-*; do
			while read -r cgroup _; do
				echo "$cgroup 0 1" >"$shrinker/scan"
			done <"$shrinker/count"
		done
	done 2>/dev/null
}

# A purge may still be freeing memory, and hold a reference to the module, for a moment.
unload_soon() {
	for try in 1 2 3 4 5 6 7 8 9; do
		unload 2>/dev/null && return
		note "try $try: still in use"
		sleep 0.1
	done
	unload
}

unload_right_after_purge_works() {
	have_hold || return 4
	shrink_all &
	shrinking=$!
	result=0
	for round in 1 2 3 4 5 6 7 8 9 10; do
		load && hold purged || result=1
		release
		unload_soon && ! is_loaded && continue
		note "round $round failed"
		result=1
	done
	if ! kill $shrinking 2>/dev/null; then
		note "shrink_all ended by itself"
		result=1
	fi
	wait $shrinking
	return $result
}

unload_removes_device() {
	have_devtmpfs || return 4
	load && unload || return 1
	[ ! -e "$DEVICE" ] && ! grep -q ' ashmem$' /proc/misc
}

load_and_unload_repeat() {
	loop=0
	unload || return 1
	while [ $loop -lt "$LOOPS" ]; do
		loop=$((loop + 1))
		load && unload && continue
		note "round $loop failed"
		return 1
	done
}

kernel_stays_untainted() {
	[ "$(taint)" = "$taint_before" ]
}

restore() {
	if [ $was_loaded = 1 ]; then
		load
	else
		unload
	fi
	rm -rf "$scratch"
}

[ "$(id -u)" = 0 ] || skip_all "needs root"
[ -r /proc/modules ] || skip_all "this kernel has no modules"
if [ -d /sys/module/$NAME ] && ! is_loaded; then
	skip_all "$NAME is built into the kernel"
fi
can_load || skip_all "no module: set MODULE to the path of $NAME.ko"

if [ -z "$HOLD" ]; then
	HOLD=$HERE/hold
	[ -x "$HOLD" ] || HOLD=${OUTPUT:-.}/hold
fi

scratch=$(mktemp -d) || skip_all "no directory for temporary files"
taint_before=$(taint)
was_loaded=0
is_loaded && was_loaded=1
trap restore EXIT
trap 'exit 1' INT TERM HUP
unload 2>/dev/null || skip_all "$NAME is in use"

set -- $TESTS
echo "TAP version 13"
echo "1..$#"
for test in "$@"; do
	run "$test"
done
echo "# Totals: pass:$passed fail:$failed xfail:0 xpass:0 skip:$skipped error:0"
[ $failed = 0 ]
