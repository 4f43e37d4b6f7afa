# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Makes, runs and watches virtual machines.
#
# A machine has two channels: the console, with the kernel's log, and the results,
# with the output of its programs. The last line of the results is END_MARK. Without
# it, the machine did not run to its end.

END_MARK="## the end"
# SILENCE: seconds without output after which a machine counts as hung. OFF: seconds
# without output after which a machine that reported its end counts as ended. LIMIT:
# seconds that it may run. Five minutes suffice, except on a busy host.
SILENCE=150
OFF=5
LIMIT=2700

# Lines of the log in which the kernel reports a problem.
SPLAT='WARNING:|BUG:|KASAN:|UBSAN:|Oops|Kernel panic|general protection fault|[Uu]nable to handle|cut here'
SPLAT+='|Internal error|Call [Tt]race|circular locking|recursive locking|inconsistent lock state'
SPLAT+='|suspicious RCU usage|lock held when|sleeping function called|scheduling while atomic'
SPLAT+='|blocked for more than|soft lockup|hard LOCKUP|rcu.*stall|refcount_t:'
SPLAT+='|list_(add|del) corruption|unreferenced object|kernel stack overflow'

# make_initramfs VM RUN-SCRIPT FILE...: makes out/VM/initramfs.gz, which runs the script.
# Each FILE is HOST-PATH:GUEST-PATH.
make_initramfs() {
	local vm=$1 run=$2 root=$OUT/$1/root file
	shift 2
	rm -rf "$root"
	mkdir -p "$root"/{bin,dev,proc,sys,tmp}
	cp "$(busybox_of "$vm")" "$root/bin/busybox"
	cp "$TOP/vm/guest/init" "$root/init"
	cp "$TOP/vm/guest/$run" "$root/run"
	cp "$TOP/vm/guest/suites" "$root/suites"
	for file in "$@"; do
		mkdir -p "$(dirname "$root/${file#*:}")"
		cp -r "${file%%:*}" "$root/${file#*:}"
	done
	chmod +x "$root/init"
	(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1 >"$OUT/$vm/initramfs.gz"
}

# build_plugin SOURCE FILE: builds a plugin for QEMU.
build_plugin() {
	gcc -O2 -Wall -Wextra -Werror -shared -fPIC -I"$TOP/vm/plugin" -o "$2" "$1"
}

# Parameters for the guest, on the command line of its kernel.
GUEST_WORDS=
# The memory of the guest in MiB; by default that of memory_of.
MEMORY=

# start_vm VM: boots KERNEL in its own process group and sets VM_PID.
start_vm() {
	local dir=$OUT/$1 memory=${MEMORY:-$(memory_of "$1")} board=virt
	: >"$dir/console"
	: >"$dir/results"
	case $1 in
	uml | intree | modversions | pressure-uml | mutants)
		# All on one CPU of the host: a program and its kernel are two tasks that take
		# turns, and to wake an idle CPU for each turn takes half of the time.
		# shellcheck disable=SC2086
		setsid taskset -c "$(one_cpu)" "$KERNEL" seccomp=auto mem=${memory}M initrd="$dir/initramfs.gz" console=tty0 \
			con=null con0=null,fd:1 con1=null,fd:3 results=/dev/tty1 panic=-1 $GUEST_WORDS \
			</dev/null >"$dir/console" 2>&1 3>"$dir/results" &
		;;
	x86 | android-x86 | debian | debian-rt | installed | engines | openrc | busybox | oracle | bench-smp | mutants-x86 | pressure-*) start_x86 "$dir" "$GUEST_WORDS" "$(accelerator) -smp 2" ;;
	hard)
		# Only our KUnit suites: one of the kernel's own takes a lock that PREEMPT_RT forbids there.
		start_x86 "$dir" "kunit.filter_glob=rust_ashmem* $GUEST_WORDS" "$(accelerator) -smp 2"
		;;
	x86-nodes)
		# Two nodes, each with one CPU.
		start_x86 "$dir" "$GUEST_WORDS" "$(accelerator) -smp 2,sockets=2
			-object memory-backend-ram,id=a,size=256M -numa node,cpus=0,memdev=a
			-object memory-backend-ram,id=b,size=256M -numa node,cpus=1,memdev=b"
		;;
	secureboot)
		# The firmware boots from the disk, and keeps the trusted keys in its variables,
		# which System Management Mode protects. It prints to the first two serial ports,
		# so the results go to the third.
		# shellcheck disable=SC2046
		setsid qemu-system-x86_64 -M q35,smm=on $(accelerator) -m 1024 -nodefaults -display none -no-reboot \
			-serial file:"$dir/console" -chardev file,id=results,path="${dir//,/,,}/results" \
			-device isa-serial,index=2,irq=3,chardev=results \
			-global driver=cfi.pflash01,property=secure,value=on \
			-drive if=pflash,unit=0,format=raw,readonly=on,file="${FIRMWARE//,/,,}" \
			-drive if=pflash,unit=1,format=raw,file="${dir//,/,,}/variables" \
			-drive if=virtio,format=raw,readonly=on,file="fat:${dir//,/,,}/disk" </dev/null >"$dir/qemu" 2>&1 &
		;;
	bench)
		# Each executed instruction advances the guest's clock by one nanosecond, however
		# busy the host is.
		start_x86 "$dir" "nokaslr norandmaps $GUEST_WORDS" "-accel tcg,thread=single
			-icount shift=0,sleep=off -smp 1 -cpu max -rtc base=2026-01-01,clock=vm"
		;;
	bench-shared | coverage)
		# With all CPUs in one thread, QEMU does not tell the plugin the right CPU.
		start_x86 "$dir" "nokaslr norandmaps $GUEST_WORDS" "-accel tcg,thread=multi -smp 2 -cpu max -plugin $PLUGIN"
		;;
	arm64* | gki* | android-arm64 | android-gki | debian-arm64)
		[[ $1 != *gki* ]] || board+=,mte=on
		# Never KVM, as the host has another processor. QEMU's own pointer authentication is
		# faster than the architecture's algorithm. Before QEMU 9.1 the machine has only one
		# UART. Debian's kernel finds devices only on PCI, ours only on virtio-mmio.
		setsid qemu-system-aarch64 -M "$board" -accel tcg,thread=multi -cpu max,pauth-impdef=on -smp 2 -m "$memory" \
			-nodefaults -display none -no-reboot -serial file:"$dir/console" \
			-device "$([[ $1 == debian-* ]] && echo virtio-serial-pci || echo virtio-serial-device)" -device virtconsole,chardev=results \
			-chardev file,id=results,path="${dir//,/,,}/results" \
			-kernel "$KERNEL" -initrd "$dir/initramfs.gz" \
			-append "console=ttyAMA0 results=/dev/hvc0 panic=-1 $GUEST_WORDS" </dev/null >"$dir/qemu" 2>&1 &
		;;
	esac
	VM_PID=$!
	own_vm
}

