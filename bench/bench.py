#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Reads the rows of the benchmark: tabulates, draws and compares them.

A row is a line of five fields, with tabs between: what was done, with how many
(or '-'), the unit, the subject (ashmem, memfd, or another device), the value.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

# Do not leave files in the checkout.
sys.dont_write_bytecode = True

import bench_picture

# The units, with the titles of their tables. Only exact units are reproducible, so that
# they can be compared with another run.
UNITS = {
    "instructions": "Instructions per call",
    "bytes": "Bytes of kernel memory",
    "ns": "Nanoseconds per call, by n processes at once; in real time",
}
EXACT_UNITS = ("instructions", "bytes")
# Smaller changes are not reported.
TOLERANCE = 0.03


class Target(NamedTuple):
    """The upper limit of a value, absolute or as a multiple of memfd's value."""

    limit: float
    of_memfd: bool = False

    def __str__(self):
        return f"<= {self.limit:.2f} x memfd" if self.of_memfd else f"<= {self.limit:,}"


# The targets by machine, then by row, and by n if a row has several. The targets on Debian's
# kernel are about the values of the C driver of Linux 5.17 there.
TARGETS = {
    "bench": {
        ("create", None): Target(1.05, of_memfd=True),
        ("first touch", None): Target(1.01, of_memfd=True),
        ("refault", None): Target(1.01, of_memfd=True),
        ("GET_SIZE", None): Target(320),
        ("unpin+pin", 1): Target(1800),
        ("pin+unpin", 100): Target(2300),
        ("pin+unpin", 1000): Target(2700),
        ("pin+unpin", 10000): Target(3100),
        ("pin+unpin", 100000): Target(3500),
        ("status", 10000): Target(1000),
        ("purge range, a page", None): Target(1.01, of_memfd=True),
        ("purge pages, a page", None): Target(0.80, of_memfd=True),
        ("open region", None): Target(512),
        ("range", None): Target(192),
    },
    "debian": {
        ("open+close", None): Target(5937),
        ("create", None): Target(25200),
        ("SET_NAME", None): Target(900),
        ("PURGE_ALL_CACHES", None): Target(1000),
        ("unpin+pin", 1): Target(2250),
        ("UNPIN over ranges", 10000): Target(2600000),
        ("close, a range", 10000): Target(300),
        ("purge range, a page", None): Target(1.01, of_memfd=True),
        ("purge pages, a page", None): Target(6480),
        ("purge pages, unmapped, a page", None): Target(4500),
        ("purge pages, untouched, a page", None): Target(1600),
        ("range", None): Target(96),
        ("open region", None): Target(347),
        (".text", None): Target(16000),
    },
}


class Row(NamedTuple):
    name: str
    n: int | None
    unit: str
    subject: str
    value: float

    @property
    def label(self):
        return self.name if self.n is None else f"{self.name} (n={self.n:,})"

    def target(self, targets):
        if self.subject != "ashmem" or self.unit not in EXACT_UNITS:
            return None
        return targets.get((self.name, self.n)) or targets.get((self.name, None))


def refuse(why):
    print(f"error: {why}", file=sys.stderr)
    sys.exit(2)


def parse_row(line):
    """Raises ValueError for an invalid row."""
    name, n, unit, subject, value = line.split("\t")
    row = Row(name, None if n == "-" else int(n), unit, subject, float(value))
    if not (name and subject and unit in UNITS and math.isfinite(row.value) and row.value >= 0):
        raise ValueError
    return row


def by_key(rows):
    return {row[:4]: row for row in rows}


def read_rows(path):
    rows = []
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        try:
            rows.append(parse_row(line))
        except ValueError:
            refuse(f"{path}:{number}: this is not a row: {line}")
    if not rows:
        refuse(f"{path} has no rows.")
    if len(by_key(rows)) < len(rows):
        refuse(f"{path} has two values for the same.")
    return rows


def number(value):
    """Returns a number for JSON: 3 rather than 3.0."""
    return int(value) if value == int(value) else value


def write_json(path, about, rows):
    """Writes one row per line, so that a diff shows the changes."""
    fields = [{"row": r.name, "n": r.n, "unit": r.unit, "subject": r.subject, "value": number(r.value)} for r in rows]
    head = "".join(f'"{key}": {json.dumps(value)},\n' for key, value in about.items())
    lines = ",\n".join(json.dumps(field) for field in fields)
    Path(path).write_text(f'{{\n{head}"rows": [\n{lines}\n]\n}}\n')


