#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Prints which functions wrote the cache lines that shared_lines.c found. Fails if one of the
lines is not list_lru's.

The arguments are files: symbols as in System.map, more symbols, and the lines."""

import re
import subprocess
import sys
from bisect import bisect_right
from pathlib import Path


def read_symbols(paths):
    symbols = []
    for path in paths:
        for line in Path(path).read_text().splitlines():
            fields = line.split()
            if len(fields) == 3 and fields[1] in "tTwW":
                symbols.append((int(fields[0], 16), fields[2]))
    return sorted(symbols)


def readable(name):
    """Returns a symbol's name; for Rust, without hashes and parameters."""
    if not name.startswith("_R"):
        return name
    name = subprocess.run(["c++filt", name], capture_output=True, check=True, text=True).stdout.strip()
    name = re.sub(r"\[[0-9a-f]{16}\]", "", name)
    while "<" in name and (shorter := re.sub(r"(::)?<[^<>]*>", "", name)) != name:
        name = shorter
    return name.lstrip(":")


def main():
    *paths, lines = sys.argv[1:]
    symbols = read_symbols(paths)
    count = others = 0
    for line in Path(lines).read_text().splitlines():
        address, first, second, *code = line.split()
        names = [symbols[max(0, bisect_right(symbols, (int(at, 16), "~")) - 1)][1] for at in code]
        names = list(dict.fromkeys(map(readable, names)))
        is_known = any("list_lru" in name for name in names)
        count += 1
        others += not is_known
        print(f"  {address}: {first} and {second} times, by {', '.join(names)}{'' if is_known else '  <- NOT list_lru'}")
    print(f"{count} lines that both CPUs write, {others} of them not list_lru's")
    return 1 if others else 0


if __name__ == "__main__":
    sys.exit(main())
