#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of ashmem-check without a driver, on fake machines below a temporary directory:
# its output, its JSON, and its exit status. vm/guest/ashmem_check_test.sh tests it with
# a driver.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/test/ktap.sh"

BOOT_ID=01234567-89ab-cdef-0123-456789abcdef
RELEASE=7.3.4-test

# machine: makes a machine where the driver is loaded as 10:3. It has no nodes, because
# only root could make them; tests that need one use other files.
machine() {
	M=$TMP/machine
	rm -rf "$M"
	mkdir -p "$M"/{dev,proc/sys/kernel/random,sys/module/rust_ashmem,"lib/modules/$RELEASE"}
	echo $RELEASE >"$M/proc/sys/kernel/osrelease"
	echo $BOOT_ID >"$M/proc/sys/kernel/random/boot_id"
	printf ' 58 other\n  3 ashmem\n' >"$M/proc/misc"
	printf 'other 1 0 - Live 0x0\nrust_ashmem 49152 2 - Live 0x0\n' >"$M/proc/modules"
}

# unloaded: the same without the driver.
unloaded() {
	machine
	echo ' 58 other' >"$M/proc/misc"
	echo 'ashmem_other 1 0 - Live 0x0' >"$M/proc/modules"
}

check() {
	ASHMEM_CHECK_ROOT=$M "$TMP/ashmem-check" "$@" >"$TMP/said" 2>&1
}

# says STATUS WORDS...: whether it exits with STATUS, and each of WORDS, an extended
# regular expression, matches a line.
says() {
	local wanted=$1 words status=0
	shift
	check || status=$?
	[[ $status == "$wanted" ]] || return
	for words in "$@"; do
		grep -qE -- "$words" "$TMP/said" || return
	done
}

# says_nothing_of WORDS
says_nothing_of() {
	check || true
	! grep -qE -- "$1" "$TMP/said"
}

# json EXPRESSION: whether it prints valid JSON for which the expression is true.
json() {
	check --json || true
	python3 -c '
import json, sys
said = json.loads(open(sys.argv[1], "rb").read().decode("utf-8", "strict"))
found = {f["id"]: f for f in said["findings"]}
sys.exit(not eval("(" + sys.argv[2] + ")"))' "$TMP/said" "$1" 2>&1
}

# ends STATUS OPTION...
ends() {
	local wanted=$1 status=0
	shift
	check "$@" || status=$?
	[[ $status == "$wanted" ]]
}

prints_nowhere() {
	local status=0
	ASHMEM_CHECK_ROOT=$M "$TMP/ashmem-check" "$@" >/dev/full 2>"$TMP/said" || status=$?
	[[ $status == 2 ]]
}

# builds FLAGS: whether it can be built with these flags, without a warning.
builds() {
	rm -rf "$TMP/other"
	make -s -C "$TOP/tools/ashmem-check" OUTPUT="$TMP/other" CFLAGS="-O2 -Werror $1" >"$TMP/said" 2>&1
}

echo "1..264"
result "it is built" make -s -C "$TOP/tools/ashmem-check" OUTPUT="$TMP" CFLAGS="-O2 -Werror"
result "it is built static" builds -static
if echo 'int main(void) { return 0; }' | gcc -m32 -xc - -o "$TMP/a.out" 2>/dev/null; then
	result "it is built for 32 bits" builds -m32
else
	NUMBER=$((NUMBER + 1))
	echo "ok $NUMBER it is built for 32 bits # SKIP gcc -m32 lacks its libraries (gcc-multilib)"
fi

machine
result "--help prints the usage" ends 0 --help
result "the usage begins with 'Usage:'" grep -q '^Usage: ashmem-check' "$TMP/said"
result "--version prints the version" ends 0 --version
result "the version is one line" grep -qxE 'ashmem-check [^ ]+' "$TMP/said"
result "an unknown option is refused" ends 2 --nonsense
result "a wrong option prints the usage" grep -q '^Usage: ' "$TMP/said"
result "an argument is refused" ends 2 word
result "a full disk is an error" prints_nowhere
result "a full disk is an error for JSON" prints_nowhere --json
result "a full disk is an error for --help" prints_nowhere --help

# The driver.
result "a loaded module is reported" says 1 "^ok +kernel $RELEASE on " '^ok +the module rust_ashmem is loaded; its device is 10:3$'
echo 0.0.1 >"$M/sys/module/rust_ashmem/version"
result "a driver of another version is reported" says 1 '^note +the driver is version 0\.0\.1, but .*: after an upgrade, '
machine; sed -i 's/^rust_ashmem/ashmem_linux/' "$M/proc/modules"
result "the C driver is reported" says 1 '^note +another driver, the module ashmem_linux, is loaded'
machine; : >"$M/proc/modules"
result "a built-in driver is reported" says 1 '^note +an ashmem driver is built into the kernel'
machine; echo 'quiet cgroup.memory=nosocket,nokmem other=nokmem' >"$M/proc/cmdline"
result "cgroup.memory=nokmem is reported" says 1 '^note +with cgroup\.memory=nokmem, the limit .*: remove nokmem from'
echo 'cgroup.memory=nosocket other=nokmem' >"$M/proc/cmdline"
result "other cgroup.memory settings are not reported" says_nothing_of nokmem
machine; echo ' 58 other' >"$M/proc/misc"
result "a module without a device is reported" says 1 '^BROKEN +the module rust_ashmem is loaded, but has no device .*: .*dmesg'
machine; rm "$M/proc/misc"
result "a missing /proc/misc is reported" says 1 '^note +cannot tell whether there is a driver, as .*/proc/misc cannot be read' '^BROKEN +there is no .*/dev/ashmem, which'
unloaded
result "a driver that is not installed is reported" says 1 "^BROKEN +no ashmem driver is installed for the running kernel $RELEASE: build and install"
result "missing nodes are no problem without a driver" says 1 '^note +there is no .*/dev/ashmem, as' '^verdict: BROKEN, 1 problem;'
mkdir -p "$M/lib/modules/7.3.3/updates/dkms"; : >"$M/lib/modules/7.3.3/updates/dkms/rust_ashmem.ko.xz"
result "a module for another kernel is reported" says 1 "for the running kernel $RELEASE, only for 7\\.3\\.3: .*or boot 7\\.3\\.3"
mkdir -p "$M/var/lib/dkms/rust-ashmem"
result "a module that DKMS did not build is reported" says 1 ", only for 7\\.3\\.3: sudo dkms autoinstall -k $RELEASE; .*make\\.log below .*/var/lib/dkms/rust-ashmem says"
unloaded; mkdir "$M/lib/modules/$RELEASE/extra"; : >"$M/lib/modules/$RELEASE/extra/rust_ashmem.ko"
result "a module without depmod is reported" says 1 '^BROKEN .*/extra/rust_ashmem\.ko\) but not loaded: sudo depmod && sudo modprobe rust_ashmem;'
{ seq 100000 | sed 's|.*|kernel/&.ko: kernel/x.ko|'; echo 'extra/rust_ashmem.ko:'; } >"$M/lib/modules/$RELEASE/modules.dep"
result "a module that is not loaded is reported" says 1 '^BROKEN .* but not loaded: sudo modprobe rust_ashmem;'
mkdir -p "$M/sys/kernel/security"; echo 'none [integrity] confidentiality' >"$M/sys/kernel/security/lockdown"
result "an unsigned module under lockdown is reported" says 1 '^BROKEN .*wants signed modules \(it is locked down, .*: sign it with'
printf 'code~Module signature appended~\n' >"$M/lib/modules/$RELEASE/extra/rust_ashmem.ko"
result "a signed module under lockdown is reported" says 1 '^BROKEN .*wants signed modules .*: it is signed; enrol its key'
echo 1 >"$M/proc/sys/kernel/modules_disabled"
result "modules_disabled is reported" says 1 '^BROKEN .*but not loaded.*: no module can be loaded until a reboot \(.*/modules_disabled is 1\)'
unloaded; echo 'kernel/drivers/staging/android/ashmem_linux.ko.xz:' >"$M/lib/modules/$RELEASE/modules.dep"
result "an installed C driver is reported" says 1 '^BROKEN .*the module ashmem_linux is installed'

# What prevents an installed module from being loaded.
unloaded; mkdir -p "$M/etc/modprobe.d" "$M/usr/lib/modprobe.d"; echo 'updates/rust_ashmem.ko:' >"$M/lib/modules/$RELEASE/modules.dep"
echo 'install rust_ashmem /bin/false' >"$M/etc/modprobe.d/no.conf"
result "an install line in modprobe.d is reported" says 1 \
	"^BROKEN .*but not loaded, and the line \"install rust_ashmem /bin/false\" in .*/etc/modprobe\\.d/no\\.conf runs '/bin/false' instead of loading it: remove that line"
