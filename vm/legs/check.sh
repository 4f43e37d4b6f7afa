#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Checks the style: rustfmt, clippy, checkpatch, shellcheck and python; see --help.

. "$(dirname "$0")/../lib.sh"

usage() {
	cat <<-EOF
		Usage: make check [RUST=1.95] [CHECKS='rustfmt ...']

		Runs rustfmt, clippy (through the kernel's build), the kernel's checkpatch,
		shellcheck and Python's compiler on this checkout. Fails on any warning.
		RUST selects a rustc series. CHECKS selects some of

		  rustfmt clippy checkpatch shellcheck python

		and clippy-debian, which runs only if it is named: Debian 13's clippy on
		Debian's own kernel.
	EOF
}

case ${1:-} in
-h | --help) usage && exit ;;
esac

CHECKS=(rustfmt clippy checkpatch shellcheck python)
for check in "$@"; do
	[[ " ${CHECKS[*]} clippy-debian " == *" $check "* ]] ||
		die "No check is called '$check'." "Use some of: ${CHECKS[*]} clippy-debian."
done
(($# == 0)) || CHECKS=("$@")

# beside_rustc TOOL: prints the path of a tool that comes with the compiler.
beside_rustc() {
	local tool
	tool=$(dirname "$RUSTC")/$1
	[[ -x $tool ]] || die "$1 is not installed for $RUSTC." "Install it: rustup component add ${1%-driver}"
	echo "$tool"
}

check_rustfmt() {
	(cd "$TOP" && "$RUSTFMT" --check --config-path .rustfmt.toml rust_ashmem.rs)
}

check_clippy() {
	local log=$OUT/check/clippy.log
	# clippy checks only what is compiled, so start from scratch.
	rm -rf "$OUT/check/module"
	mkdir -p "$OUT/check/module"
	kmake uml M="$TOP" MO="$OUT/check/module" CLIPPY=1 CLIPPY_DRIVER="$CLIPPY" modules >"$log" 2>&1 &&
		! grep -E -A 12 '^(warning|error)' "$log"
}

check_clippy-debian() {
	local log=$OUT/check/clippy-debian.log
	with_cache prepare_debian
	[[ -z $DEBIAN_LACKS ]] || die "Debian's clippy cannot run: $DEBIAN_LACKS." "Leave it out."
	metadata lay || return 1
	mkdir -p "$OUT/debian"
	rm -rf "$OUT/debian/module"
	build_debian_module CLIPPY=1 CLIPPY_DRIVER=/usr/bin/clippy-driver >"$log" 2>&1 &&
		! grep -E -A 12 '^(warning|error)' "$log"
}

# Ignores checks that apply only to patches or inside the kernel (there is no better
# sscanf() outside, nor __printf, nor READ_ONCE()), and those that the macros of the test
# harness break: braces around a single EXPECT, fixtures made by a macro. Trace events
# have a style of their own.
check_checkpatch() {
	local files
	mapfile -t files < <(cd "$TOP" && git ls-files '*.rs' '*.c' '*.h' Kbuild Kconfig ':!include/trace')
	checkpatch "${files[@]}" || return
	checkpatch --ignore OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT include/trace/events/*.h
}

# checkpatch ARGUMENT...
checkpatch() {
	(cd "$TOP" && perl "$KSRC/scripts/checkpatch.pl" --no-tree --strict --quiet --show-types \
		--ignore FILE_PATH_CHANGES,SPDX_LICENSE_TAG,EMBEDDED_FILENAME,NAKED_SSCANF,VOLATILE \
		--ignore PREFER_DEFINED_ATTRIBUTE_MACRO,BRACES,MACRO_ARG_REUSE,MULTISTATEMENT_MACRO_USE_DO_WHILE \
		--file "$@")
}

check_shellcheck() {
	(cd "$TOP" && git ls-files -z '*.sh' vm/guest vm/lib/cc .ci/run | xargs -0 shellcheck -S warning -e SC1091,SC2034,SC2154)
}

# The compiled files stay out of the checkout.
check_python() {
	PYTHONPYCACHEPREFIX=$OUT/check/python python3 -W error -m py_compile "$TOP"/{bench,demo,vm/lib}/*.py
}

need check
[[ " ${CHECKS[*]} " != *" clippy-debian "* ]] || need debian
prepare uml
# rustup brings its own.
case $(dpkg-query -S "$RUSTC" 2>/dev/null) in
rustc:*) need_packages rustfmt rust-clippy ;;
rustc-web:*) need_packages rustfmt-web rust-web-clippy ;;
esac
RUSTFMT=$(beside_rustc rustfmt)
CLIPPY=$(beside_rustc clippy-driver)
mkdir -p "$OUT/check"
failed=()
for check in "${CHECKS[@]}"; do
	say "$check"
	"check_$check" || failed+=("$check")
done
if ((${#failed[@]})); then
	die "There are warnings of: ${failed[*]}." "Fix them; they are above."
fi
say "No warnings."
