#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The Debian package: builds it, and lives its life; see --help.

. "$(dirname "$0")/../lib.sh"

usage() {
	cat <<-EOF
		Usage: make deb
		       make test-package

		  deb           build rust-ashmem-dkms of the files that git knows, and have
		                lintian look at it; the packages are then in out/deb
		  test-package  install the package in a Debian 13, with kernels of Debian, and
		                upgrade and remove both; see what DKMS refuses, and with which
		                words. Ends with 'N passed, N failed, N skipped'. Takes about ten
		                minutes, as DKMS makes the Rust metadata of one kernel; logs are
		                in out/package

		Both run in a Debian 13 of their own, which the first run makes in two minutes in
		$CACHE (2 GB), and take root.
	EOF
}

# What is in that system: what the package is built with, what it depends on, and
# the least that satisfies a kernel.
SYSTEM_PACKAGES=(build-essential debhelper dh-dkms dkms gcc lintian initramfs-tools "${METADATA_PACKAGES[@]}")

# prepare_system: sets SYSTEM, an installed Debian 13.
prepare_system() {
	SYSTEM=$CACHE/package/$(echo "${SYSTEM_PACKAGES[*]}" | sha256sum | cut -c 1-12)
	[[ ! -d $SYSTEM ]] || return 0
	need_space 3
	open_archive
	step "Installing a Debian 13 to build packages in" "2 min" "$CACHE/log/package" fill "$SYSTEM" install_system
}

# install_system DIRECTORY
install_system() {
	mmdebstrap --variant=apt --architectures=amd64 --include="$(IFS=, && echo "${SYSTEM_PACKAGES[*]}")" \
		trixie "$1" "$ARCHIVE/sources.list"
}

# build_deb VERSION: builds the package into out/deb, and calls it so.
build_deb() {
	local version=$1 of dir
	of=$(make -s --no-print-directory -C "$TOP" version)
	dir=$OUT/deb/rust-ashmem-$version
	mkdir -p "$dir"
	(cd "$TOP" && git ls-files -z | tar --null -T - -c) | tar -C "$dir" -x || return 1
	if [[ $version != "$of" ]]; then
		sed -i "s/version!(\"$of\")/version!(\"$version\")/" "$dir/rust_ashmem.rs"
		sed "s/^rust-ashmem ($of)/rust-ashmem ($version)/" "$TOP/debian/changelog" >"$dir/debian/changelog"
	fi
	inside "$SYSTEM" env -C "$dir" DEB_BUILD_OPTIONS=noautodbgsym dpkg-buildpackage -us -uc || return 1
	rm -rf "$dir"
}

lint_deb() {
	inside "$SYSTEM" lintian --info --display-info --fail-on error,warning,info "$OUT"/deb/*.changes
}

# deb: what 'make deb' does.
deb() {
	rm -rf "$OUT/deb"
	step "Building rust-ashmem-dkms $VERSION" "10 s" "$OUT/deb/log" build_deb "$VERSION"
	step "Looking at it with lintian" "10 s" "$OUT/deb/lintian" lint_deb
	say "lintian has no complaint. The packages are in $OUT/deb:" "$(cd "$OUT/deb" && ls -- *.deb *.dsc)"
}

case ${1:-} in
-h | --help) usage && exit ;;
deb | test) ;;
*) usage >&2 && exit 2 ;;
esac
((EUID == 0)) || die "Packages are built and installed in a Debian 13, which only root can make." "Run it as root: sudo make ${1/test/test-package}."
[[ -e $TOP/.git ]] || die "$TOP is no git checkout, which tells what belongs into the package." "Clone the project, or run dpkg-buildpackage here."
need package
VERSION=$(make -s --no-print-directory -C "$TOP" version)
with_cache prepare_system
deb
[[ $1 == test ]] || exit 0
. "$TOP/vm/legs/package_life.sh"