mv "$M/etc/modprobe.d/no.conf" "$M/usr/lib/modprobe.d"; ln -s /dev/null "$M/etc/modprobe.d/no.conf"
result "a masked modprobe.d file is ignored" says_nothing_of 'install rust_ashmem'
rm "$M/etc/modprobe.d/no.conf"; printf 'blacklist \\\nrust-ashmem\n' >"$M/usr/lib/modprobe.d/no.conf"
result "a blacklist line is reported" says 1 '^BROKEN .*"blacklist +rust-ashmem" in .*/usr/lib/modprobe\.d/no\.conf prevents loading it at boot'
echo 'alias ashmem_linux off' >"$M/usr/lib/modprobe.d/no.conf"
result "an alias line for the module's alias is reported" says 1 "^BROKEN .*\"alias ashmem_linux off\" in .* makes its name mean 'off'"
echo 'install rust_ashmem /sbin/modprobe --ignore-install rust_ashmem' >"$M/usr/lib/modprobe.d/no.conf"
result "an install line that loads the module is ignored" says_nothing_of 'instead of loading'
echo 'install *ash[m-m]em* /bin/false' >"$M/usr/lib/modprobe.d/no.conf"
result "an install line with a pattern is reported" says 1 '^BROKEN .*"install \*ash\[m-m\]em\* /bin/false" in .* runs'
rm "$M/usr/lib/modprobe.d/no.conf"; echo 'quiet modprobe.blacklist=nouveau,rust_ashmem' >"$M/proc/cmdline"
result "modprobe.blacklist is reported" says 1 \
	"^BROKEN .*, and modprobe\\.blacklist=rust_ashmem on the kernel's command line forbids it: remove .*; sudo modprobe"
echo 'quiet "modprobe.blacklist=a,rust_ashmem" x' >"$M/proc/cmdline"
result "modprobe.blacklist in quotes is reported" says 1 'not loaded, and modprobe\.blacklist=rust_ashmem on'
echo 'module_blacklist="rust_ashmem"' >"$M/proc/cmdline"
result "module_blacklist requires a reboot" says 1 '^BROKEN .*module_blacklist=rust_ashmem .*: remove module_blacklist= from .* and reboot$'
machine; mkdir -p "$M/etc/modprobe.d"; echo 'blacklist rust_ashmem' >"$M/etc/modprobe.d/no.conf"
result "a loaded module that the next boot will not load is reported" says 1 '^note +the module is loaded, but may not be after the next boot: the line'

# Kernels that are too old: this is reported first, and as the only problem.
too_old() {
	says 1 "^BROKEN +kernel [^ ]+ is too old: rust_ashmem needs Linux [0-9.]+ or newer: $1; then boot that$" \
		'^verdict: BROKEN, 1 problem;' && head -n 1 "$TMP/said" | grep -q '^BROKEN'
}
unloaded; echo 6.12.63+deb13-amd64 >"$M/proc/sys/kernel/osrelease"; mkdir -p "$M/etc" "$M/var/lib/dkms/rust-ashmem"
printf 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\nPRETTY_NAME="Debian"\n' >"$M/etc/os-release"
result "a kernel that is too old is reported, with the package of a newer one" too_old \
	'on Debian, sudo apt install -t trixie-backports linux-image-amd64 linux-headers-amd64 .*'
mkdir -p "$M/lib/modules/7.3.4/updates"; : >"$M/lib/modules/7.3.4/updates/rust_ashmem.ko"
result "an installed kernel with the module is to be booted" says 1 '^BROKEN +kernel .* is too old: .*: boot 7\.3\.4, which is installed'
rm -r "$M/lib/modules/7.3.4"
for release in 6.12.9 6.12.9-custom; do
	echo $release >"$M/proc/sys/kernel/osrelease"
	result "the advised Debian packages exist for $release" says 1 "too old: .* linux-image-(amd64|arm64) "
done
# other_machine MACHINE WORDS
other_machine() {
	echo "$1" >"$M/proc/sys/kernel/arch"
	says 1 "too old: .*$2" || return
	rm "$M/proc/sys/kernel/arch"
}
result "Debian's packages for 32-bit ARM have the right names" other_machine armv7l 'trixie-backports linux-image-armmp linux-headers-armmp '
echo 6.12.63+deb13-armmp-lpae >"$M/proc/sys/kernel/osrelease"
result "Debian's packages for 32-bit ARM with LPAE have the right names" other_machine armv7l 'linux-image-armmp-lpae '
result "32-bit x86 on Debian must boot a 64-bit kernel" other_machine i686 'no 32-bit x86 kernel supports Rust; .*trixie-backports linux-image-amd64:amd64 '
sed -i 's/debian/other/' "$M/etc/os-release"
result "32-bit x86 on other systems must boot a 64-bit kernel" other_machine i586 'no 32-bit x86 kernel supports Rust; .*install a 64-bit kernel'
sed -i 's/other/debian/' "$M/etc/os-release"
result "DKMS is not advised for a kernel that is too old" says_nothing_of 'sudo dkms'
printf 'ID=ubuntu\nVERSION_ID="24.04"\n' >"$M/etc/os-release"
printf 'ID=ubuntu\nVERSION_ID="25.10"\n' >"$M/etc/os-release"
result "hwe kernels are only for LTS releases of Ubuntu" says 1 'sudo apt install linux-generic, and if'
printf 'ID=opensuse-leap-micro\nID_LIKE="suse opensuse"\n' >"$M/etc/os-release"
result "the advice for Leap Micro does not use zypper" says 1 'sudo transactional-update up'
printf 'ID=raspbian\nID_LIKE=debian\n' >"$M/etc/os-release"
result "the advice for Raspbian is for its own kernels" says 1 'Raspberry Pi OS has none with CONFIG_RUST=y'
printf 'ID=ubuntu\nVERSION_ID="24.04"\n' >"$M/etc/os-release"
result "a kernel that is too old is reported on Ubuntu" too_old 'on this system, sudo apt install linux-generic-hwe-24\.04.*'
rm "$M/etc/os-release"
result "a kernel that is too old is reported on an unknown system" too_old 'on this system, install Linux .* \(no package is known\)'
: >"$M/.dockerenv"
result "in a container, the host needs a newer kernel" says 1 '^BROKEN +kernel .* is too old: .*: on the host, install a newer kernel'
unloaded; echo 5.10.0 >"$M/proc/sys/kernel/osrelease"; mkdir "$M/lib/modules/5.10.0"; echo 'kernel/ashmem_linux.ko:' >"$M/lib/modules/5.10.0/modules.dep"
result "an old kernel with its own driver is not too old" says 1 '^BROKEN +the module ashmem_linux is installed'

# Modules in unusual directories, and systems where none can be installed.
unloaded; mkdir -p "$M/run/booted-system/kernel-modules/lib/modules/$RELEASE"
echo 'extra/rust_ashmem.ko.xz:' >"$M/run/booted-system/kernel-modules/lib/modules/$RELEASE/modules.dep"
result "modules of NixOS are found" says 1 '^BROKEN +the module rust_ashmem is installed \(.*/run/booted-system/kernel-modules/.*\) but not loaded: sudo modprobe'
unloaded; mkdir -p "$M/run" "$M/etc"; : >"$M/run/ostree-booted"; echo 'ID=fedora' >"$M/etc/os-release"
result "a read-only system is reported" says 1 \
	'^BROKEN +no ashmem driver is installed .*; modules cannot be installed beside .*: build the module in a toolbox, then sudo make install-writable'
mkdir -p "$M/var/lib/rust_ashmem/$RELEASE"; : >"$M/var/lib/rust_ashmem/$RELEASE/rust_ashmem.ko"
result "a module of install-writable is found" says 1 '^BROKEN +the module rust_ashmem is installed .*: sudo insmod .*/var/lib/rust_ashmem/'

# What makes the nodes.
machine; mkdir -p "$M/run/udev" "$M/run/systemd/system" "$M/usr/local/lib/udev/rules.d"; : >"$M/run/udev/control"
result "udev without the rule is reported" says 1 '^note +udev makes the nodes, but has no rule of rust_ashmem: ' \
	'^BROKEN .*ashmem0.*: the udev rule of rust_ashmem makes it'
: >"$M/usr/local/lib/udev/rules.d/60-rust_ashmem.rules"
result "udev with the rule is good" says 1 '^ok +udev makes the nodes, by the rule in .*/usr/local/lib/udev/rules\.d'
mkdir -p "$M/etc/udev/rules.d"; ln -s /dev/null "$M/etc/udev/rules.d/60-rust_ashmem.rules"
result "a masked rule is reported" says 1 '^note +udev makes the nodes, but .*/etc/udev/rules\.d/60-rust_ashmem\.rules hides the rule'
rm -r "${M:?}/etc" "$M/run/systemd"; mkdir "$M/run/openrc"
result "a rule that eudev does not read is reported" says 1 '^note +udev makes the nodes, but without systemd it does not read the rule in'
rm -r "$M/run/udev"
result "a missing device manager is reported" says 1 '^note +no device manager runs here under OpenRC, .*run rust_ashmem-nodes' '^BROKEN .*ashmem0.*: rust_ashmem-nodes \(run after'
result "without udev, no udev rule is advised" says_nothing_of 'udev rule'
mkdir -p "$M/etc"; echo 'console root:tty 0600' >"$M/etc/mdev.conf"
result "mdev without a line is reported" says 1 '^note +mdev makes the nodes, but .*/etc/mdev\.conf has no line for ashmem' \
	'^BROKEN .*ashmem0.*: the line of rust_ashmem in /etc/mdev.conf makes it'
