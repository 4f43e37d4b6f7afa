#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Measures how much of an unpinned cache is left under memory pressure; see --help.

. "$(dirname "$0")/../vm/lib.sh"
. "$TOP/vm/lib/c_driver.sh"

LEGS=(uml x86 x86-mglru debian c)
ROWS=$OUT/pressure/results.tsv
# The memory of all these machines, in MiB.
MEMORY=384

usage() {
	cat <<-EOF
		Usage: make pressure [VM='${LEGS[*]}'] [SCENARIOS='read grow-zram'] [MODULE2=FILE.ko]

		Fills an unpinned cache of 64 MiB in virtual machines of $MEMORY MiB, allocates other
		memory, and measures how much of the cache is left: most of it while only the page
		cache must shrink, and nothing before anything is swapped out or killed.

		  uml        User-mode Linux
		  x86        QEMU x86-64
		  x86-mglru  the same with MGLRU
		  debian     QEMU x86-64 with Debian's own kernel, in its default configuration
		  c          the C driver, on the last kernel of Debian that had it

		MODULE2 is another module, built for x86's kernel, which is measured there as well.

		Prints a table, and writes it, the rows and a picture to out/pressure: table.txt,
		results.tsv, results.json, pressure.svg. Ends with 'N as wanted, N not' for this
		driver. The exit status is 1 if a result is not as wanted.

		The first run installs packages (as root) and builds two kernels into
		$CACHE, which takes about 15 minutes on 2 idle CPUs; a later
		one takes about two minutes for each machine.
	EOF
}

# measure LEG MODULE FILE...: runs the scenarios in the machine, with these additional
# files, and adds the rows to ROWS.
measure() {
	local vm=pressure-$1 dir=$OUT/pressure-$1
	mkdir -p "$dir"
	make_initramfs "$vm" pressure "$2:/driver.ko" "$(programs_of bench x86 64)/pressure:/pressure" "${@:3}"
	say "Measuring in $1 (usually 2 min)"
	follow_vm "$vm" show_rows "$1" ||
		die "The scenarios did not run to their end." "See their output in out/$vm/results, and the kernel's log in out/$vm/console."
	# Allocations of the program that takes all memory may fail when it is killed, or stall for
	# more than ten seconds on a busy host. The kernel reports both.
	sed -E '/ pressure: page allocation (failure: |stall for )/,/ pages reserved/d' "$dir/console" >"$dir/complaints"
	! splats_in "$dir/complaints" || die "The kernel reported a problem." "See its log: out/$vm/console."
	tr -d '\r' <"$dir/results" | sed -n "s/^\(point\|result\|skip\)\t/&$1\t/p" >>"$ROWS"
}

# show_rows LEG: prints results as they appear, and other output.
show_rows() {
	awk -F '\t' -v leg="$1" '
		{ sub(/\r$/, "") }
		$1 == "result" { printf "  %-10s %-18s %-40s %10.1f\n", leg, $2, $3, $4 }
		$1 == "skip" { printf "  %-10s %-18s skipped: %s\n", leg, $2, $3 }
		!/^(result|skip|point|##)/ { print "  " $0 }
		{ fflush() }'
}

# measure_leg LEG: prepares a leg and measures.
measure_leg() {
	local MODULES=() mglru=n
	case $1 in
	uml | x86*)
		[[ $1 != *-mglru ]] || mglru=y
		prepare_kernel "${1%-mglru}"
		step "Building the module for ${1%-mglru}" "10 s" "$OUT/${1%-mglru}/module.log" build_module "${1%-mglru}"
		GUEST_WORDS="kunit.enable=0 mglru=\"$mglru\" $WORDS"
		measure "$1" "$OUT/${1%-mglru}/module/rust_ashmem.ko"
		;;
	module2)
		prepare_kernel x86
		GUEST_WORDS="kunit.enable=0 mglru=\"n\" $WORDS"
		measure module2 "$MODULE2"
		;;
	debian)
		with_cache prepare_debian
		if [[ -n $DEBIAN_LACKS ]]; then
			say "Skipped: debian: $DEBIAN_LACKS."
			return
		fi
		make_debian_module
		unpack_debian_module zram
		GUEST_WORDS=$WORDS
		measure debian "$OUT/debian/module/rust_ashmem.ko" "${MODULES[@]}"
		;;
	c)
		DRIVER=
		with_cache prepare_driver
		if [[ -z $DRIVER ]]; then
			say "Skipped: c: the archive no longer has Linux 5.10 of Debian 11."
			return
		fi
		GUEST_WORDS=$WORDS
		measure c "$DRIVER" "${MODULES[@]}"
		;;
	esac
}

MODULE2=${MODULE2:-}
[[ -z $MODULE2 || -f $MODULE2 ]] || die "MODULE2 is '$MODULE2', which is not a file." "Set it to a module built for x86's kernel."
[[ ${SCENARIOS:-} =~ ^[a-z0-9\ -]*$ ]] || die "SCENARIOS is '$SCENARIOS'." "Set it to names of scenarios, separated by spaces."
WORDS="scenarios=\"${SCENARIOS:-}\""
case ${1:-} in -h | --help) usage && exit ;; esac
(($#)) || set -- "${LEGS[@]}"
for leg in "$@"; do
	[[ " ${LEGS[*]} " == *" $leg "* ]] || die "There is no machine '$leg'." "Use some of: ${LEGS[*]}."
done
[[ -z $MODULE2 ]] || set -- "$@" module2

need uml x86 pressure
with_cache prepare_toolchain
with_cache prepare_source
step "Building the scenarios" "5 s" "$(programs_of bench x86 64).log" build_programs bench x86 64
mkdir -p "$OUT/pressure"
: >"$ROWS"
for leg in "$@"; do
	measure_leg "$leg"
done
say ""
"$TOP/bench/pressure.py" --kernel "$KVERSION" --date "$(date -u +%F)" "$ROWS" "$OUT/pressure"
