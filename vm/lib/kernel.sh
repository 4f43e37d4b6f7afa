# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Kernels for the virtual machines, and the module for them.

# The tested series, the best first; KERNEL selects one.
TESTED_SERIES=(7.3)
if [[ -n ${KERNEL_SERIES:=${KERNEL:-}} ]]; then
	[[ $KERNEL_SERIES =~ ^[0-9]+\.[0-9]+$ ]] || die "KERNEL is '$KERNEL_SERIES'." "Set it to a series, such as ${TESTED_SERIES[0]}."
	TESTED_SERIES=("$KERNEL_SERIES")
	OUT+=-$KERNEL_SERIES
	# From here on, KERNEL is the path of a kernel image.
	unset KERNEL
fi
# KSRC is the user's own kernel source.
if [[ -n ${OWN_KSRC:=${KSRC:-}} ]]; then
	[[ -z $KERNEL_SERIES ]] || die "Both KSRC and KERNEL are set." "Set only one of them."
	OWN_KSRC=$(realpath -m "$OWN_KSRC")
	[[ $OWN_KSRC != *[[:space:]]* ]] || die "The path '$OWN_KSRC' has spaces, which make cannot handle." "Move the source."
	[[ -f $OWN_KSRC/Kbuild && -f $OWN_KSRC/rust/kernel/miscdevice.rs ]] ||
		die "$OWN_KSRC is not the source of a Linux with Rust." "Set KSRC= to one, unpacked and without a build in it."
	[[ ! -e $OWN_KSRC/.config && ! -d $OWN_KSRC/include/config ]] ||
		die "A kernel has been built in $OWN_KSRC, so it cannot be built in another directory." "Run make mrproper there, or use another copy."
	OUT+=-${OWN_KSRC##*/}
	unset KSRC
fi

# prepare_source: sets KSRC to the directory of a kernel source, and KVERSION.
prepare_source() {
	local series package
	if [[ -n $OWN_KSRC ]]; then
		use_source "$OWN_KSRC"
		return
	fi
	for series in "${TESTED_SERIES[@]}"; do
		! cached_source "$series" || return 0
	done
	need_space 6
	open_archive
	package=$(pick_source)
	if [[ -z $package ]]; then
		in_sources open_archive
		[[ -n $(in_sources pristine_versions "$KERNEL_SERIES") ]] ||
			die "The archive has no source of Linux ${KERNEL_SERIES:-7.x}." \
				"Set KERNEL= to one that ${OTHER_SUITES[*]} have, or KSRC= to your own source."
		step "Fetching and unpacking Linux $KERNEL_SERIES" "1 min" "$CACHE/log/source" \
			in_sources fetch_pristine "$KERNEL_SERIES"
		cached_source "$KERNEL_SERIES"
		return
	fi
	step "Fetching and unpacking $package" "20 s" "$CACHE/log/source" fetch_source "$package"
	cached_source "${package#linux-source-}"
}

# cached_source SERIES: uses the newest source of that series in the cache.
cached_source() {
	KSRC=$(find "$CACHE/source" -maxdepth 1 -name "$1-*" 2>/dev/null | sort -V | tail -n 1)
	[[ -n $KSRC ]] || return 1
	use_source "$KSRC"
}

# use_source DIRECTORY
use_source() {
	KSRC=$1
	KVERSION=$(make -s --no-print-directory -C "$KSRC" kernelversion)
	say "Kernel source: Linux $KVERSION in $KSRC"
}

# pristine_versions SERIES: prints the versions of Debian's kernel sources in the package
# lists, the newest first.
pristine_versions() {
	archive apt-cache showsrc linux | sed -n "s/^Version: \($1\..*\)/\1/p" | sort -rV
}

# fetch_pristine SERIES: fetches the newest available source without Debian's changes. The
# archive does not have all versions in its lists.
fetch_pristine() {
	local version tmp=$CACHE/tmp/pristine
	rm -rf "$tmp"
	mkdir -p "$tmp"
	for version in $(pristine_versions "$1"); do
		(cd "$tmp" && archive apt-get source --tar-only "linux=$version") || continue
		version=${version%%-*}
		echo "unpacking linux $version"
		fill "$CACHE/source/$1-$version" tar --strip-components=1 -xf "$tmp/linux_$version.orig.tar.xz" -C || return 1
		rm -rf "$tmp"
		return
	done
	return 1
}

# pick_source: prints the newest available tested series, or else the newest series.
pick_source() {
	local all series
	all=$(archive apt-cache search --names-only '^linux-source-7\.[0-9]+$' | awk '{ print $1 }' | sort -V)
	for series in "${TESTED_SERIES[@]}"; do
		if grep -qxF "linux-source-$series" <<<"$all"; then
			echo "linux-source-$series"
			return
		fi
	done
	[[ -z $KERNEL_SERIES ]] || return 0
	tail -n 1 <<<"$all"
	[[ -z $all ]] ||
		say "note: the archive no longer has a tested series (${TESTED_SERIES[*]}), so an untested one is used" >&2
}

# prepare_tree: sets KSRC to a copy of the source with this driver in it.
prepare_tree() {
	local tree=$CACHE/tree/${KSRC##*/}
	# The user's source may have changed.
	[[ -z $OWN_KSRC ]] || rm -rf "$tree"
	if [[ ! -d $tree ]]; then
		need_space 3
		# Hard links: unchanged files take no space.
		fill "$tree" cp -alT "$KSRC"
	fi
	KSRC=$tree "$TOP/tools/intree.sh" add
	KSRC=$tree
}

# The machines that run all tests. There are also bench, for measuring, and modversions.
TEST_VMS=(uml x86 arm64 arm64-16k hard gki gki-builtin)

# need_test_vm VM: fails unless it is one of these machines.
need_test_vm() {
	[[ " ${TEST_VMS[*]} " == *" $1 "* ]] ||
		die "No virtual machine is called '$1'." "Use one of: $(sed 's/ /, /g' <<<"${TEST_VMS[*]}")."
}

# arch_of VM: prints the kernel's name of the architecture.
arch_of() {
	case $1 in
	uml | intree | modversions) echo um ;;
	x86 | bench | hard) echo x86_64 ;;
	arm64* | gki*) echo arm64 ;;
	esac
}

