#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of ashmem-top without a driver, on fake machines below a temporary directory, in a
# pipe and in a pseudo-terminal.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/test/ktap.sh"

M=$TMP/machine
export TERM=xterm

# machine: makes a machine whose debugfs has three regions.
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

# process PID FD LINE...: adds a process with a region as FD, with these lines of fdinfo.
process() {
	local dir=$M/proc/$1
	mkdir -p "$dir"/{fd,fdinfo}
	echo "app$1" >"$dir/comm"
	ln -s /dev/ashmem "$dir/fd/$2"
	printf '%b\n' "${@:3}" >"$dir/fdinfo/$2"
}

# processes: makes a machine without debugfs: two processes share a region, one has another.
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

# order KEY PID...: whether sorting by KEY gives this order.
order() {
	top -o -s "$1" && [[ $(awk 'NR > 2 { print $1 }' "$TMP/said" | xargs) == "${*:2}" ]]
}

# json EXPRESSION: whether it prints valid JSON for which the expression is true.
json() {
	top --json && python3 -c '
import json, sys
said = json.load(open(sys.argv[1]))
regions = {r["pid"]: r for r in said["regions"]}
assert eval(sys.argv[2]), said' "$TMP/said" "$1" 2>>"$TMP/said"
}

# terminal EXPRESSION ARGUMENT...: runs it in a terminal of SIZE (default: 6 lines and 80
# columns), and whether EXPRESSION is true. That may use status, said (the whole output) and
# lines (the last screen). After each screen, runs the next step of NEXT, then types q.
terminal() {
	ASHMEM_TOP_ROOT=$M python3 - "$TMP/ashmem-top" "$@" >"$TMP/said" 2>&1 <<-'END'
		import fcntl, os, pty, signal, struct, sys, termios

		def resize(lines, columns):
		    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

		def press(key):
		    os.write(fd, key)

		def send(name):
		    os.kill(pid, name)

		# A test that hangs must fail.
		signal.alarm(60)
		pid, fd = pty.fork()
		if pid == 0:
		    fd = 0
		    resize(*map(int, os.environ.get("SIZE", "6 80").split()))
		    os.execv(sys.argv[1], sys.argv[1:2] + sys.argv[3:])
		steps = [step for step in os.environ.get("NEXT", "").split(";") if step] + ["press(b'q')"]
		said, drawn = "", 0
		try:
		    while True:
		        said += os.read(fd, 65536).decode()
		        if steps and said.count(" PID ") > drawn:
		            drawn = said.count(" PID ")
		            exec(steps.pop(0))
		except OSError:
		    pass
		status = os.waitpid(pid, 0)[1]
		echoes = bool(termios.tcgetattr(fd)[3] & termios.ECHO)
		lines = said.replace("\r", "").split("\033[2J")[-1].splitlines()
		print(said.replace("\033", "\\033"))
		assert eval(sys.argv[2]), status
	END
}

# fits LINES COLUMNS: prints an expression: whether the last screen fits.
fits() {
	echo "len(lines) < $1 and all(len(line) <= $2 for line in lines)"
}

# filled LINES COLUMNS: prints an expression: whether the last screen is filled completely.
filled() {
	echo "len(lines) == $1 - 1 and max(map(len, lines)) == $2"
}

# many COUNT: adds this many regions.
many() {
	machine
	awk -v count="$1" 'BEGIN {
		for (i = 1; i <= count; i++)
			print i, 100 + i % 50, 1000, "app", 4096 * i, i, 0, 0, 0, "rwx", "mapped", "region", i
	}' >>"$M/sys/kernel/debug/ashmem/regions"
}

# closed_early ACTION: runs it with a closed pipe as output and this action for SIGPIPE.
# Prints the status.
closed_early() {
	ASHMEM_TOP_ROOT=$M python3 - "$TMP/ashmem-top" "$1" 2>"$TMP/said" <<-'END'
		import os, signal, subprocess, sys
		out, into = os.pipe()
		os.close(out)
		def prepare():
		    signal.signal(signal.SIGPIPE, getattr(signal, sys.argv[2]))
		print(subprocess.run(sys.argv[1:2], stdout=into, preexec_fn=prepare).returncode)
	END
}

make -s -C "$TOP/tools/ashmem-top" OUTPUT="$TMP" CFLAGS="-O2 -Werror"
echo 1..45
machine
result "the largest region in memory is first" order resident 102 103 101
result "sizes sort in descending order" order unpinned 103 102 101
result "numbers sort in ascending order" order pid 101 102 103
result "texts sort in ascending order" order name 103 101 102
result "an unknown key is refused" eval '! top -s bogus && grep -q "is not a sort key" "$TMP/said"'
result "a delay of 0 is refused" eval '! top -d 0 && grep -q "is not a delay" "$TMP/said"'
result "an argument is refused" eval '! top bogus && grep -q Usage: "$TMP/said"'
result "sizes have units, and users have names" eval \
	'top && grep -qE "^ +101 system +surfaceflinger +4\.0K +4\.0K +0B +0B +0 small$" "$TMP/said" && grep -q " 102 1001 " "$TMP/said"'
result "JSON has bytes and escapes" json '(said["source"], len(regions), regions[101]["mask"]) == ("debugfs", 3, "r--") and (
regions[102]["unpinned"], regions[102]["name"]) == (3 * 4096, "with \"two\"\\012lines")'
result "a process that has exited has no user" json '(regions[102]["uid"], regions[103]["uid"]) == (1001, None)'
result "a number that overflows is the largest number" json 'regions[103]["unpinned"] in (2**63 - 4096, 2**63 - 1)'
result "in a terminal the table fits, and q ends it" terminal \
	"status == 0 and '\033[H' in said and $(fits 6 80) and echoes"
