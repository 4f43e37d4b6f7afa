#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the Rust metadata that is missing in the headers of Debian's kernels; see --help.

. "$(dirname "$0")/lib.sh"

PATH+=:/usr/sbin:/sbin
# The root of another system with the headers. Compilers run inside it.
ROOT=${METADATA_ROOT:-}
RUSTC=${RUSTC:-/usr/bin/rustc}
# Marks files that this installed in the headers' rust and scripts.
NAME=laid-by-rust_ashmem
MARK=rust/$NAME

usage() {
	cat <<-EOF
		Usage: make metadata [KDIR=/usr/src/linux-headers-...]
		       make metadata-check [KDIR=...]
		       make metadata-clean [KDIR=...]

		Debian builds its 7.x kernels with Rust, but their headers lack the metadata
		that rustc reads for a module.

		  metadata        rebuild the metadata from the same source, with the same
		                  configuration and compilers; check that the kernel exports all
		                  its Rust symbols; install it in the headers (root; 180 MB)
		  metadata-check  after 'make', before insmod: check that the kernel has all
		                  symbols that rust_ashmem.ko needs, with the same CRCs; works
		                  for any kernel
		  metadata-clean  remove the metadata from the headers (root)

		KDIR names the headers; the default is those of the running kernel. The first
		build takes 3 to 5 minutes on 2 CPUs, and 2 GB in
		$CACHE.
	EOF
}

# here COMMAND...: runs a command in the system that has the headers.
here() {
	if [[ -n $ROOT ]]; then
		inside "$ROOT" "$@"
	else
		"$@"
	fi
}

# find_headers DIRECTORY: sets HEADERS to their path in the system that has them, and
# RELEASE and VERSION to those of their kernel.
find_headers() {
	HEADERS=$1
	[[ -n $ROOT ]] || HEADERS=$(readlink -m "$1")
	[[ -r $ROOT$HEADERS/.config && -r $ROOT$HEADERS/Module.symvers ]] ||
		die "$HEADERS has no headers of a kernel." \
			"If Linux $(uname -r) is Debian's, install them: sudo apt install linux-headers-$(uname -r). For others, set KDIR=."
	RELEASE=$(sed -n 's/^#define UTS_RELEASE "\(.*\)"$/\1/p' "$ROOT$HEADERS/include/generated/utsrelease.h")
	VERSION=$(package_version "$ROOT$HEADERS")
}

# configured SYMBOL: prints the value of a configuration symbol without quotes.
configured() {
	sed -n "s/^CONFIG_$1=\"\{0,1\}\(.*[^\"]\)\"\{0,1\}$/\1/p" "$ROOT$HEADERS/.config"
}

# variable NAME: prints a variable that the headers set for the kernel's make, such as ARCH.
variable() {
	sed -n "s/^override $1 = //p" "$ROOT$HEADERS/.kernelvariables"
}

# need_same_rustc: fails unless the compiler is the one that built the kernel: its version
# is part of every Rust symbol name.
need_same_rustc() {
	local want have
	want=$(configured RUSTC_VERSION_TEXT)
	have=$(here "$RUSTC" --version 2>/dev/null || echo "not there")
	[[ -n $want ]] ||
		die "Linux $RELEASE was built without Rust." "Boot a kernel of Debian, $OLDEST_KERNEL or newer."
	[[ $have == "$want" ]] ||
		die "$RUSTC is '$have', but Linux $RELEASE was built by '$want'." \
			"Install the rustc of the Debian release that the kernel is for: another rustc gives every Rust symbol another name."
}

# missing_from SYMVERS: reads symbols, and prints those that the kernel does not export.
missing_from() {
	awk 'NR == FNR { exported[$2]; next } !($1 in exported)' "$1" -
}

# prove_metadata DIRECTORY: fails unless the kernel exports all symbols that the crates
# built there export.
prove_metadata() {
	local symbols missing
	symbols=$(sed -n 's/^EXPORT_SYMBOL_RUST_GPL(\(.*\));$/\1/p' "$1"/rust/exports_*_generated.h)
	missing=$(missing_from "$ROOT$HEADERS/Module.symvers" <<<"$symbols")
	[[ -n $symbols ]] || die "The metadata exports no symbol." "Rebuild it: sudo make metadata-clean, then sudo make metadata."
	[[ -z $missing ]] ||
		die "$(wc -l <<<"$missing") of $(wc -l <<<"$symbols") Rust symbols in the metadata are not exported by Linux $RELEASE, such as ${missing%%$'\n'*}." \
			"It was built by another rustc or from another source. Rebuild it: sudo make metadata-clean, then sudo make metadata."
	say "Linux $RELEASE exports all $(wc -l <<<"$symbols") Rust symbols in the metadata."
}

