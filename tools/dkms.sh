#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Installs the module with DKMS, and builds it for DKMS; see --help.

# DKMS builds for the system, so the cache is the system's as well.
export XDG_CACHE_HOME=/var/cache
. "$(dirname "$0")/lib.sh"

PATH+=:/usr/sbin:/sbin
cd "$TOP" || exit
# As in dkms.conf.
NAME=rust-ashmem
# The files that are needed to build the module and its metadata.
FILES=(Kbuild Makefile rust_ashmem.rs src/*.{rs,c,S} src/compat/{Kbuild,kernel.rs} include/trace/events/ashmem.h
	tools/{dkms,doctor,lib,metadata}.sh tools/lib/*.sh tools/tables/*)

usage() {
	cat <<-EOF
		Usage: make dkms-install
		       make dkms-uninstall
		       make dkms-source DESTDIR=DIR

		  dkms-install    try to build the module for the running kernel, or for the one
		                  in KREL; copy the source to /usr/src/$NAME-VERSION; then have
		                  DKMS build and install the module for that kernel, for each
		                  kernel that has an older version, and for each kernel that is
		                  installed later (root)
		  dkms-uninstall  remove all of that, for every kernel (root)
		  dkms-source     only copy the source, below DIR; for packages

		DKMS runs 'tools/dkms.sh build RELEASE HEADERS'. If Debian's headers lack the
		Rust metadata, that makes it first, as 'make metadata' does, in
		$CACHE. It installs no packages.
	EOF
}

# find_dkms: sets DKMS to the process that runs this with its output in make.log.
find_dkms() {
	DKMS=$PPID
	while is_dkms "$DKMS" && [[ /proc/$DKMS/fd/1 -ef /proc/self/fd/1 ]]; do
		DKMS=$(awk '$1 == "PPid:" { print $2 }' "/proc/$DKMS/status")
	done
	is_dkms "$DKMS" || DKMS=
}

is_dkms() {
	[[ $(cat "/proc/$1/comm" 2>/dev/null) == dkms ]]
}

# aloud: copies its input to the log and to DKMS's own output, where the user sees it. That
# may be a pipe or a socket, which cannot be reopened by path, so the descriptor is taken
# with pidfd_open() and pidfd_getfd().
aloud() {
	if [[ -z $DKMS ]] || ! command -v perl >/dev/null; then
		cat
		return
	fi
	perl -e '
		my $fd = syscall(438, syscall(434, $ARGV[0] + 0, 0), 2, 0);
		my $there;
		open($there, ">&=", $fd) if $fd >= 0;
		while (my $line = <STDIN>) {
			syswrite(STDOUT, $line);
			syswrite($there, $line) if $there;
		}' "$DKMS"
}

# build RELEASE HEADERS [trial]
build() {
	local release=$1 headers=$2 findings vars
	TRIAL=${3:-}
	find_dkms
	examine
	if [[ -e $headers/.kernelvariables ]] && needs_metadata; then
		{ echo && MAY_INSTALL=no "$TOP/tools/metadata.sh" lay "$headers"; } 2>&1 | aloud || refuse
		rm -rf "$CACHE"/{apt,source,tmp}
		examine
	fi
	! grep -q ^MISSING <<<"$findings" || refuse "$(grep ^MISSING <<<"$findings")"
	vars=$(sed -n 's/^next: make//p' <<<"$findings")
	# shellcheck disable=SC2086
	make -C "$TOP" $vars modules 2>&1 | tee "$TOP/compiler" ||
		refuse "error: The module cannot be built for Linux $release:" \
			"$(grep -m 1 -iE '^error' "$TOP/compiler")" "$(grep 'kernel .* is untested' <<<"$findings")"
	"$TOP/tools/metadata.sh" check "$headers" "$TOP/rust_ashmem.ko" 2>"$TOP/misfit" ||
		refuse "$(cat "$TOP/misfit")"
}

# examine: sets findings to the doctor's output about building for that kernel.
examine() {
	findings=$(KREL=$release KDIR=$headers "$TOP/tools/doctor.sh" --build) || true
	say "$findings"
}

# needs_metadata: returns whether only the metadata is missing, or whether this project
# installed it and it may be of an older version of the headers.
needs_metadata() {
	local missing
	missing=$(grep ^MISSING <<<"$findings") || [[ -e $headers/rust/laid-by-rust_ashmem ]] || return
	[[ $missing == ?("MISSING  Rust metadata: "+([^$'\n'])) ]]
}

# refuse [LINE...]: prints the lines and what to do, and fails.
refuse() {
	local next=("$NAME is not installed for Linux $release. Do the above (run make in /usr/src/$NAME-$VERSION), then:"
		"  sudo dkms install $NAME/$VERSION -k $release"
		"or, if this stopped apt:  sudo dpkg --configure -a")
	[[ -z $TRIAL ]] || next=("The installed version was not changed. Do the above, then run the same command again.")
	printf '%s\n' "" "$@" "${next[@]}" | aloud
	exit 1
}

need_root() {
	((EUID == 0)) || die "DKMS needs root." "Run it as root: sudo make $1"
	command -v dkms >/dev/null || die "dkms is not installed." "Install it (package dkms) and run the same command again."
	# Both would install the same files, and each would remove the other's.
	[[ $(dpkg-query -W -f '${db:Status-Status}' $NAME-dkms 2>/dev/null) != installed ]] ||
		die "The package $NAME-dkms is installed, and has the module's source in /usr/src." \
			"Remove it first: sudo apt purge $NAME-dkms"
}

# need_other_place: fails if this checkout is the source that would be removed.
need_other_place() {
	[[ $TOP != /usr/src/$NAME-[0-9]* ]] ||
		die "$TOP is DKMS's copy of the source, which this would remove." \
			"Run it in the checkout that it came from; if that is gone, clone the project again."
}

# try RELEASE: builds a copy, and fails if that fails. DKMS cannot do this, because it builds
# no version beside an installed one. Not in /tmp, which is mounted noexec on some machines.
try() {
	local tmp
	[[ -e /lib/modules/$1/build/Makefile ]] ||
		die "Linux $1 has no headers here." "Install them, sudo apt install linux-headers-$1, or set KREL= to another kernel."
	make -s tools
	tmp=$(mktemp -d /usr/src/$NAME.XXXXXX)
	# shellcheck disable=SC2064
	trap "rm -rf '$tmp'" EXIT
	copy_source "$tmp"
	say "Building it for Linux $1 (usually 10 s; 5 min if its Rust metadata has to be made)"
	"$tmp/usr/src/$NAME-$VERSION/tools/dkms.sh" build "$1" "/lib/modules/$1/build" trial || exit
}

# need_headers RELEASE...: fails if the module could not be rebuilt for one of the kernels.
need_headers() {
	local release
	for release in "$@"; do
		[[ -e /lib/modules/$release/build/Makefile ]] ||
			die "Linux $release has the module, but its headers are no longer installed, so it cannot be rebuilt." \
				"Install them, sudo apt install linux-headers-$release, or remove the module from that kernel: sudo dkms remove $NAME -k $release"
	done
}

# installed: prints the kernels for which DKMS has installed the module.
installed() {
	dkms status "$NAME" | sed -n "s/^$NAME\/[^,]*, \([^,]*\), .*: installed.*/\1/p" | sort -u
}

