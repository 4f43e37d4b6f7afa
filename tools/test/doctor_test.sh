#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: tools/test/doctor_test.sh
#
# Runs doctor.sh on fake machines below a temporary directory, and checks its exit
# status and its output. Prints KTAP; exits with 1 if a test fails. DOCTOR names
# another script to test.

set -u

DOCTOR=${DOCTOR:-$(dirname "$0")/../doctor.sh}
KREL=7.3.4-test
# No real compiler prints this, so only the fake ones can match.
RUSTC_TEXT='rustc 1.85.1 (0123456789 2025-03-15) (test)'
N=0 FAILED=0
TMP=$(mktemp -d) || exit 1
trap 'rm -rf "$TMP"' EXIT
# Only these programs of the real machine are used: its compilers must not matter.
mkdir "$TMP/bin"
for tool in awk bash cat cut dirname grep gzip head sed sort tail tr uname; do
	ln -s "$(command -v $tool)" "$TMP/bin/$tool"
done

program() {	# FILE OUTPUT
	printf '#!/bin/sh\necho "%s"\n' "$2" >"$1"
	chmod +x "$1"
}

# A good machine, as root. Each test then breaks one thing.
machine() {
	local f
	M=$TMP/$((N + 1))
	K=$M/lib/modules/$KREL/build
	mkdir -p "$M"/{boot,etc,proc/self,proc/sys/kernel,sys/kernel/security,sys/module/module/parameters,usr/bin} \
		"$K"/{rust,scripts/basic,scripts/mod,include/config,include/generated}
	printf 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n' >"$M/etc/os-release"
	cat >"$M/boot/config-$KREL" <<-END
	CONFIG_CC_VERSION_TEXT="x86_64-linux-gnu-gcc-14 (Test) 14.2.0"
	CONFIG_GCC_VERSION=140200
	CONFIG_X86=y
	CONFIG_64BIT=y
	CONFIG_RUST=y
	CONFIG_RUSTC_VERSION_TEXT="$RUSTC_TEXT"
	CONFIG_MODULES=y
	CONFIG_SHMEM=y
	CONFIG_TMPFS=y
	CONFIG_MMU=y
	# CONFIG_MODVERSIONS is not set
	CONFIG_SECURITY_LOCKDOWN_LSM=y
	END
	echo "$KREL" >"$K/include/config/kernel.release"
	for f in Makefile include/config/auto.conf include/generated/autoconf.h scripts/mod/modpost scripts/target.json \
		rust/lib{kernel,core,compiler_builtins,ffi,build_error,bindings,uapi,pin_init,zerocopy}.rmeta \
		rust/lib{macros,pin_init_internal,zerocopy_derive}.so; do : >"$K/$f"; done
	echo '-Zunstable-options --extern pin_init --extern zerocopy --extern zerocopy_derive' >"$K/scripts/Makefile.build"
	printf '0x00000000\tshmem_file_setup\tvmlinux\tEXPORT_SYMBOL_GPL\t\n' >"$K/Module.symvers"
	program "$K/scripts/basic/fixdep" ''
	program "$M/usr/bin/rustc" "$RUSTC_TEXT"
	program "$M/usr/bin/gcc" 'gcc (Test) 14.2.0'
	program "$M/usr/bin/make" ''
	program "$M/usr/bin/ld" ''
	printf ' 10 misc\n123 binder_ashmem\n' >"$M/proc/misc"
	: >"$M/proc/modules"
	echo 0 >"$M/proc/sys/kernel/modules_disabled"
	rights 0 000001ffffffffff
	echo N >"$M/sys/module/module/parameters/sig_enforce"
	echo '[none] integrity confidentiality' >"$M/sys/kernel/security/lockdown"
}

rights() { printf 'Uid:\t%s\t%s\t0\t0\nCapEff:\t%s\nCapBnd:\t%s\n' "$1" "$1" "$2" "$2" >"$M/proc/self/status"; }
config() { sed -i "/CONFIG_${1%%=*}[= ]/d" "$M/boot/config-$KREL"; echo "CONFIG_$1" >>"$M/boot/config-$KREL"; }

