#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: tools/doctor.sh [--build]     (or: make doctor)
#
# Check whether rust_ashmem.ko can be built and loaded on this machine. Print one
# line per check, "ok", "note", or "MISSING" with what to do, then the verdict. With
# --build, check only whether it can be built, for a kernel that need not be running.
# Changes nothing; root is not required. Environment:
#   KREL         kernel release (uname -r)
#   KDIR         its headers or build directory (/lib/modules/$KREL/build)
#   RUSTC        compiler to try first
#   KO           module whose signature is checked (rust_ashmem.ko)
#   DOCTOR_ROOT  prefix for /boot, /etc, /lib, /proc, /sys and /usr (for tests)
# Exit status: 0 possible, 1 not possible, 2 wrong usage.

set -u

usage() { sed -n '4,/^# Exit/s/^# \{0,1\}//p' "$0"; }

R=${DOCTOR_ROOT-}
KREL=${KREL:-$(uname -r)}
MAKEVARS=${KDIR:+ KDIR=$KDIR}	# variables for the make command line
KDIR=${KDIR:-$R/lib/modules/$KREL/build}
. "$(dirname "$0")/lib/kernels.sh"
. "$(dirname "$0")/lib/tables.sh"
KO=${KO:-$(dirname "$0")/../rust_ashmem.ko}
ASKED=both		# or build
BUILD=yes LOAD=yes	# the verdict; missing() sets them to no
RMMOD=''		# set when our own module is loaded already
CONFIG='' FROM=''	# the kernel's configuration, and where it was found

ok()   { printf '%-8s %s\n' ok "$1"; }
note() { printf '%-8s %s\n' note "$1"; }

missing() {	# build|load|both FINDING WHAT-TO-DO
	[ "$1" = load ] || BUILD=no
	[ "$1" = build ] || LOAD=no
	[ "$1$ASKED" = loadbuild ] || printf '%-8s %s: %s\n' MISSING "$2" "$3"
}

# The value of a kernel option without its quotes; empty when not set.
cfg() { sed -n "s/^CONFIG_$1=\"\{0,1\}\(.*[^\"]\)\"\{0,1\}\$/\1/p" <<<"$CONFIG"; }

is() { [ "$(cfg "$1")" = y ]; }

is_container() {
	[ -e "$R/.dockerenv" ] || [ -e "$R/run/.containerenv" ] || [ -s "$R/run/systemd/container" ]
}

# Prints where to get Rust metadata on this system; sets META and HEADERS.
check_distro() {
	local name
	META=$(system_says metadata)
	HEADERS=$(system_says headers)
	name=$(system_name)
	entry systems "$SYSTEM" tried
	[ "$ENTRY" = yes ] || name="$name, where this advice is untested"
	note "$name (from $R/etc/os-release): Rust metadata: $META"
	[ -z "$(system_says sealed)" ] || note "/usr is read-only here: $(system_says sealed)"
}

# is_older RELEASE [SERIES]: whether a kernel is older than that series, by default too old for
# the driver. False if the release cannot be parsed.
is_older() {
	local major minor old_major old_minor
	IFS=.-+ read -r major minor _ <<<"$1"
	IFS=. read -r old_major old_minor <<<"${2:-$OLDEST_KERNEL}"
	case $major$minor in *[!0-9]* | '') return 1 ;; esac
	[ $((major * 1000 + ${minor:-0})) -lt $((old_major * 1000 + old_minor)) ]
}

# If the kernel is too old, this is the only finding, as nothing else matters.
check_age() {
	is_older "$KREL" || return
	if is_container; then
		missing both "kernel $KREL is too old, rust_ashmem needs Linux $OLDEST_KERNEL or newer" 'boot a newer kernel on the host'
	else
		missing both "kernel $KREL is too old, rust_ashmem needs Linux $OLDEST_KERNEL or newer" "on $(system_name): $(system_says kernel); then boot that"
	fi
	conclude
}