# build_metadata DIRECTORY: builds there what modules need. The vDSO of 32-bit programs is
# left out, because the headers do not depend on its compiler.
build_metadata() {
	local make=(make -C "$KSRC" O="$1" ARCH="$(variable ARCH)" CROSS_COMPILE="$(variable CROSS_COMPILE)"
		CC="$(configured CC_VERSION_TEXT | cut -d ' ' -f 1)"
		RUSTC="$RUSTC" BINDGEN=/usr/bin/bindgen KERNELRELEASE="$RELEASE")
	if [[ ! -e $1/.config ]]; then
		cp "$ROOT$HEADERS/.config" "$1" && here "${make[@]}" olddefconfig || return 1
	fi
	here "${make[@]}" -j"$(nproc)" prepare modules_prepare
}

# make_metadata: builds the metadata, checks it and installs it.
make_metadata() {
	local dir=$CACHE/tmp/metadata-$RELEASE-$VERSION
	prepare_source_of "$VERSION"
	need_space 1
	# An interrupted build continues.
	mkdir -p "$dir"
	step "Making the Rust metadata of Linux $RELEASE on $(nproc) CPUs" "4 min" "$CACHE/log/metadata" \
		build_metadata "$dir"
	# A build that does not match must not be continued.
	(prove_metadata "$dir") || { rm -rf "$dir" && exit 1; }
	lay "$dir"
	rm -rf "$dir"
}

# need_right_to_lay: fails unless the headers are writable, from Debian, and have no
# metadata of their own.
need_right_to_lay() {
	local dir=$ROOT$HEADERS
	[[ -n $VERSION && -e $dir/.kernelvariables ]] ||
		die "$HEADERS is not from one of Debian's header packages." \
			"For a kernel that you built, make the metadata in its build directory: make prepare modules_prepare."
	[[ ! -d $dir/rust || -e $dir/$MARK ]] ||
		die "$HEADERS has Rust metadata of its own." "Use that: make."
	[[ -w $dir && -w $dir/scripts ]] ||
		die "$HEADERS cannot be written to." "Run it as root: sudo make $GOAL."
}

# is_laid: returns whether the headers already have complete metadata of this version.
is_laid() {
	local dir=$ROOT$HEADERS
	[[ $(cat "$dir/$MARK" 2>/dev/null) == "$VERSION" ]] &&
		[[ ! -e $dir/rust/target.json || -e $dir/scripts/target.json ]]
}

