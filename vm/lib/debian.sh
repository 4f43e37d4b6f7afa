# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Debian's own kernels, each in its own root with its headers and compilers.

# Packages that every system has, on which METADATA_PACKAGES rely.
ROOT_PACKAGES=(base-files bash coreutils dash diffutils findutils gawk gcc grep gzip perl-base rust-clippy sed tar)

# The machines that boot one of them. canary, with sid's kernel, is not booted.
DEBIAN_VMS=(debian debian-rt debian-arm64)
# The machine for the functions below.
DEBIAN_VM=debian

# debian_kernel: prints Debian's name for the machine's kernel.
debian_kernel() {
	case $DEBIAN_VM in
	debian | canary) echo cloud-amd64 ;;
	debian-rt) echo rt-amd64 ;;
	debian-arm64) echo cloud-arm64 ;;
	esac
}

# prepare_debian [VM]: sets DEBIAN_ROOT to a system with the kernel DEBIAN_RELEASE, its
# headers DEBIAN_HEADERS and its compilers, and KERNEL to the file to boot. If there is
# none, sets DEBIAN_LACKS to the reason.
prepare_debian() {
	local picked KSRC
	DEBIAN_VM=${1:-debian}
	DEBIAN_LACKS=
	if [[ -n $OWN_KSRC ]]; then
		DEBIAN_LACKS="it boots Debian's own kernel, but KSRC is set"
		return
	fi
	if ! inside / true 2>/dev/null; then
		DEBIAN_LACKS="mounting is not possible here, as in a container, so Debian's compilers cannot run"
		return
	fi
	if ! in_archive_of_debian cached_debian; then
		in_archive_of_debian open_archive
		picked=$(in_archive_of_debian pick_debian)
		if [[ -z $picked ]]; then
			DEBIAN_LACKS="the archive has no Linux ${TESTED_SERIES[*]} of Debian for $(debian_kernel) with headers and source"
			return
		fi
		need_space 3
		# shellcheck disable=SC2086
		step "Fetching Debian's Linux ${picked% *} and its compilers" "1 min" "$CACHE/log/debian" \
			fill "$CACHE/debian/${picked% *}-$(in_archive_of_debian debian_key)" in_archive_of_debian fetch_debian $picked
		in_archive_of_debian cached_debian
	fi
	say "Debian's kernel: $DEBIAN_RELEASE"
	DEBIAN_HEADERS=/usr/src/linux-headers-$DEBIAN_RELEASE
	KERNEL=$DEBIAN_ROOT/lib/modules/$DEBIAN_RELEASE/vmlinuz
	prepare_source_of "$(package_version "$DEBIAN_ROOT$DEBIAN_HEADERS")"
}

# in_archive_of_debian COMMAND...: runs one of the functions below with the archive of the
# machine's kernel.
in_archive_of_debian() {
	case $DEBIAN_VM in
	canary) in_sid "$@" ;;
	*-arm64) in_arm64 "$@" ;;
	*) "$@" ;;
	esac
}

