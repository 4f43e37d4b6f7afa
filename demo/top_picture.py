#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Draws the table that ashmem-top printed in the demo.

usage: top_picture.py KERNEL DATE <what make demo printed >ashmem-top.svg
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "vm/lib"))
from picture import document, style, text  # noqa: E402

WIDTH, LEFT, TOP, ROW = 640, 20, 52, 17
FONT = ".table { font: 12px ui-monospace, monospace }\n.head { font-weight: 600 }"


def table(printed):
    """Returns the lines after the command, up to the next empty line."""
    found = re.search(r"^\$ ashmem-top -o\n(.+?)\n\n", printed, re.MULTILINE | re.DOTALL)
    # SVG merges normal spaces.
    return found[1].replace(" ", "\u00a0").splitlines() if found else []


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n\n")[-1].strip())
    lines = table(sys.stdin.read())
    if len(lines) < 3:
        sys.exit("error: the demo did not print the table of ashmem-top.\n       See vm/guest/demo, which runs it.")
    height = TOP + len(lines) * ROW + 20
    parts = [
        text(LEFT, 24, "ashmem-top: a cache of which a part was purged", "title"),
        *(text(LEFT, TOP + at * ROW, line, "table", *["head"] * (at == 1)) for at, line in enumerate(lines)),
        text(LEFT, height - 12, f"Linux {sys.argv[1]}, {sys.argv[2]}", "dim"),
    ]
    print(document(WIDTH, height, "The regions of a cache, as ashmem-top shows them", style(FONT, ""), parts))


if __name__ == "__main__":
    main()
