#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Finds out which instructions and source lines of the module were executed.

The arguments are the source directory, the module with debug info, the output of executed.c
for a machine that loaded it, the file with reasons for lines that were not executed, and
the output directory. The module may have been loaded several times, at any address. So a
block is found by its bytes, except those that the kernel fills in, and by its offset in a
page."""

import html
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

LLVM = "-19"
PAGE = 4096
# Sections with executable code. The kernel loads each group in one piece, at the beginning of
# a page: the first until the module is unloaded, the other until it is initialised.
REGIONS = [[".text", ".exit.text"], [".init.text"]]
ALIGNMENT = 16
# The addresses of the sections in a copy of the module for the symbolizer.
LINKED_AT = {".text": 0x1000000, ".exit.text": 0x2000000, ".init.text": 0x3000000}
# A unique match of this many bytes tells where the module is.
TELLING = 12
# These functions do not return. They are called only if the driver, or rustc, has a bug.
PANIC = re.compile(r"panic|unwrap_failed|expect_failed|slice_\w*fail|build_error")
# Static branches, which the kernel patches.
NOP = bytes.fromhex("0f1f440000")
JUMP = 0xE9


@dataclass
class Instruction:
    section: str
    offset: int
    code: bytes
    text: str
    function: str = ""
    # The symbol of its relocation.
    symbol: str = ""
    filled_in: set = field(default_factory=set)
    is_run: bool = False
    is_panic: bool = False

    @property
    def end(self):
        return self.offset + len(self.code)

    @property
    def leaves(self):
        """Whether control may go elsewhere than to the next instruction."""
        return self.text.startswith(("j", "ret", "ud2"))


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def disassemble(module, section):
    """Returns the section's instructions, with the bytes that relocations fill in."""
    instructions = []
    function = ""
    for line in run(f"llvm-objdump{LLVM}", "-d", "-r", "-j", section, str(module)).splitlines():
        if match := re.match(r"[0-9a-f]+ <(\S+)>:", line):
            function = match[1]
        elif match := re.match(r"\s*([0-9a-f]+): ((?:[0-9a-f]{2} ?)+)\s*(.*)", line):
            code = bytes.fromhex(match[2])
            at = Instruction(section, int(match[1], 16), code, match[3], function)
            if code == NOP or code[0] == JUMP and len(code) == len(NOP):
                at.filled_in.update(range(len(code)))
            instructions.append(at)
        elif match := re.match(r"\s+([0-9a-f]+):\s+R_X86_64_(\w+)\s+(\S+)", line):
            size = 8 if match[2] == "64" else 4
            first = int(match[1], 16) - instructions[-1].offset
            instructions[-1].filled_in.update(range(first, first + size))
            instructions[-1].symbol = match[3]
    return instructions


