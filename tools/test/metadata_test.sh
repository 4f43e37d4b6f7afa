#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of metadata.sh on fake headers: what it refuses, and its error messages.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/test/ktap.sh"

RELEASE=7.3.4+test-amd64
HEADERS=$TMP/usr/src/linux-headers-$RELEASE
VERSION=7.3.4-1
RUSTC_TEXT='rustc 1.85.1 (0123456789 2025-03-15) (test)'
VERMAGIC="$RELEASE SMP preempt mod_unload "
# The same function of the kernel crate, as two compilers mangle its name.
OURS=_RNvMs1_NtNtCsb5MLIFMWygY_6kernel5alloc9allocatorNtB5_7Vmalloc7to_page
OTHER=_RNvMs1_NtNtCs4Hq0yTnZr2d_6kernel5alloc9allocatorNtB5_7Vmalloc7to_page

# Sections with CRCs for modules; empty unless a test sets it.
CRCS=

# rustc TEXT: makes a compiler with this version text.
rustc() {
	printf '#!/bin/sh\necho "%s"\n' "$1" >"$TMP/rustc"
	chmod +x "$TMP/rustc"
}

# module FILE VERMAGIC SYMBOL...: makes a module that needs these symbols.
module() {
	local file=$1 vermagic=$2
	shift 2
	mkdir -p "$(dirname "$file")"
	{
		printf '.section .modinfo\n.asciz "vermagic=%s"\n.text\n' "$vermagic"
		printf 'call %s\n' "$@"
		printf '%b' "$CRCS"
	} | gcc -c -x assembler -o "$file" -
}

# versioned CRC: makes headers whose shmem_file_setup has this CRC. Modules are built
# against 0x12345678.
versioned() {
	headers
	sed -i "/shmem_file_setup/s/0x00000000/$1/" "$HEADERS/Module.symvers"
	CRCS='.section __version_ext_crcs, "a"\n.long 0, 0x12345678\n'
	CRCS+=".section __version_ext_names, \"a\"\\n.asciz \"$OURS\"\\n.asciz \"shmem_file_setup\"\\n"
}

# headers: makes headers with installed metadata, and the kernel's own rustc.
headers() {
	rm -rf "$HEADERS" "$HEADERS-rt"
	mkdir -p "$HEADERS"/{include/generated,rust,scripts}
	echo "CONFIG_RUSTC_VERSION_TEXT=\"$RUSTC_TEXT\"" >"$HEADERS/.config"
	echo "#define UTS_RELEASE \"$RELEASE\"" >"$HEADERS/include/generated/utsrelease.h"
	echo "#define LINUX_PACKAGE_ID \" Debian $VERSION\"" >"$HEADERS/include/generated/package.h"
	printf '0x00000000\t%s\tvmlinux\tEXPORT_SYMBOL_GPL\t\n' shmem_file_setup "$OURS" >"$HEADERS/Module.symvers"
	: >"$HEADERS/.kernelvariables"
	: >"$HEADERS/scripts/target.json"
	: >"$HEADERS/scripts/laid-by-rust_ashmem"
	: >"$HEADERS/rust/libkernel.rmeta"
	echo "EXPORT_SYMBOL_RUST_GPL($OURS);" >"$HEADERS/rust/exports_kernel_generated.h"
	echo "$VERSION" >"$HEADERS/rust/laid-by-rust_ashmem"
	rustc "$RUSTC_TEXT"
}

# says STATUS WORDS COMMAND...: whether metadata.sh exits with STATUS and prints WORDS.
says() {
	local wanted=$1 words=$2 status=0
	shift 2
	RUSTC=$TMP/rustc "$TOP/tools/metadata.sh" "$@" >"$TMP/said" 2>&1 || status=$?
	[[ $status == "$wanted" ]] && grep -qE -e "$words" "$TMP/said"
}

