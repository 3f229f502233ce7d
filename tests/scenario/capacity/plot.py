# SPDX-License-Identifier: Apache-2.0
"""Small log-log panels as one SVG: what was measured as dots, the fitted law as a line."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT, GAP, ACROSS = 300, 200, 70, 3


def decades(values):
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def power(exponent):
    for unit, size in (("M", 6), ("k", 3)):
        if exponent >= size:
            return f"{10 ** (exponent - size)}{unit}"
    return f"{10.0 ** exponent:g}"


def place(value, ends, length):
    return (math.log10(value) - ends[0]) / (ends[1] - ends[0]) * length


def grid(across, up):
    parts = []
    for e in range(across[0], across[1] + 1):
        x = place(10.0**e, across, WIDTH)
        parts.append(f'<path class="grid" d="M{x:.1f} 0V{HEIGHT}"/>'
                     f'<text x="{x:.1f}" y="{HEIGHT + 15}" text-anchor="middle">{power(e)}</text>')  # fmt: skip
    for e in range(up[0], up[1] + 1):
        y = HEIGHT - place(10.0**e, up, HEIGHT)
        parts.append(f'<path class="grid" d="M0 {y:.1f}H{WIDTH}"/>'
                     f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{power(e)}</text>')  # fmt: skip
    return parts


def curve(fit, laws, across, up):
    name, start, slope, _ = fit
    points = []
    for step in range(101):
        x = 10 ** (across[0] + (across[1] - across[0]) * step / 100)
        y = start + slope * laws[name](x)
        if y > 0 and up[0] <= math.log10(y) <= up[1]:
            points.append(f"{place(x, across, WIDTH):.1f},{HEIGHT - place(y, up, HEIGHT):.1f}")
    return f'<polyline class="law" points="{" ".join(points)}"/>'


def panel(points, title, fit, laws, across):
    up = decades([y for _, y in points])
    parts = [f'<text class="title" x="0" y="-10">{escape(title)}</text>', *grid(across, up)]
    if fit:
        parts.append(curve(fit, laws, across, up))
    for x, y in points:
        parts.append(f'<circle cx="{place(x, across, WIDTH):.1f}" cy="{HEIGHT - place(y, up, HEIGHT):.1f}" r="4"/>')
    return "".join(parts)


def svg(rows, columns, law, laws):
    """rows: one a size; columns: (name, unit, text)."""
    across = decades([row["nodes"] for row in rows])
    panels = []
    for name, unit, text in columns:
        points = [(row["nodes"], row[name]) for row in rows if row.get(name)]
        if points:
            panels.append(panel(points, f"{text}, {unit}", law(points), laws, across))
    down = math.ceil(len(panels) / ACROSS)
    width, height = ACROSS * (WIDTH + GAP) + 20, down * (HEIGHT + GAP) + 20
    body = "".join(
        f'<g transform="translate({GAP + (i % ACROSS) * (WIDTH + GAP)},{40 + (i // ACROSS) * (HEIGHT + GAP)})">{p}</g>'
        for i, p in enumerate(panels))  # fmt: skip
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
            '<style>.grid{stroke:#ddd;fill:none}.law{stroke:#c60;fill:none;stroke-width:1.5}'
            'circle{fill:#06a}.title{font-size:13px;font-weight:bold}</style>'
            f'<rect width="{width}" height="{height}" fill="#fff"/>{body}'
            f'<text x="{width / 2:.0f}" y="{height - 6}" text-anchor="middle">nodes</text></svg>\n')  # fmt: skip
