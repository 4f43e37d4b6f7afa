#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Installs and removes the module and its files; see --help.

. "$(dirname "$0")/lib.sh"

# For depmod and the like: users may lack these directories in PATH.
PATH+=:/usr/sbin:/sbin

DESTDIR=${DESTDIR:-}
PREFIX=${prefix:-/usr/local}
KDIR=${KDIR:-/lib/modules/$(uname -r)/build}
# The default directory of the kernel's build for external modules.
MODULES=$DESTDIR${INSTALL_MOD_PATH:-}/lib/modules
MODULES_DIR=${INSTALL_MOD_DIR:-updates}
BUILT=${MO:-$TOP}/rust_ashmem.ko

# Directories of 'make install-writable'.
STATE=/var/lib/rust_ashmem
UNITS=/etc/systemd/system
WANTS=$UNITS/sysinit.target.wants

# Files besides the module: the mode, the file in the checkout, and the target directory.
FILES=(
	"644 packaging/60-rust_ashmem.rules $PREFIX/lib/udev/rules.d"
	"644 packaging/rust_ashmem.conf $PREFIX/lib/modules-load.d"
	"755 tools/ashmem-check/ashmem-check $PREFIX/bin"
	"755 tools/ashmem-top/ashmem-top $PREFIX/bin"
)
# The same for systems without systemd or udev, which read /etc.
OTHER_FILES=(
	"644 packaging/60-rust_ashmem.rules /etc/udev/rules.d"
	"644 packaging/rust_ashmem.conf /etc/modules-load.d"
	"755 packaging/rust_ashmem-nodes $PREFIX/sbin"
	"755 packaging/rust_ashmem.openrc /etc/init.d"
)
# The same for systems where only /etc and /var are writable.
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

		  install          install the module where modprobe finds it, run depmod, then
		                   do install-files
		  uninstall        unload the module, remove it for each kernel and run depmod,
		                   then do uninstall-files
		  install-files    install a udev rule, which makes /dev/ashmem<boot_id> beside
		                   /dev/ashmem with mode 0666; a file that loads the module at
		                   boot; ashmem-check and ashmem-top, if they have been built.
		                   Keeps files in /etc that you made or changed, and names them
		  uninstall-files  remove these files and /dev/ashmem<boot_id>; keeps the same
		                   files in /etc
		  install-writable for systems with a read-only /usr (ostree, SteamOS, Flatcar):
		                   install the module and ashmem-check in $STATE,
		                   and the udev rule and a service that loads the module in /etc;
		                   uninstall removes these, too

		Without systemd, the files go to /etc: the udev rule to /etc/udev/rules.d, and the
		module's name to /etc/modules-load.d, which OpenRC, runit (Void), s6, dinit and
		Debian's SysV init read. Without udev, rust_ashmem-nodes makes both nodes. A line
		of /etc/mdev.conf (mdev, mdevd) or an OpenRC service runs it. With other inits,
		you must add that yourself; the script says where.

		  INIT              one of $(names inits); default: the running one
		  MANAGER           the device manager, one of
		                    $(names managers); default: the running one
		  KDIR              the kernel's build directory; default: the running kernel's
		  prefix            where the files go; default: /usr/local, packages use /usr
		  INSTALL_MOD_PATH  prefix of the module's path, as in the kernel's build
		  DESTDIR           prefix of every path, for building packages: files are only
		                    copied or removed

		If DKMS or a package installed the module, use that to remove it.
	EOF
}

# names TABLE: prints the names of its sections, for usage.
names() {
	read_table "$1"
	xargs <<<"${SECTIONS[$1]}" | sed 's/ /, /g'
}

# is_read_only DIRECTORY: whether it is on a read-only file system.
is_read_only() {
	local LC_ALL=C said
	said=$( (: >"$1/.rust_ashmem.$$") 2>&1) && rm -f "$1/.rust_ashmem.$$"
	[[ $said == *"Read-only file system"* ]]
}

# how_it_is_done: prints how to install modules on this system, which has a read-only /usr.
how_it_is_done() {
	local KREL
	KREL=$(uname -r)
	find_system
	system_says sealed || true
}