# one_cpu: prints the number of a CPU that this script may use.
one_cpu() {
	taskset -pc $$ | sed 's/.*[^0-9]//'
}

# own_vm: makes the machine end with this script, which may get several signals.
own_vm() {
	trap stop_vm EXIT
	trap 'trap "" INT TERM HUP PIPE; exit 130' INT TERM HUP PIPE
}

# memory_of VM: prints its memory in MiB, unless MEMORY is set.
memory_of() {
	case $1 in
	# KASAN with 16 KiB pages needs more, and so do Debian's modules for arm64.
	arm64-16k | debian-arm64 | hard | *gki*) echo 1024 ;;
	*) echo 512 ;;
	esac
}

# start_x86 DIRECTORY GUEST-WORDS OPTIONS: boots it in QEMU on a PC, for start_vm.
start_x86() {
	# On a busy host, the kernel's check may find the timer not working.
	# shellcheck disable=SC2086
	setsid qemu-system-x86_64 $3 -m "$memory" -nodefaults -display none -no-reboot \
		-serial file:"$1/console" -serial file:"$1/results" -kernel "$KERNEL" -initrd "$1/initramfs.gz" \
		-append "console=ttyS0 results=/dev/ttyS1 panic=-1 no_timer_check $2" </dev/null >"$1/qemu" 2>&1 &
}

stop_vm() {
	# Both, as setsid may not have made the group yet.
	kill -KILL "$VM_PID" 2>/dev/null || true
	kill -KILL -- "-$VM_PID" 2>/dev/null || true
	wait "$VM_PID" 2>/dev/null || true
	trap - EXIT INT TERM HUP PIPE
}

