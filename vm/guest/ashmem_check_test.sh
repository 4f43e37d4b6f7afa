#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# Runs ashmem-check on a good machine and on broken ones. It must report exactly the
# expected problems as BROKEN, and exit with the expected status.
#
# CHECK            the program
# MODULE           the module's file
# ASHMEM_C_DRIVER  set if the C driver is loaded: then only its one test runs
#
# Needs root, busybox, and a machine of its own, as it changes /dev. At the end the module
# is loaded, with the nodes that it makes by itself.

NAME=rust_ashmem
NODE=/dev/ashmem
OTHER=/dev/ashmem$(cat /proc/sys/kernel/random/boot_id)
MODULES=/lib/modules/$(uname -r)
WAYDROID=/var/lib/waydroid
DOCKER=/var/lib/docker/containers/0123456789abcdef

number=0
failed=0
said=$(mktemp)

as_root() {
	"$@"
}

as_user() {
	program=$1
	shift
	start-stop-daemon -S -q -c 65534:65534 -x "$program" -- "$@"
}

# finds WHO STATUS NAME WORDS...: runs the program, which must exit with STATUS. Each of
# WORDS, an extended regular expression, must match a line. There must be as many BROKEN
# lines as WORDS that begin with BROKEN.
finds() {
	who=$1 wanted=$2 name=$3 why='' broken=0
	shift 3
	# shellcheck disable=SC2086
	$who "$CHECK" $option >"$said" 2>&1
	status=$?
	[ $status = "$wanted" ] || why="it exited with $status instead of $wanted"
	for words in "$@"; do
		grep -qE -- "$words" "$said" || why="nothing matches '$words'"
		case $words in
		^BROKEN*) broken=$((broken + 1)) ;;
		esac
	done
	[ "$(grep -c ^BROKEN "$said")" = $broken ] || why="${why:-it finds other problems}"
	number=$((number + 1))
	if [ -z "$why" ]; then
		echo "ok $number $name"
		return
	fi
	failed=1
	sed 's/^/# /' "$said"
	echo "# $why"
	echo "not ok $number $name"
}

# The minor number of the driver.
minor() {
	sed -n 's/^ *\([0-9]*\) ashmem$/\1/p' /proc/misc
}

# good: brings the machine into a good state from any other.
good() {
	option=
	rm -rf "$NODE" "$OTHER" "$MODULES" /var/lib/waydroid /var/lib/docker
	mount -o remount,dev /dev
	grep -q "^$NAME " /proc/modules || insmod "$MODULE"
	for node in "$NODE" "$OTHER"; do
		rm -f "$node"
		mknod "$node" c 10 "$(minor)"
		chmod 666 "$node"
	done
}

unloaded() {
	good
	rmmod $NAME
	rm -f "$NODE" "$OTHER"
}

# The finding about 32-bit programs: User-mode Linux and a 64-bit program on arm64 cannot try.
compat() {
	case $(file_width)-$(uname -m)-$(grep -c 'User Mode Linux' /proc/cpuinfo) in
	32-*) echo '^ok +this is a 32-bit program, so' ;;
	64-x86_64-0) echo '^ok +32-bit programs can make each call, too' ;;
	64-x86_64-*) echo '^note +no 32-bit program can run here:' ;;
	*) echo '^note +32-bit calls were not tried' ;;
	esac
}

# The fifth byte of an ELF file is its class, 32 or 64 bits.
file_width() {
	case $(od -An -tu1 -j4 -N1 "$CHECK" | tr -d ' ') in
	1) echo 32 ;;
	2) echo 64 ;;
	esac
}

# start-stop-daemon needs these.
mkdir -p /etc
echo 'nobody:x:65534:65534::/:' >>/etc/passwd
echo 'nogroup:x:65534:' >>/etc/group

echo "TAP version 13"
if [ -n "${ASHMEM_C_DRIVER:-}" ]; then
	NAME=ashmem_linux
	echo "1..1"
	good
	finds as_root 0 c_driver '^note +another driver, the module ashmem_linux, is loaded' '^ok +PIN, UNPIN and' \
		'^note +GET_FILE_ID is not supported' '^note +/proc/self/fdinfo shows the name but no size' '^verdict: good'
	exit $failed
