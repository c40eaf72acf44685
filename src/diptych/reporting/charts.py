"""The chart of the break-even, and all charts in one picture."""

import math
from typing import Any

from diptych.core.extras import require
from diptych.core.manifest import Manifest
from diptych.measure.energy import add
from diptych.reporting import scatter, sides
from diptych.reporting.curves import curves
from diptych.reporting.drawing import EXTRA, PAPER, Chart, Palette, short, theme
from diptych.reporting.numbers import count

DECADES_SHOWN = 2.5
LEAST_SHARE = 1e-3  # of a value; a bound of 0 has no place on a logarithmic axis
COUNT_LABEL = "replace(replace(format(datum.value, '~s'), 'k', 'K'), 'G', 'B')"
JOULE_LABEL = "replace(format(datum.value, '~s'), /([^0-9.]?)$/, ' $1') + 'J'"


def breakeven(manifest: Manifest, palette: Palette, width: int) -> Chart | None:
    """Chart the energy of both panels against the number of predictions.

    Args:
        manifest: The bundle.
        palette: The colors.
        width: Points of the plot itself.

    Returns:
        The chart, or None where the two energies may not be compared.
    """
    alt = require("altair", EXTRA)
    middle, each = manifest.breakeven_predictions, manifest.model.energy
    if not middle or each is None or not sides.comparable(manifest):
        return None
    gpus = manifest.training.gpu_energy
    once = add(manifest.training.energy, *([gpus] if gpus else []))
    spread = 10**DECADES_SHOWN
    rows = []
    for number in (middle / spread, middle, middle * spread):
        rows.append(_energy_row("training", number, once.value_j, once.low_j, once.high_j))
        totals = (number * joules for joules in (each.value_j, each.low_j, each.high_j))
        rows.append(_energy_row("inference", number, *totals))
    x = alt.X(
        "number:Q", title="predictions", scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(labelExpr=COUNT_LABEL, values=_decades(middle / spread, middle * spread),
                      grid=False),
    )  # fmt: skip
    joules = alt.Axis(labelExpr=JOULE_LABEL, tickCount=5)
    y = alt.Y("value:Q", title="energy so far", scale=alt.Scale(type="log"), axis=joules)
    color = alt.Color(
        "panel:N",
        scale=alt.Scale(domain=["training", "inference"], range=[palette.left, palette.right]),
        legend=alt.Legend(symbolOpacity=1, symbolType="stroke"),
    )
    base = alt.Chart(alt.Data(values=rows))
    cross = alt.Chart(alt.Data(values=[{"number": middle, "value": once.value_j}])).encode(x=x, y=y)
    return alt.layer(
        base.mark_area(opacity=0.13).encode(x=x, y="low:Q", y2="high:Q", color=color),
        base.mark_line(strokeWidth=2).encode(x=x, y=y, color=color),
        cross.mark_point(filled=True, size=70, color=palette.ink, opacity=1),
        cross.mark_text(
            text=count(float(f"{middle:.1e}")),
            dy=-14,
            align="right",
            color=palette.ink,
            fontSize=12,
        ),
    ).properties(width=width, height=round(min(260, 0.65 * width)))


def poster(manifest: Manifest) -> Chart:
    """Put all charts under one another, to be saved as one picture.

    Args:
        manifest: The bundle.

    Returns:
        A themed chart.
    """
    alt = require("altair", EXTRA)
    titled = {
        "Candidates": scatter.candidates(manifest, PAPER, 620),
        sides.breakeven(manifest): breakeven(manifest, PAPER, 620),
        "Learning curves": curves(manifest, PAPER, 620),
    }
    drawn = [chart.properties(title=title) for title, chart in titled.items() if chart is not None]
    title = {"text": f"{short(manifest.name)}: {manifest.verdict}", "fontSize": 22}
    stacked = alt.vconcat(*drawn, title=alt.TitleParams(**title), spacing=34)
    apart = {"color": "independent", "shape": "independent"}
    return theme(stacked.resolve_scale(**apart), PAPER)


def _decades(low: float, high: float) -> list[float]:
    """Return the powers of ten from low to high."""
    return [10.0**k for k in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]


def _energy_row(
    panel: str, number: float, value_j: float, low_j: float, high_j: float
) -> dict[str, Any]:
    low_j = max(low_j, LEAST_SHARE * value_j)
    return {"panel": panel, "number": number, "value": value_j, "low": low_j, "high": high_j}