result "in a dumb terminal there are no control sequences" env TERM=dumb bash -c \
	"$(declare -f terminal); M='$M' TMP='$TMP'; terminal 'status == 0 and chr(27) not in said'"
result "in a terminal it can print once" terminal 'status == 0 and "\033" not in said' -o
processes
result "without debugfs each region is listed once" json 'said["source"] == "proc" and len(said["regions"]) == 2'
result "unpinned and purged sizes come from fdinfo" json \
	'any((r["size"], r["unpinned"], r["purged"], r["resident"]) == (8192, 8192, 4096, None) for r in said["regions"])'
result "it reports that not all regions are shown" eval 'top && grep -qE "^(Not root|No debugfs): " "$TMP/said"'
result "a full disk is an error" eval '! ASHMEM_TOP_ROOT=$M "$TMP/ashmem-top" -o >/dev/full 2>"$TMP/said"'
processes
process 13 3 'inode:\t9' 'name:\ttwo\\012lines' 'size:\t4096'
result "a name is escaped once" json '[r["name"] for r in said["regions"] if r["pid"] == 13] == ["two\\012lines"]'
result "a delay with trailing characters is refused" eval '! top -d 2x && grep -q "is not a delay" "$TMP/said"'
result "a delay that is too large is refused" eval \
	'! top -d 18446744073709551617 && grep -q "is not a delay" "$TMP/said"'

processes
process 13 3 'inode:\t9' 'name:\ta \x1b[2J\xc3\xa4\x7f\t"\\z' 'size:\t4096'
printf 'a b\n\x1b[2J\xff\\\n' >"$M/proc/13/comm"
process 14 3 'inode:\t10' 'size:\t4096'
echo >"$M/proc/14/comm"
hostile='{r["pid"]: (r["name"], r["command"]) for r in said["regions"]}'
result "unprintable bytes of names are octal" json \
	"$hostile"'[13][0] == "a \\033[2J\\303\\244\\177\\011\"\\z"'
result "unprintable bytes and spaces of commands are octal" json \
	"$hostile"'[13][1] == "a\\040b\\012\\033[2J\\377\\134"'
result "an empty command is a dash" json "$hostile"'[14][1] == "-"'
result "the table has no unprintable bytes" eval 'top && ! LC_ALL=C grep -q "[^ -~]" "$TMP/said"'
printf '7 101 0 a\x1b[2J 4096 1 0 0 0 r-- mapped b\x1b[2J\xff\n' >"$TMP/regions"
machine
cat "$TMP/regions" >>"$M/sys/kernel/debug/ashmem/regions"
result "the table has no unprintable bytes from debugfs" eval 'top && ! LC_ALL=C grep -q "[^ -~]" "$TMP/said"'
result "JSON is valid with unprintable bytes from debugfs" json 'len(said["regions"]) == 4'

processes
process 13 3
mkdir -p "$M/proc/14/fd"
ln -s /dev/ashmem "$M/proc/14/fd/3"
process 15 3 'pos:\t0' 'flags:\t02'
mkdir -p "$M/proc/16"
touch "$M/proc/16/fd"
result "closed and other descriptors are not regions" json 'len(said["regions"]) == 2'
process 17 3 'inode:\t11' 'size:\t4096'
ln -sf '/dev/ashmem (deleted)' "$M/proc/17/fd/3"
result "a region is shown if its node was removed" json '17 in regions'
process 2 3 'inode:\t5' 'size:\t8192'
process 3 3 'inode:\t11' 'size:\t4096'
result "a region is shown with the first process that has it" json 'sorted(regions) == [2, 3, 12]'
rm -r "$M/proc"
result "a missing /proc is reported" eval '! top && grep -q "/proc is not mounted" "$TMP/said"'

many 10000
result "ten thousand regions are all shown" eval \
	'top && [[ $(wc -l <"$TMP/said") == 10005 ]] && grep -q "^10003 regions: .* resident 191G," "$TMP/said"'
result "a terminal shows as many as it has lines for" terminal "status == 0 and $(fits 6 80)"
result "a narrow terminal is filled" eval 'SIZE="5 20" terminal "status == 0 and $(filled 5 20)"'
result "a terminal of two lines is enough" eval 'SIZE="2 9" terminal "status == 0 and len(lines) == 2"'
result "a terminal that grows is filled at once" eval \
	'NEXT="resize(30, 100)" terminal "status == 0 and len(lines) == 29" -d 3600'
result "a terminal that shrinks is not overrun" eval \
	'NEXT="resize(5, 30)" terminal "status == 0 and $(filled 5 30)" -d 3600'
result "any other key redraws" eval 'NEXT="press(b\"x\")" terminal "status == 0 and drawn == 2" -d 3600'
for name in INT QUIT TERM HUP; do
	result "SIG$name ends it, and the terminal is restored" eval \
		'NEXT="send(signal.SIG'$name')" terminal "status == 0 and drawn == 1 and echoes" -d 3600'
done
result "it redraws when it is continued" eval \
	'NEXT="send(signal.SIGSTOP), os.waitpid(pid, os.WUNTRACED), send(signal.SIGCONT)" terminal \
		"status == 0 and drawn == 2 and echoes" -d 3600'
result "SIGPIPE ends it silently" eval '[[ $(closed_early SIG_DFL) == -13 && ! -s $TMP/said ]]'
result "a closed pipe is an error if SIGPIPE is ignored" eval \
	'[[ $(closed_early SIG_IGN) == 1 ]] && grep -q "cannot write" "$TMP/said"'
exit $BAD
