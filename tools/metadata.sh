#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The Rust metadata that the headers of Debian's kernels lack; see --help.

. "$(dirname "$0")/lib.sh"

PATH+=:/usr/sbin:/sbin
# Another system that has the headers; its compilers are run in it.
ROOT=${METADATA_ROOT:-}
RUSTC=${RUSTC:-/usr/bin/rustc}
# Tells what was laid from what came with the headers, in rust and in scripts.
NAME=laid-by-rust_ashmem
MARK=rust/$NAME

usage() {
	cat <<-EOF
		Usage: make metadata [KDIR=/usr/src/linux-headers-...]
		       make metadata-check [KDIR=...]
		       make metadata-clean [KDIR=...]

		Debian builds its 7.x kernels with Rust, but their headers lack the metadata
		that rustc reads for a module.

		  metadata        rebuild it from the same source, with the same configuration
		                  and compilers; prove that all the Rust symbols that it knows
		                  are the kernel's; lay it over the headers (root; 180 MB)
		  metadata-check  after 'make', before insmod: prove that rust_ashmem.ko
		                  needs no symbol that the kernel lacks or has another CRC of;
		                  for any kernel
		  metadata-clean  remove what was laid (root)

		The headers are those of the running kernel unless KDIR names others. The
		first time takes 3 to 5 minutes on 2 CPUs, and 2 GB in
		$CACHE.
	EOF
}

# here COMMAND...: runs it in the system that has the headers.
here() {
	if [[ -n $ROOT ]]; then
		inside "$ROOT" "$@"
	else
		"$@"
	fi
}

# find_headers DIRECTORY: sets HEADERS, as the system that has them calls them;
# RELEASE and VERSION of their kernel.
find_headers() {
	HEADERS=$1
	[[ -n $ROOT ]] || HEADERS=$(readlink -m "$1")
	[[ -r $ROOT$HEADERS/.config && -r $ROOT$HEADERS/Module.symvers ]] ||
		die "$HEADERS has no headers of a kernel." \
			"If Linux $(uname -r) is Debian's, install them: sudo apt install linux-headers-$(uname -r). Name others by KDIR=."
	RELEASE=$(sed -n 's/^#define UTS_RELEASE "\(.*\)"$/\1/p' "$ROOT$HEADERS/include/generated/utsrelease.h")
	VERSION=$(package_version "$ROOT$HEADERS")
}

# configured SYMBOL: prints its value without the quotes.
configured() {
	sed -n "s/^CONFIG_$1=\"\{0,1\}\(.*[^\"]\)\"\{0,1\}$/\1/p" "$ROOT$HEADERS/.config"
}

# variable NAME: prints what the headers tell the kernel's make, such as their processor.
variable() {
	sed -n "s/^override $1 = //p" "$ROOT$HEADERS/.kernelvariables"
}

# need_same_rustc: ends unless the compiler is the kernel's: its version is part
# of every Rust symbol's name.
need_same_rustc() {
	local want have
	want=$(configured RUSTC_VERSION_TEXT)
	have=$(here "$RUSTC" --version 2>/dev/null || echo "not there")
	[[ -n $want ]] ||
		die "Linux $RELEASE was built without Rust." "Boot one of Debian's kernels from $OLDEST_KERNEL on."
	[[ $have == "$want" ]] ||
		die "$RUSTC is '$have', but Linux $RELEASE was built by '$want'." \
			"Another rustc has other names for every Rust symbol; install the rustc of the Debian release that the kernel is for."
}

# missing_from SYMVERS: prints those of the symbols on its input that the kernel
# does not export.
missing_from() {
	awk 'NR == FNR { exported[$2]; next } !($1 in exported)' "$1" -
}

