"""Which candidate: the cheapest that keeps the budget, or the nearest and what it would take."""

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from msgspec.structs import replace

from diptych.core.values import Candidate, Estimate, Outcome, Relaxation, Verdict
from diptych.fitting.budget import MAIN_SCORE, Budget, Term
from diptych.fitting.costs import measured
from diptych.measure.decisions import decide
from diptych.measure.proportions import normal_quantile

DROP_SCALE = 0.01
MOST_NOISE = 0.05
"""On a noisier machine costs are compared all the same."""
EVEN_SHARE = 0.1
"""Of a standard error: drops that differ by less are alike."""
OUTCOME_ORDER: dict[Outcome, int] = {"PASS": 0, "CANNOT TELL": 1, "FAIL": 2}


def outcomes(candidate: Candidate, budget: Budget) -> dict[str, Outcome]:
    """Decide each term that is known of a candidate.

    Args:
        candidate: A measured candidate.
        budget: The limits.

    Returns:
        The outcome of each term.
    """
    return {
        term.name: decide(estimate, term.relation, term.limit)
        for term, estimate in _known(candidate, budget)
    }


def mark_passing(candidates: Sequence[Candidate], budget: Budget) -> tuple[Candidate, ...]:
    """Note on each candidate whether it keeps every term that is known of it.

    Args:
        candidates: Measured candidates.
        budget: The limits.

    Returns:
        The same candidates, marked.
    """
    return tuple(
        replace(c, meets_budget=set(outcomes(c, budget).values()) <= {"PASS"}) for c in candidates
    )


def choose(candidates: Sequence[Candidate], budget: Budget, noise: float = 0.0) -> Candidate:
    """Choose the cheapest candidate that passes; if none does, the nearest.

    A budget that says nothing of quality asks for as much of it as its other terms allow.

    Args:
        candidates: At least one.
        budget: The limits.
        noise: The share by which the costs of one program differ from themselves.

    Returns:
        The first by: worst outcome, distance from the budget where one fails or from certainty
        where one cannot be told, the main score where the budget limits no score and no drop, cost
        per prediction. If that one does not pass, the cheapest that is no worse but for chance: by
        less than a standard error of each score that the budget limits, and a tenth of one of the
        drop, which is of the same items for all. Of those that pass and cost the same but for
        noise, or no more operations where costs are unknown, the one of the best main score.

    Source: the rule of one standard error, L. Breiman et al., "Classification and regression
    trees", 1984.
    """
    quality = {"drop", MAIN_SCORE, *candidates[0].scores}
    open_quality = not any(term.name in quality for term in budget.terms)

    def rank(candidate: Candidate) -> tuple[float, ...]:
        worst = max((OUTCOME_ORDER[o] for o in outcomes(candidate, budget).values()), default=0)
        doubt = uncertainty(candidate, budget) if worst == OUTCOME_ORDER["CANNOT TELL"] else 0.0
        distance = overshoot(candidate, budget) if worst else 0.0
        missing = -candidate.score.value if open_quality else 0.0
        return worst, doubt, distance, missing, *_price(candidate)

    best = min(candidates, key=rank)
    if open_quality:
        return best
    if rank(best)[0] == OUTCOME_ORDER["PASS"]:
        most = best.cost_usd_per_million * (1 + min(noise, MOST_NOISE))
        even = [c for c in candidates if not rank(c)[0] and _price(c) <= (most, best.flops)]
        return max(even, key=lambda c: (c.score.value, -c.cost_usd_per_million))
    alike = [c for c in candidates if rank(c)[0] == rank(best)[0] and _as_near(c, best, budget)]
    return min(alike, key=_price)


def nearest(candidates: Sequence[Candidate], budget: Budget, count: int = 3) -> list[Candidate]:
    """Find the candidates that miss the budget by least.

    Args:
        candidates: Any number.
        budget: The limits.
        count: How many to give.

    Returns:
        The nearest first.
    """
    return sorted(candidates, key=lambda c: (overshoot(c, budget), c.cost_usd_per_million))[:count]


def relaxations(candidates: Sequence[Candidate], budget: Budget) -> tuple[Relaxation, ...]:
    """Find the single terms whose loosening would let a candidate pass.

    Args:
        candidates: Any number.
        budget: The limits that none of them meets.

    Returns:
        One per term at most, the smallest loosening first; `needed` is rounded to what is shown
        to people, away from the limit, so that what they read is enough.
    """
    found: dict[str, Relaxation] = {}
    for candidate in candidates:
        decided = outcomes(candidate, budget)
        missed = [term for term in budget.terms if decided.get(term.name, "PASS") != "PASS"]
        if len(missed) != 1:
            continue
        bounds = [_bound(e, term) for term, e in _known(candidate, budget) if term is missed[0]]
        for bound in filter(math.isfinite, bounds):
            offer = _relaxation(candidate.name, bound, missed[0])
            best = found.get(offer.term)
            if best is None or offer.factor < best.factor:
                found[offer.term] = offer
    return tuple(sorted(found.values(), key=lambda r: r.factor))


