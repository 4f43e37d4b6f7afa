# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Messages, errors, long steps, and the cache. lib.sh sources this.

# Downloads and kernels, which outlive a checkout.
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/rust-ashmem
# Build results of this checkout.
OUT=$TOP/out

case $TOP in
*[[:space:]]*)
	echo "error: The path of this checkout, '$TOP', has spaces, which make cannot handle: move it." >&2
	exit 1
	;;
esac
case $CACHE in
[!/]* | *[[:space:]]*)
	echo "error: XDG_CACHE_HOME is '${CACHE%/rust-ashmem}'. Set it to an absolute path without spaces." >&2
	exit 1
	;;
esac

say() {
	printf '%s\n' "$*"
}

# die WHAT WHAT-TO-DO
die() {
	printf 'error: %s\n       %s\n' "$1" "$2" >&2
	exit 1
}

# skip WHAT REASON: ends a test that cannot run here.
skip() {
	say "Skipped: $1: $2."
	say "0 passed, 0 failed, 1 skipped"
	exit
}

# Messages of apt and cargo when there is no network.
NO_NETWORK='Temporary failure resolving|Could not (resolve|connect)|[Uu]nable to connect|[Cc]ould not resolve'
NO_NETWORK+='|Network is unreachable|Connection (timed out|refused)'

# step WHAT USUAL-TIME LOG COMMAND...: runs a long command, and prints the progress
# every 15 seconds.
step() {
	local what=$1 usual=$2 log=$3 start=$SECONDS next=15
	shift 3
	say "$what (usually $usual)"
	mkdir -p "$(dirname "$log")"
	# It gets its own process group, so that all its processes can be killed.
	set -m
	"$@" >"$log" 2>&1 </dev/null &
	STEP_PID=$!
	set +m
	trap end_step INT TERM HUP PIPE
	while kill -0 "$STEP_PID" 2>/dev/null; do
		if ((SECONDS - start >= next)); then
			next=$((next + 15))
			printf '  %4d s  %s\n' $((SECONDS - start)) \
				"$(tail -n 40 "$log" | tr -d '\r' | grep -vE '\||warning|^(In file|#|make|$)' | tail -n 1 | cut -c 1-100)"
		fi
		sleep 0.2
	done
	trap - INT TERM HUP PIPE
	if ! wait "$STEP_PID"; then
		tail -n 30 "$log" >&2
		if grep -q 'No space left on device' "$log"; then
			die "$what: the disk is full." \
				"Free some space, or set XDG_CACHE_HOME to a larger disk, and run the same command again."
		fi
		if grep -qE "$NO_NETWORK" "$log"; then
			die "$what: the package mirror cannot be reached." \
				"Connect to the network (a proxy is named in /etc/apt/apt.conf.d) and run the same command again."
		fi
		die "$what failed after $((SECONDS - start)) s." \
			"The end of $log is above. When that is fixed, the same command continues from here."
	fi
}

end_step() {
	trap "" INT TERM HUP PIPE
	kill -- "-$STEP_PID" 2>/dev/null || true
	wait "$STEP_PID" 2>/dev/null || true
	exit 130
}

# need_space GIGABYTES: fails unless the cache's disk has that much free space.
need_space() {
	local free
	free=$(df -Pk "$CACHE" | awk 'NR == 2 { print int($4 / 1048576) }')
	((free >= $1)) ||
		die "$CACHE has $free GB free, but $1 GB are needed." \
			"Free some space, or set XDG_CACHE_HOME to a larger disk."
}

# with_cache COMMAND...: runs a function that changes the cache, while no other run
# does.
with_cache() {
	with_lock lock "$@"
}

# with_lock NAME COMMAND...: runs a command with this lock of the cache held.
with_lock() {
	local lock
	mkdir -p "$CACHE" 2>/dev/null ||
		die "Cannot write to $CACHE." "Set XDG_CACHE_HOME to a directory of yours."
	exec {lock}>"$CACHE/$1"
	if ! flock -n "$lock"; then
		say "Waiting for another run that uses $CACHE ($1)"
		flock "$lock"
	fi
	"${@:2}"
	exec {lock}>&-
}

# fill DIRECTORY COMMAND...: runs the command with a new directory as its last argument,
# then moves that to DIRECTORY. So an incomplete directory never has the final name.
fill() {
	local to=$1 aside=$CACHE/tmp/${1##*/}
	shift
	rm -rf "$aside"
	mkdir -p "$aside"
	"$@" "$aside" || return 1
	rm -rf "$to"
	# Only now, as the command may have removed the parent.
	mkdir -p "${to%/*}"
	mv "$aside" "$to"
}