# prove_metadata DIRECTORY: ends unless the kernel exports all that the crates
# built there do.
prove_metadata() {
	local symbols missing
	symbols=$(sed -n 's/^EXPORT_SYMBOL_RUST_GPL(\(.*\));$/\1/p' "$1"/rust/exports_*_generated.h)
	missing=$(missing_from "$ROOT$HEADERS/Module.symvers" <<<"$symbols")
	[[ -n $symbols ]] || die "The metadata exports no symbol." "Make it anew: sudo make metadata-clean, then sudo make metadata."
	[[ -z $missing ]] ||
		die "$(wc -l <<<"$missing") of $(wc -l <<<"$symbols") Rust symbols of the metadata are not Linux $RELEASE's, such as ${missing%%$'\n'*}." \
			"It was made by another rustc or of another source: sudo make metadata-clean, then sudo make metadata."
	say "All $(wc -l <<<"$symbols") Rust symbols of the metadata are Linux $RELEASE's."
}

# build_metadata DIRECTORY: builds it there, as far as modules need it. 32-bit programs are
# left without a vDSO, whose compiler the headers do not depend on.
build_metadata() {
	local make=(make -C "$KSRC" O="$1" ARCH="$(variable ARCH)" CROSS_COMPILE="$(variable CROSS_COMPILE)"
		CC="$(configured CC_VERSION_TEXT | cut -d ' ' -f 1)"
		RUSTC="$RUSTC" BINDGEN=/usr/bin/bindgen KERNELRELEASE="$RELEASE")
	if [[ ! -e $1/.config ]]; then
		cp "$ROOT$HEADERS/.config" "$1" && here "${make[@]}" olddefconfig || return 1
	fi
	here "${make[@]}" -j"$(nproc)" prepare modules_prepare
}

# make_metadata: builds the metadata, proves it and lays it.
make_metadata() {
	local dir=$CACHE/tmp/metadata-$RELEASE-$VERSION
	prepare_source_of "$VERSION"
	need_space 1
	# An interrupted build goes on.
	mkdir -p "$dir"
	step "Making the Rust metadata of Linux $RELEASE on $(nproc) CPUs" "4 min" "$CACHE/log/metadata" \
		build_metadata "$dir"
	# What does not fit is not gone on with.
	(prove_metadata "$dir") || { rm -rf "$dir" && exit 1; }
	lay "$dir"
	rm -rf "$dir"
}

# need_right_to_lay: ends unless the headers can be written to and are Debian's,
# without metadata of their own.
need_right_to_lay() {
	local dir=$ROOT$HEADERS
	[[ -n $VERSION && -e $dir/.kernelvariables ]] ||
		die "$HEADERS is not from one of Debian's header packages." \
			"Metadata of a kernel you built is made in its build directory: make prepare modules_prepare."
	[[ ! -d $dir/rust || -e $dir/$MARK ]] ||
		die "$HEADERS has Rust metadata of its own." "Use that: make."
	[[ -w $dir && -w $dir/scripts ]] ||
		die "$HEADERS cannot be written to." "Run it as root: sudo make $GOAL."
}

# is_laid: returns whether the headers have metadata of this version already, whole.
is_laid() {
	local dir=$ROOT$HEADERS
	[[ $(cat "$dir/$MARK" 2>/dev/null) == "$VERSION" ]] &&
		[[ ! -e $dir/rust/target.json || -e $dir/scripts/target.json ]]
}

# lay DIRECTORY: copies the metadata built there, with the symbols that it exports,
# to the headers. It comes into sight as a whole.
lay() {
	local dir=$ROOT$HEADERS
	unlay
	mkdir "$dir/rust.new"
	cp "$1"/rust/*.{rmeta,so} "$1"/rust/exports_*_generated.h "$dir/rust.new"
	echo "$VERSION" >"$dir/rust.new/$NAME"
	# Beside the metadata, too, to tell whether scripts, which it does not own, lost it.
	[[ ! -e $1/scripts/target.json ]] || cp "$1/scripts/target.json" "$dir/rust.new"
	if [[ -e $1/scripts/target.json && ! -e $dir/scripts/target.json ]]; then
		: >"$dir/scripts/$NAME"
		cp "$1/scripts/target.json" "$dir/scripts"
	fi
	mv -T "$dir/rust.new" "$dir/rust"
}

# unlay: removes what was laid, or half so.
unlay() {
	local dir=$ROOT$HEADERS
	rm -rf "$dir/rust.new"
	[[ ! -e $dir/$MARK ]] || rm -rf "$dir/rust"
	sweep "${dir%/src/*}" "$dir/scripts/$NAME"
}

# sweep USR [FILE...]: removes from there what was laid over headers whose package
# is gone, and from scripts, which headers of several flavours share, what none of
# them needs any more.
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

# is_needed USR SCRIPTS: returns whether metadata is laid over headers that have these
# scripts.
is_needed() {
	local mark
	for mark in "$1"/src/linux-headers-*/"$MARK"; do
		[[ ! ${mark%/"$MARK"}/scripts -ef $2 ]] || return 0
	done
	return 1
}

