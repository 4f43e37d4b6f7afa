#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Installs the module and what belongs to it, and removes all that; see --help.

. "$(dirname "$0")/lib.sh"

# depmod and its like, which users may not have there.
PATH+=:/usr/sbin:/sbin

DESTDIR=${DESTDIR:-}
PREFIX=${prefix:-/usr/local}
KDIR=${KDIR:-/lib/modules/$(uname -r)/build}
# As in Kbuild, which is where the module goes by default.
MODULES=$DESTDIR${INSTALL_MOD_PATH:-}/lib/modules
MODULES_DIR=${INSTALL_MOD_DIR:-updates}
BUILT=${MO:-$TOP}/rust_ashmem.ko

# What is installed besides the module: its mode, where it is here, and where it goes.
FILES=(
	"644 packaging/60-rust_ashmem.rules lib/udev/rules.d"
	"644 packaging/rust_ashmem.conf lib/modules-load.d"
	"755 tools/ashmem-check/ashmem-check bin"
	"755 tools/ashmem-top/ashmem-top bin"
)

usage() {
	cat <<-EOF
		Usage: make install [KDIR=DIR] [prefix=DIR] [DESTDIR=DIR] [INSTALL_MOD_PATH=DIR]
		       make uninstall [...]
		       make install-files [prefix=DIR] [DESTDIR=DIR]
		       make uninstall-files [...]

		  install          put the module where modprobe finds it, and run depmod; have
		                   it loaded at boot; install-files
		  uninstall        unload the module; remove it, for each kernel, and run depmod;
		                   uninstall-files
		  install-files    install a rule for udev, which makes /dev/ashmem<boot_id>
		                   beside /dev/ashmem and lets everybody open both; a file that
		                   has the module loaded at boot; ashmem-check and ashmem-top,
		                   if they are here
		  uninstall-files  remove these, and /dev/ashmem<boot_id>

		  KDIR              the kernel's build directory; that of the running one
		  prefix            where the files go: /usr/local, or /usr for packages
		  INSTALL_MOD_PATH  comes before the module's path, as in the kernel's build
		  DESTDIR           comes before every path. This is how packages are made: files
		                    are copied or removed, nothing else is done.

		What DKMS or a package installed, they remove.
	EOF
}

# need_right_to_write DIRECTORY...: ends unless these can be made or written to.
need_right_to_write() {
	local dir
	for dir in "$@"; do
		while [[ ! -e $dir ]]; do dir=$(dirname "$dir"); done
		[[ -w $dir ]] || die "$dir cannot be written to." "Run it as root: sudo make $ACTION."
	done
}

