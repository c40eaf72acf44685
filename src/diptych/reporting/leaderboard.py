"""The candidates as a table of text, the chosen one first."""

from dataclasses import dataclass

from diptych.core import text
from diptych.core.manifest import Manifest
from diptych.core.values import Candidate
from diptych.reporting import scores
from diptych.reporting.numbers import measured, scaled, significant
from diptych.reporting.sides import part

HEADER = (
    "Candidate", "Score", "Drop", "p50", "p99", "Size", "Energy", "Cost / 1M", "Parameters",
    "Meets budget",
)  # fmt: skip
UNVERIFIED = "unverified"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One candidate: its cells in the order of `HEADER`, and its standing."""

    cells: tuple[str, ...]
    chosen: bool
    meets_budget: bool


def header(manifest: Manifest) -> tuple[str, ...]:
    """Name the columns.

    Args:
        manifest: The bundle.

    Returns:
        `HEADER` with the main score's own name.
    """
    own = scores.title(manifest.score_name)
    return tuple(own if name == "Score" else name for name in HEADER)


def entries(manifest: Manifest) -> tuple[Entry, ...]:
    """List the candidates: the chosen one, those that meet the budget, the others; each by p99.

    Args:
        manifest: The bundle.

    Returns:
        One entry per candidate.
    """
    ordered = sorted(
        manifest.candidates,
        key=lambda one: (
            not one.chosen,
            not one.meets_budget,
            one.unverified,
            one.p99_ms.value,
        ),
    )
    return tuple(_entry(one) for one in ordered)


def nearest(manifest: Manifest) -> tuple[Entry, ...]:
    """List the candidates that miss the budget by least.

    Args:
        manifest: The bundle.

    Returns:
        Their entries, the nearest first; none where the budget is met.
    """
    by_name = {one.name: one for one in manifest.candidates}
    return tuple(_entry(by_name[name]) for name in manifest.nearest if name in by_name)


def _entry(one: Candidate) -> Entry:
    if one.unverified:
        p50 = p99 = energy = cost = UNVERIFIED
    else:
        p50, p99 = (measured(e.value, e.low, e.high, "ms") for e in (one.p50_ms, one.p99_ms))
        of_what = f", {told}" if (told := part(one.runtime)) else ""
        energy = f"{scaled(one.energy.value_j, 'J')} {one.energy.label}{of_what}"
        cost = f"${significant(one.cost_usd_per_million, 2)}{of_what}"
    drop = measured(one.drop.value, one.drop.low, one.drop.high, "fraction")
    cells = (
        one.name,
        scores.figure(next(iter(one.scores)), one.score),
        drop if one.drop.n else scores.UNKNOWN,
        p50,
        p99,
        text.size(one.size_bytes),
        energy,
        cost,
        scaled(one.parameters, "", 3).rstrip(),
        "shown" if one.meets_budget else "not shown",
    )
    return Entry(cells=cells, chosen=one.chosen, meets_budget=one.meets_budget)
