#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of install.sh in temporary directories, with a fake kernel: what it installs and
# removes, what it keeps, and its error messages.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/test/ktap.sh"

PATH+=:/usr/sbin:/sbin
RELEASE=7.3.4-test
BUILD=$TMP/build
ROOT=$TMP/root
TREE=$TMP/tree
RULE=lib/udev/rules.d/60-rust_ashmem.rules
LOAD=lib/modules-load.d/rust_ashmem.conf
MODULE=lib/modules/$RELEASE/updates/rust_ashmem.ko
# DKMS installs the module here.
OTHER=lib/modules/$RELEASE/updates/dkms

# module RELEASE: makes a module for this kernel.
module() {
	mkdir -p "$TREE"
	{
		echo .section .modinfo
		printf '.asciz "%s"\n' name=rust_ashmem alias=ashmem_linux "vermagic=$1 SMP"
	} | gcc -c -x assembler -o "$TREE/rust_ashmem.ko" -
}

# kernel: makes a build directory, which installs as Kbuild does, and a module for it.
kernel() {
	rm -rf "$ROOT" "$BUILD" "$TREE"
	mkdir -p "$BUILD/include/config"
	echo "$RELEASE" >"$BUILD/include/config/kernel.release"
	cat >"$BUILD/Makefile" <<-'EOF'
		RELEASE = $(shell cat include/config/kernel.release)
		MODULE = $(INSTALL_MOD_PATH)/lib/modules/$(RELEASE)/updates/rust_ashmem.ko
		modules_install:; install -D $(MO)/rust_ashmem.ko $(MODULE) && $(or $(COMPRESS),true) $(MODULE)
	EOF
	module "$RELEASE"
}

# Without this capability, modes also apply to root.
BOUND=()
((EUID)) || BOUND=(setpriv --bounding-set=-dac_override)

# installs VARIABLE... TARGET: runs make as users do, without variables from the
# environment.
installs() {
	"${BOUND[@]}" env -u DESTDIR -u prefix -u INSTALL_MOD_PATH -u INSTALL_MOD_DIR -u MAKEFLAGS \
		make --no-print-directory -C "$TOP" KDIR="$BUILD" MO="$TREE" "$@" >"$TMP/said" 2>&1
}

# says WORDS VARIABLE... TARGET: whether make fails with these words.
says() {
	local words=$1
	shift
	! installs "$@" && grep -qE -e "$words" "$TMP/said"
}

# has DIRECTORY FILE...: whether these are all the files there. The programs do not count,
# as they may not have been built.
has() {
	local dir=$1
	shift
	diff <(printf '%s\n' "$@" | sort) \
		<(find "$dir" -type f ! -name 'ashmem-*' -printf '%P\n' | sort) >>"$TMP/said"
}

modes() {
	[[ $(stat -c %a "$ROOT/$MODULE" "$ROOT/usr/local/$RULE" "$ROOT/usr/local/$LOAD" | xargs) == "644 644 644" ]]
}

# finds BASE: whether modprobe finds the module by its alias.
finds() {
	modprobe -n -v -d "$1" -S "$RELEASE" ashmem_linux >"$TMP/said" 2>&1 && grep -q "$MODULE" "$TMP/said"
}

# spaces: whether nothing is done in or beside a checkout whose path has spaces.
spaces() {
	local dir="$TMP/notes x"
	mkdir "$dir"
	echo notes >"$TMP/notes"
	cp -r "$TOP"/{Makefile,tools,selftests} "$dir"
	! make -C "$dir" KDIR=/nowhere clean >"$TMP/said" 2>&1 && grep -q 'has spaces' "$TMP/said" &&
		! make -C "$dir/tools/ashmem-check" >"$TMP/said" 2>&1 && grep -q 'has spaces' "$TMP/said" &&
		! make -C "$dir/selftests" clean >"$TMP/said" 2>&1 && grep -q 'has spaces' "$TMP/said" &&
		! "$dir/tools/install.sh" --help >"$TMP/said" 2>&1 && grep -q 'has spaces' "$TMP/said" &&
		[[ $(<"$TMP/notes") == notes ]]
}