# lay DIRECTORY: installs the metadata built there and its list of exported symbols in the
# headers, atomically.
lay() {
	local dir=$ROOT$HEADERS
	unlay
	mkdir "$dir/rust.new"
	cp "$1"/rust/*.{rmeta,so} "$1"/rust/exports_*_generated.h "$dir/rust.new"
	echo "$VERSION" >"$dir/rust.new/$NAME"
	# This copy tells that there must be one in scripts, which a package may replace.
	[[ ! -e $1/scripts/target.json ]] || cp "$1/scripts/target.json" "$dir/rust.new"
	if [[ -e $1/scripts/target.json && ! -e $dir/scripts/target.json ]]; then
		: >"$dir/scripts/$NAME"
		cp "$1/scripts/target.json" "$dir/scripts"
	fi
	mv -T "$dir/rust.new" "$dir/rust"
}

# unlay: removes the metadata, complete or not.
unlay() {
	local dir=$ROOT$HEADERS
	rm -rf "$dir/rust.new"
	[[ ! -e $dir/$MARK ]] || rm -rf "$dir/rust"
	sweep "${dir%/src/*}" "$dir/scripts/$NAME"
}

# sweep USR [FILE...]: removes the metadata from headers whose package was removed, and
# from scripts, which headers of several flavours share, when none needs it any more.
sweep() {
	local usr=$1 mark dir
	shift
	for mark in "$usr"/src/linux-headers-*/"$MARK"; do
		dir=${mark%/"$MARK"}
		[[ -e $mark && ! -e $dir/Module.symvers ]] || continue
		rm -rf "$dir/rust"
		rmdir --ignore-fail-on-non-empty "$dir"
	done
	for mark in "$usr"/{src/linux-headers,lib/linux-kbuild}-*/scripts/"$NAME" "$@"; do
		dir=${mark%/*}
		[[ -e $mark ]] && ! is_needed "$usr" "$dir" || continue
		rm -f "$dir/target.json" "$mark"
		rmdir --ignore-fail-on-non-empty -p "$dir" 2>/dev/null || true
	done
}

# is_needed USR SCRIPTS: returns whether headers with these scripts have metadata.
is_needed() {
	local mark
	for mark in "$1"/src/linux-headers-*/"$MARK"; do
		[[ ! ${mark%/"$MARK"}/scripts -ef $2 ]] || return 0
	done
	return 1
}

# clean_all: removes the metadata from the headers of every kernel.
clean_all() {
	local mark
	for mark in "$ROOT"/usr/src/linux-headers-*/"$MARK"; do
		[[ ! -e $mark ]] || rm -rf "${mark%/*}"
	done
	sweep "$ROOT/usr"
}

# need_fit MODULE: fails unless the kernel exports all symbols that the module needs, with
# the same CRCs if it has any, and has the same vermagic.
need_fit() {
	local symbols missing rust other want have
	[[ ! -e $ROOT$HEADERS/$MARK ]] || is_laid ||
		die "The metadata in $HEADERS is incomplete, or not of version $VERSION of Linux $RELEASE." \
			"Rebuild it and the module: sudo make metadata, then make clean and make."
	have=$(modinfo -F vermagic "$1") && symbols=$(nm -u "$1" | awk '$1 == "U" { print $2 }') ||
		die "$1 cannot be read." "Build it: make."
	missing=$(missing_from "$ROOT$HEADERS/Module.symvers" <<<"$symbols")
	rust=$(grep '^_R' <<<"$missing" || true)
	other=$(grep -v '^_R' <<<"$missing" || true)
	[[ -z $rust ]] ||
		die "$1 must not be loaded: Linux $RELEASE lacks $(wc -l <<<"$rust") of the $(grep -c '^_R' <<<"$symbols") Rust symbols it needs, such as ${rust%%$'\n'*}." \
			"Its metadata was of another rustc or another kernel. Rebuild both: sudo make metadata, then make clean and make."
	[[ -z $other ]] ||
		die "$1 must not be loaded: Linux $RELEASE does not export ${other//$'\n'/, }." \
			"It was built for another kernel. Rebuild it: make clean and make, with KDIR=$HEADERS."
	other=$(crcs_in "$1" | awk 'NR == FNR { crc[$2] = $1; next } crc[$2] != $1 { print $2 }' "$ROOT$HEADERS/Module.symvers" -)
	[[ -z $other ]] ||
		die "$1 must not be loaded: $(wc -l <<<"$other") of the symbols it needs have other CRCs in Linux $RELEASE, such as ${other%%$'\n'*}." \
			"It was built for another build of that kernel. Rebuild it: make clean and make, with KDIR=$HEADERS."
	want=$(vermagic "${have#* }")
	[[ ${have% } == "${want% }" ]] ||
		die "$1 must not be loaded: its vermagic is '${have% }', but that of Linux $RELEASE is '${want% }'." \
			"It was built for another kernel. Rebuild it: make clean and make, with KDIR=$HEADERS."
	say "$1 fits Linux $RELEASE: $(grep -c '^_R' <<<"$symbols") Rust symbols and $(grep -vc '^_R' <<<"$symbols") others are exported, and the vermagic is '${have% }'."
}

# vermagic WORDS: prints the kernel's vermagic, from one of its modules. If only the headers
# are installed, prints their release and WORDS.
vermagic() {
	local module
	module=$(find "$ROOT/lib/modules/$RELEASE/kernel" -name '*.ko*' -print -quit 2>/dev/null)
	if [[ -n $module ]]; then
		modinfo -F vermagic "$module"
	else
		echo "$RELEASE $1"
	fi
}

# need_tools: installs the packages for building, except in another root, which has them.
need_tools() {
	[[ -z $ROOT ]] || return 0
	need_packages "${METADATA_PACKAGES[@]}" gcc
}

case ${1:-} in
-h | --help) usage && exit ;;
lay | clean | check) ;;
# For the package: at its own removal, and after the removal of headers.
clean-all) clean_all && exit ;;
clean-gone) sweep "$ROOT/usr" && exit ;;
*) usage >&2 && exit 2 ;;
esac
GOAL=metadata-$1
GOAL=${GOAL%-lay}
find_headers "${2:-/lib/modules/$(uname -r)/build}"
case $1 in
lay)
	need_right_to_lay
	is_laid || need_tools
	need_same_rustc
	if is_laid; then
		prove_metadata "$ROOT$HEADERS"
	else
		with_cache make_metadata
	fi
	say "The Rust metadata of Linux $RELEASE is in $HEADERS/rust."
	;;
clean)
	need_right_to_lay
	unlay
	say "$HEADERS is as Debian's package installed it."
	;;
check) need_fit "${3:-$TOP/rust_ashmem.ko}" ;;
esac
