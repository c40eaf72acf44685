"""How charts look and how they become files: colors, lines and letters, then SVG or PNG.

On the page the colors are variables of its style sheet, so a chart follows light and dark.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from diptych.core.extras import require

EXTRA = "report"
FONT = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
PNG_SCALE = 2.0
LONGEST_NAME = 34

Chart = Any


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colors as CSS writes them; `left` is training's and `right` is inference's."""

    paper: str
    ink: str
    muted: str
    line: str
    left: str
    right: str
    more: tuple[str, ...]


PAGE = Palette(
    paper="var(--paper)",
    ink="var(--ink)",
    muted="var(--muted)",
    line="var(--line)",
    left="var(--left)",
    right="var(--right)",
    more=("var(--third)", "var(--fourth)"),
)
PAPER = Palette(
    paper="#ffffff",
    ink="#26231e",
    muted="#6d675c",
    line="#ddd6c8",
    left="#a3522a",
    right="#1d6a73",
    more=("#6a5a9c", "#7c7a2c"),
)


def short(name: str) -> str:
    """Shorten a name so that it fits into a chart.

    Args:
        name: Any text.

    Returns:
        At most 34 characters.
    """
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def theme(chart: Chart, palette: Palette) -> Chart:
    """Give a chart the house's look: thin lines, few of them, and room.

    Args:
        chart: An Altair chart.
        palette: Its colors.

    Returns:
        The chart, configured.
    """
    axis = {
        "domainColor": palette.line,
        "gridColor": palette.line,
        "gridOpacity": 0.6,
        "tickColor": palette.line,
        "labelColor": palette.muted,
        "titleColor": palette.ink,
        "titleFontWeight": "normal",
        "labelFontSize": 11.5,
        "titleFontSize": 12.5,
        "titlePadding": 8,
    }
    legend = {
        "orient": "top",
        "title": None,
        "labelColor": palette.ink,
        "labelFontSize": 12,
        "labelLimit": 260,
        "symbolStrokeWidth": 1.6,
        "columnPadding": 26,
    }
    title = {"color": palette.ink, "anchor": "start", "fontWeight": "normal", "fontSize": 15}
    return chart.configure(
        font=FONT, padding=4, view={"stroke": None}, axis=axis, legend=legend, title=title
    )


def to_svg(chart: Chart, background: str = "transparent") -> str:
    """Draw a chart as SVG that needs no script and no address.

    Args:
        chart: A themed Altair chart.
        background: A CSS color.

    Returns:
        The ``<svg>`` element.
    """
    converter = require("vl_convert", EXTRA)
    return str(converter.vegalite_to_svg(_specification(chart, background)))


def to_png(chart: Chart, background: str = "white") -> bytes:
    """Draw a chart as PNG, two pixels to a point.

    Args:
        chart: A themed Altair chart.
        background: A CSS color.

    Returns:
        The file's content.
    """
    converter = require("vl_convert", EXTRA)
    specification = _specification(chart, background)
    return bytes(converter.vegalite_to_png(specification, scale=PNG_SCALE))


def _specification(chart: Chart, background: str) -> str:
    specification = chart.to_dict(validate=False)
    specification["config"]["background"] = background
    return msgspec.json.encode(specification).decode()
