# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The compilers: matching versions of rustc, the source of its library, bindgen and
# LLVM.

LLVM_SERIES=19
# The minimum for Linux 7.3 (its scripts/min-tool-version.sh), and the version of bindgen
# to build if the distribution's is older.
RUSTC_MIN=1.85.0
BINDGEN_MIN=0.71.1
BINDGEN_VERSION=0.72.1

# RUST selects a rustc series.
if [[ -n ${RUST_SERIES:=${RUST:-}} ]]; then
	[[ $RUST_SERIES =~ ^1\.[0-9]+$ ]] || die "RUST is '$RUST_SERIES'." "Set it to a rustc series, such as 1.96."
	OUT+=-rust-$RUST_SERIES
	unset RUST
fi

# at_least VERSION MINIMUM
at_least() {
	[[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]
}

# is_wanted VERSION: returns whether that rustc is new enough, and of the selected series.
is_wanted() {
	at_least "$1" $RUSTC_MIN && [[ -z $RUST_SERIES || $1 == "$RUST_SERIES".* ]]
}

version_of() {
	"$1" --version 2>/dev/null | awk '{ print $2; exit }'
}

# prepare_toolchain: sets RUSTC, RUST_LIB_SRC, BINDGEN, LIBCLANG_PATH, TOOLS (variables for
# the kernel's make) and TOOLCHAIN (their names and versions).
prepare_toolchain() {
	LIBCLANG_PATH=/usr/lib/llvm-$LLVM_SERIES/lib
	rustup_pair || unpacked_pair || distribution_pair
	prepare_bindgen
	TOOLCHAIN="rustc $(version_of "$RUSTC"), bindgen $(version_of "$BINDGEN"), LLVM $LLVM_SERIES"
	TOOLS=("LLVM=-$LLVM_SERIES" RUSTC="$RUSTC" RUST_LIB_SRC="$RUST_LIB_SRC" BINDGEN="$BINDGEN")
	export RUSTC RUST_LIB_SRC BINDGEN LIBCLANG_PATH
	say "Toolchain: $TOOLCHAIN"
}

# rustup_pair: uses rustup's compiler if the source of its library is installed or in one
# of the suites.
rustup_pair() {
	local version deb
	command -v rustup >/dev/null || return 1
	RUSTC=$(rustup which rustc 2>/dev/null) || return 1
	version=$(version_of "$RUSTC")
	is_wanted "$version" || return 1

	RUST_LIB_SRC=$(dirname "$RUSTC")/../lib/rustlib/src/rust/library
	[[ ! -d $RUST_LIB_SRC/core ]] || return 0
	RUST_LIB_SRC=$CACHE/rust-src/$version/library
	[[ ! -d $RUST_LIB_SRC/core ]] || return 0

	open_archive
	deb=$(archive apt-cache madison rust-src | awk -v v="$version" 'index($3, v) == 1 { print $3; exit }')
	if [[ -z $deb ]]; then
		say "not using rustc $version of rustup: the source of its library is not available"
		return 1
	fi
	step "Fetching the library source of rustc $version" "5 s" "$CACHE/log/rust-src" \
		fill "$RUST_LIB_SRC" fetch_rust_src "$deb"
}

# fetch_rust_src VERSION DIRECTORY
fetch_rust_src() {
	local tmp=$CACHE/tmp/rust-src
	rm -rf "$tmp"
	fetch "rust-src=$1" "$tmp" || return 1
	mv "$tmp"/usr/src/rustc-*/library/* "$2" || return 1
	rm -rf "$tmp"
}

# unpacked_pair: uses rustc 1.85 of Debian 12, for old kernels on systems with a later rustc.
# Packages of several versions conflict, so it is unpacked instead of installed.
unpacked_pair() {
	local dir=$CACHE/rustc/1.85
	[[ $RUST_SERIES == 1.85 ]] || return 1
	if [[ ! -d $dir ]]; then
		in_bookworm open_archive
		step "Fetching rustc 1.85 of Debian 12" "20 s" "$CACHE/log/rustc" fill "$dir" in_bookworm fetch_rustc
	fi
	RUSTC=$dir/rustc
	RUST_LIB_SRC=$(echo "$dir"/usr/src/rustc-*/library)
}

# fetch_rustc DIRECTORY
fetch_rustc() {
	local package
	for package in rustc-web libstd-rust-web-1.85 libstd-rust-web-dev rust-web-src; do
		fetch "$package" "$1" || return 1
	done
	# This rustc looks for its library in the installed place.
	cat >"$1/rustc" <<-'EOF' || return 1
		#!/bin/sh
		dir=$(dirname "$0")/usr
		LD_LIBRARY_PATH=$(echo "$dir"/lib/*-linux-gnu) exec "$dir/bin/rustc" "$@"
	EOF
	chmod +x "$1/rustc"
}

# distribution_pair: installs the newest suitable pair of the distribution.
distribution_pair() {
	local pair compiler
	for pair in "rustc rust-src" "rustc-web rust-web-src"; do
		compiler=${pair% *}
		is_wanted "$(apt-cache policy "$compiler" 2>/dev/null | awk '/Candidate:/ { print $2 }')" || continue
		# shellcheck disable=SC2086
		need_packages $pair
		RUSTC=/usr/bin/rustc
		RUST_LIB_SRC=$(dpkg -L "${pair#* }" | grep -E '/library/core$' | head -n 1)
		RUST_LIB_SRC=${RUST_LIB_SRC%/core}
		[[ -x $RUSTC && -d $RUST_LIB_SRC ]] && return
	done
	[[ -z $RUST_SERIES ]] ||
		die "This system has no rustc $RUST_SERIES with the source of its library." \
			"Omit RUST=$RUST_SERIES, or install that compiler with rustup, with the component rust-src."
	die "No rustc $RUSTC_MIN or newer with the source of its library." \
		"Use Debian 12 or 13 with its security suite (rustc-web) enabled, or rustup with the component rust-src."
}

prepare_bindgen() {
	local candidate
	for candidate in "$CACHE/bindgen-$BINDGEN_VERSION/bin/bindgen" "$(command -v bindgen || true)"; do
		if [[ -x $candidate ]] && at_least "$(version_of "$candidate")" $BINDGEN_MIN; then
			BINDGEN=$candidate
			return
		fi
	done
	if at_least "$(apt-cache policy bindgen 2>/dev/null | awk '/Candidate:/ { print $2 }')" $BINDGEN_MIN; then
		need_packages bindgen
		BINDGEN=/usr/bin/bindgen
		return
	fi
	find_cargo
	BINDGEN=$CACHE/bindgen-$BINDGEN_VERSION/bin/bindgen
	step "Building bindgen $BINDGEN_VERSION" "1 min" "$CACHE/log/bindgen" \
		env RUSTC="$RUSTC" "$CARGO" install bindgen-cli --version $BINDGEN_VERSION --locked \
		--root "$CACHE/bindgen-$BINDGEN_VERSION"
}

# find_cargo: sets CARGO to the one of the compiler, or installs one.
find_cargo() {
	CARGO=$(dirname "$RUSTC")/cargo
	[[ ! -x $CARGO ]] || return 0
	need_packages ca-certificates cargo-web
	CARGO=/usr/bin/cargo
}