echo 'ashmem root:root 0666 */usr/local/sbin/rust_ashmem-nodes' >>"$M/etc/mdev.conf"
result "mdev with a line is good" says 1 '^ok +mdev makes the nodes, by a line in'
printf 'ashmem\troot:root 0660\n' >"$M/etc/mdev.conf"
result "mdev with a line that makes only one node is reported" says 1 '^note +mdev makes the nodes, but a line in .* does not run rust_ashmem-nodes: ashmem'
printf '%0100000d\n' 0 | tr 0 '(' >"$M/etc/mdev.conf"
result "a very long line in mdev.conf is handled" says 1 '^note +mdev makes the nodes, but .* has no line for ashmem'
echo 'ashmem root:root 0666 */usr/local/sbin/rust_ashmem-nodes' >"$M/etc/mdev.conf"
sed -i '1i .* root:root 0660' "$M/etc/mdev.conf"
result "mdev with an earlier matching line is reported" says 1 '^note +mdev makes the nodes, but in .* an earlier line matches: \.\*'
rm "$M/etc/mdev.conf"; mkdir "$M/proc/5"; echo mdevd >"$M/proc/5/comm"
result "mdevd is recognized by its process" says 1 '^note +mdevd makes the nodes'

# Nodes.
machine
result "a missing node is reported" says 1 '^BROKEN +there is no .*/dev/ashmem, which .*: .*sudo mknod -m 0666 .*/dev/ashmem c 10 3$'
result "a missing second node is reported" says 1 "^BROKEN +there is no .*/dev/ashmem$BOOT_ID, which .*udev rule.*/dev/ashmem$BOOT_ID c 10 3\$"
result "both missing nodes count" grep -q '^verdict: BROKEN, 2 problems;' "$TMP/said"
: >"$M/dev/ashmem"
result "a regular file as the node is reported" says 1 '^BROKEN .*/dev/ashmem is a plain file .*: sudo rm .*/dev/ashmem && sudo mknod'
rm "$M/dev/ashmem"; mkdir "$M/dev/ashmem"
result "a directory as the node is reported" says 1 '^BROKEN .*/dev/ashmem is a directory .*: sudo rmdir .*/dev/ashmem && sudo mknod'
rmdir "$M/dev/ashmem"; ln -s nothing "$M/dev/ashmem"
result "a dangling link is reported" says 1 '^BROKEN .*/dev/ashmem is a link to nothing, which does not exist: sudo rm'
ln -sfn /dev/full "$M/dev/ashmem"
result "a link to another device is reported" says 1 '^note .*/dev/ashmem is a link to /dev/full;' \
	'^BROKEN .*/dev/ashmem is stale: it is the device 1:7, and ashmem is 10:3: sudo rm'
ln -s ashmem "$M/dev/ashmem$BOOT_ID"
result "the second node must not be a link" says 1 "^BROKEN .*/dev/ashmem$BOOT_ID is a link to ashmem; containers need device nodes: sudo rm"
unloaded; ln -s /dev/full "$M/dev/ashmem"
result "a node of an unloaded driver is reported" says 1 '^note .* the device 1:7, left by a driver that was unloaded: sudo rm'

# Containers.
machine; : >"$M/.dockerenv"
result "in Docker, the advice is to pass the nodes" says 1 '^note +this is a container \(docker\)' \
	"^BROKEN .*: recreate the container .*--device /dev/ashmem --device /dev/ashmem$BOOT_ID, or with --privileged"
machine; mkdir "$M/proc/1"; printf 'a=b\0container=lxc\0' >"$M/proc/1/environ"
result "in LXC, the advice is to mount the nodes" says 1 \
	'^BROKEN .*lxc\.cgroup2\.devices\.allow = c 10:3 rwm and lxc\.mount\.entry = /dev/ashmem ' \
	"^BROKEN .*: LXC gives it a new boot ID .*/dev/ashmem$BOOT_ID && mount --bind /dev/ashmem .*/dev/ashmem$BOOT_ID\$"
rm "$M/proc/misc"
result "in LXC, the advice works with an unknown number" says 1 '^BROKEN .*lxc\.cgroup2\.devices\.allow = c 10:\* rwm and '
unloaded; mkdir "$M/run"; : >"$M/run/.containerenv"
result "in podman, the advice is to load the driver on the host" says 1 "^BROKEN +no ashmem driver is loaded in the host's kernel: on the host, sudo modprobe"

# Waydroid and redroid.
unloaded; mkdir -p "$M/var/lib/waydroid"
result "unreadable Waydroid settings are reported" says 1 '^note +not checked: Waydroid.s settings in .*, which cannot be read: run'
printf 'ro.x=1\nsys.use_memfd=true\n' >"$M/var/lib/waydroid/waydroid_base.prop"
result "Waydroid with memfds is reported" says 1 '^note +Waydroid makes Android use memfds, as set in .*/waydroid_base\.prop: that works'
echo 'sys.use_memfd=false' >>"$M/var/lib/waydroid/waydroid_base.prop"
result "Waydroid that lost the device is reported" says 1 '^note +Waydroid makes Android use /dev/ashmem, which does not work: .*sudo waydroid upgrade --offline'
printf '[properties]\nsys.use_memfd = true\n' >"$M/var/lib/waydroid/waydroid.cfg"
result "the user's own Waydroid setting counts" says 1 '^note +Waydroid makes Android use memfds, as set in .*/waydroid\.cfg'
machine; D=$M/var/lib/docker/containers/0123456789abcdef; mkdir -p "$D"
echo '{"State":{"Running":true,"Pid":77},"Args":["androidboot.hardware=redroid","androidboot.use_memfd=1"]}' >"$D/config.v2.json"
echo '{"Privileged":false,"Devices":[]}' >"$D/hostconfig.json"
result "redroid without the device is reported" says 1 '^BROKEN +the redroid container 0123456789ab gets no /dev/ashmem: recreate it with --device' \
	'^note +the redroid container 0123456789ab is started with use_memfd: '
echo '{"Privileged":true,"Devices":[]}' >"$D/hostconfig.json"; mkdir -p "$M/proc/77/root"
result "redroid that was started before the driver is reported" says 1 '^BROKEN +there is no /dev/ashmem in the redroid container 0123456789ab: restart it .*docker restart 0123456789ab$'
mkdir -p "$M/proc/77/root/dev"; : >"$M/proc/77/root/dev/ashmem"
result "redroid with a stale node is reported" says 1 "^BROKEN +/dev/ashmem in the redroid container 0123456789ab is stale: restart it"
sed -i 's/redroid/other/' "$D/config.v2.json"
result "an image with another name is recognized by its arguments" says 1 '^BROKEN +/dev/ashmem in the Android container 0123456789ab is stale'
sed -i 's/androidboot/something/g' "$D/config.v2.json"
# host CONFIG WORDS: whether WORDS are reported for redroid with this hostconfig.json.
host() {
	machine
	mkdir -p "$D"
	echo '{"State":{"Pid":0},"Args":["androidboot.hardware=redroid"]}' >"$D/config.v2.json"
	echo "$1" >"$D/hostconfig.json"
	says 1 "$2"
}
GETS='^ok +the redroid container 0123456789ab gets'
WRONG='^BROKEN +the redroid container 0123456789ab gets another device as /dev/ashmem, or may not write'
result "a device passed by Docker is good" host '{"Devices":[{"PathOnHost":"/dev/ashmem","PathInContainer":"/dev/ashmem","CgroupPermissions":"rwm"}]}' "$GETS"
result "another device passed as /dev/ashmem is reported" host '{"Devices":[{"PathOnHost":"/dev/null","PathInContainer":"/dev/ashmem","CgroupPermissions":"rwm"}]}' "$WRONG"
result "a device passed read-only is reported" host '{"Devices":[{"PathOnHost":"/dev/ashmem","PathInContainer":"/dev/ashmem","CgroupPermissions":"r"}]}' "$WRONG"
result "a dropped capability does not make a container privileged" host '{"CapDrop":["CAP_SYS_MODULE"],"Privileged":false}' '^BROKEN +the redroid container 0123456789ab gets no'
BIND='"Binds":["/dev/ashmem:/dev/ashmem"]'
result "a bind mount with a device rule is good" host '{'"$BIND"',"DeviceCgroupRules":["c 1:* rwm","c 10:* rwm"]}' "$GETS"
result "a bind mount with only other device rules is reported" host '{'"$BIND"',"DeviceCgroupRules":["c 10:200 rwm","b 10:3 rwm","c 10:3 r"]}' \
	'^BROKEN +the redroid container 0123456789ab has /dev/ashmem mounted, but no right'
result "a rule for another device passes no node" host '{"DeviceCgroupRules":["c 81:* rmw"]}' '^BROKEN +the redroid container 0123456789ab gets no'
result "with only a device rule, the container is not checked" host '{"DeviceCgroupRules":["c 10:3 rwm"]}' \
	'^note +not checked: whether the redroid container 0123456789ab gets /dev/ashmem'
result "a container with CDI devices is not checked" host '{"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["ashmem.example/node=all"]}]}' \
	'^note +not checked: whether the redroid container 0123456789ab gets /dev/ashmem'
host '{"Privileged":true}' "$GETS" || true
sed -i 's/"Pid":0/"Pid":77/; s/}$/,"x":"androidboot.something"}/' "$D/config.v2.json"; mkdir -p "$M/proc/77/root/dev"; ln -s /dev/full "$M/proc/77/root/dev/ashmem"
result "a link in a container leads nowhere on the host" says 1 '^BROKEN +there is no /dev/ashmem in the redroid container 0123456789ab'
rm "$M/proc/77/root/dev/ashmem"
if mknod -m 0600 "$M/proc/77/root/dev/ashmem" c 10 3 2>/dev/null; then
	result "a node with mode 0600 in a container is reported" says 1 '^BROKEN +/dev/ashmem in the redroid container 0123456789ab has mode 0600'
	rm "$M/proc/77/root/dev/ashmem"
else
	NUMBER=$((NUMBER + 1))
	echo "ok $NUMBER a node with mode 0600 in a container is reported # SKIP no nodes can be made here"