kernel
echo "1..53"
result "make install installs everything below DESTDIR" eval \
	'installs DESTDIR="$ROOT" install && has "$ROOT" "$MODULE" "usr/local/$RULE" "usr/local/$LOAD"'
result "the installed files are readable for all" modes
result "with DESTDIR, depmod is left to the package" grep -q "depmod $RELEASE" "$TMP/said"
result "make install can be repeated" eval \
	'installs DESTDIR="$ROOT" install && has "$ROOT" "$MODULE" "usr/local/$RULE" "usr/local/$LOAD"'
result "make uninstall removes everything, including directories" eval \
	'installs DESTDIR="$ROOT" uninstall && [[ -z $(find "$ROOT" -mindepth 1) ]]'
result "make uninstall can be repeated" installs DESTDIR="$ROOT" uninstall
kernel
result "other files are kept" eval 'install -D "$TREE/rust_ashmem.ko" "$ROOT/$OTHER/rust_ashmem.ko" &&
	install -D /dev/null "$ROOT/usr/local/lib/udev/other" &&
	installs DESTDIR="$ROOT" install && installs DESTDIR="$ROOT" uninstall &&
	has "$ROOT" usr/local/lib/udev/other "$OTHER/rust_ashmem.ko"'
kernel
result "install-files needs no kernel" eval \
	'installs KDIR=/nowhere prefix=/usr DESTDIR="$ROOT" install-files && has "$ROOT" "usr/$RULE" "usr/$LOAD"'
result "uninstall-files removes the files" eval \
	'installs prefix=/usr DESTDIR="$ROOT" uninstall-files && [[ -z $(find "$ROOT" -mindepth 1) ]]'
kernel
result "INSTALL_MOD_PATH applies only to the module" eval '
	installs DESTDIR="$ROOT" INSTALL_MOD_PATH=/usr install &&
	has "$ROOT" "usr/$MODULE" "usr/local/$RULE" "usr/local/$LOAD"'
kernel
result "without DESTDIR, depmod is run in INSTALL_MOD_PATH" eval '
	install -D /dev/null "$ROOT/lib/modules/$RELEASE/modules.order" &&
	install -D /dev/null "$ROOT/lib/modules/$RELEASE/modules.builtin" &&
	installs prefix="$ROOT/here" INSTALL_MOD_PATH="$ROOT" install && finds "$ROOT"'
result "it reports that another kernel is running" eval \
	'installs prefix="$ROOT/here" INSTALL_MOD_PATH="$ROOT" install &&
	grep -q "when Linux $RELEASE boots" "$TMP/said"'
result "it reports that udev does not read the prefix" grep -q "do not read $ROOT/here" "$TMP/said"
result "depmod is run again after make uninstall" eval \
	'installs prefix="$ROOT/here" INSTALL_MOD_PATH="$ROOT" uninstall && ! finds "$ROOT"'
kernel
result "a compressed module is installed" eval 'installs COMPRESS=xz DESTDIR="$ROOT" install &&
	has "$ROOT" "$MODULE.xz" "usr/local/$RULE" "usr/local/$LOAD"'
result "a compressed module of any kernel is removed" eval \
	'mv "$ROOT/lib/modules/$RELEASE" "$ROOT/lib/modules/7.3.3" &&
	installs KDIR=/nowhere DESTDIR="$ROOT" uninstall && [[ -z $(find "$ROOT" -mindepth 1) ]]'

# Systems without systemd or udev.
ETC_RULE=etc/udev/rules.d/60-rust_ashmem.rules
ETC_LOAD=etc/modules-load.d/rust_ashmem.conf
NODES=usr/local/sbin/rust_ashmem-nodes

