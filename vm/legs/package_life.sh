# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Tests the package from its installation to its removal, on Debian 13. To be sourced by
# package.sh, whose variables it uses.

. "$TOP/tools/test/ktap.sh"

ROOT=$OUT/package/root
ARCHIVES=$CACHE/package/archives
# The version for the upgrade.
NEXT=$VERSION+1
NAME=rust-ashmem-dkms

# now COMMAND...: runs a command in the system. Its output goes to TMP/said, and is
# appended to out/package/log.
now() {
	local status=0
	printf '\n$ %s\n' "$*" >>"$OUT/package/log"
	inside "$ROOT" "$@" </dev/null 2>&1 | tee "$TMP/said" >>"$OUT/package/log" || status=$?
	return $status
}

# packages ARGUMENT...: runs apt-get as a user does.
packages() {
	now "${ALONE[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends \
		-o Dir::Cache::archives="$ARCHIVES" -o APT::Sandbox::User=root "$@"
}

# alone COMMAND...: runs a function while the system has no network.
alone() {
	local ALONE=(unshare --net)
	"$@"
}
ALONE=()

# said WORDS: whether WORDS match the output of the last command.
said() {
	grep -qE -e "$1" "$TMP/said"
}

# soon WHAT USUAL-TIME: announces a long step, separately from the results.
soon() {
	say "$1 (usually $2)" >&2
}

# kernel_packages RELEASE: prints the packages of this kernel and its headers.
kernel_packages() {
	printf 'linux-%s-%s\n' image "$1" headers "$1"
}

# pick_kernels: sets FIRST and SECOND to releases with source in the archive, and OLD to a
# release without Rust.
pick_kernels() {
	local flavour release version
	FIRST='' SECOND=''
	OLD=$(releases '6\.12\.[0-9]+\+deb[0-9]+-cloud' | head -n 1)
	while read -r release; do
		version=$(archive apt-cache show --no-all-versions "linux-headers-$release" | awk '$1 == "Version:" { print $2 }')
		has_version "linux-source-$(cut -d . -f 1-2 <<<"$version")" "$version" || continue
		if [[ -z $FIRST ]]; then
			FIRST=$release
		else
			SECOND=$release
			break
		fi
	done < <(for flavour in cloud rt; do releases "7\.[0-9.]+\+deb[0-9]+-$flavour"; done)
}

# releases PATTERN: prints the releases with headers in the archive, newest first.
releases() {
	archive apt-cache search --names-only "^linux-headers-$1-amd64\$" | awk '{ sub("linux-headers-", "", $1); print $1 }' |
		sort -rV
}

# files: lists all files of the system, except those that apt, dpkg and dkms maintain.
files() {
	(cd "$ROOT" && find . -xdev \( -path './tmp/*' -o -path './run/*' -o -path './var/log/*' -o -path './var/cache/*' -o -path './var/lib/apt/*' \
		-o -path './var/lib/dpkg/*-old' -o -path './var/lib/dkms/mok.*' -o -path ".$TOP" -o -path ".$CACHE" \) -prune \
		-o -print | sort)
}

module_of() {
	find "$ROOT/lib/modules/$1/updates/dkms" -name 'rust_ashmem.ko*' 2>/dev/null
}

# is_installed VERSION RELEASE: whether that module is installed and fits: modprobe finds
# it by its alias, and its symbols were checked.
is_installed() {
	local module status
	module=$(module_of "$2")
	status=$(inside "$ROOT" dkms status "rust-ashmem/$1" -k "$2")
	[[ $status == *": installed" && -n $module ]] &&
		[[ $(inside "$ROOT" modinfo -F version "${module#"$ROOT"}") == "$1" ]] &&
		[[ $(inside "$ROOT" modinfo -F vermagic "${module#"$ROOT"}") == "$2 "* ]] &&
		[[ $(inside "$ROOT" modprobe -S "$2" -n -v ashmem_linux) == *"$2/updates/dkms/rust_ashmem.ko"* ]] &&
		grep -qE "fits Linux ${2//+/\\+}: [0-9]+ Rust symbols" \
			"$ROOT/var/lib/dkms/rust-ashmem/$1/$2/x86_64/log/make.log"
}

