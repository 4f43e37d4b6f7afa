# SPDX-License-Identifier: GPL-2.0
"""Draws the rows of the benchmark as an SVG for light and dark mode.

To the left, what calls cost against the number of ranges there are; to the
right, what costs how much of what it costs with a memfd.
"""

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "vm/lib"))
from picture import document, line, round_step, style, text  # noqa: E402

CURVES = ("pin+unpin", "status")
WIDTH, TOP, BOTTOM = 1000, 64, 46
# The left and right ends of a panel's axes.
LEFT, RIGHT = (80, 440), (730, 940)
BAR, GAP = 13, 9

STYLE = style(
    """
.title { font-size: 14px }
.middle { text-anchor: middle }
.mark { stroke: #cf222e; stroke-width: 2 }
.status { stroke-dasharray: 6 4 }
.s0 { fill: #0969da } .line.s0 { stroke: #0969da; fill: none }
.s1 { fill: #bc4c00 } .line.s1 { stroke: #bc4c00; fill: none }
.s2 { fill: #8250df } .line.s2 { stroke: #8250df; fill: none }
""",
    """
.mark { stroke: #ff7b72 }
.s0 { fill: #4493f8 } .line.s0 { stroke: #4493f8 }
.s1 { fill: #f0883e } .line.s1 { stroke: #f0883e }
.s2 { fill: #ab7df8 } .line.s2 { stroke: #ab7df8 }
""",
)

def scale_of(values, top, bottom):
    """Returns the ticks of an axis and a function from values to heights: linear, or
    logarithmic if some values are many times the others."""
    highest, lowest = max(values), max(min(values), 1)
    if highest / lowest > 20:
        first, last = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
        ticks = [10**power for power in range(first, last + 1)]
        return ticks, lambda v: bottom - (math.log10(max(v, ticks[0])) - first) / (last - first) * (bottom - top)
    step = round_step(max(highest, 1), 5)
    ticks = [step * i for i in range(math.ceil(max(highest, 1) / step) + 1)]
    return ticks, lambda v: bottom - v / ticks[-1] * (bottom - top)


def curves_of(rows):
    """Returns points by row and subject."""
    curves = {}
    for row in rows:
        if row.name in CURVES and row.n and row.unit == "instructions" and row.subject != "memfd":
            curves.setdefault((row.name, row.subject), []).append((row.n, row.value))
    return {key: sorted(points) for key, points in curves.items()}


def spread(heights, least):
    """Moves labels down until none overlap."""
    placed = []
    for height in heights:
        placed.append(max(height, placed[-1] + least) if placed else height)
    return placed


def draw_curves(curves, subjects, bottom):
    parts = [text(LEFT[0] - 60, 24, "What a call costs, by the number of ranges", "title")]
    if not curves:
        return parts + [text(LEFT[0], bottom / 2, "not measured", "dim")]
    points = [point for curve in curves.values() for point in curve]
    first = math.floor(math.log10(min(n for n, _ in points)))
    last = max(math.ceil(math.log10(max(n for n, _ in points))), first + 1)
    ticks, at_y = scale_of([value for _, value in points], TOP, bottom)

    def at_x(n):
        return LEFT[0] + (math.log10(n) - first) / (last - first) * (LEFT[1] - LEFT[0])

    for tick in ticks:
        parts += [line(LEFT[0], at_y(tick), LEFT[1], at_y(tick), "grid")]
        parts += [text(LEFT[0] - 8, at_y(tick) + 4, f"{tick:,}", "dim", "end")]
    for power in range(first, last + 1):
        parts += [line(at_x(10**power), bottom, at_x(10**power), bottom + 5, "axis")]
        parts += [text(at_x(10**power), bottom + 20, f"{10**power:,}", "dim", "middle")]
    parts += [line(LEFT[0], bottom, LEFT[1], bottom, "axis")]
    parts += [text(LEFT[0] - 60, TOP - 18, "instructions", "dim"), text(LEFT[1], bottom + 38, "ranges", "dim", "end")]
    ends = sorted(curves, key=lambda key: at_y(curves[key][-1][1]))
    for key, label_y in zip(ends, spread([at_y(curves[key][-1][1]) for key in ends], 15)):
        name, subject = key
        of = f"s{subjects.index(subject)}"
        path = " ".join(f"{at_x(n):.1f},{at_y(value):.1f}" for n, value in curves[key])
        parts.append(f'<polyline points="{path}" class="line {of}{" status" if name == "status" else ""}"/>')
        parts += [f'<circle cx="{at_x(n):.1f}" cy="{at_y(v):.1f}" r="3" class="{of}"/>' for n, v in curves[key]]
        label = name if len(subjects) == 1 else f"{name}, {subject}"
        parts.append(text(at_x(curves[key][-1][0]) + 9, label_y + 4, label, of))
    return parts


