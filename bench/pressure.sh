#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Measures what of an unpinned cache is left when memory gets short; see --help.

. "$(dirname "$0")/../vm/lib.sh"
. "$TOP/vm/lib/c_driver.sh"

LEGS=(uml x86 x86-mglru debian c)
ROWS=$OUT/pressure/results.tsv
# What all of these machines have, in MiB.
MEMORY=384

usage() {
	cat <<-EOF
		Usage: make pressure [VM='${LEGS[*]}'] [SCENARIOS='read grow-zram'] [MODULE2=FILE.ko]

		Fills 64 MiB with a cache that is unpinned, wants memory for something else in
		virtual machines of $MEMORY MiB, and says what of the cache is left: which should be
		most while the page cache is trimmed, and nothing once something is swapped or
		killed instead.

		  uml        User-mode Linux
		  x86        QEMU x86-64
		  x86-mglru  the same, where MGLRU finds what to reclaim
		  debian     QEMU x86-64 with Debian's own kernel, as it is set up
		  c          the C driver, on the last kernel of Debian that carried it

		MODULE2 is another module, built for x86's kernel, to run there as well.

		Prints a table, and writes it, the rows and a picture to out/pressure: table.txt,
		results.tsv, results.json, pressure.svg. Ends with 'N as wanted, N not' of this
		driver, and with status 1 if something is not.

		The first run installs packages (as root) and builds two kernels into
		$CACHE, which takes about 15 minutes on 2 idle CPUs; a later
		one takes about two minutes for each machine.
	EOF
}

# measure LEG MODULE FILE...: runs the scenarios in that machine, with the files
# besides, and adds its rows to ROWS.
measure() {
	local vm=pressure-$1 dir=$OUT/pressure-$1
	mkdir -p "$dir"
	make_initramfs "$vm" pressure "$2:/driver.ko" "$(programs_of bench x86 64)/pressure:/pressure" "${@:3}"
	say "Measuring in $1 (usually 2 min)"
	follow_vm "$vm" show_rows "$1" ||
		die "The scenarios did not come to their end." "What they printed is out/$vm/results, the kernel's log out/$vm/console."
	# The program that takes all memory may be refused some when it is killed, and on a busy
	# host wait for more than ten seconds, of which the kernel tells.
	sed -E '/ pressure: page allocation (failure: |stall for )/,/ pages reserved/d' "$dir/console" >"$dir/complaints"
	! splats_in "$dir/complaints" || die "The kernel complained." "Its log is out/$vm/console."
	tr -d '\r' <"$dir/results" | sed -n "s/^\(point\|result\|skip\)\t/&$1\t/p" >>"$ROWS"
}

# show_rows LEG: prints results as they come, and what else there is to say.
show_rows() {
	awk -F '\t' -v leg="$1" '
		{ sub(/\r$/, "") }
		$1 == "result" { printf "  %-10s %-18s %-40s %10.1f\n", leg, $2, $3, $4 }
		$1 == "skip" { printf "  %-10s %-18s skipped: %s\n", leg, $2, $3 }
		!/^(result|skip|point|##)/ { print "  " $0 }
		{ fflush() }'
}

# measure_leg LEG: prepares what it takes and measures.
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
			say "Skipped: c: the archive has no Linux 5.10 of Debian 11 any more."
			return
		fi
		GUEST_WORDS=$WORDS
		measure c "$DRIVER" "${MODULES[@]}"
		;;
	esac
}

MODULE2=${MODULE2:-}
[[ -z $MODULE2 || -f $MODULE2 ]] || die "MODULE2 is '$MODULE2', which is no file." "It is a module built for x86's kernel."
[[ ${SCENARIOS:-} =~ ^[a-z0-9\ -]*$ ]] || die "SCENARIOS is '$SCENARIOS'." "It has names of scenarios, with spaces between."
WORDS="scenarios=\"${SCENARIOS:-}\""
case ${1:-} in -h | --help) usage && exit ;; esac
(($#)) || set -- "${LEGS[@]}"
for leg in "$@"; do
	[[ " ${LEGS[*]} " == *" $leg "* ]] || die "There is no machine '$leg'." "There are: ${LEGS[*]}."
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
