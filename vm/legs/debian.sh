#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# All suites on one of Debian's own kernels: 'make test VM=debian'.

. "$(dirname "$0")/../lib.sh"

# refused_module: tests that a module is refused if it was built with other metadata,
# where every Rust symbol has another name. Prints the results.
refused_module() {
	local dir=$OUT/$VM said
	nm -u "$dir/module/rust_ashmem.ko" | awk '$2 ~ /^_R/ { print $2, $2 "other" }' >"$dir/renamed"
	"llvm-objcopy-$LLVM_SERIES" --redefine-syms="$dir/renamed" "$dir/module/rust_ashmem.ko" "$dir/other.ko"
	echo '## begin metadata'
	echo 1..1
	said=$(metadata check "$dir/other.ko" 2>&1 || true)
	printf '%s\n' "$said"
	[[ $said == *"must not be loaded"*" Rust symbols it needs"* ]] || printf 'not '
	echo 'ok 1 a module built with other metadata is refused'
	echo '## status 0'
}

# build: builds the module as a user of Debian does, and checks that it fits the kernel.
build() {
	local tools=(32)
	SUITES=(load "${MODULE_SUITES[@]}")
	# The real-time kernel has no huge pages.
	[[ $VM == *-rt ]] || SUITES+=("${HUGE_SUITES[@]}")
	make_debian_module
	find_warnings "$VM"
	metadata check "$OUT/$VM/module/rust_ashmem.ko"
	refused_module | tee "$OUT/$VM/metadata.log" | report "$VM"
	add_totals "$VM"
	MODULES=()
	unpack_debian_module zram
	build_suites "$VM" 64 32
	# The leg uml tests the 64-bit tools.
	[[ -z ${LONG:-} ]] || tools+=(64)
	build_tools "$VM" "${tools[@]}"
}

VM=${1:-debian}
[[ " ${DEBIAN_VMS[*]} " == *" $VM "* ]] ||
	die "No virtual machine with Debian's kernel is called '$VM'." "Use one of: $(sed 's/ /, /g' <<<"${DEBIAN_VMS[*]}")."
need "$VM"
prepare "$VM"
[[ -z $DEBIAN_LACKS ]] || skip "$VM" "$DEBIAN_LACKS"
build
boot "$VM" "$OUT/$VM/module/rust_ashmem.ko" "${MODULES[@]}"
say "$VM: $(tr -d '\r' <"$OUT/$VM/results" | sed -n 's/^# \(loaded:\)/\1/p')"
conclude