fi
echo "1..32"

good
finds as_root 0 good_as_root '^ok +the module rust_ashmem .*is loaded; its device is 10:' '^ok +SET_NAME and GET_NAME$' \
	'^ok +GET_FILE_ID$' '^ok +PURGE_ALL_CACHES is refused' "$(compat)" '^note +a memfd does not support' '^verdict: good'
finds as_user 0 good_as_user '^ok +another process maps' '^ok +PURGE_ALL_CACHES is refused' "$(compat)" '^verdict: good'
option=--purge
finds as_root 0 purge_as_root '^ok +PURGE_ALL_CACHES purged [0-9]+ pages, and PIN reports that'
finds as_user 0 purge_as_user '^note +PURGE_ALL_CACHES needs CAP_SYS_ADMIN, which this user lacks: run'
good
mount -o remount,noexec /dev
finds as_root 0 noexec_is_told '^note +regions cannot be mapped for execution, as /dev is mounted noexec'
mount -o remount,exec /dev

# The driver.
unloaded
finds as_root 1 no_driver "^BROKEN +no ashmem driver is installed for the running kernel $(uname -r | sed "s|[+]|[+]|g"): build"
mkdir -p "$MODULES"
echo 'updates/rust_ashmem.ko:' >"$MODULES/modules.dep"
finds as_user 1 driver_not_loaded '^BROKEN +the module rust_ashmem is installed .*but not loaded: sudo modprobe rust_ashmem'
good
stale=$(minor)
rmmod $NAME
[ -e "$NODE" ] || mknod -m 666 "$NODE" c 10 "$stale"
finds as_root 1 driver_gone '^BROKEN +no ashmem driver' "^note +/dev/ashmem is the device 10:$stale, left by a driver that was unloaded"

# The script of --fix, run.
good
rm "$OTHER"
chmod 600 "$NODE"
"$CHECK" --fix >/tmp/fix
sh /tmp/fix
finds as_root 0 mended_nodes '^ok +/dev/ashmem is the device' '^verdict: good'
good
rm "$NODE" "$OTHER"
mkdir "$NODE"
mknod -m 666 "$OTHER" c 10 254
"$CHECK" --fix >/tmp/fix
sh /tmp/fix
finds as_root 0 mended_stale_nodes '^verdict: good'
unloaded
mkdir -p "$MODULES/updates" /etc/modprobe.d
cp "$MODULE" "$MODULES/updates"
echo 'updates/rust_ashmem.ko:' >"$MODULES/modules.dep"
echo 'install rust_ashmem /bin/false' >/etc/modprobe.d/no.conf
finds as_root 1 kept_from_loading '^BROKEN .*but not loaded, and the line "install rust_ashmem /bin/false" in /etc/modprobe\.d/no\.conf'
"$CHECK" --fix >/tmp/fix
sh /tmp/fix
finds as_root 0 mended_loading '^ok +the module rust_ashmem ' '^verdict: good'
good
mount -o remount,nodev /dev
"$CHECK" --fix >/tmp/fix
sh /tmp/fix
finds as_root 0 mended_nodev '^verdict: good'
rm -r /tmp/fix /etc/modprobe.d

# The node.
good
rm "$NODE"
finds as_root 1 node_missing '^BROKEN +there is no /dev/ashmem, which .*sudo mknod -m 0666 /dev/ashmem c 10'
good
rm "$NODE"
echo >"$NODE"
finds as_root 1 node_is_file '^BROKEN +/dev/ashmem is a plain file instead'
rm "$NODE"
ln -s "$OTHER" "$NODE"
finds as_root 0 node_is_link '^note +/dev/ashmem is a link to /dev/ashmem.*; containers need device nodes$' '^ok +SET_NAME'
good
chmod 600 "$NODE"
finds as_user 1 mode_of_root_only_as_user '^BROKEN +/dev/ashmem has mode 0600, owner 0:0, so this user cannot' \
	'^note +/dev/ashmem cannot be opened: .*because of its mode'
