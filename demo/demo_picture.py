#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Draws what demo_cache printed: its pictures, one after the other.

usage: demo_picture.py KERNEL DATE <what make demo printed >demo.svg
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "vm/lib"))
from picture import document, style, text  # noqa: E402

WIDTH, HEIGHT = 720, 300
LEFT, BAR, PIECE, RIGHT = 20, 120, 14, 470
TOP, ROW = 78, 24
SECONDS = 2.5
STATES = {"#": "pinned", "-": "unpinned", ".": "purged", "=": "cache", "+": "program"}
LIGHT = """
.pinned { fill: #0969da } .unpinned { fill: #bf8700 } .purged { fill: #d0d7de }
.cache { fill: #1a7f37 } .program { fill: #cf222e }
"""
DARK = """
.pinned { fill: #4493f8 } .unpinned { fill: #d29922 } .purged { fill: #30363d }
.cache { fill: #3fb950 } .program { fill: #f85149 }
"""


def frames(lines):
    """Returns the pictures: each has a title, and rows of a name, a bar and words."""
    found = []
    for words in lines:
        if title := re.match(r"\d/\d  (.*)", words):
            found.append((title[1], []))
        elif found and (row := re.match(r"  (.{10}) \|(.{24})\| *(.*)", words)):
            found[-1][1].append((row[1].strip(), row[2], row[3]))
    return found


def runs(bar):
    """Returns the runs of one character in a bar: the start, the length, the character."""
    return [(run.start(), len(run[0]), run[1]) for run in re.finditer(r"(.)\1*", bar) if run[1] in STATES]


def draw_row(y, name, bar, words):
    parts = [text(LEFT, y + 12, name)]
    for start, length, state in runs(bar):
        box = f'x="{BAR + start * PIECE}" y="{y}" width="{length * PIECE}" height="{ROW - 8}"'
        parts.append(f'<rect {box} class="{STATES[state]}"/>')
    # The bar shows the numbers of pages. The text after them is the result of PIN.
    words = re.sub(r"^(\d+ +){3}", "", words)
    parts.append(text(RIGHT, y + 12, words, "dim"))
    return parts


def draw_legend():
    parts = []
    x = BAR
    for state in STATES.values():
        words = {"cache": "the cache's memory", "program": "another program's"}.get(state, state)
        parts.append(f'<rect x="{x}" y="{HEIGHT - 48}" width="10" height="10" class="{state}"/>')
        parts.append(text(x + 15, HEIGHT - 39, words, "dim"))
        x += 35 + 7 * len(words)
    return parts


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n\n")[-1].strip())
    found = frames(sys.stdin.read().splitlines())
    if len(found) < 4 or not all(rows for _, rows in found):
        sys.exit("error: the demo did not print its pictures.\n       See demo/demo_cache.c for the expected output.")
    count = len(found)
    # For viewers without animations: the picture near the end of the purge.
    still = f".frame {{ visibility: hidden }} .frame{count - 2} {{ visibility: visible }}\n"
    looks = LIGHT + still + "".join(
        f".frame{n} {{ animation: show {count * SECONDS}s step-end {n * SECONDS - count * SECONDS}s infinite }}\n"
        for n in range(count)
    )
    looks += f"@keyframes show {{ 0% {{ visibility: visible }} {100 / count:.2f}% {{ visibility: hidden }} }}\n"
    looks += "@media (prefers-reduced-motion: reduce) { .frame { animation: none !important } }\n"
    parts = [
        text(LEFT, 24, "make demo: a cache gives way to a program that needs its memory", "title"),
        text(LEFT, HEIGHT - 12, f"Linux {sys.argv[1]}, {sys.argv[2]}", "dim"),
        *draw_legend(),
    ]
    for number, (title, rows) in enumerate(found):
        parts.append(f'<g class="frame frame{number}">')
        parts.append(text(LEFT, 52, title))
        for at, row in enumerate(rows):
            parts += draw_row(TOP + at * ROW - 8, *row)
        parts.append("</g>")
    print(document(WIDTH, HEIGHT, "A cache in /dev/ashmem is purged when memory gets short", style(looks, DARK), parts))


if __name__ == "__main__":
    main()