# Seconds between progress messages, if there are to be any.
NEWS=

# wait_vm VM: waits for the machine's end. Prints a reason and fails if it must be stopped.
wait_vm() {
	local dir=$OUT/$1 size last=-1 since=$SECONDS start=$SECONDS next=$NEWS
	while kill -0 "$VM_PID" 2>/dev/null; do
		size=$(stat -c %s "$dir/console" "$dir/results" | paste -sd +)
		if [[ $size != "$last" ]]; then
			last=$size
			since=$SECONDS
		fi
		# User-mode Linux does not always exit after it was powered off.
		((SECONDS - since < OFF)) || ! is_off "$1" || break
		if [[ -n $next ]] && ((SECONDS - start >= next)); then
			next=$((next + NEWS))
			printf '  %4d s  %s: %s\n' $((SECONDS - start)) "$1" "$(sed -n 's/^## begin //p' "$dir/results" | tail -n 1 | tr -d '\r')"
		fi
		if ((SECONDS - since >= SILENCE || SECONDS - start >= LIMIT)); then
			if ((SECONDS - since >= SILENCE)); then
				say "$1: hung: no output for $((SECONDS - since)) s, stopped after $((SECONDS - start)) s"
			else
				say "$1: does not end, or this host is too busy: stopped after $((SECONDS - start)) s"
			fi
			last_words "$1"
			stop_vm
			return 1
		fi
		sleep 0.2
	done
	stop_vm
	if ! said_all "$1"; then
		say "$1: stopped before its end"
		last_words "$1"
		return 1
	fi
}

# said_all VM: returns whether its programs ran to their end.
said_all() {
	[[ $(tail -n 1 "$OUT/$1/results" | tr -d '\r') == "$END_MARK" ]]
}

# is_off VM: returns whether it has finished and powered off.
is_off() {
	said_all "$1" && tail -n 5 "$OUT/$1/console" | grep -q 'reboot: Power down'
}

# is_stuck VM: waits for the first result, and returns whether the kernel gets stuck before
# that. On a busy host, QEMU sometimes loses an interrupt while CPUs are brought up, for
# which a large kernel may wait forever.
is_stuck() {
	local dir=$OUT/$1 size last=-1 since=$SECONDS
	# User-mode Linux does not lose interrupts.
	case $1 in
	uml | intree | modversions | pressure-uml | mutants) return 1 ;;
	esac
	while kill -0 "$VM_PID" 2>/dev/null && [[ ! -s $dir/results ]]; do
		size=$(stat -c %s "$dir/console")
		if [[ $size != "$last" ]]; then
			last=$size
			since=$SECONDS
		fi
		((SECONDS - since < SILENCE / 3)) || return 0
		sleep 0.2
	done
	return 1
}

# follow_vm VM COMMAND...: runs the machine, and passes its results to the command as they
# appear. Fails if the machine does not run to its end.
follow_vm() {
	local vm=$1 reader ended=0
	shift
	start_vm "$vm"
	if is_stuck "$vm" && ! splats "$vm"; then
		say "$vm: stuck before its first program; booting it again"
		stop_vm
		start_vm "$vm"
	fi
	tail -s 0.2 -n +1 -f --pid="$VM_PID" "$OUT/$vm/results" | "$@" &
	reader=$!
	wait_vm "$vm" || ended=1
	wait "$reader" || true
	return $ended
}

# Suites for each machine that loads the module, and for those with huge pages.
MODULE_SUITES=('mask_test, /dev noexec' unload formats_test.sh module_test.sh kmemleak)
HUGE_SUITES=({mmap,pin,purge,random}_test', huge pages')

# boot VM MODULE FILE...: runs the tests in the machine, with MODULE unless it is empty.
boot() {
	local vm=$1 module=$2 files=("${PROGRAMS[@]}" "${@:3}")
	[[ -z $module ]] || files+=("$module:/rust_ashmem.ko" "$TOP/selftests/module_test.sh:/selftests-64/module_test.sh")
	make_initramfs "$vm" test "${files[@]}" "$TOP/vm/guest/formats_test.sh:/formats_test.sh" \
		"$TOP/docs/observability.md:/observability.md"
	say "Testing in $vm (usually 1 to 5 min)"
	count_vm "$vm"
	tell_tested "$vm" "$vm"
}