# expect NAME STATUS BUILD LOAD REGEX...: every regex must match a line. LOAD is - to ask
# only about building.
expect() {
	local name=$1 want="$2 build: $3 load: $4" out status bad='' re asked=''
	[ "$4" != - ] || want="$2 build: $3" asked=--build
	shift 4
	N=$((N + 1))
	out=$(env -i PATH="$M/usr/bin:$TMP/bin" HOME="$M" DOCTOR_ROOT="$M" KREL=$KREL KO="$M/rust_ashmem.ko" \
		${ENV:+"$ENV"} "$TMP/bin/bash" "$DOCTOR" $asked 2>&1)
	status=$?
	OUT=$out
	re="$status $(grep -E '^(build|load): ' <<<"$out" | tr '\n' ' ')"
	[ "${re% }" = "$want" ] || bad="is '${re% }' instead of '$want'; "
	for re in "$@"; do
		grep -qE -e "$re" <<<"$out" || bad="${bad}no line matches '$re'; "
	done
	# There must be a MISSING line if and only if the verdict is bad.
	[ "$status" = 0 ] || grep -q '^MISSING  .*: ' <<<"$out" || bad="${bad}no finding; "
	[ "$status" != 0 ] || ! grep -q '^MISSING' <<<"$out" || bad="${bad}a finding; "
	if [ -z "$bad" ]; then
		echo "ok $N - $name"
	else
		FAILED=$((FAILED + 1))
		echo "not ok $N - $name"
		printf '%s\n' "$bad" "$out" | sed 's/^/# /'
	fi
}

echo 'KTAP version 1'
echo '1..71'
ENV=

machine
expect 'good machine' 0 yes yes '^next: make && sudo insmod rust_ashmem\.ko$' '^ok +CONFIG_RUST=y \(from .*/boot/config-' \
	'^ok +kernel 7\.3\.4-test: series 7\.3 is tested' '^ok +RUSTC=.*/usr/bin/rustc equals' '^note .*Debian GNU/Linux .*: linux-headers packages carry none; for kernels from [0-9.]* on'

machine; : >"$M/.dockerenv"
expect 'container' 0 yes yes "^note +this is a container: kernel .* is the host's"

machine; sed -i 's|^CONFIG_RUST=y|# CONFIG_RUST is not set|' "$M/boot/config-$KREL"
expect 'no CONFIG_RUST' 1 no no '^MISSING +CONFIG_RUST is not set .*: boot a kernel built with CONFIG_RUST=y' '^otherwise: make demo'