# goes_to INIT MANAGER FILE...: whether exactly these are installed, and all are removed.
goes_to() {
	kernel
	installs DESTDIR="$ROOT" INIT="$1" MANAGER="$2" install-files && has "$ROOT" "${@:3}" &&
		installs DESTDIR="$ROOT" uninstall-files && [[ -z $(find "$ROOT" -mindepth 1) ]]
}
result "OpenRC with eudev" goes_to openrc udev "$ETC_RULE" "$ETC_LOAD"
result "OpenRC with mdev" goes_to openrc mdev "$ETC_LOAD" "$NODES" etc/mdev.conf etc/init.d/rust_ashmem
result "OpenRC with mdevd" goes_to openrc mdevd "$ETC_LOAD" "$NODES" etc/mdev.conf etc/init.d/rust_ashmem
for init in runit s6 dinit sysvinit; do
	result "$init with udev" goes_to $init udev "$ETC_RULE" "$ETC_LOAD"
done
result "BusyBox's init with mdev" goes_to busybox mdev "$NODES" etc/mdev.conf
result "BusyBox's init with a static /dev" goes_to busybox none "$NODES"
result "it prints what must be done by hand" eval 'kernel; installs DESTDIR="$ROOT" INIT=busybox MANAGER=none prefix=/usr install-files &&
	grep -q "at boot: add to /etc/init.d/rcS: /usr/sbin/rust_ashmem-nodes" "$TMP/said"'
mdev() {
	kernel
	install -D /dev/stdin "$ROOT/etc/mdev.conf" <<<'.* root:root 0660'
	installs DESTDIR="$ROOT" INIT=busybox MANAGER=mdev prefix=/usr install-files &&
		installs DESTDIR="$ROOT" INIT=busybox MANAGER=mdev prefix=/usr install-files &&
		diff "$ROOT/etc/mdev.conf" - <<-EOF >>"$TMP/said" &&
			ashmem root:root 0666 */usr/sbin/rust_ashmem-nodes
			.* root:root 0660
		EOF
		installs DESTDIR="$ROOT" prefix=/usr uninstall-files && [[ $(<"$ROOT/etc/mdev.conf") == '.* root:root 0660' ]]
}
result "mdev.conf gets the line once at the top, and keeps other lines" mdev
result "an unknown init is refused" says "'upstart' is not known" INIT=upstart DESTDIR="$ROOT" install-files
writable() {
	kernel
	installs DESTDIR="$ROOT" install-writable && has "$ROOT" "var/lib/rust_ashmem/$RELEASE/rust_ashmem.ko" "$ETC_RULE" \
		etc/systemd/system/rust_ashmem.service &&
		[[ -e $ROOT/etc/systemd/system/sysinit.target.wants/rust_ashmem.service ]] &&
		installs DESTDIR="$ROOT" uninstall && [[ -z $(find "$ROOT" -mindepth 1) ]]
}
result "install-writable writes only to /etc and /var" writable
# Files that it did not install are not removed or changed.
hand_made() {
	kernel
	install -D -m 600 /dev/stdin "$ROOT/$ETC_RULE" <<<'# by hand'
	install -D /dev/stdin "$ROOT/$ETC_LOAD" <<<rust_ashmem
	installs DESTDIR="$ROOT" "$@" && has "$ROOT" "$ETC_RULE" "$ETC_LOAD" &&
		grep -q "note: $ROOT/$ETC_RULE is kept: you made or changed it" "$TMP/said"
}
result "uninstall-files keeps hand-made files in /etc" hand_made uninstall-files
result "uninstall keeps hand-made files in /etc" hand_made uninstall
# keeps TARGET...: whether hand-made files in /etc are not overwritten, and a note says so.
keeps() {
	kernel
	install -D -m 600 /dev/stdin "$ROOT/$ETC_RULE" <<<'# by hand'
	install -D /dev/null "$ROOT/$ETC_LOAD"
	mkdir -p "$ROOT/etc/systemd/system"
	ln -s /dev/null "$ROOT/etc/systemd/system/rust_ashmem.service"
	installs DESTDIR="$ROOT" INIT=openrc MANAGER=udev "$@" && [[ $(<"$ROOT/$ETC_RULE") == '# by hand' && ! -s $ROOT/$ETC_LOAD &&
		$(stat -c %a "$ROOT/$ETC_RULE") == 600 && $(readlink "$ROOT/etc/systemd/system/rust_ashmem.service") == /dev/null ]] &&
		grep -q "note: $ROOT/$ETC_RULE is kept: you made or changed it. To replace it, move it away" "$TMP/said" &&
		installs DESTDIR="$ROOT" INIT=openrc MANAGER=udev uninstall && has "$ROOT" "$ETC_RULE" "$ETC_LOAD" &&
		[[ -L $ROOT/etc/systemd/system/rust_ashmem.service ]] && grep -q "rust_ashmem.service is kept" "$TMP/said"
}
result "install keeps hand-made files in /etc" keeps install
result "install-writable keeps hand-made files in /etc" keeps install-writable
# changed COMMAND...: whether uninstall keeps a file that this changed.
changed() {
	kernel
	installs DESTDIR="$ROOT" INIT=openrc MANAGER=udev install-files && "$@" "$ROOT/$ETC_RULE" &&
		installs DESTDIR="$ROOT" INIT=openrc MANAGER=udev install-files uninstall-files && has "$ROOT" "$ETC_RULE"
}
result "an installed file that was changed is kept" changed sed -i 1d
result "an installed file with an added line is kept" changed sed -i '$a#'
upgraded() {
	kernel
	installs DESTDIR="$ROOT" INIT=openrc MANAGER=udev install-files
	{ echo '# of an older version'; printf '# As rust_ashmem installed it: %s\n' "$(echo '# of an older version' | sha256sum | cut -d ' ' -f 1)"; } >"$ROOT/$ETC_RULE"
	installs DESTDIR="$ROOT" INIT=openrc MANAGER=udev install-files && grep -q ^SUBSYSTEM "$ROOT/$ETC_RULE" &&
		installs DESTDIR="$ROOT" uninstall-files && [[ -z $(find "$ROOT" -mindepth 1) ]]
}
result "a file of an older version is replaced" upgraded
result "ashmem-top is installed with ashmem-check on all systems" eval 'kernel; installs DESTDIR="$ROOT" INIT=busybox MANAGER=none install-files &&
	[[ -x $ROOT/usr/local/bin/ashmem-top && -x $ROOT/usr/local/bin/ashmem-check ]]'