finds as_root 1 mode_of_root_only_as_root '^BROKEN +/dev/ashmem has mode 0600, owner 0:0, so other users cannot' '^ok +SET_NAME'
chmod 660 "$NODE"
chown 0:65534 "$NODE"
finds as_user 0 mode_of_a_group '^note +/dev/ashmem has mode 0660, owner 0:65534, which is enough for this user' '^ok +SET_NAME'
good
rm "$NODE"
mknod -m 666 "$NODE" c 10 254
finds as_root 1 node_is_stale '^BROKEN +/dev/ashmem is stale: it is the device 10:254, and ashmem is 10:[0-9]+: sudo rm'
good
mount -o remount,nodev /dev
finds as_root 1 nodev_as_root '^BROKEN +/dev/ashmem cannot be opened: .*file system is mounted nodev: sudo mount -o remount,dev /dev'
finds as_user 1 nodev_as_user '^BROKEN +/dev/ashmem cannot be opened: .*file system is mounted nodev'

# The node with the boot ID.
good
rm "$OTHER"
finds as_root 1 boot_id_node_missing "^BROKEN +there is no $OTHER, which Android 16 opens" '^ok +SET_NAME'
ln -s ashmem "$OTHER"
finds as_root 1 boot_id_node_is_link "^BROKEN +$OTHER is a link to ashmem; containers need device nodes: sudo rm"
rm "$OTHER"
mknod -m 666 "$OTHER" c 10 254
finds as_root 1 boot_id_node_is_stale "^BROKEN +$OTHER is stale: it is the device 10:254, and ashmem is"
good
chmod 640 "$OTHER"
finds as_user 1 boot_id_node_is_closed "^BROKEN +$OTHER has mode 0640, owner 0:0, so this user"

# Waydroid and redroid.
good
mkdir -p $WAYDROID/lxc/waydroid
echo 'sys.use_memfd=false' >$WAYDROID/waydroid_base.prop
echo 'lxc.mount.entry = /dev/ashmem dev/ashmem none bind,create=file,optional 0 0' >$WAYDROID/lxc/waydroid/config_nodes
echo "lxc.include = $WAYDROID/lxc/waydroid/config_nodes" >$WAYDROID/lxc/waydroid/config
finds as_root 0 waydroid_is_good '^ok +Waydroid makes Android use /dev/ashmem'
echo 'sys.use_memfd=true' >$WAYDROID/waydroid_base.prop
finds as_root 1 waydroid_memfd_left '^BROKEN +Waydroid still makes Android use memfds.*: sys\.use_memfd=true in .*waydroid_base\.prop .*sudo waydroid upgrade --offline; to go back'
printf '[properties]\nsys.use_memfd = true\n' >$WAYDROID/waydroid.cfg
echo 'lxc.mount.entry = /dev/binder' >$WAYDROID/lxc/waydroid/config_nodes
finds as_user 1 waydroid_memfd_chosen '^BROKEN +/var/lib/waydroid/waydroid\.cfg makes Android use memfds instead of /dev/ashmem: remove' \
	'^BROKEN +Waydroid passes no /dev/ashmem into its container'
good
mkdir -p $DOCKER /tmp/redroid/bin /tmp/redroid/dev
cp /bin/busybox /tmp/redroid/bin
chroot /tmp/redroid /bin/busybox sleep 1000 &
pid=$!
echo "{\"State\":{\"Pid\":$pid},\"Args\":[\"androidboot.hardware=redroid\"]}" >$DOCKER/config.v2.json
echo '{"Privileged":true}' >$DOCKER/hostconfig.json
# Until chroot is done, its root is this one.
until [ "$(readlink /proc/$pid/root)" = /tmp/redroid ]; do :; done
finds as_root 1 redroid_without_node '^BROKEN +there is no /dev/ashmem in the redroid container 0123456789ab: restart it'
mknod -m 666 /tmp/redroid/dev/ashmem c 10 "$(minor)"
finds as_root 0 redroid_is_good '^ok +the redroid container 0123456789ab has /dev/ashmem'
chmod 700 /var/lib/docker
finds as_user 3 redroid_unseen '^note +not checked: containers of docker, as /var/lib/docker/?[a-z]* cannot be read: run this as root' '^verdict: unknown'
kill $pid
wait $pid 2>/dev/null

good
rm -rf "$OTHER" /tmp/redroid "$said"
[ $failed = 0 ]
