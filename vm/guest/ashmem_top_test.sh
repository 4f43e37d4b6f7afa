#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# Runs ashmem-top with the driver: what it shows to root and to other users.
#
# PROGRAM  the program
# HOLD     the program built from selftests/hold.c, which has a region of 8 pages
#
# Needs root and busybox.

[ -z "${ASHMEM_C_DRIVER:-}" ] || {
	echo "1..0 # SKIP fdinfo of the C driver lacks what ashmem-top shows"
	exit 4
}

USER=65534
number=0
failed=0
said=$(mktemp)
page=$(($(sed -n '/^KernelPageSize:/{ s/[^0-9]//g; p; q; }' /proc/self/smaps) * 1024))
region='"size":'$((8 * page))',"resident"'

# result NAME COMMAND...: a test is that the command succeeds.
result() {
	number=$((number + 1))
	name=$1
	shift
	if "$@"; then
		echo "ok $number $name"
		return
	fi
	echo "not ok $number $name"
	sed 's/^/# /' "$said"
	failed=1
}

# of_user ARGUMENT...: runs the program as an unprivileged user.
of_user() {
	# busybox requires a user name.
	grep -q "^stranger:" /etc/passwd 2>/dev/null || {
		mkdir -p /etc
		echo "stranger:x:$USER:$USER::/:/bin/sh" >>/etc/passwd
	}
	start-stop-daemon -S -q -c stranger -x "$PROGRAM" -- "$@" >"$said" 2>&1
}

root_sees() {
	"$PROGRAM" --json >"$said" && grep -q '"source":"debugfs"' "$said" &&
		grep -q "\"pid\":$holder,.*$region" "$said"
}

shows_table() {
	"$PROGRAM" >"$said" && grep -qE "^ *$holder [^ ]+ +hold +[0-9.]+K " "$said"
}

others_see_nothing() {
	of_user --json && grep -q '"source":"proc"' "$said" && ! grep -q "\"pid\":$holder," "$said"
}

others_are_told() {
	of_user -o && grep -q '^Not root: ' "$said"
}

without_debugfs() {
	umount /sys/kernel/debug
	"$PROGRAM" --json >"$said"
	mount -t debugfs debugfs /sys/kernel/debug
	grep -q '"source":"proc"' "$said" && grep -q "\"pid\":$holder,.*$region" "$said"
}

forgets() {
	exec 9>&-
	wait "$holder"
	"$PROGRAM" --json >"$said" && ! grep -q "\"pid\":$holder," "$said"
}

fifo=$(mktemp -u)
mkfifo "$fifo"
"$HOLD" open <"$fifo" >"$said" &
holder=$!
exec 9>"$fifo"
rm "$fifo"
until grep -q ready "$said"; do :; done

echo 1..6
result "root sees a region in debugfs" root_sees
result "the table shows the region" shows_table
result "other users do not see the region" others_see_nothing
result "other users are told that they do not see all" others_are_told
result "without debugfs root sees open regions" without_debugfs
result "a closed region is gone" forgets
rm -f "$said"
exit $failed
