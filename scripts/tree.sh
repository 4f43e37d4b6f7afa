# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A kernel tree with the driver in it, for the machine called intree. To be sourced
# after vm.sh.

# prepare_tree: sets TREE, a kernel tree with this driver in it, KDIR, where it is
# built, and KERNEL, the file to boot.
prepare_tree() {
	TREE=$CACHE/tree/${KSRC##*/}
	if [[ ! -d $TREE ]]; then
		need_space 3
		rm -rf "$CACHE/tmp/tree"
		mkdir -p "$CACHE"/{tmp,tree}
		# What is not changed takes no room.
		cp -al "$KSRC" "$CACHE/tmp/tree"
		# The move is what makes it whole.
		mv "$CACHE/tmp/tree" "$TREE"
	fi
	KSRC=$TREE "$TOP/scripts/intree.sh" add
	KDIR=$(kernel_dir intree)
	KERNEL=$KDIR/$(image_of intree)
	mkdir -p "$KDIR" "$OUT/intree"
}

# kunit COMMAND ARGUMENT...: runs the tree's kunit.py.
kunit() {
	local command=$1 fragment arguments=()
	shift
	for fragment in $(fragments_of intree); do
		arguments+=(--kunitconfig="$fragment")
	done
	(cd "$TREE" && tools/testing/kunit/kunit.py "$command" --arch=um --build_dir="$KDIR" \
		"${arguments[@]}" --kunitconfig=drivers/android/ashmem "${TOOLS[@]/#/--make_options=}" "$@")
}

# tree_make ARGUMENT...: runs the tree's make.
tree_make() {
	make -C "$TREE" O="$KDIR" ARCH=um "${TOOLS[@]}" "$@"
}

build_builtin() {
	kunit build --jobs "$(nproc)" && touch "$KDIR/complete" && forget_kernels intree
}

# build_as_module: the same tree and configuration, but for a module.
build_as_module() {
	"$TREE/scripts/config" --file "$KDIR/.config" --module ASHMEM_RUST || return 1
	tree_make olddefconfig || return 1
	tree_make -j"$(nproc)" linux modules || return 1
	cp "$KDIR/drivers/android/ashmem/rust_ashmem.ko" "$OUT/intree"
}

# build_tree_selftests: as the documentation of kselftest says, into out/intree.
build_tree_selftests() {
	tree_make headers &&
		make -C "$TREE/tools/testing/selftests" O="$KDIR" TARGETS=ashmem LDFLAGS=-static \
			INSTALL_PATH="$OUT/intree/kselftest" install
}

# test_in_tree: in a kernel tree the driver is built in, and then a module.
test_in_tree() {
	local dir=$OUT/intree/kselftest/ashmem test files=()
	with_cache prepare_tree
	with_cache step "Building Linux $KVERSION with the driver in it on $(nproc) CPUs" "6 min" \
		"$OUT/intree/module.log" build_builtin
	find_warnings intree ' --> .*/android/ashmem/'
	say "Running kunit.py (usually 10 s)"
	{
		echo '## begin kunit'
		kunit exec --timeout=300 --raw_output=kunit 'rust_ashmem*' 2>&1 && echo "## status 0" || echo "## status $?"
	} | tee "$OUT/intree/kunit.log" | report intree -v expected=kunit
	add_totals "$OUT/intree/totals"

	with_cache step "Building the tree's selftests" "20 s" "$OUT/intree/selftests.log" build_tree_selftests
	SUITES=('mask_test, /dev noexec' kmemleak)
	for test in "$TOP"/selftests/*_test.c; do
		SUITES+=("$(basename "$test" .c) (64-bit)")
	done
	boot intree "$dir:/selftests-64"

	with_cache step "Building the driver as the tree's module" "1 min" "$OUT/intree/module.log" build_as_module
	find_warnings intree ' --> .*/android/ashmem/'
	SUITES=(kunit 'area_test (64-bit)' 'mask_test (64-bit)' 'mask_test, /dev noexec' unload module_test.sh kmemleak)
	for test in area_test mask_test hold module_test.sh; do
		files+=("$dir/$test:/selftests-64/$test")
	done
	boot intree "$OUT/intree/rust_ashmem.ko:/rust_ashmem.ko" "${files[@]}"
}