fi
sed -i 's/androidboot/something/g' "$D/config.v2.json"
result "containers without Android are ignored" says_nothing_of 'the (redroid|Android) container'

# Container engines. Each has a container without the device, then one with it.
ID=$(printf 'c%.0s' {1..64})

# oci DIRECTORY [DEVICE]: writes an OCI runtime's configuration of an Android container.
oci() {
	local device=${2:+"{ \"path\": \"$2\", \"type\": \"c\" }"}
	mkdir -p "$M/$1"
	cat >"$M/$1/config.json" <<-EOF
		{
		  "process": { "args": [ "/init", "androidboot.hardware=own" ],
		    "capabilities": { "bounding": [ "${CAPABILITY:-CAP_CHOWN}" ] } },
		  "mounts": [ { "destination": "/dev", "type": "tmpfs" } ${MOUNT:-} ],
		  "linux": { "devices": [ $device ] }
		}
	EOF
}

# docker DIRECTORY [DEVICE]: writes Docker's files about an Android container.
docker() {
	local device=${2:+"{ \"PathInContainer\": \"$2\" }"}
	mkdir -p "$M/$1/containers/$ID"
	echo '{ "State": { "Pid": 0 }, "Args": [ "androidboot.hardware=own" ] }' >"$M/$1/containers/$ID/config.v2.json"
	echo "{ \"Privileged\" : false, \"Devices\": [ $device ] }" >"$M/$1/containers/$ID/hostconfig.json"
}

# engine NAME MAKE DIRECTORY [SIGN]: whether containers that MAKE makes are judged.
engine() {
	machine
	[[ -z ${4:-} ]] || mkdir -p "$M/$4"
	"$2" "$3"
	says 1 "^BROKEN +the Android container cccccccccccc${1:+ of $1} gets no /dev/ashmem: .+" || return
	"$2" "$3" /dev/ashmem
	says 1 "^ok +the Android container cccccccccccc${1:+ of $1} gets /dev/ashmem" &&
		says_nothing_of '^BROKEN.*container|not checked'
}

moved() {
	machine
	mkdir -p "$M/etc/docker"
	echo '{ "log-driver": "local", "data-root": "/srv/docker" }' >"$M/etc/docker/daemon.json"
	docker var/lib/docker
	docker srv/docker /dev/ashmem
	says 1 '^ok +the Android container cccccccccccc gets' && says_nothing_of '^BROKEN.*container'
}

