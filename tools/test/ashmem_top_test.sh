#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of ashmem-top that take no driver: made-up machines below a temporary directory,
# in a pipe and in a pseudo-terminal.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/test/ktap.sh"

M=$TMP/machine
export TERM=xterm

# machine: makes one whose debugfs has three regions.
machine() {
	rm -rf "$M"
	mkdir -p "$M"/{proc,etc,sys/kernel/debug/ashmem}
	echo 'system:x:1000:1000::/:/bin/sh' >"$M/etc/passwd"
	cat >"$M/sys/kernel/debug/ashmem/regions" <<-END
		inode pid uid command size resident unpinned purged ranges mask state name
		7 101 1000 surfaceflinger 4096 1 0 0 0 r-- mapped small
		8 102 1001 a\\040b 1073741824 5 3 2 2 rwx unmapped with "two"\\012lines
		9 103 - - 9223372036854775807 2 2251799813685247 0 1 rwx mapped 
	END
}

# process PID FD KEY...: adds one whose descriptor is a region with these lines of fdinfo.
process() {
	local dir=$M/proc/$1
	mkdir -p "$dir"/{fd,fdinfo}
	echo "app$1" >"$dir/comm"
	ln -s /dev/ashmem "$dir/fd/$2"
	printf '%b\n' "${@:3}" >"$dir/fdinfo/$2"
}

# processes: makes a machine without debugfs, where two share a region and one has another.
processes() {
	machine
	rm -r "$M/sys"
	process 11 3 'pos:\t0' 'inode:\t5' 'name:\tshared' 'size:\t8192' 'unpinned:\t8 kB' 'purged:\t4 kB'
	process 12 4 'inode:\t5' 'name:\tshared' 'size:\t8192' 'unpinned:\t8 kB' 'purged:\t4 kB'
	process 12 5 'size:\t100'
	ln -s /dev/null "$M/proc/12/fd/6"
}

top() {
	ASHMEM_TOP_ROOT=$M "$TMP/ashmem-top" "$@" >"$TMP/said" 2>&1
}

# order KEY PID...: whether the regions come so when they are sorted by it.
order() {
	top -o -s "$1" && [[ $(awk 'NR > 2 { print $1 }' "$TMP/said" | xargs) == "${*:2}" ]]
}

# json EXPRESSION: whether it prints valid JSON, of which that is true.
json() {
	top --json && python3 -c '
import json, sys
said = json.load(open(sys.argv[1]))
regions = {r["pid"]: r for r in said["regions"]}
assert eval(sys.argv[2]), said' "$TMP/said" "$1" 2>>"$TMP/said"
}

# terminal EXPRESSION ARGUMENT...: whether that is true of the status and of what it says in
# a terminal of 80 columns and 6 lines, in which q is typed once something is there.
terminal() {
	ASHMEM_TOP_ROOT=$M python3 - "$TMP/ashmem-top" "$@" >"$TMP/said" 2>&1 <<-'END'
		import fcntl, os, pty, struct, sys, termios
		pid, fd = pty.fork()
		if pid == 0:
		    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 6, 80, 0, 0))
		    os.execv(sys.argv[1], sys.argv[1:2] + sys.argv[3:])
		said, typed = "", False
		try:
		    while True:
		        said += os.read(fd, 65536).decode()
		        if not typed and "NAME" in said:
		            typed = True
		            os.write(fd, b"q")
		except OSError:
		    pass
		status = os.waitpid(pid, 0)[1]
		lines = said.replace("\r", "").split("\033[2J")[-1].splitlines()
		print(said)
		assert eval(sys.argv[2])
	END
}

make -s -C "$TOP/tools/ashmem-top" OUTPUT="$TMP" CFLAGS="-O2 -Werror"
echo 1..19
machine
result "the largest in memory comes first" order resident 102 103 101
result "a key of sizes sorts downwards" order unpinned 103 102 101
result "a key of numbers sorts upwards" order pid 101 102 103
result "a key of texts sorts upwards" order name 103 101 102
result "another key is refused" eval '! top -s bogus && grep -q "is no key" "$TMP/said"'
result "a delay of nothing is refused" eval '! top -d 0 && grep -q "is no delay" "$TMP/said"'
result "a word too many is refused" eval '! top bogus && grep -q Usage: "$TMP/said"'
result "sizes are in units, users have their names" eval \
	'top && grep -qE "^ +101 system +surfaceflinger +4\.0K +4\.0K +0B +0B +0 small$" "$TMP/said" && grep -q " 102 1001 " "$TMP/said"'
result "JSON has bytes and escapes" json '(said["source"], len(regions), regions[101]["mask"]) == ("debugfs", 3, "r--") and (
regions[102]["unpinned"], regions[102]["name"]) == (3 * 4096, "with \"two\"\\012lines")'
result "a process that is gone has no user" json '(regions[102]["uid"], regions[103]["uid"]) == (1001, None)'
result "what is too large for a number is the largest" json 'regions[103]["unpinned"] in (2**63 - 4096, 2**63 - 1)'
result "in a terminal the table fits, and q ends it" terminal \
	'status == 0 and "\033[H" in said and len(lines) <= 6 and all(len(line) <= 80 for line in lines)'
result "in a plain terminal there are no controls" env TERM=dumb bash -c \
	"$(declare -f terminal); M='$M' TMP='$TMP'; terminal 'status == 0 and chr(27) not in said'"
result "in a terminal it can print once" terminal 'status == 0 and "\033" not in said' -o
processes
result "without debugfs each region is there once" json 'said["source"] == "proc" and len(said["regions"]) == 2'
result "fdinfo tells what is unpinned and purged" json \
	'any((r["size"], r["unpinned"], r["purged"], r["resident"]) == (8192, 8192, 4096, None) for r in said["regions"])'
result "it says that it does not see all" eval 'top && grep -qE "^(Not root|No debugfs): " "$TMP/said"'
result "a full disk is an error" eval '! ASHMEM_TOP_ROOT=$M "$TMP/ashmem-top" -o >/dev/full 2>"$TMP/said"'
processes
process 13 3 'inode:\t9' 'name:\ttwo\\012lines' 'size:\t4096'
result "a name is escaped once" json '[r["name"] for r in said["regions"] if r["pid"] == 13] == ["two\\012lines"]'
exit $BAD
