#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Measures the cost of calls, in instructions; see --help.

. "$(dirname "$0")/../vm/lib.sh"

BASELINE=$TOP/bench/baseline.json
ROWS=$OUT/bench/results.tsv
# In MiB, the same as for the baseline.
MEMORY=1024

usage() {
	cat <<-EOF
		Usage: make bench [VM=debian] [DEVICE=/dev/...] [MODULE2=FILE.ko]
		       make bench-check
		       make bench-baseline
		       make bench-shared

		Measures the cost of the driver's calls, and of the same calls on a memfd, in
		instructions. These are counted in a virtual machine without debug options, so the
		figures are reproducible, however busy this machine is. Then measures concurrent
		processes in another machine, in nanoseconds; these figures vary.

		  bench           prints a table, and writes it, the rows and a picture to
		                  out/bench: table.txt, results.tsv, results.json, cost.svg
		  bench-check     compares with bench/baseline.json; the exit status is 1 if the
		                  cost of something has increased by more than 3 %
		  bench-baseline  rewrites that file
		  bench-shared    lists the cache lines that two CPUs write when each pins and
		                  unpins pages of its own region; the exit status is 1 if one of
		                  them is not list_lru's

		With VM=debian, bench measures on Debian's own kernel, without building one. System
		calls cost more there, and it has no debugfs files for scans, so two rows are
		missing. It has other targets.

		DEVICE is another device to measure. MODULE2 is its module, built for the same
		kernel and also loaded.

		The first run installs packages (as root) and builds a kernel into
		$CACHE, which takes about 6 minutes on 2 idle CPUs.
	EOF
}

# build_all: builds everything that is needed to measure.
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

# measure_text: adds the size of the module's code to ROWS.
measure_text() {
	size -A "$OUT/$VM/module/rust_ashmem.ko" |
		awk '$1 ~ /^\.text/ { sum += $2 } END { printf ".text\t-\tbytes\tashmem\t%d\n", sum }' >>"$ROWS"
}

# measure MACHINE ARGUMENT...: runs the benchmark with these arguments in the machine, and
# adds its rows to ROWS.
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
		die "The benchmark did not run to its end." "See its output in out/$vm/results, and the kernel's log in out/$vm/console."
	! splats "$vm" || die "The kernel reported a problem." "See its log: out/$vm/console."
	tr -d '\r' <"$OUT/$vm/results" | grep -vxF "$END_MARK" >>"$ROWS"
}

# show_rows: prints rows as they appear, and other output of the benchmark.
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

# report_rows COMMAND WHERE: runs a command of bench.py on the rows.
report_rows() {
	local qemu kernel=$KVERSION toolchain=$TOOLCHAIN
	if [[ $VM == debian ]]; then
		kernel=$DEBIAN_RELEASE
		toolchain="Debian's rustc"
	fi
	# Another version of QEMU may emulate other processor features, for which the kernel
	# runs other code.
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

# run_shared: watches the writes of two CPUs. Uses the module MODULE2 if it is set.
run_shared() {
	local bench dir=$OUT/bench-shared symbols
	build_all
	bench=$(programs_of bench bench 64)/bench
	mkdir -p "$dir"
	step "Building the plugin for QEMU" "1 s" "$dir/plugin.log" \
		build_plugin "$TOP/bench/plugin/shared_lines.c" "$dir/shared_lines.so"
	PLUGIN=$dir/shared_lines.so,begin=$(address_of watch_begin "$bench"),end=$(address_of watch_end "$bench")
	# Half of the number of pins on each CPU, to ignore the writes of the timer.
	PLUGIN+=,least=500,out=$dir/lines
	make_initramfs bench-shared bench-shared "${MODULE2:-$OUT/bench/module/rust_ashmem.ko}:/rust_ashmem.ko" "$bench:/bench"
	say "Watching what two CPUs write (usually 1 min)"
	follow_vm bench-shared cat >/dev/null || die "The benchmark did not run to its end." "See the kernel's log: out/bench-shared/console."
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
[[ $VM == bench || $VM == debian ]] || die "VM is '$VM'." "Leave it out, or set VM=debian."
[[ -z $DEVICE || $DEVICE =~ ^/dev/[[:alnum:]_./-]+$ ]] ||
	die "DEVICE is '$DEVICE'." "Set it to the path of a device, such as /dev/ashmem."
[[ -z $MODULE2 || -f $MODULE2 ]] || die "MODULE2 is '$MODULE2', which is not a file." "Set it to another module to load."
case ${1:-run} in
run) run_bench ;;
check) check_bench ;;
baseline) write_baseline ;;
shared) run_shared ;;
-h | --help) usage ;;
*) usage >&2 && exit 2 ;;
esac
