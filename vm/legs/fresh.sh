#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs tests in a Debian system that has only git and make; see --help.

. "$(dirname "$0")/../lib.sh"

usage() {
	cat <<-EOF
		Usage: make test-fresh [RELEASE=trixie|bookworm] [VM='scripts']

		Makes a new Debian system below out/fresh with only git and make, clones this
		checkout into it, and runs 'make test VM=...' there. Each machine of VM gets its
		own new system, so it must install everything that it needs. Needs root.

		Downloads and builds of that system are kept in
		$CACHE/fresh: a kernel for each virtual machine and release.
	EOF
}

# install_fresh DIRECTORY: makes a system as Debian's installer does.
install_fresh() {
	local suite
	for suite in "$RELEASE" "$RELEASE-updates" "$RELEASE-security"; do
		echo "deb $(mirror "$suite") $suite main"
	done >"$CACHE/tmp/sources.list"
	mmdebstrap --variant=minbase --include=ca-certificates,git,make "$RELEASE" "$1" "$CACHE/tmp/sources.list" || return 1
	# The host may use a proxy, with a certificate of its own.
	apt-config dump Acquire >"$1/etc/apt/apt.conf.d/99host"
	if [[ -d /usr/local/share/ca-certificates ]]; then
		cp -r /usr/local/share/ca-certificates "$1/usr/local/share" && chroot "$1" update-ca-certificates
	fi
}

# make_system: makes out/fresh/root, a copy of that system, and a clone of this checkout.
make_system() {
	rm -rf "$OUT/fresh/root" "$OUT/fresh/checkout"
	cp -a "$FRESH" "$OUT/fresh/root" && cp /etc/resolv.conf "$OUT/fresh/root/etc" &&
		git clone --quiet "$TOP" "$OUT/fresh/checkout"
}

# results VM...: runs the tests, each in a new system.
results() {
	local vm number=0
	for vm in "$@"; do
		echo "## begin $vm"
		echo 1..1
		make_system
		inside "$OUT/fresh/root" env XDG_CACHE_HOME="$CACHE/fresh/$RELEASE-cache" \
			make -C "$OUT/fresh/checkout" test VM="$vm" 2>&1 | tee "$OUT/fresh/$vm.log" >&3 || printf 'not '
		echo "ok 1 $vm is tested in a new Debian $RELEASE"
		echo "## status 0"
	done
}

case ${1:-} in
-h | --help) usage && exit ;;
esac
RELEASE=${1:-trixie}
shift || true
(($#)) || set -- scripts
((EUID == 0)) || die "Only root can make a system to run in." "Run it as root: sudo make test-fresh."
need package
FRESH=$CACHE/fresh/$RELEASE
mkdir -p "$OUT/fresh" "$CACHE/tmp"
[[ -d $FRESH ]] || with_cache step "Installing a Debian $RELEASE" "1 min" "$CACHE/log/fresh" fill "$FRESH" install_fresh
exec 3>&1
results "$@" | report fresh
add_totals fresh
rm -rf "$OUT/fresh/root"
conclude
