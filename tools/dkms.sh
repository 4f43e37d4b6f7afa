#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The module under DKMS; see --help.

# What DKMS does is the system's business, and so is its cache.
export XDG_CACHE_HOME=/var/cache
. "$(dirname "$0")/lib.sh"

PATH+=:/usr/sbin:/sbin
cd "$TOP" || exit
# The same as in dkms.conf.
NAME=rust-ashmem
# What building the module and its metadata takes.
FILES=(Kbuild Makefile rust_ashmem.rs src/*.{rs,c,S} src/compat/{Kbuild,kernel.rs} include/trace/events/ashmem.h
	tools/{dkms,doctor,lib,metadata}.sh tools/lib/*.sh tools/tables/*)

usage() {
	cat <<-EOF
		Usage: make dkms-install
		       make dkms-uninstall
		       make dkms-source DESTDIR=DIR

		  dkms-install    see that it can be built for the running kernel, or the one
		                  that KREL names; copy the module's source to
		                  /usr/src/$NAME-VERSION, then have DKMS build and install it for
		                  that kernel, each that has an older one, and each that is
		                  installed later (root)
		  dkms-uninstall  remove all of that, for every kernel (root)
		  dkms-source     copy the source alone, below DIR; packages do that

		DKMS runs 'tools/dkms.sh build RELEASE HEADERS'. Where Debian's headers lack
		the Rust metadata, that makes it first, as 'make metadata' does, in
		$CACHE. It installs no package.
	EOF
}

# find_dkms: sets DKMS, the process that runs this and keeps what it says in make.log.
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

# aloud: copies its input to the log, and to where DKMS itself speaks, as its user has
# to read it. That is a terminal, a pipe, a file or a socket, so it cannot be opened
# anew, but the very descriptor can be had: by pidfd_open() and pidfd_getfd().
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
			"$(grep -m 1 -iE '^error' "$TOP/compiler")" "$(grep untested <<<"$findings")"
	"$TOP/tools/metadata.sh" check "$headers" "$TOP/rust_ashmem.ko" 2>"$TOP/misfit" ||
		refuse "$(cat "$TOP/misfit")"
}

# examine: sets findings, what the doctor says about building for that kernel.
examine() {
	findings=$(KREL=$release KDIR=$headers "$TOP/tools/doctor.sh" --build) || true
	say "$findings"
}

# needs_metadata: returns whether that is all that is missing, or it was laid and may
# be that of an older package of these headers.
needs_metadata() {
	local missing
	missing=$(grep ^MISSING <<<"$findings") || [[ -e $headers/rust/laid-by-rust_ashmem ]] || return
	[[ $missing == ?("MISSING  Rust metadata: "+([^$'\n'])) ]]
}

# refuse [LINE...]: ends, with words of what to do then.
refuse() {
	local next=("$NAME is not installed for Linux $release. When that is done (by make, in /usr/src/$NAME-$VERSION):"
		"  sudo dkms install $NAME/$VERSION -k $release"
		"or, where this stopped apt:  sudo dpkg --configure -a")
	[[ -z $TRIAL ]] || next=("What is installed was not changed. When that is done, run the same command again.")
	printf '%s\n' "" "$@" "${next[@]}" | aloud
	exit 1
}

need_root() {
	((EUID == 0)) || die "DKMS is root's." "Run it as root: sudo make $1"
	command -v dkms >/dev/null || die "dkms is not installed." "Install it (package dkms) and run the same command again."
	# Two owners of the same files would remove each other's.
	[[ $(dpkg-query -W -f '${db:Status-Status}' $NAME-dkms 2>/dev/null) != installed ]] ||
		die "The package $NAME-dkms is installed, and has the module's source in /usr/src." \
			"Remove it first: sudo apt purge $NAME-dkms"
}

# need_other_place: ends if this is the source that would be removed.
need_other_place() {
	[[ $TOP != /usr/src/$NAME-[0-9]* ]] ||
		die "$TOP is the source that DKMS has, which this would remove." \
			"Run it in the checkout that it came from; if that is gone, clone the project again."
}

# try RELEASE: builds it aside, and ends if that fails, as DKMS can build no version
# beside one that is installed. Not in /tmp, from which nothing may be executed on some
# machines.
try() {
	local tmp
	[[ -e /lib/modules/$1/build/Makefile ]] ||
		die "Linux $1 has no headers here." "Install them, sudo apt install linux-headers-$1, or name another kernel by KREL=."
	make -s tools
	tmp=$(mktemp -d /usr/src/$NAME.XXXXXX)
	# shellcheck disable=SC2064
	trap "rm -rf '$tmp'" EXIT
	copy_source "$tmp"
	say "Building it for Linux $1 (usually 10 s; 5 min if its Rust metadata has to be made)"
	"$tmp/usr/src/$NAME-$VERSION/tools/dkms.sh" build "$1" "/lib/modules/$1/build" trial || exit
}

# need_headers RELEASE...: ends if one that has it would lose it.
need_headers() {
	local release
	for release in "$@"; do
		[[ -e /lib/modules/$release/build/Makefile ]] ||
			die "Linux $release has the module, but no headers here any more to build it with." \
				"Install them, sudo apt install linux-headers-$release, or let it go: sudo dkms remove $NAME -k $release"
	done
}

# installed: prints the kernels that DKMS has it installed for.
installed() {
	dkms status "$NAME" | sed -n "s/^$NAME\/[^,]*, \([^,]*\), .*: installed.*/\1/p" | sort -u
}

# install_for RELEASE...: has DKMS install it, for the others if it fails for one.
install_for() {
	local release status=0
	for release in "$@"; do
		dkms install "$NAME/$VERSION" -k "$release" || status=1
	done
	return $status
}

# copy_source DESTDIR: it comes into sight as a whole.
copy_source() {
	local to=$1/usr/src/$NAME-$VERSION
	mkdir -p "${to%/*}"
	rm -rf "$to" "$to.new"
	mkdir "$to.new"
	(cd "$TOP" && cp --parents "${FILES[@]}" "$to.new")
	# What a build in this checkout made.
	rm -f "$to.new/src/static_branch.rs"
	sed "s/#MODULE_VERSION#/$VERSION/; s/#OLDEST_KERNEL#/$OLDEST_KERNEL/" "$TOP/dkms.conf" >"$to.new/dkms.conf"
	mv "$to.new" "$to"
}

# forget: removes every version that DKMS knows and its source.
forget() {
	local dir
	for dir in /var/lib/dkms/$NAME/*/source; do
		[[ -L $dir ]] || continue
		dir=${dir%/source}
		if [[ -e $dir/source/dkms.conf ]]; then
			dkms remove "$NAME/${dir##*/}" --all
		else
			# DKMS removes nothing whose source is gone.
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
	[[ -n ${2:-} ]] || die "DESTDIR is not set." "Say where: make dkms-source DESTDIR=DIR. 'make dkms-install' is for this system."
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