# clean_all: removes what was laid over the headers of any kernel.
clean_all() {
	local mark
	for mark in "$ROOT"/usr/src/linux-headers-*/"$MARK"; do
		[[ ! -e $mark ]] || rm -rf "${mark%/*}"
	done
	sweep "$ROOT/usr"
}

# need_fit MODULE: ends unless the kernel exports all that the module needs, with the same
# CRCs where there are such, and will take it for its own.
need_fit() {
	local symbols missing rust other want have
	[[ ! -e $ROOT$HEADERS/$MARK ]] || is_laid ||
		die "The metadata in $HEADERS is not whole, or of another version than $VERSION of Linux $RELEASE." \
			"Make it, and the module, anew: sudo make metadata, then make clean and make."
	have=$(modinfo -F vermagic "$1") && symbols=$(nm -u "$1" | awk '$1 == "U" { print $2 }') ||
		die "$1 cannot be read." "Build it: make."
	missing=$(missing_from "$ROOT$HEADERS/Module.symvers" <<<"$symbols")
	rust=$(grep '^_R' <<<"$missing" || true)
	other=$(grep -v '^_R' <<<"$missing" || true)
	[[ -z $rust ]] ||
		die "$1 must not be loaded: Linux $RELEASE lacks $(wc -l <<<"$rust") of the $(grep -c '^_R' <<<"$symbols") Rust symbols it needs, such as ${rust%%$'\n'*}." \
			"The metadata it was built with is another rustc's or another kernel's: sudo make metadata, then make clean and make."
	[[ -z $other ]] ||
		die "$1 must not be loaded: Linux $RELEASE does not export ${other//$'\n'/, }." \
			"It was built for another kernel: make clean and make, with KDIR=$HEADERS."
	other=$(crcs_in "$1" | awk 'NR == FNR { crc[$2] = $1; next } crc[$2] != $1 { print $2 }' "$ROOT$HEADERS/Module.symvers" -)
	[[ -z $other ]] ||
		die "$1 must not be loaded: $(wc -l <<<"$other") of the symbols it needs have other CRCs in Linux $RELEASE, such as ${other%%$'\n'*}." \
			"It was built for another build of that kernel: make clean and make, with KDIR=$HEADERS."
	want=$(vermagic "${have#* }")
	[[ ${have% } == "${want% }" ]] ||
		die "$1 must not be loaded: its vermagic is '${have% }', and that of Linux $RELEASE '${want% }'." \
			"It was built for another kernel: make clean and make, with KDIR=$HEADERS."
	say "$1 fits Linux $RELEASE: $(grep -c '^_R' <<<"$symbols") Rust symbols and $(grep -vc '^_R' <<<"$symbols") others are exported, and the vermagic is '${have% }'."
}

# vermagic WORDS: prints that of the kernel, as one of its own modules has it. Where
# only the headers are installed, they tell its release, but not the words after it.
vermagic() {
	local module
	module=$(find "$ROOT/lib/modules/$RELEASE/kernel" -name '*.ko*' -print -quit 2>/dev/null)
	if [[ -n $module ]]; then
		modinfo -F vermagic "$module"
	else
		echo "$RELEASE $1"
	fi
}

# need_tools: what making takes on this system. What is in a root was chosen when
# that was made.
need_tools() {
	[[ -z $ROOT ]] || return 0
	need_packages "${METADATA_PACKAGES[@]}" gcc
}

case ${1:-} in
-h | --help) usage && exit ;;
lay | clean | check) ;;
# For the package: when it goes, and when headers have gone.
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
	say "$HEADERS is as Debian's package laid it."
	;;
check) need_fit "${3:-$TOP/rust_ashmem.ko}" ;;
esac