linked() {
	kernel
	install -D -m 600 /dev/stdin "$ROOT/config/mdev" <<<'.* root:root 0660'
	mkdir "$ROOT/etc"
	ln -s ../config/mdev "$ROOT/etc/mdev.conf"
	installs DESTDIR="$ROOT" INIT=busybox MANAGER=mdev install-files &&
		grep -q '^ashmem ' "$ROOT/config/mdev" && installs DESTDIR="$ROOT" uninstall-files &&
		[[ -L $ROOT/etc/mdev.conf && $(<"$ROOT/config/mdev") == '.* root:root 0660' &&
			$(stat -c %a "$ROOT/config/mdev") == 600 ]]
}
result "mdev.conf may be a link, and keeps its mode" linked
half() {
	kernel
	install -d -m 555 "$ROOT/etc"
	says 'etc cannot be written to' DESTDIR="$ROOT" INIT=openrc MANAGER=udev install &&
		[[ -z $(find "$ROOT" -type f) ]]
}
result "nothing is installed if /etc is not writable" half
# blanks: whether odd characters in paths cannot remove other files.
blanks() {
	kernel
	install -D /dev/stdin "$TMP/other" <<<kept
	install -D /dev/null "$TMP/other /usr/local/bin/ashmem-check"
	says 'has a blank' DESTDIR="$TMP/other " uninstall-files && [[ $(<"$TMP/other") == kept ]] &&
		says 'has a blank, or one of' DESTDIR="$ROOT" prefix='/opt/a|b' install-files && [[ ! -e $ROOT ]]
}
result "paths with blanks and the like are refused" blanks
# read_only: whether root gets the right message on a read-only file system.
read_only() {
	kernel
	mkdir "$ROOT"
	unshare -m sh -c 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && shift && exec "$@"' "$ROOT" \
		- env -u MAKEFLAGS make -C "$TOP" DESTDIR="$ROOT" uninstall >"$TMP/said" 2>&1 || return
	! unshare -m sh -c 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && shift && exec "$@"' "$ROOT" \
		- env -u MAKEFLAGS make -C "$TOP" KDIR="$BUILD" MO="$TREE" DESTDIR="$ROOT" install >"$TMP/said" 2>&1 &&
		grep -q 'is read-only, as on image-based systems' "$TMP/said" &&
		grep -q 'sudo make install-writable' "$TMP/said" && ! grep -q 'Run it as root' "$TMP/said"
}
if unshare -m true 2>/dev/null; then
	result "root is told that the system is read-only" read_only
