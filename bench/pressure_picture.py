# SPDX-License-Identifier: GPL-2.0
"""Draws how much of a cache is left, as an SVG for light and dark mode: a panel for each
scenario, with a curve for each machine."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "vm/lib"))
from picture import document, line, round_step, style, text  # noqa: E402

COLUMNS, WIDTH, HEIGHT = 3, 320, 150
LEFT, TOP, GAP, HEAD = 50, 34, 26, 62
COLOURS = {
    "uml": "s0",
    "x86": "s1",
    "x86-mglru": "s2",
    "debian": "s3",
    "c": "other",
    "module2": "other dotted",
}

STYLE = style(
    """
.s0 { stroke: #0969da } .s1 { stroke: #1a7f37 } .s2 { stroke: #8250df } .s3 { stroke: #0a8a9f }
.other { stroke: #bc4c00; stroke-dasharray: 6 4 } .dotted { stroke-dasharray: 2 3 }
""",
    """
.s0 { stroke: #4493f8 } .s1 { stroke: #3fb950 } .s2 { stroke: #ab7df8 } .s3 { stroke: #39c5cf }
.other { stroke: #f0883e }
""",
)


def panel(x, y, name, title, curves):
    highest_x = max(max(at for at, _ in points) for points in curves.values()) or 1
    highest_y = max(max(left for _, left in points) for points in curves.values()) or 1
    step = round_step(highest_y, 3)
    top, bottom, right = y + TOP, y + TOP + HEIGHT, x + LEFT + WIDTH - LEFT - 20

    def at_x(value):
        return x + LEFT + value / highest_x * (right - x - LEFT)

    def at_y(value):
        return bottom - value / highest_y * (bottom - top)

    parts = [text(x, y + 12, name, "title"), text(x, y + 27, title, "dim")]
    tick = 0
    while tick <= highest_y:
        parts.append(line(x + LEFT, at_y(tick), right, at_y(tick), "grid"))
        parts.append(text(x + LEFT - 6, at_y(tick) + 4, f"{tick:,.0f}", "dim", "end"))
        tick += step
    for machine, points in curves.items():
        path = " ".join(f"{at_x(at):.1f},{at_y(left):.1f}" for at, left in points)
        parts.append(f'<polyline points="{path}" class="line {COLOURS[machine]}"/>')
    parts.append(line(x + LEFT, bottom, right, bottom, "axis"))
    parts.append(text(right, bottom + 16, f"{highest_x:,.0f} MiB", "dim", "end"))
    return parts


def draw(points, titles, machines):
    """Returns the picture of points by scenario and machine."""
    rows = -(-len(points) // COLUMNS)
    width, height = COLUMNS * (WIDTH + 10) + 20, HEAD + rows * (TOP + HEIGHT + GAP) + 10
    parts = [text(20, 24, "Pages left of an unpinned cache, by MiB read, written or taken", "title")]
    at = 20
    for machine in machines:
        if any(machine in curves for curves in points.values()):
            parts.append(f'<line x1="{at}" y1="42" x2="{at + 26}" y2="42" class="line {COLOURS[machine]}"/>')
            parts.append(text(at + 32, 46, machines[machine]))
            at += 60 + 7 * len(machines[machine])
    for i, (name, curves) in enumerate(points.items()):
        x = 20 + i % COLUMNS * (WIDTH + 10)
        y = HEAD + i // COLUMNS * (TOP + HEIGHT + GAP)
        parts += panel(x, y, name, titles[name], curves)
    return document(width, height, "What is left of an unpinned cache", STYLE, parts)