TASK=io.containerd.runtime.v2.task
result "Docker" engine "" docker var/lib/docker
result "Docker with userns-remap" engine "" docker var/lib/docker/231072.231072
result "Docker with another data-root ignores the old directory" moved
# odd FILE TEXT DIRECTORY: whether Docker's containers are found in DIRECTORY with this setting.
odd() {
	machine
	mkdir -p "$M/etc/docker" "$M/var/lib/docker/containers"
	printf "$2" >"$M/$1"
	docker "$3"
	says 1 '^BROKEN +the Android container cccccccccccc gets no'
}
result "a data-root may have escaped slashes" odd etc/docker/daemon.json '{"data-root":"\\/srv\\/docker"}' srv/docker
result "a data-root may have blanks" odd etc/docker/daemon.json '{\r\n"data-root"\r\n:\r\n"/srv/my docker"}\r\n' 'srv/my docker'
result "a data-root may end with the line" odd etc/docker/daemon.json '{"data-root":\r\n\t"/srv/docker"\r\n}' srv/docker
mkdir -p "$M/etc/docker"; echo '{"data-root":"/*/*"}' >"$M/etc/docker/daemon.json"
result "a data-root is not used as a pattern" says 1 '^note +not checked: containers of docker, as .*/etc/docker/daemon\.json cannot be'
data_root() {
	machine
	mkdir -p "$M/etc/conf.d" "$M/var/lib/docker"
	echo 'DOCKER_OPTS="--data-root /srv/docker"' >"$M/etc/conf.d/docker"
	docker srv/docker
	says 1 '^BROKEN +the Android container cccccccccccc gets no'
}
result "Docker on OpenRC with another data-root" data_root
passwd() {
	machine
	mkdir "$M/etc"
	echo 'joe:x:1000:1000::/srv/joe:/bin/sh' >"$M/etc/passwd"
	docker srv/joe/.local/share/docker
	says 1 '^BROKEN +the Android container cccccccccccc of rootless docker gets no'
}
result "rootless Docker in an unusual home" passwd
# torn FILE TEXT: whether a container with an invalid file is reported as not checked.
torn() {
	machine
	docker var/lib/docker /dev/ashmem
	printf "$2" >"$M/var/lib/docker/containers/$ID/$1"
	says 1 '^note +not checked: containers of docker, as .*/containers/c+/config\.v2\.json cannot' && says_nothing_of 'container cccc'
}
result "a truncated configuration is reported as not checked" torn hostconfig.json '{'
result "an empty configuration is reported as not checked" torn config.v2.json ''
result "a binary configuration is reported as not checked" torn config.v2.json '\1\2\3'
# ended PID-FILE: whether a stopped container is judged by its configuration, although its
# PID is still recorded: first nobody has that PID, then a process of the host.
ended() {
	mkdir -p "$M/${1%/*}"
	[[ $1 == *.json ]] && sed -i 's/"Pid": 0/"Pid": 77/' "$M/$1" || echo 77 >"$M/$1"
	says 1 '^ok +the Android container cccccccccccc .*gets /dev/ashmem when it starts' && says_nothing_of 'not checked' || return
	mkdir -p "$M/proc/77"
	ln -s ../.. "$M/proc/77/root"
	says 1 '^ok +the Android container cccccccccccc .*gets /dev/ashmem when it starts'
}
machine; docker var/lib/docker /dev/ashmem
result "a Docker container that ended with the daemon" ended "var/lib/docker/containers/$ID/config.v2.json"
machine; oci "var/lib/containers/storage/overlay-containers/$ID/userdata" /dev/ashmem
result "a stopped podman container" ended "run/containers/storage/overlay-containers/$ID/userdata/pidfile"
machine; oci "run/containerd/$TASK/default/$ID" /dev/ashmem; mkdir -p "$M/var/lib/containerd"
result "a killed containerd container" ended "run/containerd/$TASK/default/$ID/init.pid"
# Files of podman 5.4 for a container that never ran: only its database has the arguments.
machine; mkdir -p "$M/var/lib/containers/storage/overlay-containers/$ID/userdata"
echo '[{"id":"'"$ID"'","names":["x"],"metadata":"{\"image-name\":\"localhost/own:13\"}"}]' >"$M/var/lib/containers/storage/overlay-containers/containers.json"
printf 'SQLite format 3\0{"command":["/init","androidboot.hardware=own"]}\0' >"$M/var/lib/containers/storage/db.sql"
result "a podman container that never ran is found by its arguments" says 1 '^note +not checked: Android containers of podman that are not running, found in .*/db\.sql'
machine; mkdir -p "$M/var/lib/containers/storage/overlay-containers"
echo '[{"id":"x","metadata":"{\"image-name\":\"docker.io/redroid/redroid:11\"}"}]' >"$M/var/lib/containers/storage/overlay-containers/containers.json"
result "a podman container that never ran is found by its image" says 1 '^note +not checked: Android containers of podman that are not running'
result "Docker from snap" engine "docker from snap" docker var/snap/docker/common/var-lib-docker
result "rootless Docker" engine "rootless docker" docker home/joe/.local/share/docker
result "podman" engine podman oci "var/lib/containers/storage/overlay-containers/$ID/userdata"
result "podman with another storage driver" engine podman oci "var/lib/containers/storage/vfs-containers/$ID/userdata"
result "rootless podman" engine "rootless podman" oci "home/joe/.local/share/containers/storage/overlay-containers/$ID/userdata"
result "rootless podman on an ostree system" engine "rootless podman" oci "var/home/joe/.local/share/containers/storage/overlay-containers/$ID/userdata"
result "CRI-O" engine CRI-O oci "var/lib/containers/storage/overlay-containers/$ID/userdata" run/crio
result "containerd, as used by nerdctl" engine containerd oci "run/containerd/$TASK/default/$ID" var/lib/containerd
result "k3s" engine k3s oci "run/k3s/containerd/$TASK/k8s.io/$ID"
result "k0s" engine k0s oci "run/k0s/containerd/$TASK/k8s.io/$ID"
result "MicroK8s" engine MicroK8s oci "var/snap/microk8s/common/run/containerd/$TASK/k8s.io/$ID"
K3S=run/k3s/containerd/$TASK/k8s.io/$ID
machine; MOUNT=', { "destination": "/dev/ashmem", "source": "/dev/ashmem", "type": "bind" }' oci "$K3S"
result "a hostPath volume alone gives no right to open the device" says 1 '^BROKEN .* of k3s has /dev/ashmem mounted, but no right to open it: run its pod with'
# rules RULE...: the same with device rules.
rules() {
	machine
	MOUNT=', { "destination": "/dev/ashmem", "source": "'"${SOURCE:-/dev/ashmem}"'", "type": "bind" }' oci "$K3S"
	sed -i 's|"devices"|"resources": { "devices": [ '"$*"' ] }, "devices"|' "$M/$K3S/config.json"
}
NONE='{ "allow": false, "access": "rwm" }'
RIGHT='^ok +the Android container cccccccccccc of k3s gets'
NO_RIGHT='^BROKEN .* of k3s has /dev/ashmem mounted, but no right to open it'
rules "$NONE", '{ "allow": true, "type": "c", "major": 10, "minor": 200, "access": "rwm" }'
result "a rule for another misc device gives no right" says 1 "$NO_RIGHT"
rules "$NONE", '{ "allow": true, "type": "c", "major": 10, "minor": 3, "access": "r" }'
result "a rule for reading gives no right" says 1 "$NO_RIGHT"
rules '{ "allow": true, "type": "c", "major": 10, "access": "rwm" }', "$NONE"
result "a rule that a later one revokes gives no right" says 1 "$NO_RIGHT"
rules "$NONE", '{ "allow": true, "type": "c", "major": 10, "minor": 3, "access": "rwm" }'
result "a rule for the device gives the right" says 1 "$RIGHT"
SOURCE=/dev/null rules "$NONE", '{ "allow": true, "type": "c", "major": 10, "access": "rwm" }'
result "a mount of another device is reported" says 1 '^BROKEN .* of k3s gets no /dev/ashmem'
machine; CAPABILITY=CAP_SYS_MODULE oci "$K3S"; echo 77 >"$M/$K3S/init.pid"; mkdir -p "$M/proc/77/root/dev"
result "a privileged container without the node must be restarted" says 1 '^BROKEN +there is no /dev/ashmem in the Android container cccccccccccc of k3s: restart it'
machine; oci "$K3S" /dev/ashmem; sed -i 's|"/dev/ashmem", |&"major": 10, "minor": 58, |' "$M/$K3S/config.json"
result "a node with another number is reported" says 1 '^BROKEN .* of k3s gets another device as /dev/ashmem'
sed -i 's|"minor": 58|"minor": 3, "fileMode": 432|' "$M/$K3S/config.json"
result "a node with mode 0660 is reported" says 1 '^BROKEN .* of k3s gets another device as /dev/ashmem, or may not write to it'
sed -i 's|432|438|' "$M/$K3S/config.json"
result "a node with the right number and mode is good" says 1 "$RIGHT"
machine; mkdir -p "$M/run/k3s/containerd"
result "an engine without known containers is reported as not checked" says 1 '^note +not checked: containers of k3s, which is installed'
DATA=$M/var/lib/rancher/k3s/agent/containerd/io.containerd.metadata.v1.bolt/meta.db
machine; mkdir -p "${DATA%/*}"; printf 'x\0"args":["/init","androidboot.hardware=own"]' >"$DATA"
result "a k3s container that does not run is found in the database" says 1 '^note +not checked: Android containers of k3s that are not running, found in .*/meta\.db'
echo other >"$DATA"
result "a database without Android is ignored" says_nothing_of k3s
echo redroid/redroid:15 >"$DATA"
result "an image in the database is not a container" says_nothing_of k3s
# bolt NAMESPACE ARGUMENT [LOOP]: makes DATA a database in bbolt's format with one container,
# and with a removed one in a free page.
bolt() {
	machine
	DATA=$M/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db
	mkdir -p "${DATA%/*}"
	python3 - "$@" >"$DATA" <<-'EOF'
		import struct, sys
		def page(number, flags, elements):
		    head, body = b"", b""
		    for i, (key, value, is_bucket) in enumerate(elements):
		        at = 16 * (len(elements) - i) + len(body)
		        head += struct.pack("=IIII", is_bucket, at, len(key), len(value))
		        body += key + value
		    return struct.pack("=QHHI", number, flags, len(elements), 0) + head + body
		def bucket(name, elements):  # Small buckets are stored in the value.
		    return name, struct.pack("=QQ", 0, 0) + page(0, 2, elements), 1
		def at_page(name, number):
		    return name, struct.pack("=QQ", number, 0), 1
		def meta(number, txid, root):
		    return struct.pack("=QHHI", number, 4, 0, 0) + struct.pack("=IIIIQQQQQQ", 0xed0cdaed, 2, 4096, 0, root, 0, 2, 9, txid, 0)
		spec = b'\x0a\x05types\x12{"process":{"args":["/init","%s"]}}' % sys.argv[2].encode()
		gone = b'{"process":{"args":["/init","androidboot.gone=1"]}}'
		of = lambda spec: bucket(b"containers", [bucket(b"c" * 64, [(b"spec", spec, 0)])])
		pages = [meta(0, 7, 6), meta(1, 8, 3), page(2, 16, []), page(3, 2, [at_page(b"v1", 4)]),
		    # The elements of a branch are shorter.
		    struct.pack("=QHHI", 4, 1, 1, 0) + struct.pack("=IIQ", 16, 1, 5) + b"a",
		    page(5, 2, [bucket(b"default", []), bucket(sys.argv[1].encode(), [of(spec)])]),
		    page(6, 2, [bucket(b"v1", [bucket(b"default", [of(gone)])])])]
		data = b"".join(p.ljust(4096, b"\0") for p in pages)
		if len(sys.argv) > 3:  # A page that refers to itself.
		    data = data[:16384] + struct.pack("=QHHI", 4, 1, 99, 0) + struct.pack("=IIQ", 16, 1, 4) * 99 + data[18000:]
		sys.stdout.buffer.write(data)
	EOF
}
SEEN='^note +not checked: Android containers of containerd that are not running, found in .*/meta\.db'
bolt work androidboot.hardware=own
result "a containerd container that does not run is found" says 1 "$SEEN"
bolt work other
result "a removed containerd container is ignored" says_nothing_of 'of containerd'
bolt moby androidboot.hardware=own
result "a container of Docker in containerd is ignored" says_nothing_of 'of containerd'
bolt work other round
result "a database with a loop is reported, and the search ends" says 1 "$SEEN"
bolt work androidboot.hardware=own; truncate -s 20000 "$DATA"
result "a truncated database is read to its end" says_nothing_of 'of containerd'
machine; docker var/lib/docker /dev/ashmem; oci "run/containerd/$TASK/moby/$ID" /dev/ashmem
DATA=$M/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db; mkdir -p "${DATA%/*}"; echo androidboot.x >"$DATA"
result "Docker's container in containerd is judged once" says_nothing_of 'not checked'
machine; mkdir -p "$M/proc/88/root/dev"; printf '/init\0androidboot.hardware=own\0' >"$M/proc/88/cmdline"
result "a container of an unknown engine is found by its process" says 1 '^BROKEN +there is no /dev/ashmem in the Android container with process 88'
machine; mkdir -p "$M/var/lib/lxc/android"
printf 'lxc.mount.entry = /dev/binder dev/binder none bind\n#lxc.mount.entry = /dev/ashmem dev/ashmem none bind\n' >"$M/var/lib/lxc/android/config"
result "LXC with a line that is commented out" says 1 '^BROKEN +the Android container android of LXC gets no /dev/ashmem, as a line in .*/config is commented out: #lxc\.mount'
echo 'lxc.mount.entry=/dev/ashmem dev/ashmem none bind,optional,create=file' >>"$M/var/lib/lxc/android/config"
result "LXC with a line for the node" says 1 '^ok +the Android container android of LXC gets /dev/ashmem'
machine; mkdir -p "$M/var/lib/lxc/web/rootfs"; echo 'lxc.rootfs.path = dir:/var/lib/lxc/web/rootfs' >"$M/var/lib/lxc/web/config"
result "LXC without Android is ignored" says_nothing_of ' of LXC'
machine; mkdir -p "$M/etc/pve/lxc"; printf 'ostype: unmanaged\nlxc.mount.entry: /dev/binderfs/binder dev/binder none bind\n' >"$M/etc/pve/lxc/101.conf"
result "Proxmox" says 1 '^BROKEN +the Android container 101 of Proxmox gets no /dev/ashmem: add lxc\.cgroup2\.devices\.allow: c'

