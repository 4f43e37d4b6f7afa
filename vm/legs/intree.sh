#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs all suites with the driver in a kernel tree, built in and then as a module:
# 'make test VM=intree'.

. "$(dirname "$0")/../lib.sh"

# kunit COMMAND ARGUMENT...: runs the tree's kunit.py.
kunit() {
	local command=$1
	shift
	(cd "$KSRC" && tools/testing/kunit/kunit.py "$command" --arch=um --build_dir="$KDIR" \
		--kunitconfig="$OUT/intree/kunitconfig" --kunitconfig=drivers/android/ashmem "${TOOLS[@]/#/--make_options=}" "$@")
}

build_builtin() {
	kunit build --jobs "$(nproc)" && touch "$KDIR/complete" && forget_kernels intree
}

# build_as_module: builds the same tree and configuration with the driver as a module.
build_as_module() {
	"$KSRC/scripts/config" --file "$KDIR/.config" --module ASHMEM_RUST || return 1
	kmake intree olddefconfig || return 1
	kmake intree -j"$(nproc)" linux modules || return 1
	cp "$KDIR/drivers/android/ashmem/rust_ashmem.ko" "$OUT/intree"
}

# build_tree_selftests: installs the selftests to out/intree, as kselftest's documentation says.
build_tree_selftests() {
	kmake intree headers &&
		make -C "$KSRC/tools/testing/selftests" O="$KDIR" TARGETS=ashmem LDFLAGS=-static \
			INSTALL_PATH="$OUT/intree/kselftest" install
}

# test_by_kunit: runs the tree's kunit.py and adds its results.
test_by_kunit() {
	say "Running kunit.py (usually 10 s)"
	{
		echo '## begin kunit'
		kunit exec --timeout=300 --raw_output=kunit 'rust_ashmem*' 2>&1 && echo "## status 0" || echo "## status $?"
	} | tee "$OUT/intree/kunit.log" | report intree -v expected=kunit
	add_totals intree
}

# build: builds the kernel with the driver built in, and the tree's selftests.
build() {
	local test
	with_cache step "Building Linux $KVERSION with the driver in it on $(nproc) CPUs" "6 min" \
		"$OUT/intree/module.log" build_builtin
	find_warnings intree ' --> .*/android/ashmem/'
	test_by_kunit
	with_cache step "Building the tree's selftests" "20 s" "$OUT/intree/selftests.log" build_tree_selftests
	PROGRAMS=("$OUT/intree/kselftest/ashmem:/selftests-64")
	SUITES=('mask_test, /dev noexec' kmemleak)
	for test in "$TOP"/selftests/*_test.c; do
		SUITES+=("$(basename "$test" .c) (64-bit)")
	done
}

# build_again: builds the driver as a module of the same tree.
build_again() {
	local program
	with_cache step "Building the driver as the tree's module" "1 min" "$OUT/intree/module.log" build_as_module
	find_warnings intree ' --> .*/android/ashmem/'
	PROGRAMS=()
	for program in area_test mask_test hold; do
		PROGRAMS+=("$OUT/intree/kselftest/ashmem/$program:/selftests-64/$program")
	done
	SUITES=(kunit {area,mask}_test' (64-bit)' "${MODULE_SUITES[@]}")
}

need intree
with_cache prepare_toolchain
with_cache prepare_source
with_cache prepare_tree
KDIR=$(kernel_dir intree)
KERNEL=$KDIR/$(image_of intree)
mkdir -p "$KDIR" "$OUT/intree"
# kunit.py does not accept an option with two values.
# shellcheck disable=SC2046
last_mentions $(fragments_of intree) >"$OUT/intree/kunitconfig"
build
boot intree ""
build_again
boot intree "$OUT/intree/rust_ashmem.ko"
conclude
