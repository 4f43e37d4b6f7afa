#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of dkms.sh without DKMS: where its output goes, and what must be consistent.

. "$(dirname "$0")/../lib.sh"
. "$TOP/tools/test/ktap.sh"

# Before 4.4, make -s prints directories if another make -w runs this.
VERSION=$(make -s --no-print-directory -C "$TOP" version)
# Builds as DKMS does, with the output in a log.
cat >"$TMP/dkms" <<-EOF
	#!/bin/bash
	( eval "$TOP/tools/dkms.sh build 7.3.4-test $TMP/headers" ) >>"$TMP/make.log" 2>&1 || exit 10
EOF
chmod +x "$TMP/dkms"

# refuses WORDS: whether DKMS fails, and these words are in its log and in its output.
refuses() {
	local status=0
	: >"$TMP/make.log"
	"$TMP/dkms" 2>&1 | cat >"$TMP/said" || status=$?
	((status == 10)) && grep -qE -e "$1" "$TMP/said" && grep -qE -e "$1" "$TMP/make.log"
}

# refuses_in_file: the same if DKMS's output is a file, to which it writes more later.
refuses_in_file() {
	: >"$TMP/make.log"
	("$TMP/dkms" || echo "(bad exit status: $?)") >"$TMP/said" 2>&1
	grep -qxF '(bad exit status: 10)' "$TMP/said" &&
		[[ $(grep ^MISSING "$TMP/said" | sort -u) == "$(grep ^MISSING "$TMP/make.log" | sort -u)" ]]
}

tells_command() {
	refuses "sudo dkms install rust-ashmem/$VERSION -k 7\.3\.4-test\$"
}

# keeps_details: whether good findings go only to the log.
keeps_details() {
	refuses '^MISSING' && ! grep -qE '^(ok|note)' "$TMP/said" && grep -qE '^(ok|note)' "$TMP/make.log"
}

# logs_without_perl: whether the message is at least in the log without perl.
logs_without_perl() {
	local tool
	mkdir -p "$TMP/bin"
	for tool in awk bash cat cut date dirname env grep head make mkdir rm sed sort tail tee tr uname; do
		ln -sf "$(command -v $tool)" "$TMP/bin"
	done
	: >"$TMP/make.log"
	! PATH=$TMP/bin "$TMP/dkms" >"$TMP/said" 2>&1 && grep -q "is not installed for Linux" "$TMP/make.log"
}

# has_words_alone: whether a build without DKMS prints everything once, and nothing to the
# terminal of its parent.
has_words_alone() {
	bash -c '"$@" >"$0" 2>&1; true' "$TMP/said" "$TOP/tools/dkms.sh" build 7.3.4-test "$TMP/headers" 2>"$TMP/heard"
	[[ $(grep -c 'is not installed for' "$TMP/said") == 1 && ! -s $TMP/heard ]]
}

changelog_agrees() {
	[[ $(head -n 1 "$TOP/debian/changelog") == "rust-ashmem ($VERSION) "* ]]
}

# depends: whether the package depends on all packages that building the metadata needs.
depends() {
	local package depends
	depends=$(awk '/^Depends:/ { on = 1 } on && /^[A-Z]/ && !/^Depends:/ { exit } on' "$TOP/debian/control" | tr -s ' ,' '\n')
	for package in "${METADATA_PACKAGES[@]}" gcc; do
		grep -qxF "$package" <<<"$depends" || { echo "$package" >"$TMP/said" && return 1; }
	done
}

# source_builds: whether the source for DKMS has all files that the crate and its scripts
# refer to.
source_builds() {
	local dir=$TMP/root/usr/src/rust-ashmem-$VERSION file
	# Messages of make -w about directories must not get into the version.
	make -w -C "$TOP" dkms-source DESTDIR="$TMP/root" >"$TMP/said"
	make -s --no-print-directory -C "$dir" clean KDIR=/nowhere || return 1
	grep -qx "PACKAGE_VERSION=\"$VERSION\"" "$dir/dkms.conf" && make -s --no-print-directory -C "$dir" version | grep -qx "$VERSION" || return 1
	for file in $(sed -n 's/^#\[path = "\(.*\)"\]/\1/p' "$TOP/rust_ashmem.rs") \
		$(sed -n 's/^\. "$TOP\/\(.*\)"/\1/p' "$dir"/tools/*.sh); do
		[[ -e $dir/$file ]] || { echo "$file" >"$TMP/said" && return 1; }
	done
}

# names_untested_kernel: whether the reasons for a failed build are the compiler's error and
# that the kernel is untested, but nothing else that is. A copy has another doctor and Makefile.
names_untested_kernel() {
	local copy=$TMP/copy/usr/src/rust-ashmem-$VERSION
	make -C "$TOP" dkms-source DESTDIR="$TMP/copy" >"$TMP/said"
	printf '%s\n' '#!/bin/sh' 'echo "note     Debian 99, where this advice is untested"' \
		'echo "note     kernel 99.1 is untested"' >"$copy/tools/doctor.sh"
	printf '%s\n' 'version:;@echo 99' 'modules:;@echo "error: no field"; false' >"$copy/Makefile"
	! "$copy/tools/dkms.sh" build 99.1-test "$TMP/headers" >"$TMP/said" 2>&1 || return
	[[ $(grep -A 2 '^error: The module' "$TMP/said") == "error: The module cannot be built for Linux 99.1-test:"$'\n'"error: no field"$'\n'"note     kernel 99.1 is untested" ]]
}

mkdir "$TMP/headers"
echo CONFIG_RUST=y >"$TMP/headers/.config"
echo 1..12
result "missing requirements are in DKMS's output" refuses '^MISSING +headers: .*/headers lacks Makefile'
result "missing requirements are in DKMS's output if that is a file" refuses_in_file
result "the next command is printed" tells_command
result "good findings are only in the log" keeps_details
result "without perl the log has the message" logs_without_perl
result "without DKMS everything is printed once" has_words_alone
result "the changelog of the package has the module's version" changelog_agrees
result "the package depends on all that the metadata needs" depends
result "the source for DKMS is complete" source_builds
result "a failed build names a kernel that is untested, nothing else" names_untested_kernel
result "without DESTDIR the source is not copied" eval \
	'! make -C "$TOP" dkms-source DESTDIR= >"$TMP/said" 2>&1 && grep -q "DESTDIR is not set" "$TMP/said"'
result "the source can be copied from any directory" eval '(cd / && "$TOP/tools/dkms.sh" source "$TMP/other") >"$TMP/said" 2>&1'
exit $BAD
