#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests that executed code is found in the module, wherever the module was loaded.

. "$(dirname "$0")/../../vm/lib.sh"
. "$TOP/tools/test/ktap.sh"

# A call with a target that the kernel fills in, a branch, and the same return at the end of
# the first page and on the next page.
module='
section = [
    Instruction(".text", 0x0, bytes.fromhex("e800000000"), "call", filled_in=set(range(1, 5))),
    Instruction(".text", 0x5, bytes.fromhex("4885c07407488b07"), "test"),
    Instruction(".text", 0xd, bytes.fromhex("c3"), "ret"),
    Instruction(".text", 0xe, bytes(4096 - 14), "add"),
    Instruction(".text", 0x1000, bytes.fromhex("e800000000"), "call", filled_in=set(range(1, 5))),
    Instruction(".text", 0x1005, bytes.fromhex("4885c9"), "test"),
    Instruction(".text", 0x1008, bytes.fromhex("4889c84889c8"), "mov"),
    Instruction(".text", 0x100e, bytes.fromhex("0f0b"), "ud2"),
    Instruction(".text", 0x1010, bytes.fromhex("c3"), "ret"),
]
'

# finds BLOCKS RUN [LOST]: BLOCKS has lines 'ADDRESS CODE'. Whether exactly the instructions
# at the offsets RUN are marked as executed, and LOST blocks are not found.
finds() {
	printf '%b' "$1" >"$TMP/blocks"
	python3 - "$TOP/vm/lib" "$TMP/blocks" "$2" "${3:-0}" >"$TMP/said" <<-EOF
		import sys
		from pathlib import Path
		sys.dont_write_bytecode = True
		sys.path.insert(0, sys.argv[1])
		from coverage import Instruction, Region, mark_blocks, read_blocks
		$module
		region = Region(section)
		lost = mark_blocks([region], read_blocks(Path(sys.argv[2])))
		run = " ".join(f"{at.offset:x}" for at in section if at.is_run)
		print(run, len(lost))
		sys.exit(run != sys.argv[3] or len(lost) != int(sys.argv[4]))
	EOF
}

first='e8112233444885c07407488b07'
echo 1..5
result "a block is found without the bytes that the kernel fills in" \
	finds "ffffffffa0005000 $first\n" '0 5'
result "a block is found at another address" \
	finds "ffffffffa0005000 $first\nffffffffa0107000 e8556677884885c94889c84889c8\n" '0 5 1000 1005 1008'
result "a short block is found where the module is known to be" \
	finds "ffffffffa0005000 $first\nffffffffa000500d c3\n" '0 5 d'
result "a short block is not found elsewhere" finds "ffffffffa000500d c3\n" '' 1
result "other code is not found" finds "ffffffffa0005000 e8112233444885c07407488b08\n" '' 1
exit $BAD