else
	NUMBER=$((NUMBER + 1))
	echo "ok $NUMBER root is told that the system is read-only # SKIP nothing can be mounted here"
fi
# The script that makes Waydroid pass the node of each boot.
NODES_FILE=$ROOT/var/lib/waydroid/lxc/waydroid/config_nodes
ENTRY='lxc.mount.entry = /dev/ashmem dev/ashmem none bind,create=file,optional 0 0'
waydroid() {
	kernel
	install -D /dev/stdin "$ROOT/proc/sys/kernel/random/boot_id" <<<01234567-89ab-cdef-0123-456789abcdef
	printf '%s\n' "$@" | install -D -m 640 /dev/stdin "$NODES_FILE"
	WAYDROID_ROOT=$ROOT "$TOP/packaging/waydroid-nodes" && WAYDROID_ROOT=$ROOT "$TOP/packaging/waydroid-nodes" &&
		[[ $(stat -c %a "$NODES_FILE") == 640 ]]
}
result "Waydroid passes the node of this boot, and none of another" eval '
	waydroid "$ENTRY" first "${ENTRY//ashmem/ashmemfedcba98-4567-89ab-cdef-0123456789ab}" &&
	printf "%s\n" "$ENTRY" first "${ENTRY//ashmem/ashmem01234567-89ab-cdef-0123-456789abcdef}" | diff - "$NODES_FILE"'
result "Waydroid without the device is not changed" eval 'waydroid first && [[ $(<"$NODES_FILE") == first ]]'
result "a missing Waydroid is no error" eval 'kernel && WAYDROID_ROOT=$ROOT "$TOP/packaging/waydroid-nodes"'
kernel
result "a missing build directory is refused" says '/nowhere is not a kernel build directory' \
	KDIR=/nowhere DESTDIR="$ROOT" install
result "a missing module is refused" eval '
	rm "$TREE/rust_ashmem.ko"; says "rust_ashmem.ko has not been built" DESTDIR="$ROOT" install'
module 7.2.1-test
result "a module for another kernel is refused" says \
	"is for Linux 7\.2\.1-test, but .* is for Linux $RELEASE" DESTDIR="$ROOT" install
module "$RELEASE"
result "the output of the kernel's build is shown" says '^COMPLAINT' COMPRESS='echo COMPLAINT; false' \
	DESTDIR="$ROOT" install
result "nothing is installed if the kernel's build fails" eval '[[ ! -e $ROOT ]]'
mkdir -m 555 "$ROOT"
result "paths that do not begin with / are refused" eval 'says "is not an absolute path" prefix=usr DESTDIR="$ROOT" install-files &&
	says "is not an absolute path" DESTDIR=rel install-files && [[ ! -e $TOP/rel ]]'
result "a checkout whose path has spaces is refused" spaces
result "a user without write permission is told to be root" says 'cannot be written to' DESTDIR="$ROOT" install
result "a user without write permission is told the command" grep -q 'sudo make install' "$TMP/said"
exit $BAD
