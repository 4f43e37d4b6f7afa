# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Headers of Debian's kernels, on this system or in a directory with another one.

# Packages that are needed to build the Rust metadata on Debian, besides the C compiler
# that the headers depend on.
METADATA_PACKAGES=(bc binutils bindgen bison flex kmod libc6-dev libdw-dev libelf-dev libssl-dev make
	pahole python3 rust-src rustc xz-utils zlib1g-dev)

# inside ROOT COMMAND...: runs a command in the system below ROOT. This checkout and the
# cache have the same paths there. The mounts are visible only to the command.
inside() {
	local root=$1 user=()
	shift
	((EUID == 0)) || user=(--map-root-user)
	# shellcheck disable=SC2016
	unshare --mount "${user[@]}" sh -c '
		root=$1
		for dir in /dev /proc "$2" "$3"; do
			mkdir -p "$root$dir" && mount --rbind "$dir" "$root$dir" || exit
		done
		shift 3
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin HOME=/tmp LC_ALL=C "$@"
	' sh "$root" "$TOP" "$CACHE" "$@"
}

# package_version HEADERS: prints the version of the headers' package.
package_version() {
	sed -n 's/^#define LINUX_PACKAGE_ID " Debian \(.*\)"$/\1/p' "$1/include/generated/package.h" 2>/dev/null || true
}

# crcs_in MODULE: prints the CRC and the name of each symbol that the module needs. Only
# modules built with CONFIG_MODVERSIONS have CRCs. Reads the extended format, which has
# room for the names of Rust symbols.
crcs_in() {
	local tmp part
	tmp=$(mktemp -d)
	for part in crcs names; do
		objcopy -O binary --only-section="__version_ext_$part" "$1" "$tmp/$part" 2>/dev/null || : >"$tmp/$part"
	done
	paste -d ' ' <(od -A n -v -t x4 -w4 "$tmp/crcs" | sed 's/^ */0x/') <(tr '\0' '\n' <"$tmp/names")
	rm -r "$tmp"
}
