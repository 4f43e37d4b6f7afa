# SPDX-License-Identifier: GPL-2.0
"""Common parts of pictures: SVGs for light and dark mode."""

import math
from html import escape


def style(light, dark):
    """Returns the common style, with the given additions for light and dark mode."""
    return f"""
text {{ font: 12px system-ui, sans-serif; fill: #24292f }}
.paper {{ fill: #ffffff }}
.title {{ font-weight: 600 }}
.dim {{ fill: #656d76 }}
.end {{ text-anchor: end }}
.grid {{ stroke: #d0d7de; fill: none }}
.axis {{ stroke: #656d76; fill: none }}
.line {{ fill: none; stroke-width: 2 }}
{light.strip()}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }}
.paper {{ fill: #0d1117 }}
.dim {{ fill: #8d96a0 }}
.grid {{ stroke: #30363d }}
.axis {{ stroke: #8d96a0 }}
{dark.strip()}
}}
"""


def text(x, y, words, *classes):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{" ".join(classes)}">{escape(words)}</text>'


def line(x1, y1, x2, y2, name):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{name}"/>'


def round_step(highest, steps):
    """Returns the least of 1, 2, 5, 10, ... of which @steps steps reach the highest value."""
    step = 10 ** math.floor(math.log10(highest / steps))
    while True:
        for factor in (1, 2, 5):
            if step * factor * steps >= highest:
                return step * factor
        step *= 10


def document(width, height, title, looks, parts):
    """Returns an SVG document with these parts."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{looks}</style>",
            f'<rect width="{width}" height="{height}" class="paper"/>',
            *parts,
            "</svg>\n",
        ]
    )
