# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Packages of the distribution and of its other suites.

# need_packages PACKAGE...: installs missing packages. Fails instead if MAY_INSTALL is no,
# as it is while the package manager runs.
need_packages() {
	local missing=() package
	command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
		die "This is not a Debian system." \
			"The virtual machines need Debian 12 or 13. To check this machine's own kernel, run 'make doctor'."
	for package in "$@"; do
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
			missing+=("$package")
	done
	((${#missing[@]})) || return 0
	((EUID == 0)) && [[ ${MAY_INSTALL:-yes} == yes ]] ||
		die "Packages are missing: ${missing[*]}." \
			"Run once as root: apt-get update && apt-get install ${missing[*]}"
	mkdir -p "$CACHE/tmp"
	step "Installing ${missing[*]}" "30 s" "$CACHE/log/packages" \
		install_packages "${missing[@]}"
}

install_packages() {
	export DEBIAN_FRONTEND=noninteractive
	local install=(install -y --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300)
	local package qemu=() others=()
	printf 'packages: %s\n' "$*"
	apt-get update -qq || return 1
	! LC_ALL=C apt-get "${install[@]}" "$@" 2>&1 | tee "$CACHE/tmp/install" || return 0
	grep -qE 'Packages need to be removed|held broken packages' "$CACHE/tmp/install" || return 1
	# If some of QEMU's packages came from backports, as in cloud images, the others
	# must come from there, too.
	for package in "$@"; do
		if [[ $package == qemu-* ]]; then qemu+=("$package"); else others+=("$package"); fi
	done
	printf 'packages: %s, from backports\n' "${qemu[*]}"
	apt-get "${install[@]}" "${others[@]}" &&
		in_backports fetch_lists && in_backports install_from_backports "${install[@]}" "${qemu[@]}"
}

# Suites with kernels and Rust libraries besides the system's own, and the apt root that
# has their lists.
OTHER_SUITES=(trixie trixie-backports)
ARCHIVE=$CACHE/apt

# in_bullseye COMMAND...: runs one of the functions below on the suites of Debian 11.
# They have their own root, because mirrors will drop them at some time.
in_bullseye() {
	local OTHER_SUITES=(bullseye bullseye-security) ARCHIVE=$CACHE/apt-bullseye
	"$@"
}

# in_arm64 COMMAND...: runs one of the functions below on packages for arm64. They have
# their own root, because only some machines need their lists.
in_arm64() {
	local OTHER_SUITES=(trixie trixie-backports) ARCHIVE=$CACHE/apt-arm64-backports ARCHITECTURE=arm64
	"$@"
}

# in_bookworm COMMAND...: runs one of the functions below on Debian 12 as it was released.
in_bookworm() {
	local OTHER_SUITES=(bookworm) ARCHIVE=$CACHE/apt-bookworm
	"$@"
}

# in_sid COMMAND...: runs one of the functions below on Debian's unstable suite. Its lists
# expire after a week, but an older mirror is good enough.
in_sid() {
	local OTHER_SUITES=(sid) ARCHIVE=$CACHE/apt-sid VALIDITY=' check-valid-until=no'
	"$@"
}

# in_sources COMMAND...: runs one of the functions below on source packages. They have their
# own root, because only some legs need their lists.
in_sources() {
	local OTHER_SUITES=(trixie-backports) ARCHIVE=$CACHE/apt-sources KIND=deb-src
	"$@"
}

# in_backports COMMAND...: runs one of the functions below on the suites of the system's
# own release and its backports, which may be missing in /etc/apt.
in_backports() {
	local codename OTHER_SUITES ARCHIVE=$CACHE/apt-backports
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	OTHER_SUITES=("$codename" "$codename-security" "$codename-backports")
	"$@"
}

# archive COMMAND...: runs apt with its own root, which has the lists of the other suites.
# Does not touch /etc/apt and needs no privileges.
archive() {
	local root=$ARCHIVE architecture=${ARCHITECTURE:-$(dpkg --print-architecture)}
	"$1" -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" \
		-o Dir::Etc::sourcelist="$root/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State="$root" -o Dir::State::status="$root/status" \
		-o Dir::Cache="$root/cache" -o APT::Sandbox::User=root "${@:2}"
}

# mirror SUITE: prints the URI of the mirror that the system uses for its own release or,
# if SUITE is one with security updates, for these.
mirror() {
	local format='$(REPO_URI) $(RELEASE) $(COMPONENT)' codename lists=()
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[[ $1 != *-security ]] || codename+=-security
	if [[ -z $(apt-get indextargets 'Created-By: Packages') ]]; then
		# The system has no package lists yet: fetch our own.
		lists=(-o "Dir::State::lists=$CACHE/apt/own-lists" -o APT::Sandbox::User=root)
		mkdir -p "$CACHE/apt/own-lists/partial"
		apt-get "${lists[@]}" update -qq >&2 || return 1
	fi
	apt-get indextargets "${lists[@]}" --format "$format" 'Created-By: Packages' |
		awk -v r="$codename" '$2 == r && $3 == "main" && !found { print $1; found = 1 }'
}

# open_archive: makes the root, or updates it if it is older than a day.
open_archive() {
	local root=$ARCHIVE
	[[ -z $(find "$root/fetched" -mmin -1440 2>/dev/null) ]] || return 0
	step "Reading the package lists of ${OTHER_SUITES[*]}" "5 s" "$CACHE/log/archive" fetch_lists
}

fetch_lists() {
	local root=$ARCHIVE uri suite keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	mkdir -p "$root"/{lists/partial,cache/archives/partial}
	: >"$root/status"
	for suite in "${OTHER_SUITES[@]}"; do
		uri=$(mirror "$suite")
		[[ -z $uri ]] || echo "${KIND:-deb} [signed-by=$keyring${VALIDITY:-}] $uri $suite main"
	done >"$root/sources.list"
	if [[ ! -s $root/sources.list ]]; then
		echo "No Debian mirror for this release in /etc/apt."
		return 1
	fi
	if LC_ALL=C archive apt-get update -o APT::Update::Error-Mode=any; then
		touch "$root/fetched"
		return
	fi
	# The other suites are usable even if one has left the mirror. A package that is
	# missing then is reported later.
	grep -q 'does not have a Release file' "$CACHE/log/archive"
}

# install_from_backports ARGUMENT...: runs apt-get on the system, with the lists of the root.
install_from_backports() {
	archive apt-get -o Dir::State=/var/lib/apt -o Dir::State::lists="$ARCHIVE/lists" \
		-o Dir::State::status=/var/lib/dpkg/status -t "${OTHER_SUITES[-1]}" "$@"
}

# fetch PACKAGE[=VERSION] DIRECTORY: downloads and unpacks a package of the other suites.
fetch() {
	local tmp=$CACHE/tmp/fetch
	rm -rf "$tmp"
	mkdir -p "$tmp"
	(cd "$tmp" && archive apt-get download "$1") || return 1
	dpkg-deb -x "$tmp"/*.deb "$2" || return 1
	rm -rf "$tmp"
}
