"""The chart of the candidates: the main score against p99, with the budget's limits."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from diptych.core.extras import require
from diptych.core.manifest import Manifest
from diptych.core.values import Candidate
from diptych.reporting import scores
from diptych.reporting.drawing import EXTRA, Chart, Palette, short
from diptych.reporting.numbers import limit_of

FEWEST_MS = 1e-6
MAIN_SCORE = "score"
CHOSEN = "datum.chosen"
NARROW = 500
NAME_PLACE = {"align": "left", "dx": -8, "dy": -18, "fontSize": 12.5, "fontWeight": 600}


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit of the budget, as a line across the chart."""

    axis: str
    value: float
    label: str


def candidates(manifest: Manifest, palette: Palette, width: int) -> Chart | None:
    """Chart the main score against p99, the chosen candidate ringed and the budget's limits drawn.

    Args:
        manifest: The bundle.
        palette: The colors.
        width: Points of the plot itself.

    Returns:
        The chart, or None without candidates that ran where they were made and have a score.
    """
    known = [one for one in manifest.candidates if one.score.n and not one.unverified]
    if not known:
        return None
    alt = require("altair", EXTRA)
    points, lines = [_point(one) for one in known], limits(manifest)
    shown = [point["p99"] for point in points] + [one.value for one in lines if one.axis == "p99"]
    low, high = 0.7 * min(shown), 1.45 * max(shown)
    x = _latency_axis(alt, low, high)
    title, _ = scores.axis(manifest.score_name)
    drawn = [point[name] for point in points for name in ("low", "score")]
    y = alt.Y("score:Q", title=title, scale=score_scale(drawn))
    base = alt.Chart(alt.Data(values=points))
    bars = base.mark_rule(color=palette.muted, opacity=0.45)
    color, shape = _legends(alt, palette, width)
    marks = base.mark_point(filled=True, size=75, opacity=0.9)
    chosen = base.transform_filter(CHOSEN).encode(x=x, y=y)
    layers = [
        *_rules(lines, palette, low, high, width),
        bars.encode(x=x, y="low:Q", y2="high:Q"),
        bars.encode(x="p99_low:Q", x2="p99_high:Q", y=y),
        *_halo(chosen, palette, width),
        marks.encode(x=x, y=y, color=color, shape=shape),
        *_chosen_marks(chosen, palette, width),
    ]
    return alt.layer(*layers).properties(width=width, height=round(min(340, 0.75 * width)))


def limits(manifest: Manifest) -> list[Limit]:
    """Find where the budget's limits lie; a drop is counted from the teacher on the same items.

    Args:
        manifest: The bundle.

    Returns:
        The limits on p99 (ms) and on the main score (as the axis has it); that on a drop is left
        out where none is known.
    """
    both = [(one.score, one.drop) for one in manifest.candidates if one.score.n and one.drop.n]
    teacher = next((score.value + drop.value for score, drop in both), None)
    found = []
    names, (_, factor) = {manifest.score_name, MAIN_SCORE}, scores.axis(manifest.score_name)
    for term in manifest.terms:
        sign = "≤" if term.relation == "<=" else "≥"
        label = f"{term.name} {sign} {limit_of(term.limit, term.unit)}"
        if term.name == "p99":
            found.append(Limit(axis="p99", value=term.limit, label=label))
        elif term.name == "drop" and teacher is not None:
            found.append(Limit(axis="score", value=factor * (teacher - term.limit), label=label))
        elif term.name in names:
            found.append(Limit(axis="score", value=factor * term.limit, label=label))
    return found


def score_scale(values: Iterable[float]) -> Any:  # noqa: ANN401  Altair is untyped here
    """Give the scale of a score's axis.

    Args:
        values: What is drawn, at least one.

    Returns:
        A scale that begins near the lowest value; at 0 where some are below, which only says that
        nothing was learned yet, and others above.
    """
    alt = require("altair", EXTRA)
    ordered = sorted(values)
    below = ordered[0] < 0 < ordered[-1]
    return alt.Scale(zero=False, clamp=True, **({"domainMin": 0} if below else {}))


