"""Learning curves: the main score and the training loss of every model, by its time of training.

Scores mostly end close to perfect, where a plain axis shows nothing; theirs is then stretched: it
is logarithmic in what is missing to 100 %.
"""

import math
from collections.abc import Callable
from typing import Any

from diptych.core.extras import require
from diptych.core.manifest import Manifest
from diptych.core.values import CurvePoint
from diptych.reporting import scatter, scores
from diptych.reporting.drawing import EXTRA, Chart, Palette, short

MOST_POINTS = 150
BESIDE = 500
GAP = 110
STRETCHED = 4.0
PERFECT = 100.0
MOST_TICKS = 7
LETTER_WIDTH, NAME_WIDTH = 6, 34
TICKS = ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1,))
UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
LEAST_UNITS = 3.0

Row = dict[str, Any]


def curves(manifest: Manifest, palette: Palette, width: int) -> Chart | None:
    """Chart how each model that was trained got better, on the validation split and in its loss.

    Args:
        manifest: The bundle.
        palette: The colors.
        width: Points of the whole; where there is room the two charts stand side by side.

    Returns:
        The chart, or None where no model was trained for more than one epoch.
    """
    alt = require("altair", EXTRA)
    if len(manifest.curves) == len({one.model for one in manifest.curves}):
        return None
    beside = width >= BESIDE
    each = (width - GAP) // 2 if beside else width
    drawn = [_score(manifest, palette, width), _loss(manifest, palette, width)]
    size = {"width": each, "height": round(min(270, 0.68 * each))}
    charts = [chart.properties(**size) for chart in drawn if chart is not None]
    if not charts:
        return None
    return alt.hconcat(*charts, spacing=30) if beside else alt.vconcat(*charts, spacing=18)


def _score(manifest: Manifest, palette: Palette, width: int) -> Chart | None:
    alt = require("altair", EXTRA)
    title, factor = scores.axis(manifest.score_name)
    rows = _rows(manifest, lambda one: None if one.score is None else factor * one.score)
    if not rows:
        return None
    lowest, highest = (pick(row["value"] for row in rows) for pick in (min, max))
    y = alt.Y("value:Q", title=title, scale=scatter.score_scale([lowest, highest]))
    worst, best = min(PERFECT, PERFECT - lowest), PERFECT - highest
    if factor == PERFECT and 0 <= best < worst / STRETCHED:
        rows, y = _stretched(rows, title, worst)
    return _lines(manifest, rows, y, palette, width)


def _stretched(rows: list[Row], title: str, worst: float) -> tuple[list[Row], Any]:
    """Put what is missing to 100 % in the place of scores; perfect ones stand where others do not.

    Returns:
        The rows, and the axis with the names of scores.
    """
    alt = require("altair", EXTRA)
    missing = [PERFECT - row["value"] for row in rows]
    least = min((value for value in missing if value > 0), default=worst)
    floor = least / 2 if min(missing) <= 0 else least
    values = [tick for tick in ticks(least, worst) if tick > 1.2 * floor] + [floor] * (
        floor < least
    )
    label = f"datum.value <= {floor} ? '100' : format({PERFECT} - datum.value, '.5~g')"
    axis = alt.Axis(values=values, labelExpr=label)
    scale = alt.Scale(type="log", domain=[1.1 * worst, 0.85 * floor], nice=False, clamp=True)
    shown = [{**row, "value": max(floor, PERFECT - row["value"])} for row in rows]
    return shown, alt.Y("value:Q", title=title, scale=scale, axis=axis)


def _loss(manifest: Manifest, palette: Palette, width: int) -> Chart | None:
    alt = require("altair", EXTRA)
    rows = _rows(manifest, lambda one: one.loss)
    if not rows:
        return None
    low, high = (pick(row["value"] for row in rows) for pick in (min, max))
    y = alt.Y("value:Q", title="training loss", scale=alt.Scale(zero=False))
    if low > 0 and high > STRETCHED * low:
        scale = alt.Scale(type="log", domain=[0.85 * low, 1.15 * high], nice=False)
        axis = alt.Axis(values=ticks(low, high), format="~g")
        y = alt.Y("value:Q", title="training loss", scale=scale, axis=axis)
    return _lines(manifest, rows, y, palette, width)


def _lines(manifest: Manifest, rows: list[Row], y: Any, palette: Palette, width: int) -> Chart:  # noqa: ANN401
    alt = require("altair", EXTRA)
    unit, seconds = _time(manifest)
    longest = max(one.seconds for one in manifest.curves) / seconds
    domain = [0, 1.02 * longest or 1.0]
    encoded = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "time:Q",
            title=f"{unit} of training",
            scale=alt.Scale(domain=domain, nice=False),
            axis=alt.Axis(grid=False, tickCount=6),
        ),
        y=y,
        color=_color(manifest, palette, width),
    )
    ends = encoded.transform_filter("datum.end").mark_point(filled=True, size=42, opacity=1)
    return alt.layer(encoded.mark_line(strokeWidth=1.8, strokeJoin="round"), ends)


def _color(manifest: Manifest, palette: Palette, width: int) -> Any:  # noqa: ANN401
    """Give each model its color; the legend takes as many lines as the names need."""
    alt = require("altair", EXTRA)
    models = list(dict.fromkeys(short(one.model) for one in manifest.curves))
    colors = [palette.left, palette.right, *palette.more, palette.muted]
    scale = alt.Scale(domain=models, range=[colors[i % len(colors)] for i in range(len(models))])
    widest = NAME_WIDTH + LETTER_WIDTH * max(len(model) for model in models)
    columns = max(1, width // widest)
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=2.4, symbolSize=220, columns=columns)
    return alt.Color("model:N", scale=scale, legend=legend)


def _rows(manifest: Manifest, value: Callable[[CurvePoint], float | None]) -> list[Row]:
    """Return the finite points of each model, thinned, its last one marked."""
    _, seconds = _time(manifest)
    rows: list[Row] = []
    for model in dict.fromkeys(one.model for one in manifest.curves):
        of_model = [
            {"model": short(model), "time": one.seconds / seconds, "value": seen, "end": False}
            for one in manifest.curves
            if one.model == model and (seen := value(one)) is not None and math.isfinite(seen)
        ]
        if of_model:
            step = -(-len(of_model) // MOST_POINTS)
            rows += [*of_model[:-1:step], {**of_model[-1], "end": True}]
    return rows


def _time(manifest: Manifest) -> tuple[str, float]:
    longest = max((one.seconds for one in manifest.curves), default=0.0)
    return next((unit for unit in UNITS if longest >= LEAST_UNITS * unit[1]), UNITS[-1])


def ticks(low: float, high: float) -> list[float]:
    """Choose the ticks of a logarithmic axis.

    Args:
        low: The least that is shown, above 0.
        high: The most.

    Returns:
        A few round numbers between them: the fewer to a decade, the more decades there are.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    chosen: list[float] = []
    for firsts in TICKS:
        steps = [float(f"{first}e{power}") for power in powers for first in firsts]
        chosen = [step for step in steps if low <= step <= high]
        if len(chosen) <= MOST_TICKS:
            break
    return chosen[:: -(-len(chosen) // MOST_TICKS) or 1]
