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

		Signs the module, as required under Secure Boot. Run it after 'make', and before
		insmod or 'make modules_install'. Replaces an existing signature.

		  KEY     the private key, in PEM, or a pkcs11: address
		  CERT    its certificate, in DER or PEM

		The default is the key of DKMS. The passphrase of a key is read from
		KBUILD_SIGN_PIN. The kernel accepts the module only if the certificate is
		enrolled. This does not enrol it; docs/secure-boot.md says how.
	EOF
}

# dkms_setting NAME: prints a setting of DKMS's configuration, which is shell code.
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

# find_keys: sets KEY and CERT to those of DKMS, unless they are given.
find_keys() {
	[[ -z $KEY && -z $CERT ]] || return 0
	KEY=$(dkms_setting mok_signing_key)
	CERT=$(dkms_setting mok_certificate)
	# Ubuntu's DKMS uses the key of update-secureboot-policy.
	if [[ -z $KEY && -e $VAR/lib/shim-signed/mok ]]; then
		KEY=$VAR/lib/shim-signed/mok/MOK.priv
		CERT=$VAR/lib/shim-signed/mok/MOK.der
	fi
	KEY=${KEY:-$VAR/lib/dkms/mok.key}
	CERT=${CERT:-$VAR/lib/dkms/mok.pub}
}

# need_file FILE WHAT-TO-DO
need_file() {
	# A directory without search permission hides its files.
	[[ -r $1 ]] || die "$1 does not exist, or you may not read it." "$2"
}

# configured_hash: prints the kernel's hash algorithm.
configured_hash() {
	local hash
	hash=$(sed -n 's/^CONFIG_MODULE_SIG_HASH="\(.*\)"$/\1/p' "$KDIR/.config" 2>/dev/null || true)
	echo "${hash:-sha256}"
}

# cut_signature FILE: removes a signature, as sign-file would append another.
cut_signature() {
	local size length
	[[ $(tail -c 28 "$1" | tr -d '\0') == "$MARK" ]] || return 0
	size=$(stat -c %s "$1")
	length=$(tail -c 32 "$1" | head -c 4 | od -An -tu4 --endian=big)
	# The marker of 28 bytes is preceded by a struct of 12 bytes, and that by the signature.
	truncate -s $((size - 28 - 12 - length)) "$1"
}

case ${1:-} in
-h | --help) usage && exit ;;
esac
(($# == 4)) || { usage >&2 && exit 2; }
KDIR=$1 KEY=$2 CERT=$3 MODULE=${4:-$TOP/rust_ashmem.ko}
SIGN_FILE=$KDIR/scripts/sign-file

[[ $MODULE == *.ko ]] ||
	die "$MODULE is not a module, or is compressed." "Sign the module before compressing it: set MODULE= to a file that ends with .ko."
need_file "$MODULE" "Build it: make."
find_keys
[[ -n $KEY && -n $CERT ]] || die "Key and certificate go together." "Name both: make sign KEY=FILE CERT=FILE."
HELP="Run this as root, set KEY= and CERT= to others, or create some: docs/secure-boot.md."
[[ $KEY == pkcs11:* ]] || need_file "$KEY" "$HELP"
need_file "$CERT" "$HELP"
[[ -x $SIGN_FILE ]] ||
	die "$KDIR has no scripts/sign-file." "Install the kernel's headers, or set KDIR= to its build directory."

NEW=$MODULE.signed
trap 'rm -f "$NEW" "$NEW.~signed~"' EXIT
# The module keeps its owner when root signs it.
cp -p "$MODULE" "$NEW"
cut_signature "$NEW"
cut=$(stat -c %s "$NEW")
# sign-file writes a new file, which would belong to root, so its content is copied back.
"$SIGN_FILE" "$(configured_hash)" "$KEY" "$CERT" "$NEW" "$NEW.~signed~" ||
	die "$SIGN_FILE cannot sign with $KEY and $CERT." \
		"Its output is above. The key must belong to the certificate, and its passphrase must be in KBUILD_SIGN_PIN."
(($(stat -c %s "$NEW.~signed~") > cut)) || die "$SIGN_FILE signed nothing." "Reinstall the kernel's headers."
cat "$NEW.~signed~" >"$NEW"
mv "$NEW" "$MODULE"
say "$MODULE is signed by '$(modinfo -F signer "$MODULE" 2>/dev/null || true)'."
say "The kernel accepts it if $CERT is enrolled. To check that: sudo mokutil --test-key $CERT"