# lxc LINE...: an LXC container with the node and these lines.
lxc() {
	machine
	mkdir -p "$M/var/lib/lxc/android"
	printf '%s\n' 'lxc.mount.entry = /dev/ashmem dev/ashmem none bind' "$@" >"$M/var/lib/lxc/android/config"
}
NO_RIGHT='^BROKEN +the Android container android of LXC has /dev/ashmem, but no right to open it: add lxc'
lxc 'lxc.cgroup2.devices.deny = a'
result "LXC that allows no devices" says 1 "$NO_RIGHT"
lxc 'lxc.cgroup2.devices.deny = a' 'lxc.cgroup2.devices.allow = c 10:58 rwm'
result "LXC that allows another device number" says 1 "$NO_RIGHT"
lxc 'lxc.cgroup2.devices.deny = a' 'lxc.cgroup2.devices.allow = c 10:3 rwm'
result "LXC that allows the device" says 1 '^ok +the Android container android of LXC gets /dev/ashmem'
lxc 'lxc.include = /usr/share/lxc/common.conf'
result "LXC with an unreadable include" says 1 '^note +not checked: whether the Android container android of LXC may open'
mkdir -p "$M/usr/share/lxc"; echo 'lxc.cgroup2.devices.deny = a' >"$M/usr/share/lxc/common.conf"
result "LXC with a rule in an included file" says 1 "$NO_RIGHT"
lxc; mkdir -p "$M/proc/7/root/dev" "$M/proc/6"; echo 0::/lxc.payload.android2/init >"$M/proc/7/cgroup"
result "LXC with a name that is the prefix of another" says 1 '^ok +the Android container android of LXC gets /dev/ashmem'
lxc; mkdir -p "$M/usr/share/lxc/conf.d" "$M/etc"; echo 'lxc.include = /usr/share/lxc/conf.d/' >>"$M/var/lib/lxc/android/config"
echo 'lxc.cgroup2.devices.deny = a' >"$M/usr/share/lxc/conf.d/a.conf"
result "LXC with an included directory" says 1 "$NO_RIGHT"
lxc 'lxc.include = /etc/../x'; echo 'lxc.cgroup2.devices.deny = a' >"$M/x"; mkdir -p "$M/etc"
result "LXC with an include outside the known directories" says 1 '^note +not checked: whether the Android container android of LXC may open'
lxc 'lxc.include = /proc/misc'; sed -i 's/none bind/none bind,optional/' "$M/var/lib/lxc/android/config"
result "LXC with an entry without create=file" says 1 '^BROKEN +the Android container android of LXC gets no .* is wrong: lxc\.mount'
# mounts LINE WORDS: whether WORDS are reported for a container with LINE; fstab.android has the node.
mounts() {
	lxc; mkdir -p "$M/etc"
	echo '/dev/ashmem dev/ashmem none bind,create=file 0 0' >"$M/etc/fstab.android"
	printf 'lxc.mount.entry = /dev/binder dev/binder none bind\n%s\n' "$1" >"$M/var/lib/lxc/android/config"
	says 1 "$2"
}
result "LXC with a file of mounts" mounts 'lxc.mount.fstab = /etc/fstab.android' '^ok +the Android container android of LXC gets'
result "LXC with an unreadable file of mounts" mounts 'lxc.mount.fstab = /srv/fstab' '^note +not checked: whether the Android container android of LXC gets'
result "LXC with a program that may make nodes" mounts 'lxc.hook.autodev = /opt/nodes' '^note +not checked: whether the Android container android of LXC gets'
machine; mkdir -p "$M/etc/lxc" "$M/srv/lxc/a"; echo 'lxc.lxcpath = /srv/lxc' >"$M/etc/lxc/lxc.conf"; echo 'lxc.mount.entry = /dev/binder dev/binder none bind' >"$M/srv/lxc/a/config"
result "LXC with another lxcpath" says 1 '^BROKEN +the Android container a of LXC gets no'
# process PID PARENT COMMAND: adds a process of the user who runs this.
process() {
	mkdir -p "$M/proc/$1/root/dev"
	printf 'PPid:\t%s\nUid:\t%s\t0\t0\t0\n' "$2" $EUID >"$M/proc/$1/status"
	echo -n "$3" >"$M/proc/$1/cmdline"
	echo '0::/lxc.payload.android/init' >"$M/proc/$1/cgroup"
}
# bare LINE...: a running LXC container without the node.
bare() {
	lxc "$@"
	process 40 1 '[lxc monitor] /var/lib/lxc android'
	process 41 40 /init
}
bare; echo 'lxc.mount.entry = /dev/binder dev/binder none bind' >"$M/var/lib/lxc/android/config"
result "a running LXC container without a line needs one and a restart" says 1 \
	'^BROKEN +the Android container android of LXC gets no /dev/ashmem: add lxc\.cgroup2.*, then restart it: lxc-stop android && lxc-start android$'
bare; result "a running LXC container with a line needs only a restart" says 1 '^BROKEN +there is no /dev/ashmem in the Android container android of LXC: restart it'
bare 'lxc.cgroup2.devices.deny = a'; : >"$M/proc/41/root/dev/ashmem"
result "a running LXC container without the right is reported" says 1 "$NO_RIGHT"
result "a running LXC container without the right has no other finding" says_nothing_of 'in the Android container android|^ok .*android of LXC'
# Complete rules, as in Debian's lxc 6.0.4.
V1='lxc.cgroup.devices.deny = a
lxc.cgroup2.devices.deny = a
lxc.cgroup.devices.allow = c 10:* rwm'
lxc "$V1"; mkdir -p "$M/sys/fs/cgroup"; : >"$M/sys/fs/cgroup/cgroup.controllers"
result "LXC rules for cgroup v1 are ignored with cgroup v2" says 1 "$NO_RIGHT"
rm "$M/sys/fs/cgroup/cgroup.controllers"
result "LXC rules for cgroup v1 are used with cgroup v1" says 1 '^ok +the Android container android of LXC gets'
# one_name RUNS: two LXC containers with the same name. One runs, with a stale node.
one_name() {
	local place
	machine
	for place in var/lib/lxc home/joe/.local/share/lxc; do
		mkdir -p "$M/$place/android"
		echo 'lxc.mount.entry = /dev/ashmem dev/ashmem none bind' >"$M/$place/android/config"
	done
	process 40 1 "[lxc monitor] /$1 android"
	process 41 40 /init
	: >"$M/proc/41/root/dev/ashmem"
	says 1 '^BROKEN +/dev/ashmem in the Android container android of LXC is stale' &&
		[[ $(grep -c 'android of LXC' "$TMP/said") == 2 ]] && grep -q '^ok .*android of LXC gets' "$TMP/said"
}
result "of two LXC containers with one name, root's runs" one_name var/lib/lxc
result "of two LXC containers with one name, a user's runs" one_name home/joe/.local/share/lxc
lxc; process 41 1 /init; : >"$M/proc/41/root/dev/ashmem"
result "an LXC container without a monitor is found by its cgroup" says 1 '^BROKEN +/dev/ashmem in the Android container android of LXC is stale'
process 41 40 /init; process 40 1 "[lxc monitor] /var/lib/lxc android"
printf '/init\0androidboot.x=1\0' >"$M/proc/41/cmdline"
result "an LXC container is judged once" eval 'check || true; [[ $(grep -c "is stale" "$TMP/said") == 1 ]]'
printf /init >"$M/proc/41/cmdline"; sed -i 's/^Uid:.*/Uid:\t12345/' "$M/proc/40/status"
result "another user's process with the monitor's title is ignored" says_nothing_of 'android of LXC is stale'
lxc; for user in joe ann; do D=$M/home/$user/.local/share/lxc/android; mkdir -p "$D"; echo 'lxc.mount.entry = /dev/binder dev/binder none bind' >"$D/config"; done
result "LXC containers of two users with one name" eval 'check || true; [[ $(grep -c "^BROKEN.*container android of LXC gets no" "$TMP/said") == 2 ]]'
machine; mkdir -p "$M/etc/pve/lxc" "$M/var/lib/lxc/101"
printf '%s\n' '#x' 'lxc.mount.entry: /dev/binderfs/binder dev/binder none bind' '[snapshot]' 'lxc.mount.entry: /dev/ashmem dev/ashmem none bind' \
	'lxc.cgroup2.devices.allow: c 10:* rwm' >"$M/etc/pve/lxc/101.conf"
sed 's/:/ =/' "$M/etc/pve/lxc/101.conf" >"$M/var/lib/lxc/101/config"
result "Proxmox with the node only in a snapshot" says 1 '^BROKEN +the Android container 101 of Proxmox gets no /dev/ashmem: add lxc\.cgroup2\.devices\.allow: c'
result "files that Proxmox generates are ignored" says_nothing_of '101 of LXC'

# The nodes that Waydroid and Andromeda pass.
ENTRY='lxc.mount.entry = /dev/ashmem dev/ashmem none bind,create=file,optional 0 0'
STALE=dev/ashmemfedcba98-4567-89ab-cdef-0123456789ab
for name in waydroid andromeda; do
	title=${name^}
	machine; D=$M/var/lib/$name; mkdir -p "$D/lxc/$name"; echo 'sys.use_memfd=false' >"$D/${name}_base.prop"
	NODES=$D/lxc/$name/config_nodes
	echo "$ENTRY" >"$NODES"
		result "$title with an unreadable configuration" says 1 "^note +not checked: whether $title's container reads"
	echo "#lxc.include = /var/lib/$name/lxc/$name/config_nodes" >"$D/lxc/$name/config"
	result "$title that does not include config_nodes" says 1 "^BROKEN +$title's container does not include .*/config_nodes"
	sed -i 's/^#//' "$D/lxc/$name/config"
	result "$title that passes the node" says_nothing_of "^BROKEN +$title|not checked"
	: >"$M/dev/null"
	sed -i 's/config_nodes/&.bak/' "$D/lxc/$name/config"
	result "$title that includes another file" says 1 "^BROKEN +$title's container does not include .*/config_nodes"
	sed -i 's/\.bak//' "$D/lxc/$name/config"
	printf '%s\nlxc.mount.entry =\n' "$ENTRY" >"$NODES"
	result "$title with a line that drops earlier lines" says 1 "^BROKEN +$title passes no /dev/ashmem into its container"
	printf '%s\n' "$ENTRY" "${ENTRY/ashmem/null}" >"$NODES"
	result "$title with another device over the node" says 1 "^BROKEN +$title passes no /dev/ashmem .*, as a line in .* binds no /dev/ashmem: lxc.*/dev/null"
	printf '%s\n' "$ENTRY" 'lxc.mount.entry = /dev/ashmem_old dev/ashmem none bind 0 0' >"$NODES"
	result "$title with a line that prevents the start" says 1 "^BROKEN +$title passes .* names /dev/ashmem_old, which does not exist"
	echo "$ENTRY" >"$NODES"
	sed -i 's/^/#/' "$NODES"
	result "$title with a line that is commented out" says 1 \
		"^BROKEN +$title passes no /dev/ashmem .*, as a line in .*/config_nodes is commented out: #lxc\\.mount.*: replace it with: $ENTRY; then restart"
	echo "${ENTRY/ashmem/ashmem_old}" >"$NODES"
	result "$title with a line for a missing file" says 1 "^BROKEN +$title passes .* names /dev/ashmem_old, which does not exist"
	printf '%s\nlxc.mount.entry = /%s %s none bind,create=file,optional\n' "$ENTRY" $STALE $STALE >"$NODES"
	result "$title with a line for another boot" says 1 \
		"^BROKEN +$title does not pass the node that Android 16 opens, as a line in .* is for the node of another boot: .*: replace it with: lxc\\.mount\\.entry = /dev/ashmem$BOOT_ID dev/ashmem$BOOT_ID "
	sed -i "s/fedcba98-4567-89ab-cdef-0123456789ab/$BOOT_ID/g" "$NODES"
	result "$title with a line for this boot" says_nothing_of "$title (passes no|does not pass)"
	: >"$NODES"
	result "$title that passes nothing" says 1 "^BROKEN +$title passes no /dev/ashmem into its container: rewrite .* with sudo $name upgrade --offline"