class Region:
    """Sections that are loaded in one piece; each is a list of instructions."""

    def __init__(self, *sections):
        self.code = bytearray()
        self.filled_in = bytearray()
        self.starts = {}
        self.by_place = defaultdict(list)
        for section in sections:
            base = -(-len(self.code) // ALIGNMENT) * ALIGNMENT
            for at in section:
                self.add(base + at.offset, at)

    def add(self, start, at):
        self.starts[start] = at
        self.by_place[start % PAGE].append(start)
        # There may be a gap between sections.
        self.code.extend(bytes(start - len(self.code)) + at.code)
        self.filled_in.extend(bytes(start - len(self.filled_in)))
        self.filled_in.extend(i in at.filled_in for i in range(len(at.code)))

    def find(self, address, code):
        """Returns the offsets at which a block can be."""
        return [start for start in self.by_place[address % PAGE] if self.is_at(start, code)]

    def is_at(self, start, code):
        return len(code) <= len(self.code) - start and all(
            self.filled_in[start + i] or self.code[start + i] == byte for i, byte in enumerate(code)
        )

    def mark(self, start, size):
        for at in range(start, start + size):
            if at in self.starts:
                self.starts[at].is_run = True


def read_blocks(path):
    """Returns the blocks. Drops repetitions of a block at an address, unless another was there."""
    blocks = []
    current = {}
    for line in path.read_text().splitlines():
        address, code = line.split()
        if current.get(address) != code:
            current[address] = code
            blocks.append((int(address, 16), bytes.fromhex(code)))
    return blocks


def mark_blocks(regions, blocks):
    """Marks executed instructions. Returns the blocks that are not from this module."""
    places = [[(region, start) for region in regions for start in region.find(*block)] for block in blocks]
    # The times at which a region certainly was at an address.
    known = defaultdict(list)
    for when, ((address, code), found) in enumerate(zip(blocks, places)):
        if len(found) == 1 and len(code) >= TELLING:
            region, start = found[0]
            known[id(region), address - start].append(when)
    lost = []
    for when, ((address, code), found) in enumerate(zip(blocks, places)):
        loaded = [
            (min(abs(when - then) for then in known[id(region), address - start]), region, start)
            for region, start in found
            if (id(region), address - start) in known
        ]
        if not loaded:
            lost.append((address, code))
            continue
        _, region, start = min(loaded, key=lambda each: each[0])
        region.mark(start, len(code))
    return lost


def unused_functions(module, instructions):
    """Returns functions without references: rustc keeps copies of functions that it inlined."""
    used = set()
    of_offset = {(at.section, at.offset): at.function for at in instructions}

    def refer(target):
        match = re.match(r"([^-+]+)(?:([-+])0x([0-9a-f]+))?$", target)
        used.add(match[1])
        # A relocation to a section means a function in it; relative ones are four bytes less.
        if match[2] == "+":
            used.update(of_offset.get((match[1], int(match[3], 16) + more)) for more in (0, 4))

    for at in instructions:
        if at.is_run:
            used.add(at.function)
        if at.symbol:
            refer(at.symbol)
        elif (match := re.search(r"<([^+>]+)", at.text)) and match[1] != at.function:
            used.add(match[1])
    section = ""
    for line in run(f"llvm-objdump{LLVM}", "-r", str(module)).splitlines():
        if match := re.match(r"RELOCATION RECORDS FOR \[(.*)\]:", line):
            section = match[1]
        elif (match := re.match(r"[0-9a-f]+ R_\w+\s+(\S+)", line)) and not section.startswith((".debug", ".text")):
            refer(match[1])
    return {at.function for at in instructions} - used


def mark_panics(instructions):
    """Marks code that only leads to a panic: it is executed only if there is a bug."""
    for i, at in enumerate(instructions):
        if not (at.text.startswith("call") and PANIC.search(at.symbol)) and not at.text.startswith("ud2"):
            continue
        for before in reversed(instructions[: i + 1]):
            if before is not at and (before.leaves or before.text.startswith("call")) or before.is_run:
                break
            before.is_panic = True


def link(module, into):
    """Links the module, so that each instruction has a unique address for the symbolizer."""
    run(
        f"ld.lld{LLVM}", "-o", str(into), str(module), "--unresolved-symbols=ignore-all", "-e", "0",
        *(f"--section-start={section}={address:#x}" for section, address in LINKED_AT.items()),
    )  # fmt: skip


def frames_of(instructions, linked):
    """Returns for each instruction its inlined functions, the innermost first."""
    asked = "".join(f"{LINKED_AT[at.section] + at.offset:#x}\n" for at in instructions)
    told = run(f"llvm-symbolizer{LLVM}", f"--obj={linked}", "--output-style=JSON", input=asked)
    return [json.loads(line)["Symbol"] for line in told.splitlines()]


@dataclass
class Room:
    # For each line and column, the numbers of instructions that were run and not run. Inlined
    # code has several copies.
    lines: dict = field(default_factory=lambda: defaultdict(lambda: defaultdict(Counter)))
    total: int = 0
    run: int = 0
    panics: int = 0

    def add(self, at, line, column):
        if at.is_panic and not at.is_run:
            self.panics += 1
            return
        self.total += 1
        self.run += at.is_run
        if line:
            self.lines[line][column][at.is_run] += 1

    def places(self):
        """Returns for each place (line and column) whether a copy of it was run."""
        return [counts[True] > 0 for columns in self.lines.values() for counts in columns.values()]

    def lines_run(self):
        return [any(counts[True] for counts in columns.values()) for columns in self.lines.values()]


class Sources:
    """Finds the source place of an instruction."""

    def __init__(self, top):
        self.top = top
        self.tests = {}

    def place_of(self, frames):
        """Returns the room, the line and the column, or None for code of a test."""
        if any(re.search(r"::tests(::|>)|kunit", frame["FunctionName"]) for frame in frames):
            return None
        for frame in frames:
            path = Path(frame["FileName"])
            if path.is_relative_to(self.top) and not path.is_relative_to(self.top / "out"):
                name = str(path.relative_to(self.top))
                return None if frame["Line"] >= self.tests_of(name) else (name, frame["Line"], frame["Column"])
        # Code that rustc generates for a type of a room has no line.
        for frame in frames:
            if match := re.search(r"\brust_ashmem::(\w+)::", frame["FunctionName"]):
                return f"src/{match[1]}.rs", 0, 0
        return "other crates'", 0, 0

    def tests_of(self, name):
        """Returns the line at which the tests begin; they are at the end of a file."""
        if name not in self.tests:
            lines = (self.top / name).read_text().splitlines()
            found = (i for i, line in enumerate(lines, 1) if line.startswith("#[kunit_tests("))
            self.tests[name] = next(found, len(lines) + 1)
        return self.tests[name]


def percent(run):
    return f"{100 * sum(run) / len(run):.1f}" if run else "-"


def rows(rooms):
    total = Room()
    for name in sorted(rooms):
        room = rooms[name]
        yield name, room
        total.total += room.total
        total.run += room.run
        total.panics += room.panics
        for line, columns in room.lines.items():
            total.lines[name, line] = columns
    yield "all", total


def cells(name, room):
    lines, places = room.lines_run(), room.places()
    instructions = f"{100 * room.run / room.total:.1f}"
    return [name, *map(str, (len(lines), percent(lines), len(places), percent(places))),
            *map(str, (room.total, instructions, room.panics))]  # fmt: skip


HEAD = ["room", "lines", "% run", "places", "% run", "instructions", "% run", "only to panic"]


def print_table(rooms):
    table = [HEAD, *(cells(*row) for row in rows(rooms))]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEAD))]
    for row in table:
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))))