machine; rm "$K"/rust/*
expect 'headers without metadata' 1 no yes '^MISSING +Rust metadata: .* lacks rust/libkernel\.rmeta \(files missing: 12\): linux-headers packages carry none'

machine; rm "$K"/rust/*; : >"$K/.kernelvariables"; program "$M/usr/bin/x86_64-linux-gnu-gcc-14" 'x86_64-linux-gnu-gcc-14 (Test) 14.2.0'
expect "Debian's headers without metadata" 1 no yes '^MISSING +Rust metadata: .*: run make metadata \(sudo make metadata\)$'

machine; rm "$K"/rust/libzerocopy_derive.so; printf 'ID=ubuntu\nID_LIKE=debian\n' >"$M/etc/os-release"
expect 'one crate missing, Ubuntu' 1 no yes "lacks rust/libzerocopy_derive\.so \(files missing: 1\): package linux-lib-rust-$KREL carries it"

machine; program "$M/usr/bin/rustc" 'rustc 1.85.1 (0123456789 2025-03-15)'
expect 'other rustc' 1 no yes "^MISSING +rustc equal to CONFIG_RUSTC_VERSION_TEXT, '.*\(test\)', .*: install the distribution's own rustc 1\.85\.1 \(sudo apt install rustc\)"

# distribution NAME OS-RELEASE RUSTC METADATA: the advice if metadata and rustc are missing.
distribution() {
	local name=$1 rustc=$3
	machine
	rm -r "$K/rust" "$M/usr/bin/rustc"
	printf '%b\n' "$2" >"$M/etc/os-release"
	shift 3
	expect "$name" 1 no yes '^note .*, where this advice is untested' "^MISSING +rustc .*, no rustc at all: install the distribution's own rustc 1\.85\.1 \($rustc\)" \
		"^MISSING +Rust metadata: .*: $1"
}
distribution Ubuntu 'ID=ubuntu\nID_LIKE=debian' 'sudo apt install rustc-1\.85' "package linux-lib-rust-$KREL carries it"
distribution Arch 'ID=cachyos\nID_LIKE=arch' 'sudo pacman -S rust' 'package linux-headers .* carries it'
distribution Fedora 'ID=fedora' 'sudo dnf install rust-1\.85\.1 rust-src' 'package kernel-devel carries none'
distribution NixOS 'ID=nixos' "use the kernel's moduleBuildDependencies, which have it" "the kernel's dev output carries it"

distribution 'Arch, linux-lts' 'ID=endeavouros\nID_LIKE=arch' 'sudo pacman -S rust' 'package linux-headers .* carries it'
distribution Tumbleweed 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"' 'sudo zypper install rust1\.85' 'not checked whether kernel-test-devel'
distribution Void 'ID="void"' 'sudo xbps-install -S rust rust-src' 'linux7\.3-headers carries none'
distribution Gentoo 'ID=gentoo' '.*eselect rust list.*' 'the build directory has it'
distribution Alpine 'ID=alpine' 'as root: apk add rust rust-src' 'linux-test-dev carries none'
distribution postmarketOS 'ID=postmarketos\nID_LIKE=alpine' 'apk add rust rust-src.*' "only the kernel's own build directory"
distribution Mint 'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22.2"\nUBUNTU_CODENAME=noble' 'sudo apt install rustc-1\.85' "package linux-lib-rust-$KREL"

# sealed NAME OS-RELEASE REGEX: the advice on a system with a read-only /usr.
sealed() {
	machine
	mkdir -p "$M/run" && : >"$M/run/ostree-booted"
	printf '%b\n' "$2" >"$M/etc/os-release"
	expect "$1" 0 yes yes "^note +/usr is read-only here: $3"
}
sealed Silverblue 'ID=fedora\nVARIANT_ID=silverblue' 'build the module in a toolbox, then sudo make install-writable; or layer'
sealed Bazzite 'ID=bazzite\nID_LIKE="fedora"' 'build the module in a toolbox'
sealed Bluefin 'ID=bluefin\nID_LIKE="fedora"' 'build the module in a toolbox'
sealed SteamOS 'ID=steamos\nID_LIKE=arch' 'build in a container .*, then sudo make install-writable'

# old NAME RELEASE OS-RELEASE REGEX: the advice for a kernel that is too old, which must be
# the only finding.
old() {
	local KREL=$2
	machine
	printf '%b\n' "$3" >"$M/etc/os-release"
	expect "$1" 1 no no "^MISSING +kernel $(sed 's/[+.]/[&]/g' <<<"$2") is too old, rust_ashmem needs Linux [0-9.]+ or newer: on .*: $4; then boot that"
	[ "$(sed -n 1p <<<"$OUT" | cut -c 1-7)" = MISSING ] && [ "$(grep -c : <<<"$OUT")" = 4 ] || { FAILED=$((FAILED + 1)); echo "# not the first or not all"; }
}
old "Debian 13's kernel" 6.12.63+deb13-cloud-amd64 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie' \
	'sudo apt install -t trixie-backports linux-image-cloud-amd64 linux-headers-cloud-amd64.*'
old "Debian 13's kernel for real time" 6.12.63+deb13-rt-amd64 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie' \
	'sudo apt install -t trixie-backports linux-image-rt-amd64 linux-headers-rt-amd64.*'
old "Debian 12's kernel" 6.1.0-41-amd64 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm' 'no package of this release .*; upgrade to Debian 13.*'
old "Ubuntu 26.04's kernel" 6.14.0-22-generic 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="26.04"' 'sudo apt install linux-generic-hwe-26\.04,.*'
old "Ubuntu 24.04's kernel" 6.8.0-90-generic 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"' 'sudo apt install linux-generic-hwe-24\.04,.*'
old "Proxmox's kernel" 6.17.4-2-pve 'ID=debian\nVERSION_ID="13"' 'sudo apt install proxmox-default-kernel,.*'
old "WSL's kernel" 6.6.87.2-microsoft-standard-WSL2 'ID=ubuntu\nVERSION_ID="24.04"' 'on Windows: wsl --update;.*'
old "SteamOS's kernel" 6.11.11-valve24-1-neptune-611 'ID=steamos\nID_LIKE=arch' 'an update of SteamOS.*'
old "Alpine's kernel" 6.12.58-0-lts 'ID=alpine' 'as root: apk add linux-stable.*'
old "Tumbleweed's kernel" 6.17.1-1-default 'ID="opensuse-tumbleweed"' 'sudo zypper dup'
old "Void's kernel" 6.12.60_1 'ID=void' 'sudo xbps-install -Su linux-mainline'
old "Gentoo's kernel" 6.12.58-gentoo-dist 'ID=gentoo' 'sudo emerge .*'
old "NixOS's kernel" 6.12.58 'ID=nixos' 'boot\.kernelPackages = .*'
old "an unknown system's kernel" 6.6.1 'ID=other' 'install Linux .* \(no package is known\)'
machine; KREL=6.1.0-41-amd64; : >"$M/.dockerenv"
expect "the kernel of a container's host" 1 no no '^MISSING +kernel 6\.1\.0-41-amd64 is too old, .*: boot a newer kernel on the host$'
KREL=7.3.4-test

N=$((N + 1))
if [ "$(head -n 1 "$DOCTOR")" = '#!/usr/bin/env bash' ]; then echo "ok $N - NixOS has no /bin/bash"
else FAILED=$((FAILED + 1)); echo "not ok $N - NixOS has no /bin/bash"; fi

machine; mv "$M/usr/bin/rustc" "$M/usr/bin/rustc-1.85"
expect 'rustc under another name' 0 yes yes '^next: make RUSTC=.*/usr/bin/rustc-1\.85 && sudo insmod'