def read_json(path):
    try:
        whole = json.loads(Path(path).read_text())
        rows = [Row(r["row"], r["n"], r["unit"], r["subject"], r["value"]) for r in whole.pop("rows")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        refuse(f"{path} cannot be read: {error}")
    return whole, rows


def lay_out(lines, left):
    """Aligns the columns: those in 'left' to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    ]


def is_met(target, row, memfd):
    """Whether a row meets its target, or None if that is unknown."""
    if not target.of_memfd:
        return row.value <= target.limit
    return None if memfd is None else row.value <= target.limit * memfd.value


def verdict(target, row, memfd):
    met = is_met(target, row, memfd)
    return "no memfd" if met is None else "met" if met else "MISSED"


def memfd_of(row, rows):
    return by_key(rows).get((row.name, row.n, row.unit, "memfd"))


def table_of_unit(unit, rows, targets):
    rows = [row for row in rows if row.unit == unit]
    found = by_key(rows)
    subjects = sorted({row.subject for row in rows}, key=lambda subject: (subject != "ashmem", subject == "memfd"))
    rated = [subject for subject in subjects if subject != "memfd"] if "memfd" in subjects else []
    digits = 0 if all(row.value == int(row.value) for row in rows) else 1
    lines = [["row", "n", *subjects, *(f"{subject}/memfd" for subject in rated), "target", ""]]
    names = list(dict.fromkeys(row.name for row in rows))
    for name, n in sorted(dict.fromkeys((row.name, row.n) for row in rows), key=lambda of: names.index(of[0])):
        of = {subject: found.get((name, n, unit, subject)) for subject in subjects}
        line = [name, "-" if n is None else f"{n:,}"]
        line += [f"{row.value:,.{digits}f}" if row else "-" for row in of.values()]
        memfd, mine = of.get("memfd"), of.get("ashmem")
        for subject in rated:
            line.append(f"{of[subject].value / memfd.value:.3f}" if of[subject] and memfd and memfd.value else "-")
        target = mine and mine.target(targets)
        line += [str(target), verdict(target, mine, memfd)] if target else ["", ""]
        lines.append(line)
    width = len(lines[0])
    return [UNITS[unit], ""] + lay_out(lines, (0, width - 2, width - 1))


def targets_met(rows, targets):
    """Returns a summary line, and a line for each missed target."""
    judged = [(target, row, memfd_of(row, rows)) for row in rows if (target := row.target(targets))]
    met = [row for target, row, memfd in judged if is_met(target, row, memfd)]
    missed = [(target, row) for target, row, memfd in judged if is_met(target, row, memfd) is False]
    lines = [f"{len(met)} of {len(targets)} targets met, {len(missed)} missed"]
    unmeasured = len(targets) - len(met) - len(missed)
    if unmeasured:
        lines[0] += f", {unmeasured} not measured"
    lines += [f"missed: {row.label}: {row.value:,.1f}, target {target}" for target, row in missed]
    return lines


def table(about, rows, targets):
    lines = [f"Linux {about['kernel']}, {about['toolchain']}, {about['date']}", ""]
    for unit in UNITS:
        if any(row.unit == unit for row in rows):
            lines += table_of_unit(unit, rows, targets) + [""]
    if any(row.subject == "ashmem" for row in rows):
        lines += targets_met(rows, targets)
    return "\n".join(lines).rstrip() + "\n"


def exact(rows):
    return [row for row in rows if row.unit in EXACT_UNITS]


def change(old, new):
    """Returns the relative growth of a value."""
    if old == new:
        return 0.0
    return (new - old) / old if old else math.inf


def compare(old_rows, new_rows):
    """Prints changes. Returns whether nothing became dearer or vanished."""
    old, new = by_key(exact(old_rows)), by_key(exact(new_rows))
    counts = dict.fromkeys(("dearer", "cheaper", "gone", "new"), 0)
    lines = [["row", "n", "unit", "subject", "old", "new", "change", ""]]
    for key in dict.fromkeys([*old, *new]):
        was, now = old.get(key), new.get(key)
        part = change(was.value, now.value) if was and now else 0.0
        word = "new" if not was else "gone" if not now else "dearer" if part > 0 else "cheaper"
        if was and now and abs(part) <= TOLERANCE:
            continue
        counts[word] += 1
        row = now or was
        values = [f"{r.value:,.1f}" if r else "-" for r in (was, now)]
        percent = f"{part:+.1%}" if was and now else "-"
        lines.append([row.name, "-" if row.n is None else f"{row.n:,}", row.unit, row.subject, *values, percent, word])
    if len(lines) > 1:
        print("\n".join(lay_out(lines, (0, 2, 3, 7))))
    print(
        f"{len(old.keys() & new.keys())} rows compared: {counts['dearer']} dearer and {counts['cheaper']} cheaper "
        f"by more than {TOLERANCE:.0%}, {counts['gone']} gone, {counts['new']} new"
    )
    return not (counts["dearer"] or counts["gone"])


def check(rows, baseline, about):
    was, old_rows = read_json(baseline)
    for what in ("kernel", "toolchain"):
        if was.get(what) != about[what]:
            print(f"note: the baseline's {what} is {was.get(what)}, this one's {about[what]}")
    return compare(old_rows, rows)


def main():
    parser = argparse.ArgumentParser(description="Tabulates, draws and compares the rows of the benchmark.")
    parser.add_argument("--kernel", default="?", help="the version of the kernel that was measured")
    parser.add_argument("--toolchain", default="?", help="the toolchain that built the kernel and the module")
    parser.add_argument("--date", default="?")
    parser.add_argument("--machine", default="bench", choices=TARGETS, help="the machine, which has its own targets")
    parser.add_argument("command", choices=("report", "check", "baseline"))
    parser.add_argument("rows", help="the file with the rows")
    parser.add_argument("where", help="report: a directory to write to; check, baseline: the file with the baseline")
    args = parser.parse_args()
    about = {"kernel": args.kernel, "toolchain": args.toolchain, "date": args.date}
    rows = read_rows(args.rows)
    if args.command == "check":
        return 0 if check(rows, args.where, about) else 1
    if args.command == "baseline":
        write_json(args.where, about, exact(rows))
        return 0
    where, targets = Path(args.where), TARGETS[args.machine]
    write_json(where / "results.json", about, rows)
    (where / "cost.svg").write_text(bench_picture.draw(rows, targets))
    (where / "table.txt").write_text(table(about, rows, targets))
    print((where / "table.txt").read_text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