# checks STATUS WORDS VERMAGIC SYMBOL...: the same for a check of a module.
checks() {
	local wanted=$1 words=$2
	shift 2
	module "$TMP/rust_ashmem.ko" "$@"
	METADATA_ROOT=$TMP says "$wanted" "$words" check "/usr/src/linux-headers-$RELEASE" "$TMP/rust_ashmem.ko"
}

# is_made_anew: whether a rebuild is tried, which fails without a cache, after scripts was replaced.
is_made_anew() {
	: >"$HEADERS/rust/target.json"
	says 0 'exports all 1 Rust symbols' lay "$HEADERS" && rm "$HEADERS/scripts/target.json" || return 1
	MAY_INSTALL=no XDG_CACHE_HOME=/proc says 1 'cannot|Packages are missing' lay "$HEADERS"
}

# cleans: whether cleaning keeps exactly the files that came with the headers.
cleans() {
	says 0 'as Debian' clean "$HEADERS" && [[ ! -e $HEADERS/rust && ! -e $HEADERS/scripts/target.json && -e $HEADERS/.config ]]
}

# cleans_as_root: whether a user without write permission is told to use sudo.
cleans_as_root() {
	local bound=(env)
	((EUID)) || bound=(setpriv --bounding-set=-dac_override)
	chmod 555 "$HEADERS"
	! "${bound[@]}" env RUSTC="$TMP/rustc" "$TOP/tools/metadata.sh" clean "$HEADERS" >"$TMP/said" 2>&1 &&
		grep -q 'sudo make metadata-clean\.' "$TMP/said" && chmod 755 "$HEADERS"
}

# keeps_shared: whether cleaning keeps files that other headers with the same scripts need.
keeps_shared() {
	cp -r "$HEADERS" "$HEADERS-rt"
	rm -r "$HEADERS-rt/scripts"
	ln -s "../linux-headers-$RELEASE/scripts" "$HEADERS-rt"
	says 0 'as Debian' clean "$HEADERS" && [[ -e $HEADERS-rt/scripts/target.json ]] &&
		says 0 'as Debian' clean "$HEADERS-rt" && [[ ! -e $HEADERS/scripts/target.json ]]
}

# forgets_gone: whether the metadata of removed headers is removed, and that of others is
# kept.
forgets_gone() {
	local kbuild=$TMP/usr/lib/linux-kbuild-7.3.4
	cp -r "$HEADERS" "$HEADERS-rt"
	mkdir -p "${kbuild%/*}"
	mv "$HEADERS/scripts" "$TMP/scripts"
	mkdir "$kbuild"
	mv "$TMP/scripts" "$kbuild"
	ln -s ../../lib/linux-kbuild-7.3.4/scripts "$HEADERS/scripts"
	METADATA_ROOT=$TMP "$TOP/tools/metadata.sh" clean-gone && [[ -e $HEADERS/rust && -e $kbuild/scripts/target.json ]] || return 1
	find "$HEADERS" -mindepth 1 -maxdepth 1 ! -name rust -exec rm -r {} +
	METADATA_ROOT=$TMP "$TOP/tools/metadata.sh" clean-gone
	[[ ! -e $HEADERS && ! -e $kbuild && -e $HEADERS-rt/rust && -e $HEADERS-rt/scripts/target.json ]]
}

# cleans_all: whether cleaning all keeps metadata that came with headers.
cleans_all() {
	cp -r "$HEADERS" "$HEADERS-rt"
	rm "$HEADERS-rt/scripts/laid-by-rust_ashmem" "$HEADERS-rt/rust/laid-by-rust_ashmem"
	METADATA_ROOT=$TMP "$TOP/tools/metadata.sh" clean-all
	[[ ! -e $HEADERS/rust && ! -e $HEADERS/scripts/target.json && -e $HEADERS/.config ]] &&
		[[ -e $HEADERS-rt/rust && -e $HEADERS-rt/scripts/target.json ]]
}

# checks_without_kernel: whether a check works with the release from the headers.
checks_without_kernel() {
	rm -r "$TMP/lib/modules"
	checks 0 "the vermagic is '7\.3\.4\+test-amd64 SMP" "$VERMAGIC" "$OURS" &&
		checks 1 "its vermagic is '7\.3\.5 SMP" "7.3.5 SMP" "$OURS"
}

