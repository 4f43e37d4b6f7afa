# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The programs that run in the virtual machines. To be sourced after kernel.sh.

# build_selftests BITS [COMPILER-FLAG...]: builds the suite into
# out/selftests-BITS.
build_selftests() {
	local dir=$OUT/selftests-$1
	shift
	mkdir -p "$dir"
	make -C "$TOP/selftests" KSFT="$KSRC/tools/testing/selftests" OUTPUT="$dir" \
		CC="gcc $*" LDFLAGS=-static all
}

# build_suites BITS...: builds the suites of these widths. Sets PROGRAMS, which
# says to make_initramfs where they are and where they go, and adds their names
# to SUITES.
build_suites() {
	local bits source
	PROGRAMS=()
	for bits in "$@"; do
		step "Building the $bits-bit selftests" "10 s" "$OUT/selftests-$bits.log" \
			build_selftests "$bits" "-m$bits"
		PROGRAMS+=("$OUT/selftests-$bits:/selftests-$bits")
		for source in "$TOP"/selftests/*_test.c; do
			SUITES+=("$(basename "$source" .c) ($bits-bit)")
		done
	done
}