def _point(one: Candidate) -> dict[str, Any]:
    p99, score, factor = one.p99_ms, one.score, scores.axis(next(iter(one.scores)))[1]
    value = max(p99.value, FEWEST_MS)
    return {
        "name": short(one.name),
        "kind": f"{one.precision} {one.runtime}",
        "standing": "shown to meet the budget" if one.meets_budget else "not shown to",
        "chosen": one.chosen,
        "p99": value,
        "p99_low": max(p99.low, FEWEST_MS),
        "p99_high": p99.high if math.isfinite(p99.high) else value,
        "score": factor * score.value,
        "low": factor * (score.low if math.isfinite(score.low) else score.value),
        "high": factor * (score.high if math.isfinite(score.high) else score.value),
    }


def _latency_axis(alt: Any, low: float, high: float) -> Any:  # noqa: ANN401  Altair is untyped here
    steps = (m * 10.0**e for e in range(-6, 7) for m in (1, 2, 5))
    ticks = [float(f"{step:.1g}") for step in steps if low <= step <= high]
    return alt.X(
        "p99:Q",
        title="p99 latency of one prediction, ms",
        scale=alt.Scale(type="log", domain=[low, high], nice=False, clamp=True),
        axis=alt.Axis(values=ticks, format="~g", grid=False),
    )


def _legends(alt: Any, palette: Palette, width: int) -> tuple[Any, Any]:  # noqa: ANN401
    names, colors = ["shown to meet the budget", "not shown to"], [palette.right, palette.left]
    scale = alt.Scale(domain=names, range=colors)
    columns = 2 if width < NARROW else 4
    bottom = alt.Legend(orient="bottom", columns=columns, symbolFillColor=palette.ink)
    return (
        alt.Color("standing:N", scale=scale, legend=alt.Legend(symbolType="circle")),
        alt.Shape("kind:N", legend=bottom),
    )


def _rules(
    lines: list[Limit], palette: Palette, low: float, high: float, width: int
) -> list[Chart]:
    # Labels stand beside an upright line on its wider side, and at the other end of a level one.
    alt = require("altair", EXTRA)
    middle = math.sqrt(low * high)
    left = any(one.value < middle for one in lines if one.axis == "p99")
    upright = {"align": "left", "dx": 5} if left else {"align": "right", "dx": -5}
    level = {"align": "right", "dy": 12} if left else {"align": "left", "dy": 12}
    places = {
        "p99": ({"x": "p99:Q"}, {"y": alt.value(10)}, upright),
        "score": ({"y": "score:Q"}, {"x": alt.value(width - 4 if left else 4)}, level),
    }
    drawn = []
    for one in lines:
        where, end, style = places[one.axis]
        data = alt.Chart(alt.Data(values=[{one.axis: one.value, "label": one.label}]))
        rule = data.mark_rule(strokeDash=[4, 3], color=palette.ink, opacity=0.7)
        text = data.mark_text(color=palette.ink, fontSize=11.5, **style)
        drawn += [rule.encode(**where), text.encode(text="label:N", **where, **end)]
    return drawn


def _chosen_marks(chosen: Chart, palette: Palette, width: int) -> list[Chart]:
    ring = chosen.mark_point(size=300, strokeWidth=1.8, color=palette.ink, opacity=1)
    if width < NARROW:
        return [ring]
    return [ring, chosen.mark_text(**NAME_PLACE, color=palette.ink).encode(text="name:N")]


def _halo(chosen: Chart, palette: Palette, width: int) -> list[Chart]:
    """Clear the paper under the name of the chosen one, so that no bar strikes it through."""
    if width < NARROW:
        return []
    return [
        chosen.mark_text(**NAME_PLACE, stroke=palette.paper, strokeWidth=5).encode(text="name:N")
    ]