# need_right_to_write DIRECTORY...: fails unless these can be created or written to.
need_right_to_write() {
	local dir how
	for dir in "$@"; do
		[[ -n $dir ]] || continue
		while [[ ! -e $dir ]]; do dir=$(dirname "$dir"); done
		[[ ! -w $dir ]] || continue
		if is_read_only "$dir"; then
			how=$(how_it_is_done)
			die "$dir is read-only, as on image-based systems." \
				"On this one: ${how:-sudo make install-writable, which writes only to /etc and /var}."
		fi
		die "$dir cannot be written to." "Run it as root: sudo make $ACTION."
	done
}

# render FILE TO: prints a file with paths changed to the prefix. Files in /etc get a last
# line with a checksum, to tell them from an administrator's own or changed files.
render() {
	case $1 in
	*/packaging/*) sed "s|/usr/local/sbin|$PREFIX/sbin|" "$1" ;;
	*) cat "$1" ;;
	esac
	[[ $2 != "$DESTDIR"/etc/* ]] || echo "$MARK$(render "$1" / | sum_of)"
}

MARK='# As rust_ashmem installed it: '

# sum_of: prints the checksum of its input.
sum_of() {
	sha256sum | cut -d ' ' -f 1
}

# put MODE FILE DIRECTORY [NAME]: installs a file, atomically, unless an administrator's own
# file is in its place.
put() {
	local to=$3/${4:-${2##*/}}
	if is_theirs "$to"; then
		say "note: $to is kept: you made or changed it. To replace it, move it away and run this again."
		return
	fi
	install -D -m "$1" "$2" "$to.new"
	render "$2" "$to" >"$to.new"
	mv -fT "$to.new" "$to"
	say "installed $to"
}

# take FILE STOP: removes a file, and the empty directories above it that are below STOP.
# With DESTDIR, those below DESTDIR.
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

# is_usual: whether to install files for systemd and udev. With DESTDIR or an unusual prefix,
# the system that will use the files is unknown: assumes systemd and udev.
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
	*) say "note: udev and systemd do not read $PREFIX/lib." ;;
	esac
	if is_usual; then
		for file in "${FILES[@]}"; do put_file "$file"; done
	else
		install_other_files
	fi
}

# put_file ENTRY [NAME]: installs one of FILES, if it exists.
put_file() {
	local mode file dir
	read -r mode file dir <<<"$1"
	[[ ! -e $TOP/$file ]] || put "$mode" "$TOP/$file" "$DESTDIR$dir" "${2:-}"
}

# install_other_files: installs the files for this init and this device manager.
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
	say "To run $PREFIX/sbin/rust_ashmem-nodes at boot: ${ENTRY//rust_ashmem-nodes/$PREFIX/sbin/rust_ashmem-nodes}"
}

# node_line: prints the line for mdev.conf.
node_line() {
	render "$TOP/packaging/rust_ashmem.mdev" / | sed '/^#/d'
}