# Prints the verdict and exits.
conclude() {
	if [ $ASKED = build ]; then
		printf 'build: %s\n' $BUILD
		[ $BUILD = yes ] || exit 1
		echo "next: make$MAKEVARS"
		exit
	fi
	printf 'build: %s\nload: %s\n' $BUILD $LOAD
	if [ $BUILD$LOAD = yesyes ]; then
		echo "next: make$MAKEVARS && ${RMMOD}sudo insmod rust_ashmem.ko"
		exit
	fi
	echo 'otherwise: make demo (works in a virtual machine, on any Debian 12 or 13 for amd64)'
	exit 1
}

# Containers are recognized by files that docker, podman and systemd-nspawn create.
check_container() {
	if is_container; then
		note "this is a container: kernel $(uname -r) is the host's; get the headers and load the module there"
	fi
}

check_series() {
	local rel=$KREL major minor from='uname -r or KREL'
	[ -n "$R" ] || [ "$KREL" = "$(uname -r)" ] ||
		missing load "kernel $KREL is not the running one ($(uname -r))" 'boot it'
	# The release in the headers becomes the module's vermagic.
	if [ -r "$KDIR/include/config/kernel.release" ]; then
		from=$KDIR/include/config/kernel.release
		rel=$(cat "$from")
		[ "$rel" = "$KREL" ] ||
			missing load "the kernel is $KREL, the headers are for $rel" "set KDIR to the headers of $KREL, or boot $rel"
	fi
	IFS=.-+ read -r major minor _ <<<"$rel"
	case $major$minor in
	*[!0-9]* | '') note "the release $rel (from $from) cannot be parsed; tested series are $TESTED_KERNELS"; return ;;
	esac
	if is_older "$rel"; then
		missing both "kernel $rel is older than $OLDEST_KERNEL, too old for the Rust APIs used (from $from)" "install the headers of a newer kernel, and boot it"
	elif [[ " $TESTED_KERNELS " == *" $major.$minor "* ]]; then ok "kernel $rel: series $major.$minor is tested (from $from)"
	else note "kernel $rel is untested; $TESTED_KERNELS are tested (from $from)"; fi
}

find_config() {
	local tries=("$KDIR/.config" "$R/boot/config-$KREL" "$R/proc/config.gz" "$R/lib/modules/$KREL/config")
	for FROM in "${tries[@]}"; do
		[ -r "$FROM" ] || continue
		case $FROM in *.gz) CONFIG=$(gzip -dc "$FROM") ;; *) CONFIG=$(cat "$FROM") ;; esac
		[ -n "$CONFIG" ] && return
	done
	missing both "kernel configuration: none of ${tries[*]} can be read" "$HEADERS"
	return 1
}

check_config() {
	local opt
	for opt in 64BIT RUST MODULES SHMEM TMPFS MMU; do
		if is $opt; then ok "CONFIG_$opt=y (from $FROM)"
		else missing both "CONFIG_$opt is not set (in $FROM)" "boot a kernel built with CONFIG_$opt=y"; fi
	done
	if is MODVERSIONS && ! is EXTENDED_MODVERSIONS; then
		missing both "CONFIG_MODVERSIONS=y without CONFIG_EXTENDED_MODVERSIONS (in $FROM)" 'boot a kernel with both or neither: the old format has no room for Rust symbol names'
	else ok "CONFIG_MODVERSIONS is off or extended (from $FROM)"; fi
	if is RANDSTRUCT; then
		missing both "CONFIG_RANDSTRUCT=y (in $FROM)" 'boot a kernel without it: Rust cannot use randomized structures'
	else ok "CONFIG_RANDSTRUCT is off (from $FROM)"; fi
	if (is CFI || is CFI_CLANG) && is_older "$KREL" 7.1; then
		missing both "CONFIG_CFI=y before Linux 7.1 (in $FROM)" 'boot Linux 7.1 or later, or a kernel without it: the kernel would reject a callback of the driver'
	fi
}

