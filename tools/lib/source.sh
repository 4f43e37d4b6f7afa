# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sources of Debian's kernels.

# source_dir PACKAGE VERSION: prints the directory with the unpacked source.
source_dir() {
	echo "$CACHE/source/${1#linux-source-}-$2"
}

# fetch_source PACKAGE [VERSION]: fetches a source package, by default the newest.
fetch_source() {
	local package=$1 version=${2:-} tmp=$CACHE/tmp/source-package
	rm -rf "$tmp"
	[[ -n $version ]] ||
		version=$(archive apt-cache show --no-all-versions "$package" | awk '$1 == "Version:" { print $2 }')
	fetch "$package=$version" "$tmp" || return 1
	unpack_source "$package" "$version" "$tmp/usr/src" || return 1
	rm -rf "$tmp"
}

# unpack_source PACKAGE VERSION DIRECTORY: unpacks the package's source archive in DIRECTORY.
unpack_source() {
	echo "unpacking $1"
	fill "$(source_dir "$1" "$2")" tar --strip-components=1 -xf "$3/$1.tar.xz" -C
}

# prepare_source_of VERSION: sets KSRC to the source of Debian's kernel of this
# version.
prepare_source_of() {
	local version=$1 series where
	series=$(cut -d . -f 1-2 <<<"$version")
	KSRC=$(source_dir "linux-source-$series" "$version")
	[[ ! -d $KSRC ]] || return 0
	need_space 3
	if [[ $(dpkg-query -W -f '${db:Status-Status} ${Version}' "linux-source-$series" 2>/dev/null) == "installed $version" ]]; then
		step "Unpacking linux-source-$series" "20 s" "$CACHE/log/source" \
			unpack_source "linux-source-$series" "$version" /usr/src
		return
	fi
	for where in "" in_sid; do
		$where open_archive
		$where has_version "linux-source-$series" "$version" || continue
		step "Fetching and unpacking linux-source-$series" "20 s" "$CACHE/log/source" \
			$where fetch_source "linux-source-$series" "$version"
		return
	done
	die "The archive has no linux-source-$series $version, from which this kernel was built." \
		"Upgrade the kernel and its headers to a version that it has, and boot that kernel."
}

# has_version PACKAGE VERSION: returns whether the archive has that version.
has_version() {
	[[ -n $(archive apt-cache madison "$1" | awk -v v="$2" '$3 == v') ]]
}
