#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests signed modules under Secure Boot; see --help.

. "$(dirname "$0")/../lib.sh"

DIR=$OUT/secureboot
# Debian 13's boot loaders, and a tool that writes the firmware's variables. They are only
# unpacked, because installing a boot loader would change this machine.
BOOT=$CACHE/secureboot
BOOT_PACKAGES=(ovmf shim-signed grub-efi-amd64-signed python3-virt-firmware)
# A firmware prints little until the kernel takes over.
SILENCE=450

usage() {
	cat <<-EOF
		Usage: make test-secureboot

		Boots Debian's own kernel in QEMU as a PC with Secure Boot does: firmware with
		Microsoft's keys, Debian's shim and GRUB, and an enrolled machine owner key that
		is made for this run. Tests that the module is refused unless 'make sign' signed
		it with that key, and runs some selftests. Ends with 'N passed, N failed, N
		skipped'. The exit status is 1 if a test failed.

		The first run installs packages (as root) and fills
		$CACHE
		as make test VM=debian does; later runs take about a minute. Logs are in
		out/secureboot.
	EOF
}

# prepare_boot: fetches BOOT, or sets BOOT_LACKS.
prepare_boot() {
	local package
	BOOT_LACKS=
	[[ ! -d $BOOT ]] || return 0
	open_archive
	for package in "${BOOT_PACKAGES[@]}"; do
		[[ -n $(archive apt-cache madison "$package") ]] || BOOT_LACKS+=" $package"
	done
	[[ -z $BOOT_LACKS ]] || return 0
	step "Fetching ${BOOT_PACKAGES[*]}" "10 s" "$CACHE/log/secureboot" fill "$BOOT" fetch_boot
}

# fetch_boot DIRECTORY
fetch_boot() {
	local package
	for package in "${BOOT_PACKAGES[@]}"; do
		fetch "$package" "$1" || return 1
	done
}

# make_key NAME: makes out/secureboot/keys/NAME.{key,pem,der}.
make_key() {
	local key=$DIR/keys/$1
	openssl req -new -x509 -nodes -newkey rsa:2048 -days 2 -subj "/CN=rust_ashmem test key, $1/" \
		-addext extendedKeyUsage=codeSigning,1.3.6.1.4.1.2312.16.1.2 -keyout "$key.key" -out "$key.pem" &&
		openssl x509 -in "$key.pem" -outform DER -out "$key.der"
}

# sign_with KEY MODULE: runs 'make sign' in the system that has the headers.
sign_with() {
	cp "$OUT/debian/module/rust_ashmem.ko" "$DIR/modules/$2"
	inside "$DEBIAN_ROOT" make -C "$TOP" sign KDIR="$DEBIAN_HEADERS" KEY="$DIR/keys/$1.key" \
		CERT="$DIR/keys/$1.der" MODULE="$DIR/modules/$2"
}

# make_modules: makes keys, and variants of the module in out/secureboot/modules.
make_modules() {
	rm -rf "$DIR"/{keys,modules}
	mkdir -p "$DIR"/{keys,modules}
	make_key enrolled && make_key other || return 1
	cp "$OUT/debian/module/rust_ashmem.ko" "$DIR/modules/unsigned.ko"
	sign_with other wrong.ko && sign_with enrolled signed.ko || return 1
	cp "$DIR/modules/signed.ko" "$DIR/modules/stripped.ko"
	strip --strip-debug "$DIR/modules/stripped.ko" || return 1
	sed 's/Android shared memory/android shared memory/' "$DIR/modules/signed.ko" >"$DIR/modules/changed.ko"
	! cmp -s "$DIR"/modules/{signed,changed}.ko
}

# make_variables: makes the firmware's variables, with the key enrolled as by MokManager.
make_variables() {
	PYTHONPATH=$BOOT/usr/lib/python3/dist-packages /usr/bin/python3 -B -m virt.firmware.vars \
		--input "$BOOT/usr/share/OVMF/OVMF_VARS_4M.ms.fd" --output "$DIR/variables" \
		--add-mok "$(</proc/sys/kernel/random/uuid)" "$DIR/keys/enrolled.pem"
}

# make_disk: makes the disk from which the firmware boots.
make_disk() {
	local disk=$DIR/disk
	rm -rf "$disk"
	mkdir -p "$disk"/EFI/{BOOT,debian}
	cp "$BOOT/usr/lib/shim/shimx64.efi.signed" "$disk/EFI/BOOT/BOOTX64.EFI"
	cp "$BOOT/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" "$disk/EFI/BOOT/grubx64.efi"
	cp "$KERNEL" "$disk/vmlinuz"
	cp "$DIR/initramfs.gz" "$disk/initramfs.gz"
	# On a busy host, the kernel's check may find the timer not working.
	cat >"$disk/EFI/debian/grub.cfg" <<-EOF
		linux /vmlinuz console=ttyS0 results=/dev/ttyS2 panic=-1 no_timer_check
		initrd /initramfs.gz
		boot
	EOF
}

# build: builds the module, signs it in several ways, and builds some suites. All suites
# would take minutes.
build() {
	make_debian_module
	step "Signing it with keys made for this run" "5 s" "$DIR/sign.log" make_modules
	build_suites secureboot 64
	SUITES=(modules {area,mmap,pin,purge}_test)
}

# boot_signed: boots from the disk with the firmware.
boot_signed() {
	FIRMWARE=$BOOT/usr/share/OVMF/OVMF_CODE_4M.secboot.fd
	make_initramfs secureboot secureboot "$DIR/modules:/modules" "${PROGRAMS[@]}"
	make_variables 2>"$DIR/variables.log" ||
		die "Cannot write the firmware's variables." "See $DIR/variables.log."
	make_disk
	say "Booting it with Secure Boot (usually 40 s)"
	count_vm secureboot
	tell_tested secureboot debian
	tr -d '\r' <"$DIR/results" | sed -n '/^## begin modules/,/^## status/s/^# /  /p'
}

case ${1:-} in
"") ;;
-h | --help) usage && exit ;;
*) usage >&2 && exit 2 ;;
esac

need secureboot
prepare debian
[[ -z $DEBIAN_LACKS ]] || skip secureboot "$DEBIAN_LACKS"
with_cache prepare_boot
[[ -z $BOOT_LACKS ]] || skip secureboot "the archive has no$BOOT_LACKS"
build
boot_signed
conclude