def overshoot(candidate: Candidate, budget: Budget) -> float:
    """Measure how far the worst term is from its limit.

    Args:
        candidate: A measured candidate.
        budget: The limits.

    Returns:
        0 if every point estimate keeps its limit, else the largest relative excess (for `drop`
        and `accuracy`: the excess in percentage points).
    """
    return max([0.0, *(_excess(e.value, term) for term, e in _known(candidate, budget))])


def uncertainty(candidate: Candidate, budget: Budget) -> float:
    """Measure how far the deciding end of the worst term's interval is from its limit.

    Args:
        candidate: A measured candidate.
        budget: The limits.

    Returns:
        0 if every term passes, else the largest excess as in :func:`overshoot`; may be infinite.
    """
    known = _known(candidate, budget)
    return max([0.0, *(_excess(_bound(e, term), term) for term, e in known)])


def relaxation_of_choice(verdicts: Sequence[Verdict], candidate: str) -> tuple[Relaxation, ...]:
    """Find what would let the chosen candidate pass, by the verdicts on the test split.

    Args:
        verdicts: The decided budget.
        candidate: The name of the chosen candidate.

    Returns:
        One relaxation if a single term is missed and its interval has an end, else none.
    """
    missed = [v for v in verdicts if v.verdict != "PASS"]
    if len(missed) != 1:
        return ()
    one = missed[0]
    bound = one.high if one.relation == "<=" else one.low
    term = Term(name=one.name, relation=one.relation, limit=one.limit, unit=one.unit)
    return (_relaxation(candidate, bound, term),) if math.isfinite(bound) else ()


def _price(candidate: Candidate) -> tuple[float, int]:
    """Return what a prediction costs; of what was not measured only the operations are known."""
    return candidate.cost_usd_per_million, candidate.flops


def _as_near(candidate: Candidate, best: Candidate, budget: Budget) -> bool:
    """Say whether a candidate is as near to the budget as the best, but for chance in scores."""
    pairs = zip(_known(candidate, budget), _known(best, budget), strict=True)
    return all(_no_worse(ours, theirs, term, best) for (term, ours), (_, theirs) in pairs)


def _no_worse(ours: Estimate, theirs: Estimate, term: Term, best: Candidate) -> bool:
    error = (theirs.high - theirs.low) / (2 * normal_quantile(theirs.confidence))
    if term.name in {MAIN_SCORE, *best.scores}:
        behind = theirs.value - ours.value if term.relation == ">=" else ours.value - theirs.value
        return behind <= error
    even = EVEN_SHARE * error if term.name == "drop" else 0.0
    ends = [(ours.value, theirs.value), (_bound(ours, term), _bound(theirs, term))]
    return all(_excess(our - even, term) <= max(0.0, _excess(their, term)) for our, their in ends)


def _known(candidate: Candidate, budget: Budget) -> list[tuple[Term, Estimate]]:
    """Pair the budget's terms with what is known of a candidate."""
    pairs = [(term, measured(candidate, term.name)) for term in budget.terms]
    return [(term, estimate) for term, estimate in pairs if estimate is not None]


def _excess(value: float, term: Term) -> float:
    beyond = value - term.limit if term.relation == "<=" else term.limit - value
    return beyond / (DROP_SCALE if term.unit == "fraction" else term.limit)


def _relaxation(candidate: str, bound: float, term: Term) -> Relaxation:
    needed = _outward(bound, term)
    return Relaxation(
        term=term.name,
        limit=term.limit,
        needed=needed,
        candidate=candidate,
        factor=1 + max(0.0, _excess(needed, term)),
    )


def _bound(estimate: Estimate, term: Term) -> float:
    """Return the end of the interval that decides a term."""
    return estimate.high if term.relation == "<=" else estimate.low


def _outward(value: float, term: Term) -> float:
    """Return the value with three digits, a fraction with four decimals, no tighter than it was."""
    written = Decimal(repr(float(value)))
    finest = Decimal(1).scaleb(-4 if term.unit == "fraction" else written.adjusted() - 2)
    rounding = ROUND_CEILING if term.relation == "<=" else ROUND_FLOOR
    return float(written.quantize(finest, rounding=rounding))
