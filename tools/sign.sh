#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Signs the module with a machine owner key; see --help.

. "$(dirname "$0")/lib.sh"

PATH+=:/usr/sbin:/sbin
ETC=${SIGN_ROOT:-}/etc
VAR=${SIGN_ROOT:-}/var
MARK='~Module signature appended~'

usage() {
	cat <<-EOF
		Usage: make sign [KEY=FILE CERT=FILE] [KDIR=DIR] [MODULE=rust_ashmem.ko]

		After 'make', before insmod or 'make modules_install': signs the module, which
		a kernel that was booted with Secure Boot asks for. A signature that is there
		already is replaced.

		  KEY     the private key, in PEM, or a pkcs11: address
		  CERT    its certificate, in DER or PEM

		By default these are what DKMS signs with. A key with a passphrase takes it from
		KBUILD_SIGN_PIN. The kernel takes the module if the certificate is enrolled,
		which nothing here does; docs/secure-boot.md says how.
	EOF
}

# dkms_setting NAME: prints what DKMS's configuration, which is shell, says.
dkms_setting() {
	(
		set +u
		for file in "$ETC/dkms/framework.conf" "$ETC"/dkms/framework.conf.d/*.conf; do
			# shellcheck disable=SC1090
			[[ ! -r $file ]] || . "$file"
		done
		printf '%s' "${!1}"
	)
}

# find_keys: sets KEY and CERT to what DKMS signs with, unless they are given.
find_keys() {
	[[ -z $KEY && -z $CERT ]] || return 0
	KEY=$(dkms_setting mok_signing_key)
	CERT=$(dkms_setting mok_certificate)
	# Ubuntu's DKMS takes the key of update-secureboot-policy.
	if [[ -z $KEY && -e $VAR/lib/shim-signed/mok ]]; then
		KEY=$VAR/lib/shim-signed/mok/MOK.priv
		CERT=$VAR/lib/shim-signed/mok/MOK.der
	fi
	KEY=${KEY:-$VAR/lib/dkms/mok.key}
	CERT=${CERT:-$VAR/lib/dkms/mok.pub}
}

# need_file FILE WHAT-TO-DO
need_file() {
	# A directory that may not be entered hides what is in it.
	[[ -r $1 ]] || die "$1 is not there, or you may not read it." "$2"
}

# configured_hash: prints the kernel's choice, which it understands.
configured_hash() {
	local hash
	hash=$(sed -n 's/^CONFIG_MODULE_SIG_HASH="\(.*\)"$/\1/p' "$KDIR/.config" 2>/dev/null || true)
	echo "${hash:-sha256}"
}

# cut_signature FILE: another signature would be put behind the first.
cut_signature() {
	local size length
	[[ $(tail -c 28 "$1" | tr -d '\0') == "$MARK" ]] || return 0
	size=$(stat -c %s "$1")
	length=$(tail -c 32 "$1" | head -c 4 | od -An -tu4 --endian=big)
	# The mark and its newline come after 12 bytes that describe the signature.
	truncate -s $((size - 28 - 12 - length)) "$1"
}

case ${1:-} in
-h | --help) usage && exit ;;
esac
(($# == 4)) || { usage >&2 && exit 2; }
KDIR=$1 KEY=$2 CERT=$3 MODULE=${4:-$TOP/rust_ashmem.ko}
SIGN_FILE=$KDIR/scripts/sign-file

[[ $MODULE == *.ko ]] ||
	die "$MODULE is no module, or a compressed one." "A module is signed before it is compressed: name one that ends with .ko."
need_file "$MODULE" "Build it: make."
find_keys
[[ -n $KEY && -n $CERT ]] || die "Key and certificate go together." "Name both: make sign KEY=FILE CERT=FILE."
HELP="Run it as root, name others by KEY= and CERT=, or make some: docs/secure-boot.md."
[[ $KEY == pkcs11:* ]] || need_file "$KEY" "$HELP"
need_file "$CERT" "$HELP"
[[ -x $SIGN_FILE ]] ||
	die "$KDIR has no scripts/sign-file." "Install the kernel's headers, or name its build directory by KDIR=."

NEW=$MODULE.signed
trap 'rm -f "$NEW" "$NEW.~signed~"' EXIT
# It stays its owner's when root signs it.
cp -p "$MODULE" "$NEW"
cut_signature "$NEW"
cut=$(stat -c %s "$NEW")
# A signature is appended in a file of its own, which would be root's again.
"$SIGN_FILE" "$(configured_hash)" "$KEY" "$CERT" "$NEW" "$NEW.~signed~" ||
	die "$SIGN_FILE cannot sign with $KEY and $CERT." \
		"Its words are above: the key must be the certificate's, and its passphrase in KBUILD_SIGN_PIN."
(($(stat -c %s "$NEW.~signed~") > cut)) || die "$SIGN_FILE signed nothing." "Install the kernel's headers anew."
cat "$NEW.~signed~" >"$NEW"
mv "$NEW" "$MODULE"
say "$MODULE is signed by '$(modinfo -F signer "$MODULE" 2>/dev/null || true)'."
say "The kernel takes it if $CERT is enrolled: sudo mokutil --test-key $CERT"
