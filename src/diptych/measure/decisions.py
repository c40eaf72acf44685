"""Decisions: an estimate's interval against a limit gives PASS, FAIL or CANNOT TELL."""

from typing import Literal

from diptych.core.errors import ConfigError
from diptych.core.values import Estimate, Outcome

Relation = Literal["<=", ">="]


def decide(estimate: Estimate, relation: Relation, limit: float) -> Outcome:
    """Decide whether a measured number keeps a limit.

    Args:
        estimate: The number with its interval.
        relation: Whether the number shall be at most or at least the limit.
        limit: The limit, in the estimate's unit.

    Returns:
        PASS where the whole interval keeps the limit, FAIL where none of it does, else
        CANNOT TELL (also where a bound is not a number).

    Raises:
        ConfigError: If `relation` is neither ``<=`` nor ``>=``.
    """
    if relation not in {"<=", ">="}:
        raise ConfigError(f"{relation!r} is not a relation", "write <= or >=")
    at_most = relation == "<="
    if estimate.high <= limit if at_most else estimate.low >= limit:
        return "PASS"
    if estimate.low > limit if at_most else estimate.high < limit:
        return "FAIL"
    return "CANNOT TELL"


def exact(value: float, method: str) -> Estimate:
    """Wrap a number that is known without error, such as a file's size.

    Args:
        value: The number.
        method: How it was had.

    Returns:
        An estimate whose interval is the number itself.
    """
    return Estimate(value=value, low=value, high=value, n=1, method=method)