# Only one driver can register the misc device `ashmem`.
check_name() {
	local opt m
	if [ ! -r "$R/proc/misc" ]; then
		note "cannot tell whether the name ashmem is free: $R/proc/misc cannot be read"
	elif grep -qE '^ *[0-9]+ ashmem$' "$R/proc/misc"; then
		for m in rust_ashmem ashmem_linux ashmem_rust ashmem ''; do
			[ -n "$m" ] && grep -qs "^$m " "$R/proc/modules" && break
		done
		case $m in
		rust_ashmem) RMMOD='sudo rmmod rust_ashmem && '
			note "rust_ashmem is loaded already (from $R/proc/modules)" ;;
		'')	missing load "a driver built into the kernel has the name ashmem (from $R/proc/misc)" 'use its /dev/ashmem, or boot a kernel without it' ;;
		*)	missing load "the module $m has the name ashmem (from $R/proc/misc)" "sudo rmmod $m" ;;
		esac
		return
	else
		ok "the name ashmem is free (from $R/proc/misc)"
	fi
	for opt in ASHMEM ASHMEM_RUST; do
		case $(cfg $opt) in
		y) missing load "CONFIG_$opt=y, another ashmem driver is built in (from $FROM)" 'use its /dev/ashmem, or boot a kernel without it' ;;
		m) note "CONFIG_$opt=m: another ashmem module exists and must stay unloaded (from $FROM)" ;;
		esac
	done
}

check_headers() {
	local f gone='' list=(Makefile include/config/auto.conf include/generated/autoconf.h
		Module.symvers scripts/mod/modpost scripts/basic/fixdep)
	if [ ! -d "$KDIR" ]; then
		missing build "headers: $KDIR does not exist" "$HEADERS; for a kernel you built, set KDIR to its build directory"
		return 1
	fi
	is OBJTOOL && list+=(tools/objtool/objtool)
	for f in "${list[@]}"; do [ -e "$KDIR/$f" ] || gone="$gone $f"; done
	if [ -n "$gone" ]; then
		missing build "headers: $KDIR lacks$gone" "$HEADERS; in a build directory, finish the build"
	elif ! grep -q '[[:space:]]shmem_file_setup[[:space:]]' "$KDIR/Module.symvers"; then
		missing both "shmem_file_setup is not exported (in $KDIR/Module.symvers)" 'boot a kernel without CONFIG_TRIM_UNUSED_KSYMS'
	elif "$KDIR/scripts/basic/fixdep" >/dev/null 2>&1 </dev/null; [ $? -ge 126 ]; then
		# This happens with cross-built headers of small boards.
		missing build "headers: $KDIR/scripts/basic/fixdep does not run on this processor" "sudo make -C $KDIR scripts"
	else
		ok "headers: $KDIR has what modules in C need"
	fi
}

# Checks the files that rustc reads for a module: the base crates of rust/Makefile,
# and those in this kernel's scripts/Makefile.build. bindgen is not needed: only the
# kernel's own `make prepare` runs it, a build with M= never does.
check_metadata() {
	local c f first='' n=0 how
	for c in kernel core compiler_builtins ffi build_error bindings uapi pin_init macros pin_init_internal \
		$(cat "$KDIR"{,/source}/scripts/Makefile.build 2>/dev/null | grep -o -e '--extern zero[a-z_]*' | sort -u | sed 's/.* //'); do
		case $c in macros | *_internal | *_derive) f=rust/lib$c.so ;; *) f=rust/lib$c.rmeta ;; esac
		[ -e "$KDIR/$f" ] && continue
		n=$((n + 1)) first=${first:-$f}
	done
	# On other architectures, the target is built into rustc.
	if { is X86 || is UML; } && [ ! -e "$KDIR/scripts/target.json" ]; then n=$((n + 1)) first=${first:-scripts/target.json}; fi
	if [ $n -eq 0 ]; then ok "Rust metadata: rust/libkernel.rmeta and the rest (in $KDIR)"
	else
		how="$META; to make it, run make prepare modules_prepare in the kernel's own source with this configuration and copy rust/*.rmeta, rust/*.so, scripts/target.json to $KDIR"
		[ ! -e "$KDIR/.kernelvariables" ] || how="run make metadata (sudo make metadata$MAKEVARS)"
		missing build "Rust metadata: $KDIR lacks $first (files missing: $n)" "$how"
	fi
}