# kmake VM ARGUMENT...: runs the kernel's make for a machine.
kmake() {
	local vm=$1
	shift
	make -C "$KSRC" O="$(kernel_dir "$vm")" ARCH="$(arch_of "$vm")" "${TOOLS[@]}" "$@"
}

# fragments_of VM: prints the files with its configuration; later files override earlier
# ones.
fragments_of() {
	local names name
	case $1 in
	arm64) names=(base arm64 arm64-4k) ;;
	arm64-16k) names=(base arm64 arm64-16k) ;;
	gki) names=(base arm64 arm64-4k gki) ;;
	gki-builtin) names=(base arm64 arm64-4k gki gki-builtin) ;;
	hard) names=(base x86 hard) ;;
	intree) names=(base uml) ;;
	modversions) names=(base uml modversions) ;;
	bench) names=(base x86 bench) ;;
	*) names=(base "$1") ;;
	esac
	for name in "${names[@]}"; do
		echo "$TOP/vm/configs/$name.config"
	done
}

# kernel_dir VM: prints the build directory of its kernel. The name has a hash of all that
# the build depends on.
kernel_dir() {
	local key
	# Without the comments of the fragments, so that editing them does not rebuild kernels.
	# shellcheck disable=SC2046
	key=$({ echo "$KSRC $TOOLCHAIN${OWN_KSRC:+ $KVERSION}" &&
		grep -hE '^(# )?CONFIG_' $(fragments_of "$1"); } | sha256sum | cut -c 1-12)
	echo "$CACHE/kernel/$1-$key"
}

# prepare_kernel VM: sets KDIR to the directory of a complete kernel build, and KERNEL to
# the file to boot.
prepare_kernel() {
	KDIR=$(kernel_dir "$1")
	KERNEL=$KDIR/$(image_of "$1")
	# Kernels of other machines may be built at the same time, and a complete one is used
	# while another of the same machine is built.
	is_built "$1" || with_lock "lock-$1" make_kernel "$1"
}

# is_built VM: whether its kernel is complete; notes that it is used.
is_built() {
	# The user's source, or the driver that is built in, may have changed.
	[[ -e $KDIR/complete && -z $OWN_KSRC && $1 != *-builtin ]] && touch -c "$KDIR/complete"
}

make_kernel() {
	local vm=$1
	# Another run may have built it meanwhile.
	! is_built "$vm" || return 0
	need_space 2
	mkdir -p "$KDIR"
	step "Building Linux $KVERSION for $vm on $(nproc) CPUs" "5 min" "$CACHE/log/kernel-$vm" \
		build_kernel "$vm"
	touch "$KDIR/complete"
	forget_kernels "$vm"
}

# image_of VM: prints the path of the file to boot in the kernel's directory.
image_of() {
	case $1 in
	uml | intree | modversions) echo linux ;;
	x86 | bench | hard) echo vmlinux ;;
	arm64* | gki*) echo arch/arm64/boot/Image ;;
	esac
}

build_kernel() {
	local vm=$1 image
	image=$(image_of "$vm")
	# An interrupted build continues with its configuration.
	[[ -e $KDIR/configured ]] || configure "$vm" || return 1
	kmake "$vm" -j"$(nproc)" "${image##*/}" modules
}

configure() {
	local vm=$1
	# Everything except the driver is the same, so start from a copy.
	[[ $vm != *-builtin ]] ||
		tar -C "$(kernel_dir "${vm%-builtin}")" --exclude=./complete --exclude=./configured -c . | tar -C "$KDIR" -x || return 1
	kmake "$vm" tinyconfig || return 1
	# shellcheck disable=SC2046
	(cd "$KSRC" && scripts/kconfig/merge_config.sh -m -O "$KDIR" "$KDIR/.config" $(fragments_of "$vm")) &&
		kmake "$vm" olddefconfig && check_config "$vm" && touch "$KDIR/configured"
}

# check_config VM: checks that the settings of the fragments took effect. For each symbol,
# the last fragment counts.
check_config() {
	local line missing=0
	while read -r line; do
		grep -qxF "$line" "$KDIR/.config" && continue
		[[ $line == *"is not set" ]] && ! grep -q "^$(awk '{ print $2 }' <<<"$line")=" "$KDIR/.config" && continue
		echo "did not take effect: $line"
		missing=1
	done < <(
		# shellcheck disable=SC2046
		last_mentions $(fragments_of "$vm")
	)
	return $missing
}

# last_mentions FILE...: prints the last line about each symbol.
last_mentions() {
	awk '
		/^# CONFIG_/ { last[$2] = $0 }
		/^CONFIG_/ { last[substr($0, 1, index($0, "=") - 1)] = $0 }
		END { for (symbol in last) print last[symbol] }' "$@"
}

# forget_kernels VM: removes kernels of that machine that were not used for two weeks.
forget_kernels() {
	local old
	find "$CACHE/kernel" -mindepth 2 -maxdepth 2 -path "*/$1-*/complete" -mtime +14 |
		while read -r old; do rm -rf "$(dirname "$old")"; done
}

# build_module VM: builds the module to out/VM.
build_module() {
	one_by_one "$OUT/$1/module" kmake "$1" M="$TOP" MO="$OUT/$1/module" modules
}
