#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds and tests the Debian package; see --help.

. "$(dirname "$0")/../lib.sh"

usage() {
	cat <<-EOF
		Usage: make deb
		       make test-package

		  deb           build rust-ashmem-dkms from the files in git, and check it with
		                lintian; the packages are in out/deb
		  test-package  install the package on Debian 13 with kernels of Debian, upgrade
		                and remove both, and check which kernels DKMS refuses and its
		                messages. Ends with 'N passed, N failed, N skipped'. Takes about
		                ten minutes, as DKMS makes the Rust metadata of one kernel; logs
		                are in out/package

		Both run in their own Debian 13, which the first run makes within two minutes in
		$CACHE (2 GB). Both need root.
	EOF
}

# The packages of that system: for building the package, its dependencies, and the minimum
# for a kernel.
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

# build_deb VERSION: builds the package with this version in out/deb.
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

# deb: runs 'make deb'.
deb() {
	rm -rf "$OUT/deb"
	step "Building rust-ashmem-dkms $VERSION" "10 s" "$OUT/deb/log" build_deb "$VERSION"
	step "Checking it with lintian" "10 s" "$OUT/deb/lintian" lint_deb
	say "lintian found no problems. The packages are in $OUT/deb:" "$(cd "$OUT/deb" && ls -- *.deb *.dsc)"
}

case ${1:-} in
-h | --help) usage && exit ;;
deb | test) ;;
*) usage >&2 && exit 2 ;;
esac
((EUID == 0)) || die "This needs root, to make a Debian 13 system for the packages." "Run it as root: sudo make ${1/test/test-package}."
[[ -e $TOP/.git ]] || die "$TOP is not a git checkout, so the files of the package are unknown." "Clone the project, or run dpkg-buildpackage here."
need package
VERSION=$(make -s --no-print-directory -C "$TOP" version)
with_cache prepare_system
deb
[[ $1 == test ]] || exit 0
. "$TOP/vm/legs/package_life.sh"
