#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of ashmem-check that take no driver: made-up machines below a temporary
# directory, its words, its JSON, and its exit status. What it says of a driver is
# tested where there is one, by vm/guest/ashmem_check_test.sh.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/test/ktap.sh"

BOOT_ID=01234567-89ab-cdef-0123-456789abcdef
RELEASE=7.3.4-test

# machine: makes one where the driver is loaded as 10:3. In place of its nodes, which
# only root could make, each test that needs one has something else.
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

# says STATUS WORDS...: whether it ends so, and each of the words, an extended regular
# expression, is in a line.
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

# json EXPRESSION: whether it prints valid JSON, of which that is true.
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

# builds FLAGS: whether all of it can be built so, without a warning.
builds() {
	make -s -C "$TOP/tools/ashmem-check" OUTPUT="$TMP/other" CFLAGS="-O2 -Werror $1" >"$TMP/said" 2>&1
	rm -rf "$TMP/other"
}

echo "1..61"
result "it is built" make -s -C "$TOP/tools/ashmem-check" OUTPUT="$TMP" CFLAGS="-O2 -Werror"
result "it is built static" builds -static
if echo 'int main(void) { return 0; }' | gcc -m32 -xc - -o "$TMP/a.out" 2>/dev/null; then
	result "it is built for 32 bits" builds -m32
else
	NUMBER=$((NUMBER + 1))
	echo "ok $NUMBER it is built for 32 bits # SKIP gcc -m32 lacks its libraries (gcc-multilib)"
fi

machine
result "--help is usage" ends 0 --help
result "it begins with the word" grep -q '^Usage: ashmem-check' "$TMP/said"
result "--version says the version" ends 0 --version
result "it is one line" grep -qxE 'ashmem-check [^ ]+' "$TMP/said"
result "an unknown option is refused" ends 2 --nonsense
result "usage is told" grep -q '^Usage: ' "$TMP/said"
result "an argument is refused" ends 2 word
result "a full disk is no success" prints_nowhere
result "nor for JSON" prints_nowhere --json
result "nor for help" prints_nowhere --help

# The driver.
result "the module is known" says 1 "^ok +kernel $RELEASE on " '^ok +the module rust_ashmem is loaded, its device is 10:3$'
echo 0.0.1 >"$M/sys/module/rust_ashmem/version"
result "another version is told" says 1 '^note +the driver is version 0\.0\.1, and .*: after an upgrade, '
machine; sed -i 's/^rust_ashmem/ashmem_linux/' "$M/proc/modules"
result "the C driver is told" says 1 '^note +another driver, the module ashmem_linux, is loaded'
machine; : >"$M/proc/modules"
result "a driver that is built in is told" says 1 '^note +an ashmem driver is built into the kernel'
machine; echo 'quiet cgroup.memory=nosocket,nokmem other=nokmem' >"$M/proc/cmdline"
result "limits without effect are told" says 1 '^note +cgroup\.memory=nokmem keeps limits .*: take nokmem from'
echo 'cgroup.memory=nosocket other=nokmem' >"$M/proc/cmdline"
result "others are not" says_nothing_of nokmem
machine; echo ' 58 other' >"$M/proc/misc"
result "a module without a device is told" says 1 '^BROKEN +the module rust_ashmem is loaded, and no device .*: .*dmesg'
machine; rm "$M/proc/misc"
result "a machine without /proc/misc is told" says 1 '^note +whether .* is not known, as .*/proc/misc cannot be read' '^BROKEN +there is no .*/dev/ashmem, which'
unloaded
result "a driver that is nowhere is told" says 1 "^BROKEN +no ashmem driver is installed for the running kernel $RELEASE: build and install"
result "nodes are no problem then" says 1 '^note +there is no .*/dev/ashmem, as' '^verdict: BROKEN, 1 problem;'
mkdir -p "$M/lib/modules/7.3.3/updates/dkms"; : >"$M/lib/modules/7.3.3/updates/dkms/rust_ashmem.ko.xz"
result "another kernel's module is told" says 1 "for the running kernel $RELEASE, only for 7\\.3\\.3: .*or boot 7\\.3\\.3"
mkdir -p "$M/var/lib/dkms/rust-ashmem"
result "what DKMS left undone is told" says 1 ", only for 7\\.3\\.3: sudo dkms autoinstall -k $RELEASE, .*make\\.log below .*/var/lib/dkms/rust-ashmem says"
unloaded; mkdir "$M/lib/modules/$RELEASE/extra"; : >"$M/lib/modules/$RELEASE/extra/rust_ashmem.ko"
result "a module without depmod is told" says 1 '^BROKEN .*/extra/rust_ashmem\.ko\) but not loaded: sudo depmod && sudo modprobe rust_ashmem,'
{ seq 100000 | sed 's|.*|kernel/&.ko: kernel/x.ko|'; echo 'extra/rust_ashmem.ko:'; } >"$M/lib/modules/$RELEASE/modules.dep"
result "a module to load is told" says 1 '^BROKEN .* but not loaded: sudo modprobe rust_ashmem,'
mkdir -p "$M/sys/kernel/security"; echo 'none [integrity] confidentiality' >"$M/sys/kernel/security/lockdown"
result "an unsigned module under lockdown is told" says 1 '^BROKEN .*takes signed ones only \(it is locked down, .*: sign it with'
printf 'code~Module signature appended~\n' >"$M/lib/modules/$RELEASE/extra/rust_ashmem.ko"
result "a signed one is told" says 1 '^BROKEN .*takes signed ones only .*: it is signed; enrol the key'
echo 1 >"$M/proc/sys/kernel/modules_disabled"
result "a kernel that loads no more is told" says 1 '^BROKEN .*but not loaded.*: reboot, as no module can be loaded any more \(.*/modules_disabled is 1\)'
unloaded; echo 'kernel/drivers/staging/android/ashmem_linux.ko.xz:' >"$M/lib/modules/$RELEASE/modules.dep"
result "the C driver's module is told" says 1 '^BROKEN .*the module ashmem_linux is installed'