# is_absent RELEASE: whether there is no module file, and DKMS reports none installed.
is_absent() {
	[[ -z $(module_of "$1") ]] && ! inside "$ROOT" dkms status -k "$1" | grep -q installed
}

install_alone() {
	packages install "$OUT/deb/${NAME}_${VERSION}_all.deb" && said 'No kernel headers were found' &&
		inside "$ROOT" dkms status | grep -qx "rust-ashmem/$VERSION: added"
}

old_kernel() {
	# shellcheck disable=SC2046
	packages install $(kernel_packages "$OLD") && said 'BUILD_EXCLUSIVE directive' &&
		said 'should not be built' && is_absent "$OLD"
}

# If headers lack the metadata and it cannot be made, DKMS and apt fail.
no_network() {
	packages install --download-only "linux-headers-$FIRST" || return 1
	! alone packages install "linux-headers-$FIRST" && refused 'the package mirror cannot be reached' &&
		said 'Connect to the network'
}

# refused WORDS: whether DKMS printed WORDS and what to do, and installed nothing.
refused() {
	said "$1" && said "rust-ashmem is not installed for Linux ${FIRST//+/\\+}\." && is_absent "$FIRST"
}

dkms_alone() {
	! alone build_first && refused 'the package mirror cannot be reached'
}

build_first() {
	now "${ALONE[@]}" dkms install "rust-ashmem/$VERSION" -k "$FIRST"
}

other_rustc() {
	local failed=0
	mv "$ROOT/usr/bin/rustc" "$ROOT/usr/bin/rustc.real"
	printf '#!/bin/sh\necho "rustc 1.95.0 (test)"\n' >"$ROOT/usr/bin/rustc"
	chmod +x "$ROOT/usr/bin/rustc"
	build_first || failed=1
	mv "$ROOT/usr/bin/rustc.real" "$ROOT/usr/bin/rustc"
	((failed)) && refused 'MISSING +rustc equal to CONFIG_RUSTC_VERSION_TEXT' && said "rustc is 'rustc 1\.95\.0 \(test\)'"
}

# A package that is needed for making the metadata was removed by force. Installing it
# again with apt would configure the headers, too.
no_bindgen() {
	local failed=0
	packages install --download-only --reinstall bindgen && now dpkg --force-depends --remove bindgen || return 1
	build_first || failed=1
	cp "$TMP/said" "$TMP/said.first"
	now dpkg --install "$(find "$ARCHIVES" -name 'bindgen_*.deb')" || return 1
	cp "$TMP/said.first" "$TMP/said"
	((failed)) && refused 'Packages are missing: bindgen\.' && said 'apt-get install bindgen'
}

# Metadata that does not match the kernel. If it had to be made, that step finds out.
misfit() {
	local symvers=$ROOT/usr/src/linux-headers-$FIRST/Module.symvers failed=0
	cp -p "$symvers" "$TMP/symvers"
	sed -i '/\t_RNv.*6kernel/d' "$symvers"
	build_first || failed=1
	cp -p "$TMP/symvers" "$symvers"
	((failed)) && refused 'cannot be built for Linux|symbols in the metadata are not exported' &&
		said '_RNv.* undefined|such as _RNv'
}

# lend_metadata: uses the metadata of 'make test VM=debian' for the same kernel, if any.
lend_metadata() {
	local from to=$ROOT/usr/src/linux-headers-$FIRST
	cached_debian || return 0
	from=$DEBIAN_ROOT/usr/src/linux-headers-$FIRST
	[[ -e $from/rust/laid-by-rust_ashmem ]] || return 0
	cp -a "$from/rust" "$to/rust"
	cp -a "$from/scripts/target.json" "$to/scripts"
	: >"$to/scripts/laid-by-rust_ashmem"
}

