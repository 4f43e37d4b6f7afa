#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# All suites on Debian's own kernel: 'make test VM=debian'.

. "$(dirname "$0")/../lib.sh"

# refused_module: the results of a test that what was built with other metadata is
# refused, in which every Rust symbol has another name.
refused_module() {
	local dir=$OUT/debian said
	nm -u "$dir/module/rust_ashmem.ko" | awk '$2 ~ /^_R/ { print $2, $2 "other" }' >"$dir/renamed"
	objcopy --redefine-syms="$dir/renamed" "$dir/module/rust_ashmem.ko" "$dir/other.ko"
	echo '## begin metadata'
	echo 1..1
	said=$(metadata check "$dir/other.ko" 2>&1 || true)
	printf '%s\n' "$said"
	[[ $said == *"must not be loaded"*" Rust symbols it needs"* ]] || printf 'not '
	echo 'ok 1 a module built with other metadata is refused'
	echo '## status 0'
}

# build: the module, as a user of Debian does, who proves that it fits before it is
# loaded.
build() {
	SUITES=(load "${MODULE_SUITES[@]}" "${HUGE_SUITES[@]}")
	make_debian_module
	find_warnings debian
	metadata check "$OUT/debian/module/rust_ashmem.ko"
	refused_module | tee "$OUT/debian/metadata.log" | report debian
	add_totals debian
	MODULES=()
	unpack_debian_module zram
	build_suites debian 64 32
	build_tools debian 64 32
}

need debian
prepare debian
[[ -z $DEBIAN_LACKS ]] || skip debian "$DEBIAN_LACKS"
build
boot debian "$OUT/debian/module/rust_ashmem.ko" "${MODULES[@]}"
say "debian: $(tr -d '\r' <"$OUT/debian/results" | sed -n 's/^# \(loaded:\)/\1/p')"
conclude