def ratios_of(rows):
    """Returns ratios by row and n for each subject, without rows in real time."""
    memfd = {row[:3]: row.value for row in rows if row.subject == "memfd" and row.unit != "ns"}
    ratios = {}
    for row in rows:
        if row.subject != "memfd" and memfd.get(row[:3]):
            ratios.setdefault((row.name, row.n), []).append((row.subject, row.value / memfd[row[:3]]))
    return ratios


def draw_bars(ratios, subjects, targets, bottom):
    parts = [text(RIGHT[0] - 165, 24, "What it costs with a memfd is 1", "title")]
    if not ratios:
        return parts + [text(RIGHT[0], bottom / 2, "not measured", "dim")]
    highest = max(ratio for bars in ratios.values() for _, ratio in bars)
    highest = max(highest, 1.2)
    several = [name for name, _ in ratios]

    def at_x(ratio):
        return RIGHT[0] + ratio / highest * (RIGHT[1] - RIGHT[0])

    y = TOP
    marks = []
    for (name, n), bars in ratios.items():
        label = name if several.count(name) == 1 else f"{name}, n={n:,}"
        parts.append(text(RIGHT[0] - 10, y + len(bars) * BAR / 2 + 4, label, "end"))
        target = targets.get((name, n)) or targets.get((name, None))
        for subject, ratio in bars:
            width = at_x(ratio) - RIGHT[0]
            of = f"s{subjects.index(subject)}"
            parts.append(f'<rect x="{RIGHT[0]}" y="{y}" width="{width:.1f}" height="{BAR}" rx="1" class="{of}"/>')
            parts.append(text(max(at_x(ratio), at_x(1)) + 8, y + BAR - 2, f"{ratio:.2f}"))
            if target and target.of_memfd and subject == "ashmem":
                marks.append(line(at_x(target.limit), y - 3, at_x(target.limit), y + BAR + 3, "mark"))
            y += BAR
        y += GAP
    parts += [line(at_x(1), TOP - 8, at_x(1), y, "axis")]
    parts += [text(at_x(1), TOP - 14, "memfd", "dim", "middle"), line(RIGHT[0], TOP - 8, RIGHT[0], y, "axis")]
    if marks:
        parts += marks + [line(RIGHT[0], y + 12, RIGHT[0], y + 25, "mark")]
        parts += [text(RIGHT[0] + 8, y + 23, "the most it should be", "dim")]
    return parts


def draw(rows, targets):
    subjects = sorted({row.subject for row in rows} - {"memfd"}, key=lambda subject: (subject != "ashmem", subject))
    # There are only so many colours.
    subjects = subjects[:3]
    rows = [row for row in rows if row.subject in (*subjects, "memfd")]
    ratios = ratios_of(rows)
    bars = sum(len(of) * BAR + GAP for of in ratios.values())
    bottom = max(300, TOP + bars + 20)
    height = bottom + BOTTOM
    parts = draw_curves(curves_of(rows), subjects, bottom) + draw_bars(ratios, subjects, targets, bottom)
    if len(subjects) > 1:
        for i, subject in enumerate(subjects):
            parts.append(text(RIGHT[0] + 90 * i, bottom + 38, subject, f"s{i}"))
    return document(WIDTH, height, "What ashmem costs", STYLE, parts)
