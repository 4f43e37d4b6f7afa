#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds and runs the tests; see --help.

. "$(dirname "$0")/lib.sh"

# The longest first, as they run in parallel.
LEGS=(
	"x86  vm/legs/machine.sh x86"
	"arm64  vm/legs/machine.sh arm64"
	"uml  vm/legs/machine.sh uml"
	"debian  vm/legs/debian.sh"
	"android  android/android.sh x86"
	"scripts  vm/legs/scripts.sh"
)
# These run only if they are named.
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

		Builds the module for each virtual machine, boots the machine, and runs the
		KUnit suites and the kselftests in it. Also runs the tests of the scripts. At
		the end, prints the failures, the times, and 'N passed, N failed, N skipped'.
		The exit status is 1 if a test failed. A compiler warning is a failure.

		  scripts       the tests of the scripts, without a virtual machine
		  uml           User-mode Linux with KASAN on one CPU, 64-bit
		  x86           QEMU x86-64 with lockdep, 64-bit and 32-bit
		  arm64         QEMU arm64 with kmemleak and 4 KiB pages, 64-bit and 32-bit
		  debian        QEMU x86-64 with Debian's own kernel, 64-bit and 32-bit
		  android       QEMU x86-64 that boots as Android does, 64-bit and 32-bit clients

		These run only if they are named:

		  x86-nodes     as x86, with two NUMA nodes and MGLRU: tests of reclaim
		  arm64-16k     QEMU arm64 with KASAN and 16 KiB pages, 64-bit
		  debian-rt     as debian, with Debian's real-time kernel
		  debian-arm64  as debian, for arm64
		  modversions   User-mode Linux with CONFIG_MODVERSIONS
		  hard          QEMU x86-64 with kCFI, code for IBT, KASAN, lockdep and PREEMPT_RT,
		                64-bit and 32-bit
		  gki           QEMU arm64 configured like Android's kernels: ThinLTO, kCFI, shadow
		                call stack, PAC, BTI, MTE, 64-bit and 32-bit
		  gki-builtin   as gki, with the driver built in
		  intree        a kernel tree with the driver and the selftests: kunit.py, then as
		                uml, with the driver built in, and as a module

		LONG=1 adds long tests that other machines run anyway: for 32-bit programs, the
		tests of reclaim, debugfs and events; in x86, torture; in uml, the tests of other
		users' ranges; in arm64, all these and races; in debian for 64-bit programs, and
		in x86 and arm64, the tests of ashmem-check and ashmem-top.

		JOBS sets how many machines run at the same time. KERNEL selects a Linux series,
		RUST a rustc series; logs are then in out-KERNEL/ or out-rust-RUST/. The module
		for Debian's own kernel is always built with Debian's own rustc. If Debian's
		backports no longer have a series, such as 7.1, the source without Debian's
		changes is used, if the archive still has it.

		KSRC names your own kernel source to use instead. It must not contain a build, and
		is not changed; logs are in out-DIR/.

		The first run installs packages (as root) and builds kernels in
		$CACHE, which takes about 25 minutes on 2 idle CPUs. Logs
		are in out/, those of each leg in out/legs.
	EOF
}

JOBS=${JOBS:-$(nproc)}
[[ $JOBS =~ ^[1-9][0-9]*$ ]] || die "JOBS is '$JOBS'." "Set it to the number of machines that run at the same time."
case " $* " in
*" -h "* | *" --help "*) usage && exit ;;
esac
if (($#)); then
	all=("${LEGS[@]}" "${OTHER_LEGS[@]}")
	for name in "$@"; do
		[[ " ${all[*]%%  *} " == *" $name "* ]] ||
			die "There are no tests called '$name'." "Use one of: $(sed 's/ /, /g' <<<"${all[*]%%  *}")."
	done
	LEGS=()
	for leg in "${all[@]}"; do
		[[ " $* " != *" ${leg%%  *} "* ]] || LEGS+=("$leg")
	done
fi

# Missing packages of all legs are reported at once.
need "${LEGS[@]%%  *}"
run_legs "$JOBS" "${LEGS[@]}"
list_skipped "${LEGS[@]%%  *}"
say "Times: $(sed 's/ s / s, /g' <<<"${TIMES[*]}"); in all $SECONDS s"
conclude
