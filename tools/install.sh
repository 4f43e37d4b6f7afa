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

# Where 'make install-writable' puts what it does.
STATE=/var/lib/rust_ashmem
UNITS=/etc/systemd/system
WANTS=$UNITS/sysinit.target.wants

# What may be installed besides the module: its mode, where it is here, and where it goes.
FILES=(
	"644 packaging/60-rust_ashmem.rules $PREFIX/lib/udev/rules.d"
	"644 packaging/rust_ashmem.conf $PREFIX/lib/modules-load.d"
	"755 tools/ashmem-check/ashmem-check $PREFIX/bin"
	"755 tools/ashmem-top/ashmem-top $PREFIX/bin"
)
# The same on other systems than those of systemd and udev. Each finds its part in /etc.
OTHER_FILES=(
	"644 packaging/60-rust_ashmem.rules /etc/udev/rules.d"
	"644 packaging/rust_ashmem.conf /etc/modules-load.d"
	"755 packaging/rust_ashmem-nodes $PREFIX/sbin"
	"755 packaging/rust_ashmem.openrc /etc/init.d"
)
# And where nothing but /etc and /var can be written to.
WRITABLE_FILES=(
	"644 packaging/60-rust_ashmem.rules /etc/udev/rules.d"
	"644 packaging/rust_ashmem.service $UNITS"
	"755 tools/ashmem-check/ashmem-check $STATE"
	"755 tools/ashmem-top/ashmem-top $STATE"
)

usage() {
	cat <<-EOF
		Usage: make install [KDIR=DIR] [prefix=DIR] [DESTDIR=DIR] [INSTALL_MOD_PATH=DIR]
		       make uninstall [...]
		       make install-files [prefix=DIR] [DESTDIR=DIR]
		       make uninstall-files [...]
		       make install-writable [KDIR=DIR] [DESTDIR=DIR]

		  install          put the module where modprobe finds it, and run depmod; have
		                   it loaded at boot; install-files
		  uninstall        unload the module; remove it, for each kernel, and run depmod;
		                   uninstall-files
		  install-files    install a rule for udev, which makes /dev/ashmem<boot_id>
		                   beside /dev/ashmem and lets everybody open both; a file that
		                   has the module loaded at boot; ashmem-check and ashmem-top,
		                   if they are here. A file in /etc that is not as it was installed
		                   stays, and is named
		  uninstall-files  remove these, and /dev/ashmem<boot_id>; such a file stays
		  install-writable for systems whose /usr cannot be written to (ostree, SteamOS,
		                   Flatcar): put the module and ashmem-check into
		                   $STATE, the rule and a service that loads the
		                   module into /etc; uninstall removes that, too

		Without systemd these go to /etc, where each of them looks: the rule for udev to
		/etc/udev/rules.d; the module's name to /etc/modules-load.d, which OpenRC, runit
		(Void), s6, dinit and Debian's SysV init read. Without udev, a line of
		/etc/mdev.conf (mdev, mdevd) runs rust_ashmem-nodes, which makes both nodes; or
		else a service of OpenRC, or a line of yours in what starts the system, does.

		  INIT              one of $(names inits); the one that runs
		  MANAGER           what makes nodes: one of
		                    $(names managers); the one that runs
		  KDIR              the kernel's build directory; that of the running one
		  prefix            where the files go: /usr/local, or /usr for packages
		  INSTALL_MOD_PATH  comes before the module's path, as in the kernel's build
		  DESTDIR           comes before every path. This is how packages are made: files
		                    are copied or removed, nothing else is done.

		What DKMS or a package installed, they remove.
	EOF
}

# names TABLE: prints what is in it, for usage.
names() {
	read_table "$1"
	xargs <<<"${SECTIONS[$1]}" | sed 's/ /, /g'
}

# is_read_only DIRECTORY: whether not even root may write there.
is_read_only() {
	local LC_ALL=C said
	said=$( (: >"$1/.rust_ashmem.$$") 2>&1) && rm -f "$1/.rust_ashmem.$$"
	[[ $said == *"Read-only file system"* ]]
}

# how_it_is_done: prints what to do on this system, whose /usr cannot be written to.
how_it_is_done() {
	local KREL
	KREL=$(uname -r)
	find_system
	system_says sealed || true
}