# Metadata of an older version of the headers is rebuilt.
stale() {
	local mark=$ROOT/usr/src/linux-headers-$FIRST/rust/laid-by-rust_ashmem failed=0
	[[ -e $mark ]] || return 0
	cp -p "$mark" "$TMP/mark"
	echo 7.0-1 >"$mark"
	alone build_first || failed=1
	cp -p "$TMP/mark" "$mark"
	((failed)) && refused 'the package mirror cannot be reached'
}

# The headers come first, then the kernel.
first_kernel() {
	now dpkg --configure -a && packages install "linux-image-$FIRST" && is_installed "$VERSION" "$FIRST"
}

upgrade() {
	local before
	before=$(stat -c %Z "$ROOT/usr/src/linux-headers-$FIRST/rust/libkernel.rmeta")
	packages install "$OUT/deb/${NAME}_${NEXT}_all.deb" && is_installed "$NEXT" "$FIRST" &&
		[[ ! -e $ROOT/usr/src/rust-ashmem-$VERSION && ! -e $ROOT/var/lib/dkms/rust-ashmem/$VERSION ]] &&
		[[ $(stat -c %Z "$ROOT/usr/src/linux-headers-$FIRST/rust/libkernel.rmeta") == "$before" ]]
}

second_kernel() {
	# shellcheck disable=SC2046
	packages install $(kernel_packages "$SECOND") && said "Making the Rust metadata of Linux ${SECOND//+/\\+}" &&
		said 'exports all [0-9]+ Rust symbols in the metadata' && is_installed "$NEXT" "$SECOND" && is_installed "$NEXT" "$FIRST"
}

no_cache_left() {
	[[ $(du -sm "$ROOT/var/cache/rust-ashmem" | cut -f 1) -lt 10 ]]
}

headers_removed() {
	packages purge --autoremove "linux-headers-$FIRST" && [[ ! -e $ROOT/usr/src/linux-headers-$FIRST ]] &&
		is_installed "$NEXT" "$FIRST" && is_installed "$NEXT" "$SECOND" &&
		[[ -e $ROOT/usr/src/linux-headers-$SECOND/rust/libkernel.rmeta ]]
}

# all_of RELEASE: prints the installed packages of that kernel, because apt keeps
# some that were installed automatically.
all_of() {
	inside "$ROOT" dpkg-query -W -f '${Package}\n' "linux-*-$1"
}

kernel_removed() {
	# shellcheck disable=SC2046
	packages purge --autoremove $(all_of "$FIRST") && [[ ! -e $ROOT/lib/modules/$FIRST ]] &&
		is_installed "$NEXT" "$SECOND"
}

removal() {
	packages remove $NAME && is_absent "$SECOND" && is_whole "linux-headers-$SECOND" &&
		[[ -z $(find "$ROOT"/usr/src "$ROOT"/var/lib/dkms "$ROOT"/var/cache -maxdepth 1 -name 'rust[-_]ashmem*') ]]
}

# is_whole PACKAGE: whether its directory has exactly the package's files.
is_whole() {
	local said
	said=$(inside "$ROOT" dpkg --verify "$1" && ls -A "$ROOT/usr/src/$1")
	[[ $said != *" /usr"* && $said != *rust* ]]
}

purge() {
	# It has no configuration, so apt does not know it any more.
	now dpkg --purge $NAME || return 1
	# shellcheck disable=SC2046
	packages purge --autoremove $(all_of "$SECOND") $(all_of "$OLD") || return 1
	files >"$TMP/after"
	diff "$TMP/before" "$TMP/after" >"$TMP/said"
}

# checkout_installs: the same for a checkout, after the package was removed.
checkout_installs() {
	now env -C "$TOP" make dkms-install KREL="$SECOND" && is_installed "$VERSION" "$SECOND"
}

checkout_refused() {
	! now env -C "$TOP" make dkms-install KREL="$SECOND" && said 'The package rust-ashmem-dkms is installed'
}

# checkout_is_tried: a version that cannot be built does not replace the installed one.
checkout_is_tried() {
	local module status=0
	module=$(module_of "$SECOND")
	mv "$ROOT/usr/bin/rustc" "$ROOT/usr/bin/rustc.real"
	now env -C "$TOP" make dkms-install KREL="$SECOND" || status=$?
	mv "$ROOT/usr/bin/rustc.real" "$ROOT/usr/bin/rustc"
	((status)) && said 'MISSING +rustc equal to' && said 'The installed version was not changed' && [[ -n $module && -e $module ]] &&
		is_installed "$VERSION" "$SECOND"
}