# install_for RELEASE...: has DKMS install the module; if one kernel fails, continues with the rest.
install_for() {
	local release status=0
	for release in "$@"; do
		dkms install "$NAME/$VERSION" -k "$release" || status=1
	done
	return $status
}

# copy_source DESTDIR: copies the source, atomically.
copy_source() {
	local to=$1/usr/src/$NAME-$VERSION
	mkdir -p "${to%/*}"
	rm -rf "$to" "$to.new"
	mkdir "$to.new"
	(cd "$TOP" && cp --parents "${FILES[@]}" "$to.new")
	# A build in this checkout makes this.
	rm -f "$to.new/src/static_branch.rs"
	sed "s/#MODULE_VERSION#/$VERSION/; s/#OLDEST_KERNEL#/$OLDEST_KERNEL/" "$TOP/dkms.conf" >"$to.new/dkms.conf"
	mv "$to.new" "$to"
}

# forget: removes every version from DKMS, with its source.
forget() {
	local dir
	for dir in /var/lib/dkms/$NAME/*/source; do
		[[ -L $dir ]] || continue
		dir=${dir%/source}
		if [[ -e $dir/source/dkms.conf ]]; then
			dkms remove "$NAME/${dir##*/}" --all
		else
			# DKMS cannot remove a version whose source is gone.
			rm -rf "$dir" /lib/modules/*/updates/dkms/rust_ashmem.ko*
		fi
	done
	rm -rf /usr/src/$NAME-[0-9]* "$CACHE"
}

VERSION=$(make -s --no-print-directory version)
shopt -s extglob
case ${1:-} in
-h | --help) usage ;;
build) build "$2" "$3" "${4:-}" ;;
source)
	[[ -n ${2:-} ]] || die "DESTDIR is not set." "Set it: make dkms-source DESTDIR=DIR. To install on this system: make dkms-install."
	copy_source "$2"
	;;
install)
	need_root dkms-install
	need_other_place
	RELEASE=${KREL:-$(uname -r)}
	mapfile -t others < <(installed | grep -vxF "$RELEASE")
	need_headers "${others[@]}"
	try "$RELEASE"
	forget
	copy_source ""
	install_for "$RELEASE" "${others[@]}" && make -s install-files
	;;
uninstall)
	need_root dkms-uninstall
	need_other_place
	make -s uninstall-files
	forget
	tools/metadata.sh clean-all
	;;
*) usage >&2 && exit 2 ;;
esac