# need_right_to_write DIRECTORY...: ends unless these can be made or written to.
need_right_to_write() {
	local dir how
	for dir in "$@"; do
		[[ -n $dir ]] || continue
		while [[ ! -e $dir ]]; do dir=$(dirname "$dir"); done
		[[ ! -w $dir ]] || continue
		if is_read_only "$dir"; then
			how=$(how_it_is_done)
			die "$dir is read-only, as on systems that come as an image: nothing can be installed there." \
				"There, ${how:-sudo make install-writable, which writes to /etc and /var alone}."
		fi
		die "$dir cannot be written to." "Run it as root: sudo make $ACTION."
	done
}

# render FILE TO: prints it as it is installed with this prefix. In /etc, where administrators
# have files of their own, a last line tells that it is ours, and not changed since.
render() {
	case $1 in
	*/packaging/*) sed "s|/usr/local/sbin|$PREFIX/sbin|" "$1" ;;
	*) cat "$1" ;;
	esac
	[[ $2 != "$DESTDIR"/etc/* ]] || echo "$MARK$(render "$1" / | sum_of)"
}

MARK='# As rust_ashmem installed it: '

# sum_of: prints that of its input.
sum_of() {
	sha256sum | cut -d ' ' -f 1
}

# put MODE FILE DIRECTORY [NAME]: copies it there; it comes into sight as a whole. What says
# where programs are says it of this prefix.
put() {
	local to=$3/${4:-${2##*/}}
	if is_theirs "$to"; then
		say "note: $to stays, as it is not what this installs. To have that, move it away and do this again."
		return
	fi
	install -D -m "$1" "$2" "$to.new"
	render "$2" "$to" >"$to.new"
	mv -fT "$to.new" "$to"
	say "installed $to"
}

