"""Verdicts as text: the sentence, the table of terms, and what would have to give."""

import math
from dataclasses import dataclass

from diptych.core.manifest import Manifest
from diptych.core.values import Relaxation, Verdict
from diptych.reporting import answers
from diptych.reporting.numbers import (
    beside,
    count,
    exact,
    interval,
    limit_of,
    loosened,
    measured,
)
from diptych.reporting.sides import part

TERMS_HEADER = ("Term", "Limit", "Measured", "Interval", "n", "Verdict", "Would decide", "How")
EXACT = {"bytes", "usd_per_million"}
"""The units of what is measured without a spread, or hardly any."""
PARTLY = {"energy", "cost"}
"""The terms that leave out the GPU where one computes."""


@dataclass(frozen=True, kw_only=True)
class TermRow:
    """A budget term as text, in the order of `TERMS_HEADER`."""

    name: str
    limit: str
    value: str
    bounds: str
    n: str
    verdict: str
    decides: str
    label: str

    def cells(self) -> tuple[str, ...]:
        """Give the cells of the table.

        Returns:
            As many as `TERMS_HEADER` has.
        """
        return (
            self.name, self.limit, self.value, self.bounds, self.n, self.verdict,
            self.decides, self.label,
        )  # fmt: skip


def term_rows(manifest: Manifest) -> tuple[TermRow, ...]:
    """Write the verdict of every budget term.

    Args:
        manifest: The bundle.

    Returns:
        One row per term.
    """
    return tuple(_term_row(term, part(manifest.model.runtime)) for term in manifest.terms)


def sentence(manifest: Manifest) -> str:
    """Say in one sentence what the bundle is and whether it meets its budget.

    Args:
        manifest: The bundle.

    Returns:
        The sentence.
    """
    model = manifest.model
    parts = [f"{model.name} {answers.achievement(manifest)}"]
    if model.p99_ms and math.isfinite(model.p99_ms.high):
        p99 = model.p99_ms
        parts.append(f"answers within {measured(p99.value, p99.low, p99.high, 'ms')} (p99)")
    if model.size_bytes is not None:
        parts.append(f"takes {exact(model.size_bytes, 'bytes')}")
    facts = ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else parts[0]
    return f"{facts}; {_outcome(manifest)}."


def relaxation_lines(manifest: Manifest) -> tuple[str, ...]:
    """Say which single term would have to give, the cheapest first.

    Args:
        manifest: The bundle.

    Returns:
        One sentence per relaxation; none where the budget is met.
    """
    if manifest.verdict == "PASS":
        return ()
    terms = {term.name: term for term in manifest.terms}
    lines = [
        _relaxation_line(one, terms[one.term]) for one in manifest.relaxations if one.term in terms
    ]
    return tuple(lines)


def _term_row(term: Verdict, of_what: str) -> TermRow:
    value = measured(term.value, term.low, term.high, term.unit)
    if term.unit in EXACT:
        value = beside(term.value, term.limit, term.unit)
    if not term.n:
        value = "not measured"
    how = term.label or term.method
    more = "" if term.samples_needed is None else f"{count(term.samples_needed)} samples"
    return TermRow(
        name=term.name,
        limit=f"{_sign(term.relation)} {limit_of(term.limit, term.unit)}",
        value=value,
        bounds=interval(term.low, term.high, term.unit, term.limit, term.n),
        n=f"{term.n:,}" if term.high > term.low or term.n > 1 else "",
        verdict=term.verdict,
        decides=more if term.verdict == "CANNOT TELL" else "",
        label=f"{how}, {of_what}" if of_what and term.n and term.name in PARTLY else how,
    )


def _outcome(manifest: Manifest) -> str:
    if not manifest.terms:
        return "no budget was set"
    missed = [term.name for term in manifest.terms if term.verdict == "FAIL"]
    unsure = [term.name for term in manifest.terms if term.verdict == "CANNOT TELL" and term.n]
    unknown = [term.name for term in manifest.terms if term.verdict == "CANNOT TELL" and not term.n]
    if missed:
        return f"the budget is not met: {' and '.join(missed)}"
    if unsure:
        return f"too few samples to tell whether the budget holds: {' and '.join(unsure)}"
    if unknown:
        return f"whether the budget holds was not measured: {' and '.join(unknown)}"
    return "every term of the budget holds"


def _relaxation_line(one: Relaxation, term: Verdict) -> str:
    up = term.relation == "<="
    return (
        f"With {one.term} {_sign(term.relation)} {loosened(one.needed, term.unit, up)} instead of "
        f"{limit_of(one.limit, term.unit)}, {one.candidate} would meet the budget."
    )


def _sign(relation: str) -> str:
    return "≤" if relation == "<=" else "≥"