# copy_refused: DKMS's copy of the source does not remove itself.
copy_refused() {
	! now env -C "/usr/src/rust-ashmem-$VERSION" make dkms-install KREL="$SECOND" &&
		said "is DKMS's copy of the source" && is_installed "$VERSION" "$SECOND"
}

checkout_uninstalls() {
	now env -C "$TOP" make dkms-uninstall && is_absent "$SECOND" && is_whole "linux-headers-$SECOND" &&
		[[ -z $(find "$ROOT"/usr/src "$ROOT"/var/lib/dkms "$ROOT"/var/cache -maxdepth 1 -name 'rust[-_]ashmem*') ]]
}

life() {
	echo '## begin package'
	echo 1..21
	soon "Installing the package and a kernel without Rust" "1 min"
	result "the package is installed before any kernel" install_alone
	result "a kernel without Rust is skipped with a message" old_kernel
	result "without metadata and network, apt fails with the reason" no_network
	result "without metadata and network, dkms fails with the reason" dkms_alone
	result "another rustc is refused" other_rustc
	result "a missing package is reported, not installed" no_bindgen
	lend_metadata
	result "metadata of another kernel is refused" misfit
	result "metadata of older headers is not used" stale
	result "the module is installed for the first kernel" first_kernel
	result "an upgrade rebuilds the module with the same metadata" upgrade
	soon "Installing the second kernel, for which DKMS makes the metadata" "5 min"
	result "the module is installed for a second kernel" second_kernel
	result "the files for making the metadata are removed" no_cache_left
	result "a checkout leaves the package's files alone" checkout_refused
	soon "Removing it all, kernel by kernel" "1 min"
	result "removed headers take their metadata along and leave the module" headers_removed
	result "a removed kernel takes its module along" kernel_removed
	# Keeps the metadata of the second kernel, which the checkout would otherwise have to rebuild.
	cp -a "$ROOT/usr/src/linux-headers-$SECOND"/{rust,scripts/{target.json,laid-by-rust_ashmem}} "$OUT/package"
	result "removal leaves the other kernel as it was" removal
	cp -a "$OUT/package/rust" "$ROOT/usr/src/linux-headers-$SECOND"
	cp -a "$OUT/package"/{target.json,laid-by-rust_ashmem} "$ROOT/usr/src/linux-headers-$SECOND/scripts"
	result "a checkout is installed by make dkms-install" checkout_installs
	result "a version that cannot be built replaces nothing" checkout_is_tried
	result "DKMS's copy of the source is not installed over itself" copy_refused
	result "a checkout is removed by make dkms-uninstall" checkout_uninstalls
	result "a purge leaves nothing behind" purge
	echo '## status 0'
}

rm -rf "$OUT/package"
mkdir -p "$OUT/package" "$ARCHIVES/partial"
with_cache open_archive
pick_kernels
[[ -n $SECOND && -n $OLD ]] || skip package "the archive lacks two kernels with Rust and source, and one without Rust"
say "Kernels: $FIRST, $SECOND; without Rust: $OLD"
step "Building rust-ashmem-dkms $NEXT" "10 s" "$OUT/package/setup" build_deb "$NEXT"
step "Copying the Debian 13" "20 s" "$OUT/package/setup" cp -a "$SYSTEM" "$ROOT"
# Nothing is booted, and no data must survive a power loss.
ln -sf /bin/true "$ROOT/usr/sbin/update-initramfs"
echo force-unsafe-io >"$ROOT/etc/dpkg/dpkg.cfg.d/test"
packages update
# The kernels would upgrade linux-base from there, which their removal would not undo.
packages install -t "${OTHER_SUITES[-1]}" linux-base
files >"$TMP/before"
life | report package
add_totals package
rm -rf "$ROOT"
conclude