# take FILE STOP: removes it, and the directories above it that this leaves empty,
# but for STOP and those above that. With DESTDIR, all of them are ours.
take() {
	local dir=${1%/*} stop=$2
	[[ -e $1 || -L $1 ]] || return 0
	rm -f "$1"
	say "removed $1"
	[[ -z $DESTDIR ]] || stop=$DESTDIR
	while [[ $dir == "$stop"/* ]] && rmdir "$dir" 2>/dev/null; do
		dir=${dir%/*}
	done
}

# is_usual: whether systemd and udev take it from where packages put it. Nothing else is
# known of a system that is being made, or of a prefix of somebody's own.
is_usual() {
	if [[ -n $DESTDIR || $PREFIX != @(/usr|/usr/local) ]]; then
		INIT=${INIT:-systemd} MANAGER=${MANAGER:-udev}
	fi
	find_init
	find_manager
	case $INIT-$MANAGER in
	systemd-udev | systemd-none | unknown-udev | unknown-none) ;;
	*) return 1 ;;
	esac
}

install_files() {
	local file
	case $PREFIX in
	/usr | /usr/local) ;;
	*) say "note: udev and systemd do not look into $PREFIX/lib." ;;
	esac
	if is_usual; then
		for file in "${FILES[@]}"; do put_file "$file"; done
	else
		install_other_files
	fi
}

# put_file ENTRY [NAME]: one of FILES, if it is here.
put_file() {
	local mode file dir
	read -r mode file dir <<<"$1"
	[[ ! -e $TOP/$file ]] || put "$mode" "$TOP/$file" "$DESTDIR$dir" "${2:-}"
}

# install_other_files: what this init and this device manager read.
install_other_files() {
	put_file "${FILES[2]}"
	put_file "${FILES[3]}"
	entry inits "$INIT" loads
	[[ -z $ENTRY ]] || put_file "${OTHER_FILES[1]}"
	entry managers "$MANAGER" rule
	if [[ -n $ENTRY ]]; then
		put_file "${OTHER_FILES[0]}"
		return
	fi
	put_file "${OTHER_FILES[2]}"
	entry managers "$MANAGER" line
	[[ -z $ENTRY ]] || add_line "$DESTDIR/${ENTRY%% *}" "$(node_line)"
	entry inits "$INIT" service
	[[ -z $ENTRY ]] || put_file "${OTHER_FILES[3]}" rust_ashmem
	entry inits "$INIT" by-hand
	say "So that $PREFIX/sbin/rust_ashmem-nodes makes the nodes at boot: ${ENTRY//rust_ashmem-nodes/$PREFIX/sbin/rust_ashmem-nodes}"
}

# node_line: prints the line that mdev is to have.
node_line() {
	render "$TOP/packaging/rust_ashmem.mdev" / | sed '/^#/d'
}

# rewrite FILE COMMAND...: puts what that prints into its place, or that of what it is a
# link to, of which the mode and the owner stay.
rewrite() {
	local file new
	file=$(readlink -f "$1")
	new=$(mktemp "$file.XXXXXX")
	if [[ ! -e $file ]]; then
		chmod 644 "$new"
	elif ! cp -p "$file" "$new"; then
		rm -f "$new"
		die "$file cannot be copied." "What is said above is why; it is as it was."
	fi
	if ! "${@:2}" >"$new"; then
		rm -f "$new"
		die "$file cannot be written." "What is said above is why; it is as it was."
	fi
	mv -fT "$new" "$file"
}

has_line() {
	LC_ALL=C grep -qaxF -e "$2" "$1" 2>/dev/null
}

with_line() {
	echo "$2" && { [[ ! -e $1 ]] || cat "$1"; }
}

without_line() {
	LC_ALL=C grep -avxF -e "$2" "$1" || [[ $? == 1 ]]
}

# add_line FILE LINE: puts it first, as the first one that fits counts.
add_line() {
	! has_line "$@" || return 0
	mkdir -p "${1%/*}"
	rewrite "$1" with_line "$@"
	say "added a line to $1"
}

# drop_line FILE LINE: takes it out, and the file if that is all there was.
drop_line() {
	has_line "$@" || return 0
	rewrite "$1" without_line "$@"
	[[ -s $1 || -L $1 ]] || take "$1" /
	say "took a line out of $1"
}

# installed: prints the files that were installed by whichever of these ways, each with
# the directory above which nothing is removed.
installed() {
	local file mode from dir path
	for file in "${FILES[@]}" "${OTHER_FILES[@]}" "${WRITABLE_FILES[@]}" "link rust_ashmem.service $WANTS"; do
		read -r mode from dir <<<"$file"
		path=$DESTDIR$dir/${from##*/}
		[[ $path != */init.d/* ]] || path=${path%.openrc}
		[[ ! -e $path && ! -L $path ]] || is_theirs "$path" || echo "$path $(stop_of "$dir")"
	done
	for path in "$DESTDIR$STATE"/*/rust_ashmem.ko; do
		[[ ! -e $path ]] || echo "$path /var/lib"
	done
}

# is_theirs PATH: whether there is something in /etc that was not installed, or was changed since.
is_theirs() {
	[[ $1 == "$DESTDIR"/etc/* ]] || return 1
	[[ -e $1 || -L $1 ]] || return 1
	case $1 in
	"$DESTDIR$WANTS"/*) is_theirs "$DESTDIR$UNITS/${1##*/}" || [[ ! -L $1 ]] ;;
	*) [[ ! -f $1 || -L $1 || $(tail -n 1 "$1" | tr -d '\0') != "$MARK$(sed '$d' "$1" | sum_of)" ]] ;;
	esac
}

# stop_of DIRECTORY: prints the part of it that is everybody's.
stop_of() {
	case $1 in
	/etc/*) echo "$1" ;;
	/var/*) echo /var/lib ;;
	*) dir=${1#"$PREFIX"/} && echo "$PREFIX/${dir%%/*}" ;;
	esac
}

# uninstall_files: the second node, too, as nothing would remove it any more when its
# number becomes another device's; but not that of another driver.
uninstall_files() {
	local path stop
	# No <(), as the smallest systems have no /dev/fd.
	while read -r path stop; do
		[[ -z $path ]] || take "$path" "$stop"
	done <<<"$(installed | sort -u)"
	for path in "$DESTDIR"/etc/{udev/rules.d/60-rust_ashmem.rules,modules-load.d/rust_ashmem.conf} \
		"$DESTDIR"/etc/init.d/rust_ashmem "$DESTDIR$UNITS/rust_ashmem.service"; do
		[[ ! -e $path && ! -L $path ]] || say "note: $path stays, as it is not what this installs."
	done
	drop_line "$DESTDIR/etc/mdev.conf" "$(node_line)"
	if is_here && { is_loaded || [[ ! -e /sys/class/misc/ashmem ]]; }; then
		rm -f "/dev/ashmem$(</proc/sys/kernel/random/boot_id)"
	fi
}

# directories: prints those that what is installed is in.
directories() {
	local path stop
	installed | while read -r path stop; do echo "${path%/*}"; done
	! has_line "$DESTDIR/etc/mdev.conf" "$(node_line)" || dirname "$(readlink -f "$DESTDIR/etc/mdev.conf")"
}

# need_right_to_files: the same for what install_files writes to.
need_right_to_files() {
	if is_usual; then
		need_right_to_write "$DESTDIR$PREFIX"/{bin,lib/udev/rules.d,lib/modules-load.d}
	else
		need_right_to_write "$DESTDIR$PREFIX"/{bin,sbin} "$DESTDIR"/etc \
			"$DESTDIR"/etc/{udev/rules.d,modules-load.d,init.d}
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
	local how
	need_module
	if is_here && [[ ! -e /lib/modules ]]; then
		# As on NixOS and Guix, where what is put there is not found.
		how=$(how_it_is_done)
		die "This system has no /lib/modules." "There, ${how:-modules come by its own configuration}."
	fi
	need_right_to_write "$MODULES/$RELEASE/$MODULES_DIR"
	need_right_to_files
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

# install_writable: the module as it is, as insmod takes no compressed one everywhere, and
# a service that loads the one of the kernel that boots.
install_writable() {
	local file to
	need_module
	to=$DESTDIR$STATE/$RELEASE
	need_right_to_write "$to" "$DESTDIR"/etc/{udev/rules.d,systemd/system/sysinit.target.wants}
	put 644 "$BUILT" "$to"
	# Where SELinux is, modules are loaded from files of this type alone.
	[[ -n $DESTDIR || ! -e /sys/fs/selinux/enforce ]] || chcon -t modules_object_t "$to/rust_ashmem.ko" ||
		say "note: SELinux may keep it from being loaded, as its type cannot be set."
	for file in "${WRITABLE_FILES[@]}"; do put_file "$file"; done
	if ! is_theirs "$DESTDIR$UNITS/rust_ashmem.service"; then
		mkdir -p "$DESTDIR$WANTS"
		ln -sfn ../rust_ashmem.service "$DESTDIR$WANTS/rust_ashmem.service"
	fi
	[[ -n $DESTDIR || ! -d /run/systemd/system ]] || systemctl daemon-reload
	tell_udev
	say "It will be loaded when Linux $RELEASE boots; to load it now: sudo insmod $STATE/$RELEASE/rust_ashmem.ko" \
		"After an upgrade of the kernel, build it and run this again. ashmem-check is in $STATE."
}

uninstall_all() {
	local module release dirs
	mapfile -t dirs <<<"$(directories; compgen -G "$MODULES/*/$MODULES_DIR/rust_ashmem.ko*" | sed 's|/[^/]*$||')"
	[[ -n $DESTDIR || $EUID == 0 ]] || dirs+=("$MODULES")
	need_right_to_write "${dirs[@]}"
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

for table in "inits ${INIT:-}" "managers ${MANAGER:-}"; do
	read_table "${table% *}"
	[[ -z ${table#* } || " ${SECTIONS[${table% *}]}" == *" ${table#* } "* ]] ||
		die "'${table#* }' is not known." "There are: $(names "${table% *}")."
done
ACTION=${1:-}
case $ACTION in
-h | --help) usage && exit ;;
install | uninstall | install-files | uninstall-files | install-writable) ;;
*) usage >&2 && exit 2 ;;
esac
for dir in "$DESTDIR" "$PREFIX" "${INSTALL_MOD_PATH:-}"; do
	[[ $dir == @(|/*) ]] || die "'$dir' is no path from / on." "DESTDIR, prefix and INSTALL_MOD_PATH begin with /."
	[[ $dir != *[[:space:]\|\&\\]* ]] ||
		die "'$dir' has a blank, or one of | & \\ in it." "DESTDIR, prefix and INSTALL_MOD_PATH must have none."
done
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
case $ACTION in
install) install_all ;;
uninstall) uninstall_all ;;
install-writable) install_writable ;;
install-files)
	need_right_to_files
	install_files
	tell_udev
	;;
uninstall-files)
	mapfile -t dirs <<<"$(directories)"
	need_right_to_write "${dirs[@]}"
	uninstall_files
	tell_udev
	;;
esac
