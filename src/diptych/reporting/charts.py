"""The charts: candidates, break-even and learning curves."""

import math
from typing import Any

from diptych.core.extras import require
from diptych.core.values import Candidate, Manifest
from diptych.reporting import sides
from diptych.reporting.drawing import EXTRA, PAPER, Chart, Palette, theme
from diptych.reporting.numbers import count, exact

LONGEST_NAME = 34
LONGEST_CURVE = 400
DECADES_SHOWN = 2.5


def candidates(manifest: Manifest, palette: Palette, width: int) -> Chart | None:
    """Chart accuracy against p99, the chosen candidate ringed and the budget's limits drawn.

    Args:
        manifest: The bundle.
        palette: The colors.
        width: Points of the plot itself.

    Returns:
        The chart, or None without candidates.
    """
    alt = require("altair", EXTRA)
    if not manifest.candidates:
        return None
    points = [_point(one) for one in manifest.candidates]
    limits = _limits(manifest)
    x = _p99_axis(alt, [p["p99"] for p in points] + limits.get("p99", []))
    y = alt.Y("accuracy:Q", title="accuracy on validation, %", scale=alt.Scale(zero=False))
    base = alt.Chart(alt.Data(values=points))
    color = alt.Color(
        "standing:N",
        scale=alt.Scale(
            domain=["meets the budget", "misses it"], range=[palette.right, palette.left]
        ),
    )
    marks = base.mark_point(filled=True, size=75, opacity=0.9).encode(
        x=x, y=y, color=color, shape=alt.Shape("kind:N")
    )
    layers = [
        *_limit_rules(alt, manifest, limits, palette),
        base.mark_rule(color=palette.muted, opacity=0.45).encode(x=x, y="low:Q", y2="high:Q"),
        base.mark_rule(color=palette.muted, opacity=0.45).encode(
            x="p99_low:Q", x2="p99_high:Q", y=y
        ),
        marks,
        *_chosen_marks(alt, base, palette, x, y),
    ]
    return alt.layer(*layers).properties(width=width, height=round(min(340, 0.75 * width)))


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
    once = manifest.training.energy
    spread = 10**DECADES_SHOWN
    rows = []
    for number in (middle / spread, middle, middle * spread):
        rows.append(_energy_row("training", number, once.value_j, once.low_j, once.high_j))
        totals = (number * joules for joules in (each.value_j, each.low_j, each.high_j))
        rows.append(_energy_row("inference", number, *totals))
    x = alt.X(
        "number:Q", title="predictions", scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(format="~s", tickCount=5, grid=False),
    )  # fmt: skip
    joules = alt.Axis(labelExpr="format(datum.value, '~s') + 'J'", tickCount=5)
    y = alt.Y("value:Q", title="energy so far", scale=alt.Scale(type="log"), axis=joules)
    color = alt.Color(
        "panel:N",
        scale=alt.Scale(domain=["training", "inference"], range=[palette.left, palette.right]),
    )
    base = alt.Chart(alt.Data(values=rows))
    cross = alt.Chart(alt.Data(values=[{"number": middle, "value": once.value_j}])).encode(x=x, y=y)
    return alt.layer(
        base.mark_area(opacity=0.13).encode(x=x, y="low:Q", y2="high:Q", color=color),
        base.mark_line(strokeWidth=2).encode(x=x, y=y, color=color),
        cross.mark_point(filled=True, size=70, color=palette.ink, opacity=1),
        cross.mark_text(
            text=count(float(f"{middle:.1e}")), dy=-14, align="right", color=palette.ink, fontSize=12
        ),
    ).properties(width=width, height=round(min(260, 0.65 * width)))


def curves(manifest: Manifest, palette: Palette, width: int) -> Chart | None:
    """Chart accuracy on the validation split over the epochs of every model that was trained.

    Args:
        manifest: The bundle.
        palette: The colors.
        width: Points of the plot itself.

    Returns:
        The chart, or None where no epoch was scored.
    """
    alt = require("altair", EXTRA)
    scored = [
        {"model": _short(one.model), "epoch": one.epoch, "accuracy": 100 * one.accuracy}
        for one in manifest.curves
        if one.accuracy is not None
    ]
    if not scored:
        return None
    step = max(1, len(scored) // LONGEST_CURVE)
    models = list(dict.fromkeys(row["model"] for row in scored))
    colors = [palette.left, palette.right, *palette.more, palette.muted]
    scale = alt.Scale(domain=models, range=[colors[i % len(colors)] for i in range(len(models))])
    base = alt.Chart(alt.Data(values=[*scored[:-1:step], scored[-1]]))
    encoded = base.encode(
        x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(grid=False, tickMinStep=1)),
        y=alt.Y("accuracy:Q", title="accuracy on validation, %", scale=alt.Scale(zero=False)),
        color=alt.Color("model:N", scale=scale),
    )
    drawn = alt.layer(
        encoded.mark_line(strokeWidth=2), encoded.mark_point(filled=True, size=16, opacity=1)
    )
    return drawn.properties(width=width, height=round(min(260, 0.65 * width)))


