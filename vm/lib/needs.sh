# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The requirements of each leg: packages of the distribution, compilers, sources, a kernel.

# For building kernels, modules, programs and an initramfs.
BUILDING="bc bison busybox-static ccache clang-$LLVM_SERIES cpio flex gcc libc6-dev libclang-$LLVM_SERIES-dev
	libelf-dev lld-$LLVM_SERIES llvm-$LLVM_SERIES make perl python3 util-linux xz-utils"
# The same with Debian's own kernel.
ON_DEBIAN="$BUILDING gcc-multilib kmod mmdebstrap qemu-system-x86"

# packages_of LEG: prints the packages that it needs, except compilers for Rust.
packages_of() {
	case $1 in
	scripts) echo gcc gcc-multilib kmod libc6-dev make perl python3 spin util-linux xz-utils ;;
	uml) echo "$BUILDING" ;;
	x86 | x86-nodes | hard) echo "$BUILDING" gcc-multilib qemu-system-x86 ;;
	arm64* | gki*) echo "$BUILDING" qemu-system-arm ;;
	android | android-x86) echo "$BUILDING" gcc-multilib kmod qemu-system-x86 ;;
	android-arm64 | android-gki) echo "$BUILDING" kmod qemu-system-arm ;;
	intree) echo "$BUILDING" rsync ;;
	mutants) echo "$BUILDING" gcc-multilib qemu-system-x86 rsync ;;
	modversions) echo "$BUILDING" binutils kmod libdw-dev zlib1g-dev ;;
	debian | debian-rt | installed | engines) echo "$ON_DEBIAN" ;;
	debian-arm64) echo "$BUILDING" kmod mmdebstrap qemu-system-arm ;;
	pressure) echo "$ON_DEBIAN" ;;
	bench) echo "$BUILDING" qemu-system-x86 ;;
	bench-debian) echo "$ON_DEBIAN" ;;
	secureboot) echo "$ON_DEBIAN" openssl python3-cryptography python3-importlib-resources python3-pefile ;;
	package) echo git mmdebstrap util-linux ;;
	oracle) echo busybox-static ccache cpio gcc gcc-multilib libc6-dev make qemu-system-x86 util-linux xz-utils ;;
	check) echo "$BUILDING" shellcheck ;;
	esac
}

# need LEG...: installs the packages that these legs need.
need() {
	local leg packages=()
	for leg in "$@"; do
		mapfile -t -O "${#packages[@]}" packages < <(packages_of "$leg" | xargs -r -n 1)
	done
	((${#packages[@]})) || return 0
	mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
	need_packages "${packages[@]}"
}

# prepare VM: prepares compilers, sources, programs and a kernel for the machine.
prepare() {
	with_cache prepare_toolchain
	with_cache prepare_source
	with_cache prepare_programs "$1"
	[[ $1 != gki* ]] || with_cache prepare_tree
	case $1 in
	debian*) with_cache prepare_debian "$1" ;;
	*-builtin)
		prepare_kernel "${1%-builtin}"
		prepare_kernel "$1"
		;;
	*) prepare_kernel "$1" ;;
	esac
}