# Nodes.
machine
result "a missing node is told" says 1 '^BROKEN +there is no .*/dev/ashmem, which .*: .*sudo mknod -m 0666 .*/dev/ashmem c 10 3$'
result "and the other one" says 1 "^BROKEN +there is no .*/dev/ashmem$BOOT_ID, which .*udev rule.*/dev/ashmem$BOOT_ID c 10 3\$"
result "both count" grep -q '^verdict: BROKEN, 2 problems;' "$TMP/said"
: >"$M/dev/ashmem"
result "a plain file is told" says 1 '^BROKEN .*/dev/ashmem is a plain file .*: sudo rm .*/dev/ashmem && sudo mknod'
rm "$M/dev/ashmem"; mkdir "$M/dev/ashmem"
result "a directory is told" says 1 '^BROKEN .*/dev/ashmem is a directory .*: sudo rmdir .*/dev/ashmem && sudo mknod'
rmdir "$M/dev/ashmem"; ln -s nothing "$M/dev/ashmem"
result "a link to nothing is told" says 1 '^BROKEN .*/dev/ashmem is a link to nothing, where nothing is: sudo rm'
ln -sfn /dev/full "$M/dev/ashmem"
result "a link to another device is told" says 1 '^note .*/dev/ashmem is a link to /dev/full;' \
	'^BROKEN .*/dev/ashmem is stale: it is the device 1:7, and ashmem is 10:3: sudo rm'
ln -s ashmem "$M/dev/ashmem$BOOT_ID"
result "the other one must not be a link" says 1 "^BROKEN .*/dev/ashmem$BOOT_ID is a link to ashmem; containers get nodes only: sudo rm"
unloaded; ln -s /dev/full "$M/dev/ashmem"
result "a node that was left is told" says 1 '^note .* the device 1:7, left from a driver that is gone: sudo rm'

# Containers.
machine; : >"$M/.dockerenv"
result "in docker, a missing node is to be passed" says 1 '^note +this is a container \(docker\)' \
	"^BROKEN .*: make the container anew .*--device /dev/ashmem --device /dev/ashmem$BOOT_ID, or with --privileged"
machine; mkdir "$M/proc/1"; printf 'a=b\0container=lxc\0' >"$M/proc/1/environ"
result "in LXC it is to be mounted" says 1 \
	'^BROKEN .*lxc\.cgroup2\.devices\.allow = c 10:3 rwm and lxc\.mount\.entry = /dev/ashmem ' \
	"^BROKEN .*: LXC makes up a boot's ID .*/dev/ashmem$BOOT_ID && mount --bind /dev/ashmem .*/dev/ashmem$BOOT_ID\$"
rm "$M/proc/misc"
result "whichever number it has" says 1 '^BROKEN .*lxc\.cgroup2\.devices\.allow = c 10:\* rwm and '
unloaded; mkdir "$M/run"; : >"$M/run/.containerenv"
result "in podman, the host is to load the driver" says 1 "^BROKEN +no ashmem driver is loaded in the host's kernel: on the host, sudo modprobe"

