# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The programs that run in the virtual machines.

# For programs for arm64: Debian's busybox and C libraries, 64-bit and 32-bit, unpacked.
ARM64_ROOT=$CACHE/arm64

# processor_of VM: prints the processor of a machine.
processor_of() {
	case $1 in
	*arm64* | *gki*) echo arm64 ;;
	*) echo x86 ;;
	esac
}

# prepare_programs VM: fetches what building for this machine needs, but cannot be
# installed.
prepare_programs() {
	[[ $(processor_of "$1") == arm64 && ! -d $ARM64_ROOT ]] || return 0
	in_arm64 open_archive
	step "Fetching busybox and C libraries for arm64" "10 s" "$CACHE/log/arm64" \
		fill "$ARM64_ROOT" in_arm64 fetch_arm64
}

# fetch_arm64 DIRECTORY
fetch_arm64() {
	local libgcc package
	libgcc=$(archive apt-cache search --names-only '^libgcc-[0-9]+-dev-arm64-cross$' |
		awk '{ print $1 }' | sort -V | tail -n 1)
	# clang can use these libraries from any directory. gcc's cross compilers conflict
	# with gcc-multilib.
	for package in busybox-static "$libgcc" "${libgcc/arm64/armhf}" \
		{libc6-dev,linux-libc-dev}-{arm64,armhf}-cross; do
		fetch "$package" "$1" || return 1
	done
}

# busybox_of VM: prints the path of the busybox for a machine.
busybox_of() {
	case $(processor_of "$1") in
	arm64) echo "$ARM64_ROOT/usr/bin/busybox" ;;
	x86) echo /bin/busybox ;;
	esac
}

# Another clone uses the same cached objects.
export CCACHE_DIR=$CACHE/ccache CCACHE_BASEDIR=$TOP CCACHE_MAXSIZE=500M

# compiler_of VM BITS: prints the compiler for its programs.
compiler_of() {
	local cross="$TOP/vm/lib/cc clang-$LLVM_SERIES --sysroot=$ARM64_ROOT -fuse-ld=lld"
	case $(processor_of "$1")-$2 in
	arm64-64) echo "$cross --target=aarch64-linux-gnu" ;;
	arm64-32) echo "$cross --target=arm-linux-gnueabihf" ;;
	x86-*) echo "$TOP/vm/lib/cc gcc -m$2" ;;
	esac
}

# selftests_of VM BITS: prints the directory of its selftests.
selftests_of() {
	echo "$OUT/selftests-$(processor_of "$1")-$2"
}

# one_by_one DIRECTORY COMMAND...: runs a command while no other leg builds there.
one_by_one() {
	local status=0
	mkdir -p "$1"
	(
		flock 8
		"${@:2}"
	) 8>"$1.lock" || status=$?
	return $status
}

# build_selftests VM BITS: builds the selftests of this width.
build_selftests() {
	one_by_one "$(selftests_of "$1" "$2")" make_selftests "$@"
}

make_selftests() {
	local dir
	dir=$(selftests_of "$1" "$2")
	make -C "$TOP/selftests" KSFT="$KSRC/tools/testing/selftests" OUTPUT="$dir" \
		CC="$(compiler_of "$1" "$2")" LDFLAGS=-static all
}

# Suites that run only if LONG is set: for 32-bit programs, because they take long and do the
# same in both widths, and on the machines in LONG_IN, because other machines run them.
LONG_SUITES=(cgroup debugfs events fail fuzz order pressure purge_race race random stranger torture)
declare -A LONG_IN=([uml]='stranger' [x86]='torture' [arm64]='race stranger torture')

# is_left_out SUITE VM BITS: whether a suite is skipped there because LONG is not set.
is_left_out() {
	local suite=${1%_test}
	[[ -z ${LONG:-} ]] || return 1
	[[ $3 == 32 && " ${LONG_SUITES[*]} " == *" $suite "* ]] || [[ " ${LONG_IN[$2]:-} " == *" $suite "* ]]
}

# build_suites VM BITS...: builds the suites of these widths. Sets PROGRAMS to the files for
# make_initramfs, and adds the names of the suites to SUITES.
build_suites() {
	local vm=$1 bits dir file suite
	shift
	PROGRAMS=()
	for bits in "$@"; do
		dir=$(selftests_of "$vm" "$bits")
		step "Building the $bits-bit selftests" "10 s" "$dir.log" build_selftests "$vm" "$bits"
		for file in "$TOP"/selftests/*.c; do
			suite=$(basename "$file" .c)
			! is_left_out "$suite" "$vm" "$bits" || continue
			PROGRAMS+=("$dir/$suite:/selftests-$bits/$suite")
			[[ $suite != *_test ]] || SUITES+=("$suite ($bits-bit)")
		done
	done
}

# programs_of FOLDER VM BITS: prints the build directory for the programs of that folder,
# which are not selftests.
programs_of() {
	echo "$OUT/$1-$(processor_of "$2")-$3"
}

# build_programs FOLDER VM BITS: builds them.
build_programs() {
	one_by_one "$(programs_of "$@")" make_programs "$@"
}

make_programs() {
	make -C "$TOP/$1" -f "$TOP/vm/lib/programs.mk" KSFT="$KSRC/tools/testing/selftests" \
		OUTPUT="$(programs_of "$@")" CC="$(compiler_of "$2" "$3")"
}

# build_tool VM BITS: builds ashmem-check and ashmem-top of this width.
build_tool() {
	one_by_one "$(tool_of "$1" "$2")" make_tool "$@"
}

make_tool() {
	local tool
	for tool in ashmem-{check,top}; do
		make -C "$TOP/tools/$tool" OUTPUT="$(tool_of "$1" "$2")" CC="$(compiler_of "$1" "$2")" \
			CFLAGS="-O2 -Werror" LDFLAGS=-static || return 1
	done
}

# tool_of VM BITS: prints the build directory of these tools.
tool_of() {
	echo "$OUT/tools-$(processor_of "$1")-$2"
}

# build_tools VM BITS...: builds the tools of these widths, and adds them and their
# suites to PROGRAMS and SUITES.
build_tools() {
	local vm=$1 bits dir
	shift
	for bits in "$@"; do
		dir=$(tool_of "$vm" "$bits")
		step "Building the $bits-bit tools" "5 s" "$dir.log" build_tool "$vm" "$bits"
		PROGRAMS+=("$dir:/tools-$bits")
		SUITES+=("ashmem_check_test.sh ($bits-bit)" "ashmem_top_test.sh ($bits-bit)")
	done
	PROGRAMS+=("$TOP/vm/guest/ashmem_check_test.sh:/ashmem_check_test.sh"
		"$TOP/vm/guest/ashmem_top_test.sh:/ashmem_top_test.sh")
}
