#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Measures what calls cost, in instructions; see --help.

. "$(dirname "$0")/../vm/lib.sh"

BASELINE=$TOP/bench/baseline.json
ROWS=$OUT/bench/results.tsv
# In MiB, as when the baseline was written.
MEMORY=1024

usage() {
	cat <<-EOF
		Usage: make bench [VM=debian] [DEVICE=/dev/...] [MODULE2=FILE.ko]
		       make bench-check
		       make bench-baseline
		       make bench-shared

		Measures what the driver's calls cost, and the same with a memfd, in
		instructions: a virtual machine without debug options counts them, so that the
		figures are the same again however busy this machine is. Then, in another one,
		processes call at the same time; that is in nanoseconds and differs each time.

		  bench           prints a table, and writes it, the rows and a picture to
		                  out/bench: table.txt, results.tsv, results.json, cost.svg
		  bench-check     compares with bench/baseline.json; ends with
		                  status 1 if something became dearer by more than 3 %
		  bench-baseline  writes that file anew
		  bench-shared    lists the cache lines that two CPUs write when each pins and
		                  unpins pages of a region of its own; ends with status 1 if
		                  there is one that is not list_lru's

		With VM=debian, bench measures on Debian's own kernel, for which none has to be
		built. System calls are dearer there, and it has no files to scan through, so two
		rows are missing. The targets are those for the other kernel.

		DEVICE names another device to measure, MODULE2 its module, built for the same
		kernel and loaded besides.

		The first run installs packages (as root) and builds a kernel into
		$CACHE, which takes about 6 minutes on 2 idle CPUs.
	EOF
}

# build_all: builds all that measuring takes.
build_all() {
	need "$([[ $VM == debian ]] && echo bench-debian || echo bench)"
	prepare "$VM"
	mkdir -p "$OUT/bench"
	: >"$ROWS"
	if [[ $VM == debian ]]; then
		[[ -z $DEBIAN_LACKS ]] || die "Debian's kernel cannot be measured." "$DEBIAN_LACKS."
		make_debian_module
	else
		step "Building the module" "10 s" "$OUT/bench/module.log" build_module bench
	fi
	step "Building the benchmark" "5 s" "$(programs_of bench bench 64).log" build_programs bench bench 64
	measure_text
}

# measure_text: adds to ROWS how large the module's code is.
measure_text() {
	size -A "$OUT/$VM/module/rust_ashmem.ko" |
		awk '$1 ~ /^\.text/ { sum += $2 } END { printf ".text\t-\tbytes\tashmem\t%d\n", sum }' >>"$ROWS"
}

# measure MACHINE WORD...: runs the benchmark with these words in the machine and adds
# its rows to ROWS.
measure() {
	local vm=$1 files
	shift
	files=("$OUT/$VM/module/rust_ashmem.ko:/rust_ashmem.ko" "$(programs_of bench bench 64)/bench:/selftests-64/bench")
	[[ -z $MODULE2 ]] || files+=("$MODULE2:/module2.ko")
	[[ -z $DEVICE ]] || set -- --device "$DEVICE" "$@"
	mkdir -p "$OUT/$vm"
	make_initramfs "$vm" bench "${files[@]}"
	GUEST_WORDS="bench=\"$*\""
	follow_vm "$vm" show_rows ||
		die "The benchmark did not come to its end." "What it printed is out/$vm/results, the kernel's log out/$vm/console."
	! splats "$vm" || die "The kernel complained." "Its log is out/$vm/console."
	tr -d '\r' <"$OUT/$vm/results" | grep -vxF "$END_MARK" >>"$ROWS"
}

# show_rows: prints rows as they come, and what else the benchmark has to say.
show_rows() {
	awk -F '\t' '
		{ sub(/\r$/, "") }
		NF == 5 && !/^#/ {
			printf "  %-28s %7s  %-8s %14.1f %s\n", $1, $2 == "-" ? "" : $2, $4, $5, $3
			fflush()
			next
		}
		!/^## / { print "  " $0; fflush() }'
}

# report COMMAND WHERE: does what bench.py knows to do with the rows.
report_rows() {
	local qemu kernel=$KVERSION toolchain=$TOOLCHAIN
	if [[ $VM == debian ]]; then
		kernel=$DEBIAN_RELEASE
		toolchain="Debian's rustc"
	fi
	# Another one has a processor with other features, for which the kernel does things
	# in other ways.
	qemu=$(qemu-system-x86_64 --version | sed -n 's/.* version \([0-9.]*\).*/\1/p')
	"$TOP/bench/bench.py" --machine "$VM" --kernel "$kernel" --toolchain "$toolchain, QEMU $qemu" --date "$(date -u +%F)" "$1" "$ROWS" "$2"
}

run_bench() {
	build_all
	say "Counting instructions (usually 1 min)"
	measure bench
	say "Measuring several processes at once (usually 30 s)"
	measure bench-smp --parallel
	say ""
	report_rows report "$OUT/bench"
	say ""
	say "Written to out/bench: table.txt, results.tsv, results.json, cost.svg"
}

check_bench() {
	[[ -e $BASELINE ]] ||
		die "There is no bench/baseline.json to compare with." "Write it: make bench-baseline"
	build_all
	say "Counting instructions (usually 1 min)"
	measure bench
	report_rows check "$BASELINE"
}

write_baseline() {
	build_all
	say "Counting instructions (usually 1 min)"
	measure bench
	report_rows baseline "$BASELINE"
	say "Written: bench/baseline.json"
}

# run_shared: watches what two CPUs write. The module is MODULE2 if there is one.
run_shared() {
	local bench dir=$OUT/bench-shared symbols
	build_all
	bench=$(programs_of bench bench 64)/bench
	mkdir -p "$dir"
	step "Building the plugin for QEMU" "1 s" "$dir/plugin.log" \
		build_plugin "$TOP/bench/plugin/shared_lines.c" "$dir/shared_lines.so"
	PLUGIN=$dir/shared_lines.so,begin=$(address_of watch_begin "$bench"),end=$(address_of watch_end "$bench")
	# Half the times that each pins and unpins: what the timer does besides is less.
	PLUGIN+=,least=500,out=$dir/lines
	make_initramfs bench-shared bench-shared "${MODULE2:-$OUT/bench/module/rust_ashmem.ko}:/rust_ashmem.ko" "$bench:/bench"
	say "Watching what two CPUs write (usually 1 min)"
	follow_vm bench-shared cat >/dev/null || die "It did not come to its end." "The kernel's log is out/bench-shared/console."
	tr -d '\r' <"$dir/results" >"$dir/symbols"
	"$TOP/bench/shared_lines.py" "$KDIR/System.map" "$dir/symbols" "$dir/lines"
}

# address_of SYMBOL PROGRAM
address_of() {
	nm "$2" | awk -v name="$1" '$3 == name { print $1 }'
}

VM=${4:-bench}
DEVICE=${2:-}
MODULE2=${3:-}
[[ $VM == bench || $VM == debian ]] || die "VM is '$VM'." "VM=debian is the only other machine that it measures in."
[[ -z $DEVICE || $DEVICE =~ ^/dev/[[:alnum:]_./-]+$ ]] ||
	die "DEVICE is '$DEVICE'." "It is the path of a device, such as /dev/ashmem."
[[ -z $MODULE2 || -f $MODULE2 ]] || die "MODULE2 is '$MODULE2', which is no file." "It is a module to load besides."
case ${1:-run} in
run) run_bench ;;
check) check_bench ;;
baseline) write_baseline ;;
shared) run_shared ;;
-h | --help) usage ;;
*) usage >&2 && exit 2 ;;
esac