# cached_debian: uses the system in the cache.
cached_debian() {
	local series
	for series in $(debian_series); do
		DEBIAN_ROOT=$(find "$CACHE/debian" -mindepth 1 -maxdepth 1 -name "$series.*-$(debian_kernel)-$(debian_key)" 2>/dev/null | tail -n 1)
		[[ -z $DEBIAN_ROOT ]] || break
	done
	[[ -n $DEBIAN_ROOT ]] || return 1
	touch "$DEBIAN_ROOT"
	DEBIAN_RELEASE=${DEBIAN_ROOT##*/}
	DEBIAN_RELEASE=${DEBIAN_RELEASE%-*}
}

# debian_key: prints a hash of the packages, for the name of the root.
debian_key() {
	local suite=${OTHER_SUITES[0]#trixie}
	echo "${METADATA_PACKAGES[*]} ${ROOT_PACKAGES[*]}${suite:+ $suite}" | sha256sum | cut -c 1-12
}

# debian_series: prints prefixes of the kernel versions to use, the best first. For sid, it
# is the newest version.
debian_series() {
	if [[ $DEBIAN_VM == canary ]]; then
		echo 7
	else
		echo "${TESTED_SERIES[@]}"
	fi
}

# pick_debian: prints the release and the version of the newest kernel of a tested series
# whose source is in the archive, too.
pick_debian() {
	local series package version
	for series in $(debian_series); do
		package=$(archive apt-cache search --names-only "^linux-headers-$series\.[0-9.]+\+deb[0-9]+-$(debian_kernel)$" |
			awk '{ print $1 }' | sort -V | tail -n 1)
		[[ -n $package ]] || continue
		version=$(archive apt-cache show --no-all-versions "$package" | awk '$1 == "Version:" { print $2 }')
		if has_version "linux-source-$(cut -d . -f 1-2 <<<"$version")" "$version"; then
			echo "${package#linux-headers-} $version"
			return
		fi
	done
}

# extract_packages DIRECTORY PACKAGE...: unpacks packages and their dependencies there.
extract_packages() {
	# No program of the packages is run, so this is safe for root outside a chroot.
	# mmdebstrap refuses that from 1.5 on, unless that check is skipped.
	mmdebstrap --mode=chrootless --skip=check/chrootless --variant=extract --architectures=amd64,"${ARCHITECTURE:-amd64}" \
		--include="$(IFS=, && echo "${*:2}")" "${OTHER_SUITES[0]}" "$1" "$ARCHIVE/sources.list"
}

# fetch_debian RELEASE VERSION DIRECTORY: unpacks a system without installing it. So none of
# its programs is run before it is complete, and no privileges are needed. The headers for
# another processor come with a compiler for this one.
fetch_debian() {
	extract_packages "$3" "${METADATA_PACKAGES[@]}" "${ROOT_PACKAGES[@]}" \
		linux-{headers,binary,modules}-"$1:${ARCHITECTURE:-amd64}=$2" || return 1
	# The installation of gawk would make this link.
	ln -s gawk "$3/usr/bin/awk" || return 1
	# Roots that were not used for two weeks are removed.
	mkdir -p "$CACHE/debian"
	find "$CACHE/debian" -mindepth 1 -maxdepth 1 -mtime +14 -exec rm -rf {} +
}

# metadata ARGUMENT...: runs metadata.sh, as 'make metadata' does, for that system.
metadata() {
	env -u RUSTC METADATA_ROOT="$DEBIAN_ROOT" "$TOP/tools/metadata.sh" "$1" "$DEBIAN_HEADERS" "${@:2}"
}

# build_debian_module ARGUMENT...: builds the module there to out/VM, with the headers' own
# makefiles.
build_debian_module() {
	local dir=$OUT/$DEBIAN_VM/module
	one_by_one "$dir" inside "$DEBIAN_ROOT" make -C "$DEBIAN_HEADERS" M="$TOP" MO="$dir" "$@" modules
}

# make_debian_module: builds the metadata, then the module.
make_debian_module() {
	metadata lay
	step "Building the module for $DEBIAN_VM" "10 s" "$OUT/$DEBIAN_VM/module.log" build_debian_module
}

# unpack_debian_module NAME: adds a module of that kernel to MODULES, and before it its
# dependencies, in the order in which they must be loaded. Adds nothing if it is built into
# the kernel.
unpack_debian_module() {
	local packed name to
	packed=$(find "$DEBIAN_ROOT/usr/lib/modules/$DEBIAN_RELEASE/kernel" -name "$1.ko.xz")
	[[ -n $packed ]] || return 0
	for name in $(/usr/sbin/modinfo -F depends "$packed" | tr , ' '); do
		unpack_debian_module "$name"
	done
	to=${#MODULES[@]}-$1.ko
	xz -dc "$packed" >"$OUT/$DEBIAN_VM/$to"
	MODULES+=("$OUT/$DEBIAN_VM/$to:/modules/$to")
}