machine; mv "$M/usr/bin/rustc" "$M/mine"; ENV="RUSTC=$M/mine"
expect 'rustc named by RUSTC' 0 yes yes '^next: make RUSTC=.*/mine &&'

machine; mv "$K" "$M/mine"; ENV="KDIR=$M/mine"
expect 'headers named by KDIR' 0 yes yes '^next: make KDIR=.*/mine && sudo'
ENV=

machine; config ASHMEM=y; echo '  58 ashmem' >>"$M/proc/misc"
expect 'C ashmem built in' 1 yes no '^MISSING +a driver built into the kernel has the name ashmem'

machine; config ASHMEM=y
expect 'C ashmem configured' 1 yes no '^MISSING +CONFIG_ASHMEM=y, another ashmem driver is built in'

machine; config ASHMEM=m; echo ' 58 ashmem' >>"$M/proc/misc"; echo 'ashmem_linux 16384 0 - Live 0x0' >"$M/proc/modules"
expect 'C ashmem loaded' 1 yes no '^MISSING .*: sudo rmmod ashmem_linux$'

machine; echo ' 58 ashmem' >>"$M/proc/misc"; echo 'rust_ashmem 16384 0 - Live 0x0' >"$M/proc/modules"
expect 'own module loaded' 0 yes yes '^next: make && sudo rmmod rust_ashmem && sudo insmod'

machine; echo 'none [integrity] confidentiality' >"$M/sys/kernel/security/lockdown"; echo code >"$M/rust_ashmem.ko"
expect 'lockdown, unsigned module' 1 yes no '^MISSING +an unsigned module will be refused \(.*lockdown is on.*: sign it with a machine owner key'

machine; echo Y >"$M/sys/module/module/parameters/sig_enforce"; printf 'code~Module signature appended~\n' >"$M/rust_ashmem.ko"
expect 'enforcement, signed module' 0 yes yes '^note +only signed modules are accepted \(.*sig_enforce is Y\); .*rust_ashmem\.ko is signed'

machine; rm -r "$K"
expect 'no headers' 1 no yes "^MISSING +headers: .*/build does not exist: sudo apt install linux-headers-$KREL"

machine; printf '#!/no/such/loader\n' >"$K/scripts/basic/fixdep"
expect 'headers for another processor' 1 no yes 'fixdep does not run on this processor: sudo make -C'

machine; rm "$M/boot/config-$KREL"
expect 'no configuration' 1 no no '^MISSING +kernel configuration: none of .*/build/\.config .*/proc/config\.gz .* can be read'

machine; gzip <"$M/boot/config-$KREL" >"$M/proc/config.gz"; rm "$M/boot/config-$KREL"
expect 'configuration in /proc' 0 yes yes '^ok +CONFIG_RUST=y \(from .*/proc/config\.gz\)'

machine; echo 6.12.9 >"$K/include/config/kernel.release"
expect 'old series, other headers' 1 no no '6\.12\.9 is older than 6\.18, too old' '^MISSING +the kernel is 7\.3\.4-test, the headers are for 6\.12\.9'

machine; config MODVERSIONS=y; config RANDSTRUCT=y
expect 'MODVERSIONS, RANDSTRUCT' 1 no no '^MISSING +CONFIG_MODVERSIONS=y without CONFIG_EXTENDED' '^MISSING +CONFIG_RANDSTRUCT=y'

machine; sed -i /64BIT/d "$M/boot/config-$KREL"
expect '32-bit kernel' 1 no no '^MISSING +CONFIG_64BIT is not set'

machine; config CFI=y
expect 'CFI' 0 yes yes

