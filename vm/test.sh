#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds and runs the tests; see --help.

. "$(dirname "$0")/lib.sh"

# The longest first, as they run side by side.
LEGS=(
	"x86  vm/legs/machine.sh x86"
	"arm64  vm/legs/machine.sh arm64"
	"uml  vm/legs/machine.sh uml"
	"debian  vm/legs/debian.sh"
	"android  android/android.sh x86"
	"scripts  vm/legs/scripts.sh"
)
# Only if named.
OTHER_LEGS=(
	"x86-nodes  vm/legs/nodes.sh"
	"arm64-16k  vm/legs/machine.sh arm64-16k"
	"modversions  vm/legs/modversions.sh"
	"hard  vm/legs/machine.sh hard"
	"gki  vm/legs/machine.sh gki"
	"gki-builtin  vm/legs/machine.sh gki-builtin"
	"debian-rt  vm/legs/debian.sh debian-rt"
	"debian-arm64  vm/legs/debian.sh debian-arm64"
	"intree  vm/legs/intree.sh"
)

usage() {
	cat <<-EOF
		Usage: make test [VM='scripts uml x86 arm64 debian android'] [KERNEL=7.3] [RUST=1.95]
		                 [LONG=1] [JOBS=$JOBS]
		       make test KSRC=DIR ...

		Builds the module for each virtual machine, without a warning, boots it and
		runs in it the KUnit suites and the kselftests; runs the tests of the scripts.
		Ends with the failures, if there are any, how long each took, and 'N passed, N
		failed, N skipped'; with status 1 if one failed.

		  scripts       no machine: the tests of the scripts
		  uml           User-mode Linux with KASAN on one CPU, 64-bit
		  x86           QEMU x86-64 with lockdep, 64-bit and 32-bit
		  arm64         QEMU arm64 with kmemleak and pages of 4 KiB, 64-bit and 32-bit
		  debian        QEMU x86-64 with Debian's own kernel, 64-bit and 32-bit
		  android       QEMU x86-64 that boots as Android does, clients of 64 and 32 bits
		  x86-nodes     x86 again with two NUMA nodes and MGLRU: tests of reclaim; only if named
		  arm64-16k     QEMU arm64 with KASAN and pages of 16 KiB, 64-bit; only if named
		  debian-rt     as debian, with its kernel for real time; only if named
		  debian-arm64  as debian, for arm64; only if named
		  modversions   User-mode Linux where symbols have CRCs; only if named
		  hard          QEMU x86-64 with kCFI, code for IBT, KASAN, lockdep and PREEMPT_RT,
		                64-bit and 32-bit; only if named
		  gki           QEMU arm64 as Android's kernels are: ThinLTO, kCFI, shadow call
		                stack, PAC, BTI, MTE, 64-bit and 32-bit; only if named
		  gki-builtin   the same with the driver built in; only if named
		  intree        a kernel tree with driver and selftests in it: kunit.py, then as
		                uml, built in, and as a module; only if named

		LONG=1 adds what takes minutes and is tested elsewhere: by 32-bit programs, the
		tests of reclaim and of what debugfs and events show; in x86, the torture; in
		uml, the tests of other users' ranges; in arm64, all these and races; in debian
		by 64-bit programs, and in x86 and arm64, those of ashmem-check and ashmem-top.

		JOBS of them run at the same time. KERNEL picks a series of Linux, RUST one of
		rustc; logs are then in out-KERNEL/ or out-rust-RUST/. Debian's own kernel takes
		Debian's own rustc. Of series that Debian's backports have left, such as 7.1, the
		source without Debian's changes is taken, if the archive still has it.

		KSRC names a kernel source of yours to take instead, without a build in it; logs
		are in out-DIR/. Neither it nor its selftests are changed.

		The first run installs packages (as root) and builds kernels into
		$CACHE, which takes about 25 minutes on 2 idle CPUs. Logs
		are in out/, each leg's own in out/legs.
	EOF
}

JOBS=${JOBS:-$(nproc)}
[[ $JOBS =~ ^[1-9][0-9]*$ ]] || die "JOBS is '$JOBS'." "It is how many machines run at the same time."
case " $* " in
*" -h "* | *" --help "*) usage && exit ;;
esac
if (($#)); then
	all=("${LEGS[@]}" "${OTHER_LEGS[@]}")
	for name in "$@"; do
		[[ " ${all[*]%%  *} " == *" $name "* ]] ||
			die "There are no tests called '$name'." "There are: $(sed 's/ /, /g' <<<"${all[*]%%  *}")."
	done
	LEGS=()
	for leg in "${all[@]}"; do
		[[ " $* " != *" ${leg%%  *} "* ]] || LEGS+=("$leg")
	done
fi

# Whoever lacks some is told once.
need "${LEGS[@]%%  *}"
run_legs "$JOBS" "${LEGS[@]}"
say "Times: $(sed 's/ s / s, /g' <<<"${TIMES[*]}"); in all $SECONDS s"
conclude