# Waydroid and redroid.
unloaded; mkdir -p "$M/var/lib/waydroid"
result "Waydroid without settings is told" says 1 '^note +Waydroid.s settings in .* cannot be read: run'
printf 'ro.x=1\nsys.use_memfd=true\n' >"$M/var/lib/waydroid/waydroid_base.prop"
result "Waydroid with memfds is told" says 1 '^note +Waydroid has Android use memfds, as .*/waydroid_base\.prop says: that serves'
echo 'sys.use_memfd=false' >>"$M/var/lib/waydroid/waydroid_base.prop"
result "Waydroid that lost the device is told" says 1 '^note +Waydroid has Android use /dev/ashmem, as it was there once: .*sudo waydroid upgrade --offline'
printf '[properties]\nsys.use_memfd = true\n' >"$M/var/lib/waydroid/waydroid.cfg"
result "the user's own setting counts" says 1 '^note +Waydroid has Android use memfds, as .*/waydroid\.cfg says'
machine; D=$M/var/lib/docker/containers/0123456789abcdef; mkdir -p "$D"
echo '{"State":{"Running":true,"Pid":77},"Args":["androidboot.hardware=redroid","androidboot.use_memfd=1"]}' >"$D/config.v2.json"
echo '{"Privileged":false,"Devices":[]}' >"$D/hostconfig.json"
result "redroid without the device is told" says 1 '^BROKEN +the redroid container 0123456789ab gets no /dev/ashmem: make it anew with --device' \
	'^note +the redroid container 0123456789ab is started with use_memfd: '
echo '{"Privileged":true,"Devices":[]}' >"$D/hostconfig.json"
result "redroid that was started before is told" says 1 '^BROKEN +there is no /dev/ashmem in the redroid container 0123456789ab: start it anew .*docker restart 0123456789ab$'
mkdir -p "$M/proc/77/root/dev"; ln -s /dev/full "$M/proc/77/root/dev/ashmem"
result "redroid with a stale node is told" says 1 "^BROKEN +/dev/ashmem in the redroid container 0123456789ab is stale: start it anew"
sed -i 's/redroid/other/' "$D/config.v2.json"
result "other containers are left alone" says_nothing_of redroid

# Security modules.
machine; mkdir -p "$M/sys/fs/selinux" "$M/proc/self/attr"; echo 'docker-default (enforce)' >"$M/proc/self/attr/current"
result "AppArmor is told" says 1 '^note +AppArmor confines this process: docker-default \(enforce\)'
echo 'u:r:su:s0' >"$M/proc/self/attr/current"
result "another module's label is not taken for AppArmor's" says_nothing_of AppArmor
echo 1 >"$M/sys/fs/selinux/enforce"
result "SELinux is told" says 1 '^note +SELinux enforces, and the label of /dev/ashmem is '

# JSON.
result "JSON has each finding" json 'set(said) == {"version", "findings", "problems", "verdict"} and all(set(f) ==
	{"id", "status", "text", "advice"} and f["status"] in ("ok", "note", "broken") for f in said["findings"])'
result "an id is said once" json 'len(found) == len(said["findings"])'
result "its verdict counts" json 'said["verdict"] == "broken" and said["problems"] == 2 ==
	sum(f["status"] == "broken" for f in said["findings"])'
result "a problem has advice" json 'all(f["advice"] for f in said["findings"] if f["status"] == "broken") and
	"mknod" in found["node"]["advice"]'
# Control characters, quotes, what is too short or too long, surrogates, and text.
machine; printf '7.3"\\\033[31m\177\xc3\xa9\xc2\x9b\xff\xc0\xaf\xe2\x82\xed\xa0\x80\xf4\x90\x80\x80\xf0\x9f\x98\x80' >"$M/proc/sys/kernel/osrelease"
result "JSON is valid whatever the bytes" json '"7.3\"\\\\x1b[31m\\x7f\u00e9\\xc2\\x9b\\xff\\xc0\\xaf\\xe2\\x82" in found["kernel"]["text"] and
	found["kernel"]["text"].count("\U0001f600 on ") == 1'
result "text has no control characters" says 1 '^ok +kernel 7\.3"\\\\x1b\[31m\\x7fé\\xc2\\x9b\\xff.*😀 on '
exit $BAD
