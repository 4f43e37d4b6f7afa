# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Looks up tools/tables. Each table describes its format. A script that sources this sets
# R, the root directory of the machine to look at, and KREL, its kernel release.

TABLES=$(dirname "${BASH_SOURCE[0]}")/../tables

# The tables that were read: the sections of each, and the values by "TABLE SECTION KEY".
declare -A SECTIONS VALUES

# read_table TABLE
read_table() {
	local line section
	SECTIONS[$1]=
	while IFS= read -r line; do
		case $line in
		"#"* | "") ;;
		"["*"]")
			section=${line:1:-1}
			SECTIONS[$1]+="$section "
			;;
		*" = "*) VALUES["$1 $section ${line%% = *}"]=${line#* = } ;;
		esac
	done <"$TABLES/$1"
}

# entry TABLE SECTION KEY: sets ENTRY to the value, or to an empty string.
entry() {
	[[ -n ${SECTIONS[$1]-} ]] || read_table "$1"
	ENTRY=${VALUES["$1 $2 $3"]-}
}

# fits PATTERNS VALUE...: whether one of the values matches one of the patterns.
fits() {
	local patterns pattern value
	read -r -a patterns <<<"$1"
	for value in "${@:2}"; do
		for pattern in "${patterns[@]}"; do
			# shellcheck disable=SC2053
			[[ -z $value || $value != $pattern ]] || return 0
		done
	done
	return 1
}

# has_any PATHS: whether one of the paths exists.
has_any() {
	local path paths
	read -r -a paths <<<"$1"
	for path in "${paths[@]}"; do
		[[ ! -e ${R-}/$path ]] || return 0
	done
	return 1
}

# os_release KEY: prints the value of a key in os-release; the last line counts.
os_release() {
	local file
	for file in "${R-}/etc/os-release" "${R-}/usr/lib/os-release"; do
		[[ -f $file && -r $file ]] || continue
		tr -d '\r\0' <"$file" | sed -n "s/^[[:space:]]*$1=[\"']\{0,1\}\([^\"']*\)[\"']\{0,1\}[[:space:]]*\$/\1/p" | tail -n 1
		return
	done
}

# find_system: sets SYSTEM, the section of this system.
find_system() {
	local id ids section version codename ubuntu machine
	machine=$(uname -m)
	read -r -a ids <<<"$(os_release ID) $(os_release ID_LIKE)"
	version=$(os_release VERSION_ID) codename=$(os_release VERSION_CODENAME) ubuntu=$(os_release UBUNTU_CODENAME)
	read_table systems
	for id in "${ids[@]}" ''; do
		for section in ${SECTIONS[systems]}; do
			entry systems "$section" id
			[[ -z $ENTRY ]] || fits "$ENTRY" "$id" || continue
			entry systems "$section" version
			[[ -z $ENTRY ]] || fits "$ENTRY" "$version" "$codename" "$ubuntu" || continue
			entry systems "$section" release
			[[ -z $ENTRY ]] || fits "$ENTRY" "$KREL" || continue
			entry systems "$section" has
			[[ -z $ENTRY ]] || has_any "$ENTRY" || continue
			entry systems "$section" machine
			[[ -z $ENTRY ]] || fits "$ENTRY" "$machine" || continue
			# "unknown" matches everything; try the other IDs first.
			[[ $section != unknown || -z $id ]] || continue
			SYSTEM=$section
			return
		done
	done
}

# machine_says KEY: prints a value for this processor type.
machine_says() {
	local section machine
	machine=$(uname -m)
	read_table machines
	for section in ${SECTIONS[machines]}; do
		entry machines "$section" machine
		fits "$ENTRY" "$machine" || continue
		entry machines "$section" "$1"
		echo "$ENTRY"
		return
	done
}

# flavour: prints the suffix of the kernel's release, after the numbers.
flavour() {
	local rest=$KREL
	while [[ $rest == [0-9]*-* ]]; do rest=${rest#*-}; done
	[[ $rest != [0-9]* ]] || rest=default
	echo "$rest"
}

# debian_flavour: prints the flavour if Debian has packages of it, or else the usual one.
debian_flavour() {
	local known
	known=$(machine_says debian)
	[[ " $known " == *" $(flavour) "* ]] && flavour || echo "${known%% *}"
}

# system_says KEY [RUSTC]: prints a value for this system, with variables replaced.
system_says() {
	local value pkgbase series=${KREL%%[-+_]*} rustc=${2:-} version codename
	entry systems "$SYSTEM" "$1"
	value=$ENTRY
	pkgbase=$(cat "${R-}/lib/modules/$KREL/pkgbase" 2>/dev/null) || pkgbase=linux
	[[ $series != *.*.* ]] || series=${series%.*}
	version=$(os_release VERSION_ID) codename=$(os_release VERSION_CODENAME)
	value=${value//'$DEBFLAVOUR'/"$(debian_flavour)"}
	value=${value//'$KREL'/"$KREL"} value=${value//'$FLAVOUR'/"$(flavour)"} value=${value//'$PKGBASE'/"$pkgbase"}
	value=${value//'$CODENAME'/"${codename:-CODENAME}"} value=${value//'$VERSION_ID'/"${version:-VERSION}"}
	value=${value//'$KEYWORD'/"$(machine_says gentoo)"} value=${value//'$OLDEST'/"$OLDEST_KERNEL"} value=${value//'$SERIES'/"$series"}
	value=${value//'$RUSTSERIES'/"${rustc%.*}"} value=${value//'$RUSTC'/"$rustc"}
	[[ -z $value ]] || printf '%s\n' "$value"
}

# system_name: prints the name of this system.
system_name() {
	local name
	entry systems "$SYSTEM" name
	name=${ENTRY:-$(os_release PRETTY_NAME)}
	echo "${name:-distribution unknown}"
}

# find_sign TABLE PROCESS...: sets FOUND to the first section with an existing sign, or with
# one of these processes.
find_sign() {
	local section
	read_table "$1"
	for section in ${SECTIONS[$1]}; do
		FOUND=$section
		entry "$1" "$section" sign
		[[ -z $ENTRY ]] || ! has_any "$ENTRY" || return 0
		entry "$1" "$section" process
		[[ -z $ENTRY ]] || ! fits "$ENTRY" "${@:2}" || return 0
	done
}

# find_init, find_manager: set INIT and MANAGER, unless they are set already.
find_init() {
	[[ -z ${INIT:-} ]] || return 0
	find_sign inits "$(cat "${R-}/proc/1/comm" 2>/dev/null)"
	INIT=$FOUND
}

find_manager() {
	local processes
	[[ -z ${MANAGER:-} ]] || return 0
	mapfile -t processes <<<"$(cat "${R-}"/proc/[0-9]*/comm 2>/dev/null | sort -u)"
	find_sign managers "${processes[@]}"
	MANAGER=$FOUND
}
