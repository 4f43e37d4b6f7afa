#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Finds out which test detects which fault in the driver; see --help.

. "$(dirname "$0")/../lib.sh"

usage() {
	cat <<-EOF
		Usage: make mutants [MUTANTS='REGULAR-EXPRESSION']

		For each of the small faults in vm/mutants, builds the driver with that fault,
		boots it in User-mode Linux, or in QEMU if the list says x86, and runs the suites
		until one fails. Prints a Markdown table of the faults and the tests that detected
		them, which is also in out/mutants/table.md. The exit status is 1 if no test
		detected a fault and the list has no reason for that. MUTANTS selects those whose
		names match.

		A fault takes about 20 s, half of that for building. An undetected fault takes
		two minutes more.
	EOF
}

case ${1:-} in
-h | --help) usage && exit ;;
esac
LIST=$(list_mutants "${1:-}")
[[ -n $LIST ]] || die "No fault's name matches '$1'." "See vm/mutants for the names."
DIR=$OUT/mutants

# The names under which the machines run, and their kernels.
declare -A NAMES=([uml]=mutants [x86]=mutants-x86) KERNELS=()

# build_mutant VM: builds the tree, whose files may be older than the last build.
build_mutant() {
	rm -f "$DIR/module-$1"/rust_ashmem*.o
	kmake "$1" M="$DIR/tree" MO="$DIR/module-$1" modules
}

# copy_tree: makes the tree a copy of the driver.
copy_tree() {
	rsync -a --delete --checksum --exclude '*.o' --exclude '.*.cmd' "$TOP"/{Kbuild,rust_ashmem.rs,src,include} "$DIR/tree/"
}

# boot_mutant VM SUITES: boots the build; sets NOTICED to what detected the fault, if anything.
boot_mutant() {
	local name=${NAMES[$1]} root=$DIR/root KERNEL=${KERNELS[$1]}
	rm -rf "$root"
	mkdir -p "$root" "$OUT/$name"
	cp "$DIR/module-$1/rust_ashmem.ko" "$root"
	echo "${2#-}" >"$root/first"
	[[ $1 == uml ]] || touch "$root/only"
	{
		cat "$DIR/programs.gz"
		(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1
	} >"$OUT/$name/initramfs.gz"
	NOTICED=
	if ! follow_vm "$name" cat >"$DIR/words" 2>&1; then
		NOTICED="$(begun "$name"): the machine did not run to its end"
	elif splats "$name" >"$DIR/splats"; then
		NOTICED="$(begun "$name"): the kernel complained"
	fi
	NOTICED=$(tr -d '\r' <"$OUT/$name/results" | sed -n 's/^## noticed by //p' | head -n 1 | grep . || echo "$NOTICED")
}

# begun NAME: prints the suite that was started last.
begun() {
	tr -d '\r' <"$OUT/$1/results" | sed -n 's/^## begin //p' | tail -n 1 | grep . || echo insmod
}

# try_without_fault VM SUITES: prepares the machine, and runs the suites without any fault.
try_without_fault() {
	prepare "$1"
	KERNELS[$1]=$KERNEL
	say "Testing without a fault ($1)"
	copy_tree
	build_mutant "$1" >"$DIR/module.log" 2>&1 || die "The driver cannot be built." "See $DIR/module.log."
	boot_mutant "$1" "$2"
	[[ -z $NOTICED ]] || die "A test fails without any fault: $NOTICED." "Its log is in $OUT/${NAMES[$1]}."
}

# judge NAME FILE SUITES REASON SCRIPT: tests one fault and adds a row to the table.
judge() {
	local name=$1 file=$2 suites=$3 reason=$4 script=$5 vm=uml start=$SECONDS
	if [[ $suites == x86* ]]; then
		vm=x86
		suites=${suites#x86 }
	fi
	copy_tree
	put_fault "$script" "$DIR/tree/$file" ||
		die "The fault '$name' changes nothing in $file." "Update its script in vm/mutants."
	if ! build_mutant "$vm" >"$DIR/module.log" 2>&1; then
		grep -E -A 7 '^error' "$DIR/module.log" | head -n 20
		failed mutants "with the fault $name the driver cannot be built: update vm/mutants"
		return
	fi
	boot_mutant "$vm" "$suites"
	if [[ -n $NOTICED ]]; then
		PASSED=$((PASSED + 1))
	elif [[ $reason != - ]]; then
		SKIPPED=$((SKIPPED + 1))
		NOTICED="nothing: $reason"
	else
		failed mutants "nothing noticed $name"
		NOTICED="**nothing**"
	fi
	say "$name: $NOTICED ($((SECONDS - start)) s)"
	echo "| $name | ${file#src/} | $NOTICED |" >>"$DIR/table.md"
}

need mutants
prepare uml
SUITES=()
LONG=1 build_suites uml 64
mkdir -p "$DIR/tree"
make_initramfs mutants mutants "${PROGRAMS[@]}" "$TOP/selftests/module_test.sh:/selftests-64/module_test.sh"
mv "$DIR/initramfs.gz" "$DIR/programs.gz"
# After this many seconds without output, a machine hangs.
SILENCE=200

on_x86=$(cut -f 3 <<<"$LIST" | sed -n 's/^x86 //p' | tr ' ' '\n' | sort -u | paste -sd ' ')
! cut -f 3 <<<"$LIST" | grep -qv '^x86 ' || try_without_fault uml -
[[ -z $on_x86 ]] || try_without_fault x86 "$on_x86"
printf '%s\n' "| fault | in | noticed by |" "|---|---|---|" >"$DIR/table.md"
while IFS=$'\t' read -r -u 3 name file suites reason script; do
	judge "$name" "$file" "$suites" "$reason" "$script"
done 3<<<"$LIST"
say "" "$(<"$DIR/table.md")" ""
conclude