STYLE = """
body { font-family: sans-serif; margin: 2em; }
table { border-collapse: collapse; }
td, th { padding: 0.1em 0.8em; text-align: right; }
td:first-child, th:first-child { text-align: left; }
pre { line-height: 1.3; }
.run { background: #d6f5d6; }
.part { background: #fff3c4; }
.not { background: #ffd0d0; }
i { color: #777; font-style: normal; user-select: none; }
"""


def write_page(rooms, top, path):
    """Writes the table, and the sources with lines marked as run, partly run or not run."""
    parts = [
        "<!DOCTYPE html><meta charset=utf-8><title>What the tests execute</title>",
        f"<style>{STYLE}</style><h1>What the tests execute</h1>",
        "<p>Green lines were executed, yellow ones in part, red ones not. A place is a line and a",
        "column. Before each line: the number of its places that were executed, and the number of",
        "all its places. This is for the driver, without its tests.</p><table>",
        "<tr>" + "".join(f"<th>{name}" for name in HEAD),
    ]
    for name, room in rows(rooms):
        first, *others = cells(name, room)
        target = f"<a href='#{first}'>{first}</a>" if room.lines and name in rooms else html.escape(first)
        parts.append(f"<tr><td>{target}" + "".join(f"<td>{cell}" for cell in others))
    parts.append("</table>")
    for name in sorted(rooms):
        if rooms[name].lines:
            parts.append(f"<h2 id='{name}'>{name}</h2><pre>")
            parts.extend(page_lines(rooms[name], (top / name).read_text()))
            parts.append("</pre>")
    path.write_text("\n".join(parts) + "\n")


def page_lines(room, source):
    for number, text in enumerate(source.splitlines(), 1):
        columns = room.lines.get(number)
        if not columns:
            yield f"<i>{number:5}         </i> {html.escape(text)}"
            continue
        run = [counts[True] > 0 for counts in columns.values()]
        kind = "run" if all(run) else "part" if any(run) else "not"
        of = f"{sum(run)}/{len(run)}"
        yield f"<span class={kind}><i>{number:5} {of:>8}</i> {html.escape(text)}</span>"


def read_reasons(path):
    """Returns the reason for each 'FILE: LINE' that has one."""
    reasons = {}
    reason = ""
    for line in path.read_text().splitlines():
        if line.startswith("\t"):
            reasons[line.strip()] = reason
        elif line and not line.startswith("#"):
            reason = line
    return reasons


def write_not_run(rooms, top, reasons, out):
    """Lists the places that were not run: lines, or columns of them. Those without a reason
    also go to the file "unexplained", and so do reasons for lines that do not exist."""
    sources = {name: (top / name).read_text().splitlines() for name in rooms if rooms[name].lines}
    with (out / "not-run").open("w") as not_run, (out / "unexplained").open("w") as unexplained:
        for name, source in sorted(sources.items()):
            for line, columns in sorted(rooms[name].lines.items()):
                # Code without a column is generated, unless the whole line has none.
                missing = sorted(c for c, counts in columns.items() if not counts[True] and (c or len(columns) == 1))
                text = source[line - 1].strip()
                # A closing brace has the code that drops variables.
                if not missing or text == "}":
                    continue
                where = "" if len(missing) == len(columns) else ":" + ",".join(map(str, missing))
                print(f"{name}:{line}{where}: {text}", file=not_run)
                if f"{name}: {text}" not in reasons:
                    print(f"{name}:{line}{where} was not run: {text}", file=unexplained)
        known = {f"{name}: {text.strip()}" for name, source in sources.items() for text in source}
        for stale in sorted(set(reasons) - known):
            print(f"a reason has a line that does not exist: {stale}", file=unexplained)


def main():
    top, module, executed, reasons, out = map(Path, sys.argv[1:])
    regions = [Region(*(disassemble(module, section) for section in sections)) for sections in REGIONS]
    lost = mark_blocks(regions, read_blocks(executed))
    instructions = [at for region in regions for at in region.starts.values()]
    unused = unused_functions(module, instructions)
    instructions = [at for at in instructions if at.function not in unused]
    mark_panics(instructions)
    linked = out / "linked"
    link(module, linked)
    sources = Sources(top)
    rooms = defaultdict(Room)
    for at, frames in zip(instructions, frames_of(instructions, linked)):
        if place := sources.place_of(frames):
            rooms[place[0]].add(at, *place[1:])
    print_table(rooms)
    write_page(rooms, top, out / "index.html")
    write_not_run(rooms, top, read_reasons(reasons), out)
    for address, code in lost:
        print(f"note: code executed at {address:#x} is not from this module: {code.hex()}")


if __name__ == "__main__":
    main()