# The version text of the compiler is part of every Rust symbol name.
check_rustc() {
	local want c v path seen='' get
	want=$(cfg RUSTC_VERSION_TEXT)
	path=$(command -v rustc)
	for c in "$(command -v "${RUSTC:-rustc}")" "$path" "$R"/usr/bin/rustc "$R"/usr/lib/rust-*/bin/rustc \
		"$R"/usr/bin/rustc-[0-9]* "${RUSTUP_HOME:-${HOME-}/.rustup}"/toolchains/*/bin/rustc; do
		[ -x "$c" ] || continue
		# This check must not make rustup download a toolchain.
		v=$(RUSTUP_AUTO_INSTALL=0 "$c" --version 2>/dev/null)
		if [ "$v" = "$want" ]; then
			[ "$c" = "$path" ] && [ -z "${RUSTC-}" ] || MAKEVARS="$MAKEVARS RUSTC=$c"
			ok "RUSTC=$c equals CONFIG_RUSTC_VERSION_TEXT, '$want'"
			return
		fi
		case $seen in *"'$v'"*) ;; *) seen="$seen, $c is '$v'" ;; esac
	done
	c=${want#rustc }
	v=${c%% *}
	get=$(system_says rustc "$v")
	# The text of rustup's compiler ends after the date; distributions add more.
	case $want in
	*\)*\)*) get="install the distribution's own rustc $v ($get); rustup's differs" ;;
	*) get="install that version, for instance: rustup toolchain install ${c%% *}" ;;
	esac
	missing build "rustc equal to CONFIG_RUSTC_VERSION_TEXT, '$want'${seen:-, no rustc at all}" "$get"
}

# compiler_packages WANT VERSION: prints the packages of such a C compiler.
compiler_packages() {
	entry systems "$SYSTEM" compilers
	case $1$ENTRY in
	*clang*numbered) echo "clang-$2, lld-$2 and llvm-$2" ;;
	*clang*) echo "clang, lld and llvm of version $2" ;;
	*numbered) echo "gcc-$2" ;;
	*) echo "gcc of version $2" ;;
	esac
}

# Another version of the C compiler is good enough: the kernel's Makefile only warns.
check_tools() {
	local want ver c='' var='' best=0 rank v ld=ld
	want=$(cfg CC_VERSION_TEXT)
	case $want in
	*clang*) ver=$(cfg CLANG_VERSION)
		ver=${ver//[!0-9]/} ver=$((10#${ver:-0} / 10000))
		set -- clang LLVM=1 "clang-$ver" "LLVM=-$ver" "$R/usr/lib/llvm-$ver/bin/clang" "LLVM=$R/usr/lib/llvm-$ver/bin/" ;;
	*)	ver=$(cfg GCC_VERSION)
		ver=${ver//[!0-9]/} ver=$((10#${ver:-0} / 10000))
		set -- gcc '' "gcc-$ver" "CC=gcc-$ver"
		# Debian's headers call the compiler by its full name.
		[ ! -e "$KDIR/.kernelvariables" ] || set -- "${want%% *}" '' ;;
	esac
	while [ $# -gt 0 ]; do
		v=$("$1" --version 2>/dev/null | head -n 1)
		# The first word is only the name that gcc was called with.
		if [ -z "$v" ]; then rank=0
		elif [ "${v#* }" = "${want#* }" ]; then rank=3
		elif v=$("$1" -dumpversion) && [ "${v%%.*}" = $ver ]; then rank=2
		else rank=1; fi
		[ $rank -le $best ] || best=$rank c=$1 var=$2
		shift 2
	done
	case $best in
	3) ok "C compiler: $c equals CONFIG_CC_VERSION_TEXT, '$want'${var:+; pass $var to make}" ;;
	0) missing build "C compiler like '$want' (CONFIG_CC_VERSION_TEXT)" "install $(compiler_packages "$want" "$ver")" ;;
	*) note "C compiler: $c differs from CONFIG_CC_VERSION_TEXT, '$want'; the build will warn${var:+; pass $var to make}" ;;
	esac
	MAKEVARS="$MAKEVARS${var:+ $var}"
	case $var in LLVM=1) ld=ld.lld ;; LLVM=-*) ld=ld.lld-$ver ;; LLVM=*) ld=${var#LLVM=}ld.lld ;; esac
	for c in make $ld; do
		if command -v "$c" >/dev/null; then ok "$c is here"
		else missing build "the program $c" "install it (packages make, binutils, lld)"; fi
	done
	if is DEBUG_INFO_BTF_MODULES && ! command -v pahole >/dev/null; then
		if [ -e "$KDIR/vmlinux" ]; then missing build "pahole, as CONFIG_DEBUG_INFO_BTF_MODULES=y and $KDIR/vmlinux exists" 'install pahole (package pahole or dwarves)'
		else note "the module will have no BTF (CONFIG_DEBUG_INFO_BTF_MODULES=y): there is no pahole, and no $KDIR/vmlinux"; fi
	fi
}

check_enforcement() {
	local why=''
	grep -qs Y "$R/sys/module/module/parameters/sig_enforce" && why="$R/sys/module/module/parameters/sig_enforce is Y"
	is MODULE_SIG_FORCE && why="CONFIG_MODULE_SIG_FORCE=y in $FROM"
	grep -qsE '\[(integrity|confidentiality)\]' "$R/sys/kernel/security/lockdown" && why="$R/sys/kernel/security/lockdown is on, as under Secure Boot"
	if [ -z "$why" ] && is SECURITY_LOCKDOWN_LSM && [ ! -r "$R/sys/kernel/security/lockdown" ]; then
		note "cannot tell whether unsigned modules are accepted: $R/sys/kernel/security/lockdown cannot be read"
	elif [ -z "$why" ]; then
		ok "unsigned modules are accepted (from lockdown and sig_enforce in $R/sys)"
	elif [ "$(tail -c 28 "$KO" 2>/dev/null | tr -d '\0')" = '~Module signature appended~' ]; then
		note "only signed modules are accepted ($why); $KO is signed, and the kernel must trust its key"
	else
		missing load "an unsigned module will be refused ($why)" "sign it with a machine owner key ($KDIR/scripts/sign-file sha256 MOK.priv MOK.der rust_ashmem.ko; mokutil --import MOK.der), or turn enforcement off (Secure Boot, module.sig_enforce=, lockdown=)"
	fi
	if [ "$(cat "$R/proc/sys/kernel/modules_disabled" 2>/dev/null)" = 1 ]; then
		missing load "$R/proc/sys/kernel/modules_disabled is 1" 'reboot, and make sure that nothing sets it'
	fi
}

# Bit 16 is CAP_SYS_MODULE. sudo cannot add a capability that the bounding set lacks.
# In a user namespace (uid_map), even all capabilities do not suffice.
check_rights() {
	local uid caps map
	uid=$(awk '$1 == "Uid:" { print $3 }' "$R/proc/self/status" 2>/dev/null)
	caps=$(awk -v want="$([ "$uid" = 0 ] && echo CapEff: || echo CapBnd:)" '$1 == want { print $2 }' "$R/proc/self/status" 2>/dev/null)
	map=$(awk '{ print $1 $2 $3 }' "$R/proc/self/uid_map" 2>/dev/null)
	if [ -z "$caps" ]; then
		note "$R/proc/self/status cannot be read: loading needs root"
	elif caps=${caps//[!0-9a-f]/} && [ $((0x$caps >> 16 & 1)) = 0 ] || [ "${map:-004294967295}" != 004294967295 ]; then
		missing load "no right to load modules here, as in a container (from $R/proc/self)" 'run insmod on the host'
	elif [ "$uid" != 0 ]; then note 'not root: loading will need sudo'
	else ok "root may load modules here (from $R/proc/self/status)"; fi
}

case $#${1-} in
0) ;;
1--build) ASKED=build ;;
1--help | 1-h) usage; exit 0 ;;
*) usage >&2; exit 2 ;;
esac

find_system
check_age
check_distro
[ $ASKED = build ] || check_container
check_series
if find_config; then check_config; fi
[ $ASKED = build ] || check_name
if check_headers && is RUST; then check_metadata; fi
if is RUST; then check_rustc; fi
check_tools
[ $ASKED != build ] || conclude
check_enforcement
check_rights
conclude