# run_alone VM SUITE WORDS PATTERN: builds everything, boots a machine in which vm/guest/SUITE
# runs one test with the parameters WORDS, and prints the lines of its results that match.
# Fails unless the test passes.
run_alone() {
	local vm=$1 suite=$2
	need "$vm"
	prepare "$vm"
	step "Building the module" "10 s" "$OUT/$vm/module.log" build_module "$vm"
	SUITES=()
	build_suites "$vm" 64
	make_initramfs "$vm" "$suite" "$OUT/$vm/module/rust_ashmem.ko:/rust_ashmem.ko" "${PROGRAMS[@]}"
	GUEST_WORDS=$3
	# It may run as long as it prints something.
	LIMIT=$((7 * 24 * 3600))
	say "Running ${suite}_test in $vm"
	follow_vm "$vm" grep --line-buffered -E "$4|^not ok|under " ||
		die "The machine did not run to its end." "See its log: ${OUT##*/}/$vm/console."
	! splats "$vm" || die "The kernel reported a problem." "See its log: ${OUT##*/}/$vm/console."
	tr -d '\r' <"$OUT/$vm/results" | grep -q '^ok 1 ' ||
		die "The test failed." "See its output: ${OUT##*/}/$vm/results."
}

# run_vm VM [AWK-OPTION...]: runs the machine and reports the results of SUITES. Fails if
# the machine does not run to its end.
run_vm() {
	local NEWS=15
	rm -f "$OUT/$1/totals"
	follow_vm "$1" report "$@" -v expected="$(printf '%s\n' "${SUITES[@]}")"
}

last_words() {
	local channel
	for channel in results console; do
		say "  the last lines of out/$1/$channel:"
		tail -n 15 "$OUT/$1/$channel" | tr -d '\r' | sed 's/^/    /'
	done
	[[ ! -s $OUT/$1/qemu ]] || sed 's/^/    qemu: /' "$OUT/$1/qemu"
}

# splats VM: prints problems that the kernel reported; fails if there are none.
splats() {
	splats_in "$OUT/$1/console"
}

# Some traces are expected. Tests may cause OOM kills, which print a trace, and another if the
# process was killed in a page fault. kswapd may fail to allocate the table of a swap cluster:
# isolate_lock_cluster() of Linux 7.3 continues without that cluster. fail_test makes the
# allocation of a kernel stack fail.
splats_in() {
	tr -d '\r' <"$1" | sed -e '/ invoked oom-killer: /,/: Killed process /d' \
		-e '/ page allocation failure: order:0, mode:.*(GFP_HIGHUSER_MOVABLE/,/ pages reserved/d' \
		-e '/ kswapd[0-9]*: page allocation failure: order:0, mode:.*(GFP_KERNEL|__GFP_HIGH|.*__GFP_NOMEMALLOC)/,/ pages reserved/d' \
		-e '/ fail_test: vmalloc error: /,/ pages reserved/d' |
		grep -nE -A 12 "$SPLAT"
}

# accelerator: prints QEMU's options for KVM if a guest really boots with it, or else for
# TCG.
accelerator() {
	local probe
	probe=$CACHE/kvm-$(</proc/sys/kernel/random/boot_id)
	(
		flock 7
		[[ -e $probe ]] && exit
		rm -f "$CACHE"/kvm-*
		if kvm_works; then echo kvm; else echo tcg; fi >"$probe.new"
		mv "$probe.new" "$probe"
	) 7>"$CACHE/kvm.lock"
	case $(<"$probe") in
	kvm) echo "-accel kvm -cpu host" ;;
	*) echo "-accel tcg,thread=multi -cpu max" ;;
	esac
}

# kvm_works: returns whether this kernel boots under KVM. That /dev/kvm can be opened does not
# prove it: on some hosts the guest then hangs.
kvm_works() {
	local words
	[[ -w /dev/kvm ]] || return 1
	# Without an initramfs the kernel panics as soon as it is up.
	words=$(timeout --foreground 20 qemu-system-x86_64 -accel kvm -cpu host -m 256 -nodefaults -display none \
		-no-reboot -serial stdio -kernel "$KERNEL" -append "console=ttyS0 panic=-1" \
		</dev/null 2>&1 || true)
	[[ $words == *"Unable to mount root"* ]]
}