machine; config CFI_CLANG=y; mv "$M/boot/config-$KREL" "$M/boot/config-6.18.9"; mv "$M/lib/modules/$KREL" "$M/lib/modules/6.18.9"
KREL=6.18.9 K=$M/lib/modules/6.18.9/build; echo "$KREL" >"$K/include/config/kernel.release"
expect 'CFI before 7.1' 1 no no '^MISSING +CONFIG_CFI=y before Linux 7\.1 .*: boot Linux 7\.1 or later'
KREL=7.3.4-test

machine; config 'CC_VERSION_TEXT="Test clang version 19.1.7 (1)"'; config CLANG_VERSION=190107
program "$M/usr/bin/clang-19" 'Test clang version 19.1.7 (1)'; program "$M/usr/bin/clang" 'Test clang version 14.0.6'
program "$M/usr/bin/ld.lld-19" ''
expect 'clang kernel' 0 yes yes '^ok +C compiler: clang-19 equals .*; pass LLVM=-19 to make' '^next: make LLVM=-19 &&'

machine; : >"$K/.kernelvariables"
expect 'compiler fixed by Debian headers' 1 no yes "^MISSING +C compiler like 'x86_64-linux-gnu-gcc-14 \(Test\) 14\.2\.0' .*: install gcc-14$"

machine; config DEBUG_INFO_BTF_MODULES=y
expect 'BTF without vmlinux' 0 yes yes '^note +the module will have no BTF .*: there is no pahole, and no .*/vmlinux'

machine; config DEBUG_INFO_BTF_MODULES=y; : >"$K/vmlinux"
expect 'BTF without pahole' 1 no yes '^MISSING +pahole, .*: install pahole'

machine; rights 0 00000000a80425fb
expect 'container without the right to load' 1 yes no '^MISSING +no right to load modules here, as in a container .*: run insmod on the host'

machine; rights 1000 000001ffffffffff; echo 1 >"$M/proc/sys/kernel/modules_disabled"
expect 'modules_disabled, not root' 1 yes no 'modules_disabled is 1: reboot' '^note +not root: loading will need sudo'

machine; mv "$K" "$M/mine"; echo 7.3.5-other >"$M/mine/include/config/kernel.release"; config ASHMEM=y; rights 1000 0
ENV="KDIR=$M/mine"
expect 'building alone' 0 yes - '^next: make KDIR=.*/mine$' '^build: yes$' '^ok +kernel 7\.3\.5-other'
ENV=

machine; rm "$K"/rust/*; config ASHMEM=y
expect 'building alone, without metadata' 1 no - '^MISSING +Rust metadata: .* lacks rust/libkernel\.rmeta'

machine; printf 'PRETTY_NAME="Debian"\r\n  ID="debian" \r\nVERSION_CODENAME=%s\r\n' "'trixie'" >"$M/etc/os-release"; KREL=6.12.1-test
expect 'an os-release with CRLF and blanks' 1 no no 'on Debian: sudo apt install -t trixie-backports linux-image-'
machine; printf 'ID=debian\nVERSION_CODENAME="a&b"\nVERSION_ID="13"\n' >"$M/etc/os-release"
expect 'an os-release with an ampersand' 1 no no '-t a&b-backports'
machine; mkdir "$M/etc/os-release.d"; rm "$M/etc/os-release"; mv "$M/etc/os-release.d" "$M/etc/os-release"
expect 'a directory in place of os-release' 1 no no 'distribution unknown: install Linux'
machine; program "$M/usr/bin/uname" i686
expect '32-bit x86' 1 no no 'no 32-bit x86 kernel supports Rust; .*linux-image-amd64:amd64'
machine; program "$M/usr/bin/uname" armv7l
expect '32-bit ARM' 1 no no 'linux-image-armmp linux-headers-armmp'
KREL=7.3.4-test
# shellcheck disable=SC2016
machine; config 'GCC_VERSION=a[$(echo>'"$M"'/PWNED)]'; config 'CC_VERSION_TEXT="x$(echo>'"$M"'/PWNED)"'
expect 'a configuration with a command substitution' 0 yes yes 'differs from CONFIG_CC_VERSION_TEXT'
[ ! -e "$M/PWNED" ] || { FAILED=$((FAILED + 1)); echo "not ok $N - it is run"; }

N=$((N + 1))
if bash "$DOCTOR" --help | grep -q '^Usage: ' && bash "$DOCTOR" --nonsense >/dev/null 2>&1; [ $? -eq 2 ]; then
	echo "ok $N - usage"
else
	FAILED=$((FAILED + 1))
	echo "not ok $N - usage"
fi

echo "# $((N - FAILED)) of $N passed"
[ $FAILED -eq 0 ]
