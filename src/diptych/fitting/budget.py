"""The budget: what a model may cost and lose, as people write it and as numbers.

``drop<=1%, p99<=2ms, size<=500KB`` is read into terms in base units: fractions, ms, bytes, mJ,
dollars per million predictions; the errors of numbers in the target's own unit.
"""

import re
import sys
from dataclasses import dataclass

from diptych.core.errors import BudgetError
from diptych.core.specs import Value
from diptych.core.text import nearest
from diptych.measure.decisions import Relation
from diptych.tasks.goals import GOALS, GoalKind

FRACTION = {"": 1.0, "%": 0.01}
TIME_MS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
SIZE_BYTES = {"B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9}
MEGAJOULES = "MJ"
"""Read as what is written, millions of joules, which no prediction takes; so it is refused."""
ENERGY_MJ = {"uJ": 1e-3, "mJ": 1.0, "J": 1e3}
COST_USD = {"$/1M": 1.0, "$": 1.0, "": 1.0}
PLAIN = {"": 1.0}

DECIMALS = "write decimals with a point, such as 0.5%"
EXAMPLE = 'write it such as "drop<=1%, p99<=2ms, size<=500KB"'
PATTERN = re.compile(r"([A-Za-z]\w*)\s*(<=|>=|=|<|>)\s*([^\s=<>].*)")
AMOUNT = re.compile(r"(\$?)\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(.*)")
DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class TermKind:
    """What a term means: direction, base unit, written units, and the range of its limit.

    The largest value is possible; zero only where `zero` says so.
    """

    relation: Relation
    unit: str
    written: dict[str, float]
    most: float = sys.float_info.max
    zero: bool = False


MAIN_SCORE = "score"
"""The main score of whatever goal: accuracy, f1, r2 or a user's own."""
TERMS = {
    MAIN_SCORE: TermKind(relation=">=", unit="fraction", written=FRACTION, most=1.0),
    "drop": TermKind(relation="<=", unit="fraction", written=FRACTION, most=1.0, zero=True),
    "accuracy": TermKind(relation=">=", unit="fraction", written=FRACTION, most=1.0),
    "f1": TermKind(relation=">=", unit="fraction", written=FRACTION, most=1.0),
    "auroc": TermKind(relation=">=", unit="fraction", written=FRACTION, most=1.0),
    "r2": TermKind(relation=">=", unit="fraction", written=FRACTION, most=1.0),
    "mae": TermKind(relation="<=", unit="target", written=PLAIN),
    "rmse": TermKind(relation="<=", unit="target", written=PLAIN),
    "p50": TermKind(relation="<=", unit="ms", written=TIME_MS),
    "p99": TermKind(relation="<=", unit="ms", written=TIME_MS),
    "size": TermKind(relation="<=", unit="bytes", written=SIZE_BYTES),
    "memory": TermKind(relation="<=", unit="bytes", written=SIZE_BYTES),
    "energy": TermKind(relation="<=", unit="mJ", written=ENERGY_MJ),
    "cost": TermKind(relation="<=", unit="usd_per_million", written=COST_USD),
    "cold": TermKind(relation="<=", unit="ms", written=TIME_MS),
}


class Term(Value):
    """One limit, in the base unit of its kind."""

    name: str
    relation: Relation
    limit: float
    unit: str


class Budget(Value):
    """The limits a model must keep; none means: the best accuracy, then the cheapest."""

    terms: tuple[Term, ...] = ()
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read a budget.

        Args:
            text: Comma-separated terms, such as ``drop<=1%, p99<=2ms``; may be empty.

        Returns:
            The budget.

        Raises:
            BudgetError: If a term is unknown, written twice, points the wrong way, or has an
                impossible value.
        """
        if not isinstance(text, str):
            raise BudgetError(f"a budget is a text, not of type {type(text).__name__}", EXAMPLE)
        if ";" in text:
            raise BudgetError("the budget has a semicolon between its terms", EXAMPLE)
        terms = tuple(_term(part) for part in text.split(",") if part.strip())
        names = [term.name for term in terms]
        for name in names:
            if names.count(name) > 1:
                raise BudgetError(f"the budget has {name!r} twice", "keep one of them")
        return cls(terms=terms, text=text.strip())

    def limit(self, name: str) -> float | None:
        """Look a limit up.

        Args:
            name: A term's name.

        Returns:
            The limit in its base unit, or None.
        """
        return next((term.limit for term in self.terms if term.name == name), None)


def check_terms(budget: Budget, kind: GoalKind) -> None:
    """Check that a budget limits only scores that are measured.

    Args:
        budget: The limits.
        kind: The scores of what is told.

    Raises:
        BudgetError: If it limits a score of another goal.
    """
    scores = {name for each in GOALS.values() for name in each.metrics}
    for term in budget.terms:
        if term.name in scores and term.name not in kind.metrics:
            known = ", ".join([*kind.metrics, "drop"])
            raise BudgetError(
                f"the budget limits {term.name}, which this data has not", f"limit {known}"
            )


def _term(part: str) -> Term:
    match = PATTERN.fullmatch(part.strip())
    if not match:
        hint = DECIMALS if part.strip()[0].isdigit() else EXAMPLE
        raise BudgetError(f"cannot read the budget term {part.strip()!r}", hint)
    name, relation, amount = match.groups()
    kind = TERMS.get(name.lower())
    if kind is None:
        raise BudgetError(f"there is no budget term {name!r}", nearest(name, TERMS))
    if relation != kind.relation:
        raise BudgetError(
            f"{name}{relation}{amount}: {name} is limited with {kind.relation}",
            f"write {name}{kind.relation}{amount}",
        )
    limit = _amount(name, amount, kind)
    return Term(name=name.lower(), relation=kind.relation, limit=limit, unit=kind.unit)


def _amount(name: str, text: str, kind: TermKind) -> float:
    units = ", ".join(unit for unit in kind.written if unit)
    hint = f"write a number with {units}" if units else "write a number in the target's own unit"
    match = AMOUNT.fullmatch(text)
    if not match:
        raise BudgetError(f"{name}: {text!r} is not an amount", hint)
    sign, number, unit = match.groups()
    scale = _scale(sign + unit, kind.written)
    if scale is None:
        seen = f"unknown unit {sign + unit!r}" if sign + unit else "no unit"
        raise BudgetError(f"{name}: {seen} in {text!r}", hint)
    value = float(f"{float(number) * scale:.{DIGITS}g}")
    if not (0 < value <= kind.most or (value == 0 and kind.zero)):
        percent = kind.unit == "fraction" and not unit and 1 < value <= 100
        hint = f"did you mean {text}%?" if percent else EXAMPLE
        raise BudgetError(f"{name}: {text!r} is not possible", hint)
    return value


def _scale(unit: str, written: dict[str, float]) -> float | None:
    folded = {known.lower(): scale for known, scale in written.items()}
    small = unit.lower().replace("\u03bc", "\u00b5")
    return None if unit == MEGAJOULES else folded.get(small)