def poster(manifest: Manifest) -> Chart:
    """Put all charts under one another, to be saved as one picture.

    Args:
        manifest: The bundle.

    Returns:
        A themed chart.
    """
    alt = require("altair", EXTRA)
    titled = {
        "Candidates": candidates(manifest, PAPER, 620),
        sides.breakeven(manifest): breakeven(manifest, PAPER, 620),
        "Learning curves": curves(manifest, PAPER, 620),
    }
    drawn = [chart.properties(title=title) for title, chart in titled.items() if chart is not None]
    title = {"text": f"{_short(manifest.name)}: {manifest.verdict}", "fontSize": 22}
    stacked = alt.vconcat(*drawn, title=alt.TitleParams(**title), spacing=34)
    apart = {"color": "independent", "shape": "independent"}
    return theme(stacked.resolve_scale(**apart), PAPER)


def _point(one: Candidate) -> dict[str, Any]:
    p99, accuracy = one.p99_ms, one.accuracy
    return {
        "name": _short(one.name),
        "kind": f"{one.precision} {one.runtime}",
        "standing": "meets the budget" if one.meets_budget else "misses it",
        "chosen": one.chosen,
        "p99": p99.value,
        "p99_low": p99.low if math.isfinite(p99.low) else p99.value,
        "p99_high": p99.high if math.isfinite(p99.high) else p99.value,
        "accuracy": 100 * accuracy.value,
        "low": 100 * accuracy.low,
        "high": min(100 * accuracy.high, 100.0),
    }


def _limits(manifest: Manifest) -> dict[str, list[float]]:
    """Find where the budget's limits lie on the two axes; a drop is counted from the teacher."""
    found: dict[str, list[float]] = {}
    for term in manifest.terms:
        if term.name == "p99":
            found["p99"] = [term.limit]
        elif term.name == "accuracy":
            found.setdefault("accuracy", []).append(100 * term.limit)
        elif term.name == "drop" and manifest.candidates:
            one = manifest.candidates[0]
            teacher = one.accuracy.value + one.drop.value
            found.setdefault("accuracy", []).append(100 * (teacher - term.limit))
    return found


def _p99_axis(alt: Any, values: list[float]) -> Any:  # noqa: ANN401  Altair has no static types here
    low, high = 0.75 * min(values), 1.35 * max(values)
    steps = (m * 10.0**e for e in range(-6, 7) for m in (1, 2, 5))
    ticks = [float(f"{step:.1g}") for step in steps if low <= step <= high]
    return alt.X(
        "p99:Q",
        title="p99 latency of one prediction, ms",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=ticks, format="~g", grid=False),
    )


def _limit_rules(
    alt: Any,  # noqa: ANN401
    manifest: Manifest,
    limits: dict[str, list[float]],
    palette: Palette,
) -> list[Chart]:
    names = {term.name: exact(term.limit, term.unit) for term in manifest.terms}
    layers = []
    for axis, values in limits.items():
        label = f"p99 ≤ {names.get('p99', '')}"
        if axis == "accuracy":
            label = f"drop ≤ {names['drop']}" if "drop" in names else f"≥ {names['accuracy']}"
        data = alt.Chart(alt.Data(values=[{axis: value, "label": label} for value in values]))
        where = {"x": "p99:Q"} if axis == "p99" else {"y": "accuracy:Q"}
        layers.append(data.mark_rule(strokeDash=[4, 3], color=palette.ink, opacity=0.7).encode(**where))
        place = {"x": "p99:Q", "y": alt.value(10)} if axis == "p99" else {**where, "x": alt.value(4)}
        shift = {"dx": -5, "align": "right"} if axis == "p99" else {"dy": 12, "align": "left"}
        text = data.mark_text(color=palette.ink, fontSize=11.5, **shift)
        layers.append(text.encode(text="label:N", **place))
    return layers


def _chosen_marks(alt: Any, base: Chart, palette: Palette, x: Any, y: Any) -> list[Chart]:  # noqa: ANN401
    chosen = base.transform_filter("datum.chosen")
    ring = chosen.mark_point(size=300, strokeWidth=1.8, color=palette.ink, opacity=1)
    name = chosen.mark_text(dy=-18, fontSize=12.5, fontWeight=600, color=palette.ink)
    return [ring.encode(x=x, y=y), name.encode(x=x, y=y, text="name:N")]


def _energy_row(
    panel: str, number: float, value_j: float, low_j: float, high_j: float
) -> dict[str, Any]:
    return {"panel": panel, "number": number, "value": value_j, "low": low_j, "high": high_j}


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