done

# Security modules.
machine; mkdir -p "$M/sys/fs/selinux" "$M/proc/self/attr"; echo 'docker-default (enforce)' >"$M/proc/self/attr/current"
result "AppArmor is reported" says 1 '^note +AppArmor confines this process: docker-default \(enforce\)'
echo 'u:r:su:s0' >"$M/proc/self/attr/current"
result "another module's label is not taken for AppArmor's" says_nothing_of AppArmor
echo 1 >"$M/sys/fs/selinux/enforce"
result "SELinux is reported" says 1 '^note +SELinux is enforcing, and the label of /dev/ashmem is '

# The script of --fix: its text, and the files that it fixes on a fake machine.
script() {
	local status=0
	check --fix || status=$?
	[[ $status == 1 ]] && sh -n "$TMP/said" && grep -qE -- "$1" "$TMP/said"
}

# mends FILE LINE...: whether the file has these lines after the script.
mends() {
	check --fix || true
	sed -n '/^drop_line()/,/^}/p; /^add_line()/,/^}/p; /^drop_line /p; /^add_line /p' "$TMP/said" >"$TMP/script"
	sh -e "$TMP/script" && printf '%s\n' "${@:2}" | diff - "$1" >>"$TMP/said"
}
machine
result "--fix makes nodes" script "^make_node '.*/dev/ashmem$BOOT_ID'$"
unloaded; mkdir -p "$M/etc/modprobe.d"; echo 'updates/rust_ashmem.ko:' >"$M/lib/modules/$RELEASE/modules.dep"
F="$M/etc/modprobe.d/it's.conf"
printf "install rust_ashmem echo 'no' \"\$(no)\"\nother\n" >"$F"
result "--fix loads the module" script '^modprobe rust_ashmem$'
result "--fix removes lines with any characters" mends "$F" other
printf 'install rust_ashmem \\\n /bin/false\n' >"$F"
result "--fix does not change a continued line" eval '! script "^(drop_line|modprobe) " && grep -q "^# By hand: remove that line" "$TMP/said"'
machine; D=$M/var/lib/waydroid; mkdir -p "$D/lxc/waydroid"; echo 'sys.use_memfd=false' >"$D/waydroid_base.prop"
printf 'first\n# lxc.mount.entry = /dev/ashmem dev/ashmem none bind 0 0\nlxc.mount.entry = /%s %s none bind\n' $STALE $STALE >"$D/lxc/waydroid/config_nodes"
result "--fix fixes the nodes that Waydroid passes" mends "$D/lxc/waydroid/config_nodes" first "$ENTRY" "${ENTRY//ashmem/ashmem$BOOT_ID}"
# told WORDS CONFIG FILE: whether --fix prints WORDS for a container with that configuration.
told() {
	machine
	mkdir -p "$M/${3%/*}"
	printf "$2" >"$M/$3"
	[[ $3 != */incus/* ]] || mkdir -p "$M/var/lib/incus"
	script "$1" && says_nothing_of 'not checked'
}
result "--fix makes Proxmox pass the device" told '^pct set 101 -dev2 /dev/ashmem,mode=0666$' \
	'dev1: /dev/dri/card0\nlxc.mount.entry: /dev/binder dev/binder none bind\n' etc/pve/lxc/101.conf
result "--fix makes Proxmox pass the device with the existing line" told '^pct set 101 -dev4 /dev/ashmem,mode=0666$' \
	'dev4: /dev/ashmem\ndev5: /dev/dri/card0\n' etc/pve/lxc/101.conf
result "--fix makes Incus pass the device once" told '^incus config device list c1 \| grep -qx ashmem \|\| incus config device add c1 ashmem unix-char ' \
	'lxc.mount.entry = /dev/binder dev/binder none bind\n' var/log/incus/c1/lxc.conf
result "--fix makes Incus pass the device in a project" told 'add c1 --project work ashmem unix-char ' \
	'lxc.mount.entry = /dev/binder dev/binder none bind\n' var/log/incus/work_c1/lxc.conf
result "--fix makes LXD pass the device" told '^lxc config device list c1 \|.*lxc config device add c1 ashmem unix-char' \
	'lxc.mount.entry = /dev/binder dev/binder none bind\n' var/snap/lxd/common/lxd/logs/c1/lxc.conf
passes() {
	machine
	mkdir -p "$M/etc/pve/lxc"
	echo "$1" >"$M/etc/pve/lxc/101.conf"
	says 1 '^ok +the Android container 101 of Proxmox gets'
}
result "Proxmox with a passed device is good" passes 'dev0: path=/dev/ashmem,gid=5,mode=0666'
result "Proxmox with a device passed read-only is reported" eval '! passes "dev0: /dev/ashmem,deny-write=1,mode=0666"'
result "Proxmox with another mount over the node is reported" eval '! passes "dev0: /dev/ashmem,mode=0666"$'"'\\n'"'"lxc.mount.entry: /dev/full dev/ashmem none bind,create=file" && says 1 "^BROKEN .*101 of Proxmox gets no .* is wrong: lxc\\.mount"'
result "--fix does not fix another mount over the node" eval 'check --fix || true; ! grep -q "^pct" "$TMP/said"'
result "--fix ignores invalid device numbers of Proxmox" told '^pct set 101 -dev0 ' 'dev99999999999999999999: /dev/ashmem\nlxc.mount.entry: /dev/binder x\n' etc/pve/lxc/101.conf
machine; mkdir -p "$M/run/incus/c1"; echo 'lxc.mount.entry = /var/lib/incus/devices/c1/unix.ashmem.dev-ashmem dev/ashmem none bind,create=file' >"$M/run/incus/c1/lxc.conf"; mkdir -p "$M/var/lib/incus"
result "Incus makes the node when it starts" says_nothing_of 'c1 of Incus gets no'
# record DEVICES: the relevant files of Incus 6.0 for a container that does not run.
record() {
	machine
	D=$M/var/lib/incus/storage-pools/default/containers/c1
	mkdir -p "$D/rootfs/system" "$M/var/lib/incus/containers" "$M/run/incus"
	: >"$D/rootfs/system/build.prop"
	ln -s ../storage-pools/default/containers/c1 "$M/var/lib/incus/containers/c1"
	printf 'container:\n  architecture: x86_64\n  devices:%b\n  name: c1\n' "$1" >"$D/backup.yaml"
}
PASSES='\n    ashmem:\n      mode: "0666"\n      source: /dev/ashmem\n      type: unix-char'
record ' {}'
result "an Incus container that never ran is checked" says 1 '^BROKEN +the Android container c1 of Incus gets no /dev/ashmem: incus config device add c1 '
record "$PASSES"
result "an Incus container with the device gets it at its start" says 1 '^ok +the Android container c1 of Incus gets /dev/ashmem when it starts'
# The configuration of its last run.
mkdir "$M/run/incus/c1"; echo 'lxc.rootfs.path = dir:/var/lib/incus/storage-pools/default/containers/c1/rootfs' >"$M/run/incus/c1/lxc.conf"
result "an Incus container that got the device after its last run gets it" says 1 '^ok +the Android container c1 of Incus gets /dev/ashmem when it starts'
result "an Incus container is judged once" eval '[[ $(grep -c "c1 of Incus" "$TMP/said") == 1 ]]'
record '\n  config:\n    raw.lxc: lxc.mount.entry=/dev/ashmem dev/ashmem none bind,create=file'
result "an Incus container with raw.lxc is reported as not checked" says 1 '^note +not checked: whether the Android container c1 of Incus gets'
# fixes: whether the script can be run twice, and fixes everything. The nodes still cannot be
# opened, because their number belongs to no driver here.
fixes() {
	local command
	mkdir -p "$TMP/commands"
	for command in udevadm docker waydroid andromeda systemctl rc-service; do ln -sf "$(command -v true)" "$TMP/commands/$command"; done
	printf '#!/bin/sh\necho "  3 ashmem" >"%s/proc/misc"\necho "rust_ashmem 1 0 - Live 0x0" >"%s/proc/modules"\n' "$M" "$M" >"$TMP/commands/modprobe"
	chmod +x "$TMP/commands/modprobe"
	check --fix || true
	cp "$TMP/said" "$TMP/script"
	PATH=$TMP/commands:$PATH sh "$TMP/script" >"$TMP/said" 2>&1 && (cd "$M" && find . -type f ! -path './proc/*' -exec sha256sum {} +) >"$TMP/once" &&
		PATH=$TMP/commands:$PATH sh "$TMP/script" >"$TMP/said" 2>&1 && (cd "$M" && find . -type f ! -path './proc/*' -exec sha256sum {} +) | diff "$TMP/once" - || return
	check || true
	! grep '^BROKEN' "$TMP/said" | grep -v '^BROKEN *.*/dev/ashmem cannot be opened'
}
if mknod "$TMP/node" c 10 3 2>/dev/null; then
	unloaded; mkdir -p "$M/etc/modprobe.d" "$M/var/lib/lxc/a b" "$M/var/lib/lxc/android"; echo 'updates/rust_ashmem.ko:' >"$M/lib/modules/$RELEASE/modules.dep"
	printf 'install rust_ashmem \t/bin/false; `no` $(no) '"'"'\n' >"$M/etc/modprobe.d/a \$(x) b.conf"
	mkdir "$M/dev/ashmem"; ln -s ashmem "$M/dev/ashmem$BOOT_ID"
	printf '%s\n' '#lxc.mount.entry = /dev/ashmem dev/ashmem none bind' 'lxc.mount.entry = /dev/binder dev/binder none bind' >"$M/var/lib/lxc/android/config"
	result "--fix fixes a whole machine, and can be run twice" fixes
	machine; ln -s nothing "$M/dev/ashmem"; : >"$M/dev/ashmem$BOOT_ID"; D=$M/var/lib/waydroid; mkdir -p "$D/lxc/waydroid"; echo 'sys.use_memfd=false' >"$D/waydroid.prop"
	echo 'lxc.include = /var/lib/waydroid/lxc/waydroid/config_nodes' >"$D/lxc/waydroid/config"
	printf '%s\n' "${ENTRY/ashmem/null}" "lxc.mount.entry = /$STALE $STALE none bind,create=file" 'lxc.mount.entry = /dev/binder dev/binder none bind' >"$D/lxc/waydroid/config_nodes"; : >"$M/dev/null"
	result "--fix fixes Waydroid, and can be run twice" fixes
else
	NUMBER=$((NUMBER + 2))
	echo "ok $((NUMBER - 1)) --fix fixes a whole machine, and can be run twice # SKIP no nodes can be made here"
	echo "ok $NUMBER --fix fixes Waydroid, and can be run twice # SKIP no nodes can be made here"
fi

# Names, links and files of users must do no harm to root.
runs() {
	check --fix || true
	(cd "$M" && sh "$TMP/said" >"$TMP/ran" 2>&1) || true
	[[ ! -e $M/PWNED ]]
}
BINDER='lxc.mount.entry = /dev/binder dev/binder none bind'
machine; D="$M/home/joe/.local/share/lxc/"$'x\ntouch PWNED\n#'; mkdir -p "$D"; echo "$BINDER" >"$D/config"
result "the name of a user's container is not run by the script" runs
result "a container with an odd name is reported as not checked" says 1 '^note +not checked: containers of LXC, as'
machine; D="$M/var/lib/lxc/"$'x\ntouch PWNED\n#'; mkdir -p "$D"; echo "$BINDER" >"$D/config"
result "the name of root's container is not run by the script" runs
machine; D=$M/home/joe/.local/share/lxc/joe; mkdir -p "$D"; echo "$BINDER" >"$D/config"
result "--fix does not write to homes" eval 'check --fix || true; grep -q "container joe of LXC gets no" "$TMP/said" && ! grep -qE "^(add|drop)_line .*home" "$TMP/said" && grep -q "^# By hand: add lxc" "$TMP/said"'
# linked PATH: replaces PATH by another user's link to elsewhere.
linked() {
	mv "$M/$1" "$M/elsewhere"
	ln -s "$(printf '../%.0s' {1..9})${M:1}/elsewhere" "$M/$1"
	chown -h 12345 "$M/$1"
}
for path in .local .local/share/lxc .local/share/lxc/joe .local/share/lxc/joe/config; do
	machine; mkdir -p "$D" "$M/usr/bin"; echo "$BINDER" >"$D/config"; : >"$M/usr/bin/lxc-start"
	if linked "home/joe/$path" 2>/dev/null; then
		result "another user's link is not followed: $path" says 1 '^note +not checked: containers of LXC, as .*/home/joe/.local.* cannot'
		chown -h $EUID "$M/home/joe/$path"
		result "an own link is followed: $path" says 1 'container joe of LXC gets no'
	else
		NUMBER=$((NUMBER + 2))
		echo "ok $((NUMBER - 1)) another user's link is not followed: $path # SKIP only root can make one"
		echo "ok $NUMBER an own link is followed: $path # SKIP only root can make one"
	fi
done
# ends_soon: whether it ends within a minute, with little memory.
ends_soon() {
	(ulimit -v 1000000; ASHMEM_CHECK_ROOT=$M timeout 60 "$TMP/ashmem-check" >"$TMP/said" 2>&1) || [[ $? != 124 ]] && grep -q '^verdict' "$TMP/said"
}
machine; mkdir -p "$D" "$M/home/joe/.local/share/containers/storage/overlay-containers/x/userdata"
head -c 1000000 < <(yes '"allow":') | sed '1s/^/androidboot. "destination":"\/dev\/ashmem" /' >"$M/home/joe/.local/share/containers/storage/overlay-containers/x/userdata/config.json"
head -c 60000000 < <(yes '') >"$D/config"
result "large files of users do not slow it down" ends_soon
head -c 1000000 < <(yes 'lxc.include = /usr/share/lxc/x.conf') >"$D/config"; mkdir -p "$M/usr/share/lxc"; head -c 100000 < <(yes binder) >"$M/usr/share/lxc/x.conf"
result "many includes do not slow it down" ends_soon
machine; D=$M/home/joe/.local/share/lxc/joe; mkdir -p "$D"
machine; mkdir -p "$M/var/lib/lxc/a"; ln -s /dev/zero "$M/var/lib/lxc/a/config"
result "devices are not read" eval '(ulimit -v 500000; says 1 "^note +not checked: containers of LXC, as")'
rm "$M/var/lib/lxc/a/config"; truncate -s 1G "$M/var/lib/lxc/a/config"
result "very large files are not read" eval '(ulimit -v 500000; says 1 "^note +not checked: containers of LXC, as")'
unloaded; mkdir -p "$M/etc/modprobe.d"; echo 'updates/rust_ashmem.ko:' >"$M/lib/modules/$RELEASE/modules.dep"
F=$M/etc/modprobe.d/no.conf
printf 'install rust_ashmem echo \033[2K\n' >"$F"
result "--fix does not print control characters" eval '! script "^drop_line " && grep -q "^# By hand: " "$TMP/said"'

# keeps CONTENT LEFT [COMMAND]: whether only the one line is dropped from a file.
keeps() {
	printf "$1" >"$F"
	chmod 640 "$F"
	check --fix || true
	sed -n '/^drop_line()/,/^}/p; /^drop_line /p' "$TMP/said" >"$TMP/script"
	(export LC_ALL=C.UTF-8; ${3:-true}; sh -e "$TMP/script" 2>/dev/null) || [[ -n ${3:-} ]] || return
	cmp "$F" <(printf "$2") && [[ $(stat -c %a "$F") == 640 && $(ls "$M/etc/modprobe.d") == no.conf ]]
}
L='install rust_ashmem /bin/false\n'
result "--fix keeps a file with a NUL" keeps "one\0two\n${L}last" 'one\0two\nlast\n'
result "--fix keeps lines that are not UTF-8" keeps "caf\351\n${L}last\n" 'caf\351\nlast\n'
result "--fix may leave an empty file" keeps "$L" ''
result "--fix keeps the file if the disk is full" keeps "one\n$L" "one\n$L" "ulimit -f 0"

unloaded; echo 6.1.0 >"$M/proc/sys/kernel/osrelease"; mkdir "$M/etc"; printf 'PRETTY_NAME="x\ry"\n' >"$M/etc/os-release"
result "--fix prints what must be done by hand" script '^# By hand: on x.x0dy, '
result "--fix and --json exclude each other" ends 2 --fix --json

# JSON.
machine; mkdir -p "$M/sys/fs/selinux"; echo 1 >"$M/sys/fs/selinux/enforce"
result "JSON has each finding" json 'set(said) == {"version", "findings", "problems", "verdict"} and all(set(f) ==
	{"id", "status", "text", "advice"} and f["status"] in ("ok", "note", "broken") for f in said["findings"])'
result "the IDs in JSON are unique" json 'len(found) == len(said["findings"])'
result "the verdict in JSON has the number of problems" json 'said["verdict"] == "broken" and said["problems"] == 2 ==
	sum(f["status"] == "broken" for f in said["findings"])'
result "each problem in JSON has advice" json 'all(f["advice"] for f in said["findings"] if f["status"] == "broken") and
	"mknod" in found["node"]["advice"]'
# Control characters, quotes, truncated and overlong forms, surrogates, and valid text.
machine; printf '7.3"\\\033[31m\177\xc3\xa9\xc2\x9b\xff\xc0\xaf\xe2\x82\xed\xa0\x80\xf4\x90\x80\x80\xf0\x9f\x98\x80' >"$M/proc/sys/kernel/osrelease"
result "JSON is valid with any bytes in texts" json '"7.3\"\\\\x1b[31m\\x7f\u00e9\\xc2\\x9b\\xff\\xc0\\xaf\\xe2\\x82" in found["kernel"]["text"] and
	found["kernel"]["text"].count("\U0001f600 on ") == 1'
result "the text has no control characters" says 1 '^ok +kernel 7\.3"\\\\x1b\[31m\\x7fé\\xc2\\x9b\\xff.*😀 on '
exit $BAD