# put MODE FILE DIRECTORY: copies it there; it comes into sight as a whole.
put() {
	local to=$3/${2##*/}
	install -D -m "$1" "$2" "$to.new"
	mv -fT "$to.new" "$to"
	say "installed $to"
}

# take FILE STOP: removes it, and the directories above it that this leaves empty,
# but for STOP and those above that. With DESTDIR, all of them are ours.
take() {
	local dir=${1%/*} stop=$2
	[[ -e $1 ]] || return 0
	rm -f "$1"
	say "removed $1"
	[[ -z $DESTDIR ]] || stop=$DESTDIR
	while [[ $dir == "$stop"/* ]] && rmdir "$dir" 2>/dev/null; do
		dir=${dir%/*}
	done
}

install_files() {
	local mode file dir
	case $PREFIX in
	/usr | /usr/local) ;;
	*) say "note: udev and systemd do not look into $PREFIX/lib." ;;
	esac
	for file in "${FILES[@]}"; do
		read -r mode file dir <<<"$file"
		[[ ! -e $TOP/$file ]] || put "$mode" "$TOP/$file" "$DESTDIR$PREFIX/$dir"
	done
}

# uninstall_files: the second node, too, as nothing would remove it any more when its
# number becomes another device's; but not that of another driver.
uninstall_files() {
	local mode file dir
	for file in "${FILES[@]}"; do
		read -r mode file dir <<<"$file"
		take "$DESTDIR$PREFIX/$dir/${file##*/}" "$PREFIX/${dir%%/*}"
	done
	if is_here && { is_loaded || [[ ! -e /sys/class/misc/ashmem ]]; }; then
		rm -f "/dev/ashmem$(</proc/sys/kernel/random/boot_id)"
	fi
}

# need_module: ends unless a module has been built for the kernel of KDIR. Sets
# RELEASE, which that is.
need_module() {
	local release
	[[ -e $KDIR/Makefile && -r $KDIR/include/config/kernel.release ]] ||
		die "$KDIR is no kernel build directory." "'make doctor' says what is missing."
	RELEASE=$(<"$KDIR/include/config/kernel.release")
	[[ -e $BUILT ]] || die "$BUILT has not been built." "Build it, not as root: make."
	release=$(modinfo -F vermagic "$BUILT" | cut -d ' ' -f 1)
	[[ $release == "$RELEASE" ]] ||
		die "$BUILT is for Linux $release, and $KDIR is that of Linux $RELEASE." \
			"Build it anew: make clean, then make."
}

# install_module: has Kbuild install it aside, so that it is signed or compressed as
# this kernel's modules are, and moves it to its place.
install_module() {
	local stage=$TMP/root log=$TMP/log file dir
	# depmod is run later, where there is something to run it for.
	if ! env -u MAKEFLAGS make -C "$KDIR" M="$TOP" ${MO:+MO="$MO"} INSTALL_MOD_PATH="$stage" DEPMOD=true \
		modules_install >"$log" 2>&1; then
		cat "$log" >&2
		die "The kernel's build did not install the module." "What it said is above."
	fi
	file=$(find "$stage" -name 'rust_ashmem.ko*')
	dir=${file%/*}
	put 644 "$file" "$MODULES/${dir#"$stage"/lib/modules/}"
}

# run_depmod RELEASE: unless somebody else will, who installs the package.
run_depmod() {
	[[ -z $DESTDIR ]] || return 0
	depmod ${INSTALL_MOD_PATH:+-b "$INSTALL_MOD_PATH"} "$1"
}

# is_here: returns whether the running kernel's modules are those dealt with.
is_here() {
	[[ -z $DESTDIR && $MODULES -ef /lib/modules ]]
}

is_loaded() {
	[[ -d /sys/module/rust_ashmem ]]
}

# tell_udev: has it read the rules, and apply them to a device that is there.
tell_udev() {
	[[ -z $DESTDIR && -S /run/udev/control ]] || return 0
	udevadm control --reload
	[[ -e /sys/class/misc/ashmem ]] || return 0
	udevadm trigger --subsystem-match=misc --sysname-match=ashmem
	udevadm settle
}

# others: prints the files of the module that somebody else installed for this kernel.
others() {
	find "$MODULES/$(uname -r)/" -name 'rust_ashmem.ko*' ! -path "*/$MODULES_DIR/rust_ashmem.ko*" 2>/dev/null
}

# unload: unloads the module, while udev knows what to do then. Sets STAYS if that
# fails, to the reason.
unload() {
	STAYS=
	is_here && is_loaded || return 0
	if [[ -n $(others) ]]; then
		say "note: rust_ashmem stays loaded, as somebody else installed $(others)."
	elif STAYS=$(rmmod rust_ashmem 2>&1); then
		[[ ! -S /run/udev/control ]] || udevadm settle
		say "unloaded rust_ashmem"
	fi
}

install_all() {
	need_module
	need_right_to_write "$MODULES/$RELEASE/$MODULES_DIR" "$DESTDIR$PREFIX"/{bin,lib}
	install_module
	install_files
	run_depmod "$RELEASE"
	tell_udev
	if [[ -n $DESTDIR ]]; then
		say "Where this is installed, 'depmod $RELEASE' makes modprobe find the module."
	elif ! is_here || [[ $RELEASE != "$(uname -r)" ]]; then
		say "It will be loaded when Linux $RELEASE boots with that; Linux $(uname -r) is running here."
	elif is_loaded; then
		say "It will be loaded at boot. For now, the one that was loaded before stays."
	else
		say "It will be loaded at boot; to load it now: sudo modprobe rust_ashmem"
	fi
}

uninstall_all() {
	local module release
	need_right_to_write "$MODULES" "$DESTDIR$PREFIX"/{bin,lib}
	unload
	uninstall_files
	for module in "$MODULES"/*/"$MODULES_DIR"/rust_ashmem.ko*; do
		[[ -e $module ]] || continue
		release=${module#"$MODULES"/}
		release=${release%%/*}
		take "$module" "$MODULES/$release"
		run_depmod "$release"
	done
	tell_udev
	[[ -z $STAYS ]] ||
		die "All files are removed, but the module stays loaded: $STAYS." \
			"End the programs that have /dev/ashmem open or mapped and run the same command again, or reboot."
}

ACTION=${1:-}
case $ACTION in
-h | --help) usage && exit ;;
install | uninstall | install-files | uninstall-files) ;;
*) usage >&2 && exit 2 ;;
esac
for dir in "$DESTDIR" "$PREFIX" "${INSTALL_MOD_PATH:-}"; do
	[[ $dir == @(|/*) ]] || die "'$dir' is no path from / on." "DESTDIR, prefix and INSTALL_MOD_PATH begin with /."
done
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
case $ACTION in
install) install_all ;;
uninstall) uninstall_all ;;
*-files)
	need_right_to_write "$DESTDIR$PREFIX"/{bin,lib}
	"${ACTION%-files}_files"
	tell_udev
	;;
esac
