"""Makes what matplotlib draws follow the reader's colours, light or dark; small, and the same every time.

Drawings use `INK`, `OURS` and other colours that stand for CSS variables; `text()` puts these in their place.
What is drawn in them is `charts.py`'s business.
"""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

#: Each stands for a variable, with its colour on light and on dark ground.
_COLOURS = {
    "#0000a0": ("ink", "#1f2328", "#e6edf3"),
    "#0000a1": ("soft", "#59636e", "#9198a1"),
    "#0000a2": ("grid", "#d8dee4", "#30363d"),
    "#0000a3": ("ours", "#0969da", "#58a6ff"),
    "#0000a4": ("peer", "#818b98", "#7d8590"),
    "#0000a5": ("orange", "#bc4c00", "#f0883e"),
    "#0000a6": ("green", "#1a7f37", "#3fb950"),
    "#0000a7": ("purple", "#8250df", "#bc8cff"),
    "#0000a8": ("pink", "#bf3989", "#f778ba"),
    "#0000a9": ("brown", "#9a6700", "#d29922"),
    "#0000b0": ("ground", "#ffffff", "#0d1117"),
}
INK, SOFT, GRID, OURS, PEER, *HUES, _GROUND = _COLOURS

#: Points.
FONT_SIZE = 8

#: For the time of drawing: text stays text, and identifiers follow from the content alone.
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mycelium-fast",
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    # An image may be dark on a page that is light: browsers ask the reader's system, not the page. So it has
    # a ground of its own, in GitHub's colours.
    "figure.facecolor": _GROUND,
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": SOFT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": FONT_SIZE,
    "axes.titleweight": "bold",
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 5,
    "ytick.major.pad": 5,
    "lines.solid_capstyle": "butt",
    "grid.color": GRID,
    "grid.linewidth": 0.5,
}


def width(label: str) -> float:
    """Of a text, in points. Readers' fonts differ, and are hardly wider than this one."""
    font = FontProperties(family="DejaVu Sans", size=FONT_SIZE)
    return float(TextPath((0, 0), label, prop=font).get_extents().width)


def text(drawing: Figure, title: str, description: str) -> str:
    """A drawing as an SVG file."""
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        drawing.savefig(buffer, format="svg", metadata={"Date": None})
    found = buffer.getvalue()
    # The document type and the metadata name addresses elsewhere; the rest of what goes is repetition.
    found = re.sub(r"<!DOCTYPE.*?>\s*|<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", found, flags=re.DOTALL)
    found = re.sub(rf"font-size: {FONT_SIZE}px; font-family: [^;\"]*(; )?", "", found)
    found = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", found)
    found = re.sub(r'<g id="[\w.]+"/>', "", found)
    found = re.sub(r'<g id="[\w.]+">', "<g>", found)
    found = re.sub(r"\d+\.\d{4,}", lambda match: f"{float(match[0]):.1f}", found)
    found = re.sub(r'text-anchor: start; | style=""|(?<=>)\n\s*(?=<)', "", found)
    found = re.sub(r"\s*\n\s*", " ", found).strip()
    for colour, (name, _, _) in _COLOURS.items():
        found = found.replace(colour, f"var(--{name})")
    found, classes = _with_classes(found)
    head = f'<title id="t">{escape(title)}</title>\n<desc id="d">{escape(description)}</desc>\n'
    head += f"<style>\n{_style()}{classes}</style>\n"
    found = re.sub(r"<defs><style.*?</style></defs>", lambda _: head, found, count=1)
    found = found.replace("<svg ", '<svg role="img" aria-labelledby="t d" ', 1)
    return found.replace("</g><g>", "</g>\n<g>") + "\n"


def _with_classes(found: str) -> tuple[str, str]:
    """The same with classes in place of styles, and the rules for these."""
    styles = {
        style: f"s{at}" for at, style in enumerate(dict.fromkeys(re.findall(r'style="([^"]*)"', found)))
    }
    found = re.sub(r'style="([^"]*)"', lambda match: f'class="{styles[match[1]]}"', found)
    return found, "".join(f".{name}{{{style.replace(': ', ':')}}}\n" for style, name in styles.items())


def _style() -> str:
    """Colours, and what holds for everything."""
    light = "".join(f"--{name}:{light};" for name, light, _ in _COLOURS.values())
    dark = "".join(f"--{name}:{dark};" for name, _, dark in _COLOURS.values())
    font = f"{FONT_SIZE}px system-ui,'Segoe UI',Helvetica,Arial,sans-serif"
    return (
        f"svg{{{light}}}\n"
        f"@media (prefers-color-scheme:dark){{svg{{{dark}}}}}\n"
        f"*{{stroke-linejoin:round;stroke-linecap:butt}}text{{font:{font}}}\n"
    )
