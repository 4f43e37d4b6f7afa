#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of sign.sh with a fake sign-file: which keys it uses, what it does to the module,
# and its error messages.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/test/ktap.sh"

MODULE=$TMP/rust_ashmem.ko
KDIR=$TMP/build
CODE='what is signed'

# headers: makes headers with a sign-file that writes its arguments as the signature, and
# refuses the key 'bad'.
headers() {
	mkdir -p "$KDIR/scripts"
	echo 'CONFIG_MODULE_SIG_HASH="sha512"' >"$KDIR/.config"
	cat >"$KDIR/scripts/sign-file" <<-'EOF'
		#!/bin/bash
		[[ $2 != */bad ]] || { echo "key values mismatch" >&2; exit 1; }
		said="$1 ${2##*/} ${3##*/}"
		cp "$4" "$5"
		printf '%s\0\0\2\0\0\0\0\0\0\0\0'"\\x$(printf %x ${#said})"'~Module signature appended~\n' "$said" >>"$5"
	EOF
	chmod +x "$KDIR/scripts/sign-file"
}

# keys DIRECTORY NAME...: makes key files.
keys() {
	mkdir -p "$TMP/$1"
	(cd "$TMP/$1" && shift && touch "$@")
}

# says STATUS WORDS [KEY CERT]: whether sign.sh exits with STATUS and prints WORDS.
says() {
	local wanted=$1 words=$2 status=0
	SIGN_ROOT=$TMP "$TOP/tools/sign.sh" "$KDIR" "${3:-}" "${4:-}" "$MODULE" >"$TMP/said" 2>&1 || status=$?
	[[ $status == "$wanted" ]] && grep -qE -e "$words" "$TMP/said"
}

# signs WORDS [KEY CERT]: whether the module then has one signature, with these words.
signs() {
	says 0 'is signed by' "${@:2}" || return
	tr -d '\0' <"$MODULE" >"$TMP/said"
	[[ $(<"$TMP/said") == "$CODE$1"$'\2'?'~Module signature appended~' ]]
}

# leaves WORDS KEY CERT: whether sign.sh fails with WORDS, and the module is unchanged.
leaves() {
	local before
	before=$(md5sum <"$MODULE")
	says 1 "$@" && [[ $(md5sum <"$MODULE") == "$before" && $(find "$TMP" -name '*.ko.*') == "" ]]
}

printf '%s' "$CODE" >"$MODULE"
headers
keys keys good good.der bad other other.der
echo "1..12"
result "the kernel's hash and the given key are used" signs 'sha512 good good.der' "$TMP/keys/good" "$TMP/keys/good.der"
result "a signature is replaced" signs 'sha512 other other.der' "$TMP/keys/other" "$TMP/keys/other.der"
result "a module that cannot be signed is unchanged" leaves 'cannot sign with' "$TMP/keys/bad" "$TMP/keys/good.der"
result "a key without a certificate is refused" leaves 'go together' "$TMP/keys/good"
result "missing keys of DKMS are reported" leaves "$TMP/var/lib/dkms/mok.key does not exist"
keys var/lib/dkms mok.key mok.pub
result "DKMS's keys are the default" signs 'sha512 mok.key mok.pub'
keys var/lib/shim-signed/mok MOK.priv MOK.der
result "the keys of Ubuntu's DKMS are used" signs 'sha512 MOK.priv MOK.der'
mkdir -p "$TMP/etc/dkms/framework.conf.d"
printf 'mok_signing_key=%s\nmok_certificate=%s.der\n' "$TMP"/keys/{good,good} >"$TMP/etc/dkms/framework.conf.d/own.conf"
result "the keys in DKMS's configuration are used" signs 'sha512 good good.der'
: >"$KDIR/.config"
result "SHA-256 is used if the kernel has no setting" signs 'sha256 good good.der'
result "a compressed module is refused" eval '(MODULE+=.xz && says 1 "or is compressed")'
rm "$KDIR/scripts/sign-file"
result "headers without sign-file are refused" leaves 'has no scripts/sign-file'
rm "$MODULE"
result "a module that was not built is reported" says 1 'Build it: make'
exit $BAD
