#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Reads the rows of the scenarios of memory pressure: tabulates and draws them.

A row has fields with tabs between: 'point', the machine, the scenario, how many MiB
were read or taken, and how many pages are left; 'result', the machine, the scenario,
what, and the value; 'skip', the machine, the scenario, and why.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

# Do not leave files in the checkout.
sys.dont_write_bytecode = True

import pressure_picture


class Wanted(NamedTuple):
    """A limit for a value."""

    what: str
    limit: float
    at_least: bool = False

    def is_met(self, value):
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self):
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"


LEFT = Wanted("left, %", 95, at_least=True)
LOSSES = Wanted("losses, % of uses", 0.5)
SWAPPED = Wanted("swapped while some was left, pages", 256)
KILLED = Wanted("left at the end, pages", 0)
ASKED = Wanted("left, pages", 0)
REFAULTS = Wanted("more in the last round, pages", 512)

# For each scenario: its description, and the wanted results.
SCENARIOS = {
    "read": ("a file of 4 x memory is read once", LEFT),
    "read-zram": ("the same with swap", LEFT),
    "read-many": ("the same, 100,000 ranges in 1,000 regions", LEFT),
    "use": ("the same, each range used every 16 MiB", LOSSES),
    "use-zram": ("the same with swap", LOSSES),
    "write": ("a file of 4 x memory is written", LEFT),
    "write-zram": ("the same with swap", LEFT),
    "grow-zram": ("a program grows by all that there is, with swap", SWAPPED),
    "grow-full-zram": ("the same, the page cache full before", SWAPPED),
    "grow-many-zram": ("the same, 100,000 ranges in 1,000 regions", SWAPPED),
    "grow": ("a program grows until it is killed", KILLED),
    "grow-full": ("the same, the page cache full before", KILLED),
    "cgroup-read": ("a file is read in a cgroup at memory.max", LEFT),
    "cgroup-grow-zram": ("a program grows there, with swap", SWAPPED),
    "cgroup-grow": ("the same without swap, until it is killed", KILLED),
    "cgroup-high-zram": ("a program grows at memory.high, with swap", Wanted(SWAPPED.what, 600)),
    "cgroup-reclaim": ("4 MiB asked for by memory.reclaim, 16 times", ASKED),
    "two-zram": ("two caches, one used; when the other is gone", Wanted("lost of the used one, %", 5)),
    "turns": ("files read 5 times that fit but for the cache", REFAULTS),
    "turns-zram": ("the same with swap", REFAULTS),
    "pipes": ("the kernel's own memory grows: pipes", KILLED),
    "tables": ("the same: page tables", KILLED),
    "huge-pages": ("as many huge pages as can be had", KILLED),
}

MACHINES = {
    "uml": "UML",
    "x86": "x86",
    "x86-mglru": "x86, MGLRU",
    "debian": "Debian's",
    "c": "C driver",
    "module2": "MODULE2",
}
# The kinds of rows, and how many fields they have.
ROWS = {"point": 5, "result": 5, "skip": 4}

# Machines without this driver.
OTHERS = ("c", "module2")


def read_rows(path):
    """Returns points by scenario and machine, and results by scenario, machine and name."""
    points, results = {}, {}
    for text in path.read_text().splitlines():
        fields = text.split("\t")
        if fields[0] not in ROWS or len(fields) != ROWS[fields[0]]:
            raise SystemExit(f"error: {path}: not a row: {text!r}")
        kind, machine, scenario, *rest = fields
        if kind == "point":
            x, left = rest
            points.setdefault(scenario, {}).setdefault(machine, []).append((float(x), float(left)))
        elif kind == "result":
            what, value = rest
            results.setdefault(scenario, {}).setdefault(machine, {})[what] = float(value)
    return points, results


def cell(wanted, values):
    value = values.get(wanted.what)
    if value is None:
        return "-", True
    is_met = wanted.is_met(value)
    return f"{value:,.4g}" + ("" if is_met else " !"), is_met


def tabulate(machines, results):
    """Returns lines, and the numbers of this driver's values that are as wanted, and that are not."""
    head = ["scenario", "what happens", "value", "wanted", *(MACHINES[name] for name in machines)]
    rows, met, missed = [head], 0, 0
    for scenario, (what, wanted) in SCENARIOS.items():
        if scenario not in results:
            continue
        row = [scenario, what, wanted.what, str(wanted)]
        for machine in machines:
            words, is_met = cell(wanted, results[scenario].get(machine, {}))
            row.append(words)
            if machine not in OTHERS and words != "-":
                met, missed = met + is_met, missed + (not is_met)
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = []
    for row in rows:
        cells = [f"{words:<{width}}" if i < 4 else f"{words:>{width}}" for i, (words, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return lines, met, missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--date", required=True)
    parser.add_argument("rows", type=Path)
    parser.add_argument("directory", type=Path)
    args = parser.parse_args()
    points, results = read_rows(args.rows)
    machines = [name for name in MACHINES if any(name in by for by in results.values())]
    if not machines:
        raise SystemExit(f"error: {args.rows}: no results")
    lines, met, missed = tabulate(machines, results)
    table = "\n".join(lines) + "\n"
    print(table)
    (args.directory / "table.txt").write_text(table)
    document = {"kernel": args.kernel, "date": args.date, "results": results, "points": points}
    (args.directory / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    curves = {name: points[name] for name in SCENARIOS if name in points}
    titles = {name: what for name, (what, _) in SCENARIOS.items()}
    picture = pressure_picture.draw(curves, titles, MACHINES)
    (args.directory / "pressure.svg").write_text(picture)
    print("Written to out/pressure: table.txt, results.tsv, results.json, pressure.svg")
    print(f"{met} as wanted, {missed} not")
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