headers
module "$TMP/lib/modules/$RELEASE/kernel/zram.ko" "$VERMAGIC" kfree
echo "1..23"
result "metadata that fits is accepted" says 0 'exports all 1 Rust symbols' lay "$HEADERS"
result "another rustc is refused" eval 'rustc "rustc 1.95.0 (test)"; says 1 \
	"is .rustc 1\.95\.0 \(test\)., but Linux .* was built by .rustc 1\.85\.1" lay "$HEADERS"'
rustc "$RUSTC_TEXT"
result "metadata made by another rustc is refused" eval \
	'echo "EXPORT_SYMBOL_RUST_GPL($OTHER);" >>"$HEADERS/rust/exports_kernel_generated.h"
	says 1 "1 of 2 Rust symbols in the metadata are not exported by Linux .*, such as $OTHER" lay "$HEADERS"'
headers
result "metadata without symbols is refused" eval \
	': >"$HEADERS/rust/exports_kernel_generated.h"; says 1 "exports no symbol" lay "$HEADERS"'
headers
result "a kernel without Rust is refused" eval \
	': >"$HEADERS/.config"; says 1 "built without Rust" lay "$HEADERS"'
headers
result "incomplete metadata is rebuilt" is_made_anew
headers
result "metadata of the headers' own is kept" eval \
	'rm "$HEADERS/rust/laid-by-rust_ashmem"; says 1 "metadata of its own" clean "$HEADERS" && [[ -e $HEADERS/rust ]]'
headers
result "headers of another distribution are refused" eval \
	'rm "$HEADERS/.kernelvariables"; says 1 "not from one of Debian" lay "$HEADERS"'
result "missing headers are refused" says 1 'has no headers.*' lay "$TMP/nowhere"
headers
result "cleaning removes the metadata" cleans
headers
result "cleaning keeps files that other headers need" keeps_shared
headers
result "removed headers leave nothing behind" forgets_gone
headers
result "cleaning all keeps files that came with headers" cleans_all
headers
result "a module that fits is accepted" checks 0 '1 Rust symbols and 1 others' "$VERMAGIC" "$OURS" shmem_file_setup
result "a module built with another rustc is refused" checks 1 \
	"must not be loaded: Linux .* lacks 1 of the 2 Rust symbols it needs, such as $OTHER" "$VERMAGIC" "$OURS" "$OTHER"
result "a module that needs other symbols is refused" checks 1 \
	'does not export kfree, vfree' "$VERMAGIC" "$OURS" kfree vfree
result "a module of another kernel is refused" checks 1 \
	"its vermagic is '7\.3\.5 SMP'" "7.3.5 SMP" "$OURS"
result "a module with the CRCs of the kernel is accepted" eval \
	'versioned 0x12345678; checks 0 "1 Rust symbols and 1 others" "$VERMAGIC" "$OURS" shmem_file_setup'
result "a module with another CRC is refused" eval 'versioned 0x1234567a; checks 1 \
	"must not be loaded: 1 of the symbols it needs have other CRCs .* such as shmem_file_setup" "$VERMAGIC" "$OURS" shmem_file_setup'
CRCS=
headers
result "a file that is not a module is refused" eval ': >"$TMP/rust_ashmem.ko"
	METADATA_ROOT=$TMP says 1 "cannot be read" check "/usr/src/linux-headers-$RELEASE" "$TMP/rust_ashmem.ko"'
result "a module built with an older package's metadata is refused" eval '
	echo 7.3.4-0 >"$HEADERS/rust/laid-by-rust_ashmem"
	checks 1 "metadata in .* is incomplete, or not of version 7\.3\.4-1" "$VERMAGIC" "$OURS"'
headers
result "a user without write permission is told the command" cleans_as_root
headers
result "a module is checked with only the headers" checks_without_kernel
exit $BAD
