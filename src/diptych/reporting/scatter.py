"""The chart of the candidates: accuracy against p99, with the budget's limits."""

import math
from dataclasses import dataclass
from typing import Any

from diptych.core.extras import require
from diptych.core.manifest import Manifest
from diptych.core.values import Candidate
from diptych.reporting.drawing import EXTRA, Chart, Palette, short
from diptych.reporting.numbers import exact

FEWEST_MS = 1e-6
CHOSEN = "datum.chosen"
NARROW = 500


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit of the budget, as a line across the chart."""

    axis: str
    value: float
    label: str


def candidates(manifest: Manifest, palette: Palette, width: int) -> Chart | None:
    """Chart accuracy against p99, the chosen candidate ringed and the budget's limits drawn.

    Args:
        manifest: The bundle.
        palette: The colors.
        width: Points of the plot itself.

    Returns:
        The chart, or None without candidates.
    """
    if not manifest.candidates:
        return None
    alt = require("altair", EXTRA)
    points, lines = [_point(one) for one in manifest.candidates], limits(manifest)
    shown = [point["p99"] for point in points] + [one.value for one in lines if one.axis == "p99"]
    low, high = 0.7 * min(shown), 1.45 * max(shown)
    x, y = _axes(alt, low, high)
    base = alt.Chart(alt.Data(values=points))
    bars = base.mark_rule(color=palette.muted, opacity=0.45)
    color, shape = _legends(alt, palette, width)
    marks = base.mark_point(filled=True, size=75, opacity=0.9)
    layers = [
        *(layer for one in lines for layer in _rule(alt, one, palette, _leftish(one, low, high))),
        bars.encode(x=x, y="low:Q", y2="high:Q"),
        bars.encode(x="p99_low:Q", x2="p99_high:Q", y=y),
        marks.encode(x=x, y=y, color=color, shape=shape),
        *_chosen_marks(base.transform_filter(CHOSEN).encode(x=x, y=y), palette, width),
    ]
    return alt.layer(*layers).properties(width=width, height=round(min(340, 0.75 * width)))


def limits(manifest: Manifest) -> list[Limit]:
    """Find where the budget's limits lie; a drop is counted from the teacher on the same items.

    Args:
        manifest: The bundle; it has candidates.

    Returns:
        The limits on p99 (ms) and on accuracy (%).
    """
    one = manifest.candidates[0]
    teacher = one.score.value + one.drop.value
    found = []
    for term in manifest.terms:
        label = (
            f"{term.name} {'≤' if term.relation == '<=' else '≥'} {exact(term.limit, term.unit)}"
        )
        if term.name == "p99":
            found.append(Limit(axis="p99", value=term.limit, label=label))
        elif term.name in {"drop", "accuracy"}:
            share = teacher - term.limit if term.name == "drop" else term.limit
            found.append(Limit(axis="accuracy", value=100 * share, label=label))
    return found


def _point(one: Candidate) -> dict[str, Any]:
    p99, accuracy = one.p99_ms, one.score
    value = max(p99.value, FEWEST_MS)
    return {
        "name": short(one.name),
        "kind": f"{one.precision} {one.runtime}",
        "standing": "shown to meet the budget" if one.meets_budget else "not shown to",
        "chosen": one.chosen,
        "p99": value,
        "p99_low": max(p99.low, FEWEST_MS),
        "p99_high": p99.high if math.isfinite(p99.high) else value,
        "accuracy": 100 * accuracy.value,
        "low": 100 * max(accuracy.low, 0.0),
        "high": 100 * min(accuracy.high, 1.0),
    }


def _axes(alt: Any, low: float, high: float) -> tuple[Any, Any]:  # noqa: ANN401  Altair is untyped here
    steps = (m * 10.0**e for e in range(-6, 7) for m in (1, 2, 5))
    ticks = [float(f"{step:.1g}") for step in steps if low <= step <= high]
    x = alt.X(
        "p99:Q",
        title="p99 latency of one prediction, ms",
        scale=alt.Scale(type="log", domain=[low, high], nice=False, clamp=True),
        axis=alt.Axis(values=ticks, format="~g", grid=False),
    )
    return x, alt.Y("accuracy:Q", title="accuracy on validation, %", scale=alt.Scale(zero=False))


def _legends(alt: Any, palette: Palette, width: int) -> tuple[Any, Any]:  # noqa: ANN401
    names, colors = ["shown to meet the budget", "not shown to"], [palette.right, palette.left]
    scale = alt.Scale(domain=names, range=colors)
    columns = 2 if width < NARROW else 4
    bottom = alt.Legend(orient="bottom", columns=columns, symbolFillColor=palette.ink)
    return (
        alt.Color("standing:N", scale=scale, legend=alt.Legend(symbolType="circle")),
        alt.Shape("kind:N", legend=bottom),
    )


def _leftish(one: Limit, low: float, high: float) -> bool:
    return one.axis == "p99" and one.value < math.sqrt(low * high)


def _rule(alt: Any, one: Limit, palette: Palette, leftish: bool) -> list[Chart]:  # noqa: ANN401
    data = alt.Chart(alt.Data(values=[{one.axis: one.value, "label": one.label}]))
    across = one.axis == "accuracy"
    where = {"y": "accuracy:Q"} if across else {"x": "p99:Q"}
    place = {**where, "x": alt.value(4)} if across else {**where, "y": alt.value(10)}
    align = "left" if across or leftish else "right"
    text = data.mark_text(
        color=palette.ink,
        fontSize=11.5,
        align=align,
        dx=0 if across else (5 if leftish else -5),
        dy=12 if across else 0,
    )
    rule = data.mark_rule(strokeDash=[4, 3], color=palette.ink, opacity=0.7)
    return [rule.encode(**where), text.encode(text="label:N", **place)]


def _chosen_marks(chosen: Chart, palette: Palette, width: int) -> list[Chart]:
    ring = chosen.mark_point(size=300, strokeWidth=1.8, color=palette.ink, opacity=1)
    if width < NARROW:
        return [ring]
    name = chosen.mark_text(
        align="left", dx=-8, dy=-18, fontSize=12.5, fontWeight=600, color=palette.ink
    )
    return [ring, name.encode(text="name:N")]