# rewrite FILE COMMAND...: replaces a file, or the target of a link, by the output of the
# command. Keeps the mode and the owner.
rewrite() {
	local file new
	file=$(readlink -f "$1")
	new=$(mktemp "$file.XXXXXX")
	if [[ ! -e $file ]]; then
		chmod 644 "$new"
	elif ! cp -p "$file" "$new"; then
		rm -f "$new"
		die "Cannot copy $file." "The reason is above. The file is unchanged."
	fi
	if ! "${@:2}" >"$new"; then
		rm -f "$new"
		die "Cannot write $file." "The reason is above. The file is unchanged."
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

# add_line FILE LINE: adds a line at the top, because mdev uses the first line that matches.
add_line() {
	! has_line "$@" || return 0
	mkdir -p "${1%/*}"
	rewrite "$1" with_line "$@"
	say "added a line to $1"
}

# drop_line FILE LINE: removes a line, and the file if that is empty then.
drop_line() {
	has_line "$@" || return 0
	rewrite "$1" without_line "$@"
	[[ -s $1 || -L $1 ]] || take "$1" /
	say "removed a line from $1"
}

# installed: prints all installed files, each with the directory that must not be removed.
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

# is_theirs PATH: whether a file in /etc was not installed by this, or was changed since.
is_theirs() {
	[[ $1 == "$DESTDIR"/etc/* ]] || return 1
	[[ -e $1 || -L $1 ]] || return 1
	case $1 in
	"$DESTDIR$WANTS"/*) is_theirs "$DESTDIR$UNITS/${1##*/}" || [[ ! -L $1 ]] ;;
	*) [[ ! -f $1 || -L $1 || $(tail -n 1 "$1" | tr -d '\0') != "$MARK$(sed '$d' "$1" | sum_of)" ]] ;;
	esac
}

# stop_of DIRECTORY: prints the part of it that is not only ours.
stop_of() {
	case $1 in
	/etc/*) echo "$1" ;;
	/var/*) echo /var/lib ;;
	*) dir=${1#"$PREFIX"/} && echo "$PREFIX/${dir%%/*}" ;;
	esac
}

# uninstall_files: also removes the second node, as nothing else would, and its number may
# become another device's. Keeps it if another driver is loaded.
uninstall_files() {
	local path stop
	# Not <(), because minimal systems have no /dev/fd.
	while read -r path stop; do
		[[ -z $path ]] || take "$path" "$stop"
	done <<<"$(installed | sort -u)"
	for path in "$DESTDIR"/etc/{udev/rules.d/60-rust_ashmem.rules,modules-load.d/rust_ashmem.conf} \
		"$DESTDIR"/etc/init.d/rust_ashmem "$DESTDIR$UNITS/rust_ashmem.service"; do
		[[ ! -e $path && ! -L $path ]] || say "note: $path is kept: you made or changed it."
	done
	drop_line "$DESTDIR/etc/mdev.conf" "$(node_line)"
	if is_here && { is_loaded || [[ ! -e /sys/class/misc/ashmem ]]; }; then
		rm -f "/dev/ashmem$(</proc/sys/kernel/random/boot_id)"
	fi
}

# directories: prints the directories of the installed files.
directories() {
	local path stop
	installed | while read -r path stop; do echo "${path%/*}"; done
	! has_line "$DESTDIR/etc/mdev.conf" "$(node_line)" || dirname "$(readlink -f "$DESTDIR/etc/mdev.conf")"
}

# need_right_to_files: fails unless install_files can write to its directories.
need_right_to_files() {
	if is_usual; then
		need_right_to_write "$DESTDIR$PREFIX"/{bin,lib/udev/rules.d,lib/modules-load.d}
	else
		need_right_to_write "$DESTDIR$PREFIX"/{bin,sbin} "$DESTDIR"/etc \
			"$DESTDIR"/etc/{udev/rules.d,modules-load.d,init.d}
	fi
}

# need_module: fails unless a module has been built for the kernel of KDIR. Sets
# RELEASE to that kernel.
need_module() {
	local release
	[[ -e $KDIR/Makefile && -r $KDIR/include/config/kernel.release ]] ||
		die "$KDIR is not a kernel build directory." "Run 'make doctor' to see what is missing."
	RELEASE=$(<"$KDIR/include/config/kernel.release")
	[[ -e $BUILT ]] || die "$BUILT has not been built." "Build it, as a normal user: make."
	release=$(modinfo -F vermagic "$BUILT" | cut -d ' ' -f 1)
	[[ $release == "$RELEASE" ]] ||
		die "$BUILT is for Linux $release, but $KDIR is for Linux $RELEASE." \
			"Rebuild it: make clean, then make."
}

# install_module: lets the kernel's build install the module in a temporary directory, to
# sign or compress it as configured, and moves it to its place.
install_module() {
	local stage=$TMP/root log=$TMP/log file dir
	# depmod runs later, on the final directory.
	if ! env -u MAKEFLAGS make -C "$KDIR" M="$TOP" ${MO:+MO="$MO"} INSTALL_MOD_PATH="$stage" DEPMOD=true \
		modules_install >"$log" 2>&1; then
		cat "$log" >&2
		die "The kernel's build did not install the module." "Its output is above."
	fi
	file=$(find "$stage" -name 'rust_ashmem.ko*')
	dir=${file%/*}
	put 644 "$file" "$MODULES/${dir#"$stage"/lib/modules/}"
}

# run_depmod RELEASE: runs depmod, except for a package, whose installation must do that.
run_depmod() {
	[[ -z $DESTDIR ]] || return 0
	depmod ${INSTALL_MOD_PATH:+-b "$INSTALL_MOD_PATH"} "$1"
}

# is_here: returns whether this installs to the running system's own /lib/modules.
is_here() {
	[[ -z $DESTDIR && $MODULES -ef /lib/modules ]]
}

is_loaded() {
	[[ -d /sys/module/rust_ashmem ]]
}

# tell_udev: makes udev reload the rules, and apply them to an existing device.
tell_udev() {
	[[ -z $DESTDIR && -S /run/udev/control ]] || return 0
	udevadm control --reload
	[[ -e /sys/class/misc/ashmem ]] || return 0
	udevadm trigger --subsystem-match=misc --sysname-match=ashmem
	udevadm settle
}

# others: prints other installations of the module for the running kernel.
others() {
	find "$MODULES/$(uname -r)/" -name 'rust_ashmem.ko*' ! -path "*/$MODULES_DIR/rust_ashmem.ko*" 2>/dev/null
}

# unload: unloads the module, while the udev rule is still installed. If that fails, sets
# STAYS to the reason.
unload() {
	STAYS=
	is_here && is_loaded || return 0
	if [[ -n $(others) ]]; then
		say "note: rust_ashmem stays loaded, as there is another installation: $(others)."
	elif STAYS=$(rmmod rust_ashmem 2>&1); then
		[[ ! -S /run/udev/control ]] || udevadm settle
		say "unloaded rust_ashmem"
	fi
}

install_all() {
	local how
	need_module
	if is_here && [[ ! -e /lib/modules ]]; then
		# As on NixOS and Guix, which would not find the module there.
		how=$(how_it_is_done)
		die "This system has no /lib/modules." "On this one: ${how:-use its own configuration to install modules}."
	fi
	need_right_to_write "$MODULES/$RELEASE/$MODULES_DIR"
	need_right_to_files
	install_module
	install_files
	run_depmod "$RELEASE"
	tell_udev
	if [[ -n $DESTDIR ]]; then
		say "After installing these files, run 'depmod $RELEASE', so that modprobe finds the module."
	elif ! is_here || [[ $RELEASE != "$(uname -r)" ]]; then
		say "The module will be loaded when Linux $RELEASE boots; Linux $(uname -r) is running now."
	elif is_loaded; then
		say "The module will be loaded at boot. Until then, the old one stays loaded."
	else
		say "The module will be loaded at boot. To load it now: sudo modprobe rust_ashmem"
	fi
}

# install_writable: installs the module uncompressed, as not every insmod can load a
# compressed one, and a service that loads the one for the booted kernel.
install_writable() {
	local file to
	need_module
	to=$DESTDIR$STATE/$RELEASE
	need_right_to_write "$to" "$DESTDIR"/etc/{udev/rules.d,systemd/system/sysinit.target.wants}
	put 644 "$BUILT" "$to"
	# SELinux allows loading modules only from files of this type.
	[[ -n $DESTDIR || ! -e /sys/fs/selinux/enforce ]] || chcon -t modules_object_t "$to/rust_ashmem.ko" ||
		say "note: SELinux may refuse to load the module, as its type cannot be set."
	for file in "${WRITABLE_FILES[@]}"; do put_file "$file"; done
	if ! is_theirs "$DESTDIR$UNITS/rust_ashmem.service"; then
		mkdir -p "$DESTDIR$WANTS"
		ln -sfn ../rust_ashmem.service "$DESTDIR$WANTS/rust_ashmem.service"
	fi
	[[ -n $DESTDIR || ! -d /run/systemd/system ]] || systemctl daemon-reload
	tell_udev
	say "The module will be loaded when Linux $RELEASE boots. To load it now: sudo insmod $STATE/$RELEASE/rust_ashmem.ko" \
		"After a kernel upgrade, rebuild it and run this again. ashmem-check is in $STATE."
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
		die "All files were removed, but the module stays loaded: $STAYS." \
			"End the programs that have /dev/ashmem open or mapped and run the same command again, or reboot."
}

for table in "inits ${INIT:-}" "managers ${MANAGER:-}"; do
	read_table "${table% *}"
	[[ -z ${table#* } || " ${SECTIONS[${table% *}]}" == *" ${table#* } "* ]] ||
		die "'${table#* }' is not known." "Use one of: $(names "${table% *}")."
done
ACTION=${1:-}
case $ACTION in
-h | --help) usage && exit ;;
install | uninstall | install-files | uninstall-files | install-writable) ;;
*) usage >&2 && exit 2 ;;
esac
for dir in "$DESTDIR" "$PREFIX" "${INSTALL_MOD_PATH:-}"; do
	[[ $dir == @(|/*) ]] || die "'$dir' is not an absolute path." "DESTDIR, prefix and INSTALL_MOD_PATH must begin with /."
	[[ $dir != *[[:space:]\|\&\\]* ]] ||
		die "'$dir' has a blank, or one of | & \\ in it." "DESTDIR, prefix and INSTALL_MOD_PATH must have none of these."
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
