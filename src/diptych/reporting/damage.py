"""The damage report in words: what was lost against the teacher, and who pays for it."""

from dataclasses import dataclass

from diptych.core.damage import ClassDamage, Damage, ErrorChange, Flips
from diptych.core.manifest import Manifest
from diptych.core.values import Estimate
from diptych.reporting.honesty import calibration_rows, trust
from diptych.reporting.numbers import count, interval, measured, plural, significant

NAMED = 3
MOST_LISTED = 100
"""Where a report lists as many classes as this, it may have left some out."""
CLASS_HEADER = (
    "Items", "Recall before", "Now", "Lost", "Gained", "Loss of recall", "Interval",
    "p, corrected",
)  # fmt: skip
QUANTILE_HEADER = ("Absolute error", "Before", "Interval", "Now", "Interval")
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """A class as text, its name first, then in the order of `CLASS_HEADER`."""

    cells: tuple[str, ...]
    pays: bool


@dataclass(frozen=True, kw_only=True)
class Section:
    """The section of the page and of the card; what is not known is empty."""

    lead: str
    warning: str
    listed: str
    classes: tuple[ClassRow, ...]
    class_header: tuple[str, ...]
    calibration: tuple[tuple[str, ...], ...]
    trust: str
    quantiles: tuple[tuple[str, ...], ...]


def section(manifest: Manifest) -> Section | None:
    """Write the damage report of a bundle.

    Args:
        manifest: The bundle.

    Returns:
        The section; None where the bundle has none.
    """
    damage = manifest.damage
    if damage is None:
        return None
    return Section(
        lead=lead(damage),
        warning=warning(damage),
        listed=_listed(damage),
        classes=class_rows(damage),
        class_header=(noun(damage).title(), *CLASS_HEADER),
        calibration=calibration_rows(damage),
        trust=trust(damage),
        quantiles=quantile_rows(damage),
    )


def noun(damage: Damage) -> str:
    """Name what the damage is counted by.

    Args:
        damage: The damage.

    Returns:
        ``class`` or ``label``.
    """
    return "label" if damage.goal == "multi-label" else "class"


def line(damage: Damage) -> str:
    """Say in one line what was lost.

    Args:
        damage: The damage.

    Returns:
        Such as ``23 items lost, 11 gained of 10,000; no class pays more than chance``.
    """
    if damage.flips is None:
        return _error_line(damage.errors) if damage.errors else "unknown"
    words = ("told worse", "better,") if damage.goal == "multi-label" else ("lost", "gained")
    flips = damage.flips
    changed = f"{plural(flips.lost, 'item')} {words[0]}, {count(flips.gained)} {words[1]}"
    if not flips.lost:
        return f"{changed} of {flips.n:,}"
    return f"{changed} of {flips.n:,}; {_payers(damage)}"


def lead(damage: Damage) -> str:
    """Say what changed, and whether chance alone would change as much.

    Args:
        damage: The damage.

    Returns:
        A sentence or two; empty where nothing is known.
    """
    if damage.flips is None:
        return _error_lead(damage.errors) if damage.errors else ""
    return _flip_lead(damage, damage.flips)


def warning(damage: Damage) -> str:
    """Say which class pays for all, where one does.

    Args:
        damage: The damage.

    Returns:
        A sentence; empty where none does.
    """
    if not damage.paying:
        return ""
    first, *others = damage.paying
    named = [f", {one.label} {_percent(one.loss)}" for one in others[: NAMED - 1]]
    more, rest = len(others) - len(named), _rest(damage)
    together = "" if rest is None else f"; all others together {_percent(rest)}"
    return (
        f"{first.label} loses {_percent(first.loss)} of its items{''.join(named)}"
        f"{f' and {more} more' if more else ''}{together}. "
        "Where all share the damage evenly, fewer than 5 of 100 reports say such a thing."
    )


def class_rows(damage: Damage) -> tuple[ClassRow, ...]:
    """Write the classes, the largest loss first.

    Args:
        damage: The damage.

    Returns:
        One row per class that is known.
    """
    ordered = sorted(damage.classes, key=lambda one: (-one.loss, one.p_value))
    return tuple(ClassRow(cells=_class_cells(one), pays=one.pays) for one in ordered)


def quantile_rows(damage: Damage) -> tuple[tuple[str, ...], ...]:
    """Write the distribution of the errors, before and after.

    Args:
        damage: The damage.

    Returns:
        Rows in the order of `QUANTILE_HEADER`; none for other goals than numbers.
    """
    if damage.errors is None:
        return ()
    return tuple(
        (f"p{100 * one.q:g}", *_target_cells(one.reference), *_target_cells(one.model))
        for one in damage.errors.quantiles
    )


def _flip_lead(damage: Damage, flips: Flips) -> str:
    if not flips.differing:
        return f"Nothing: the answer is that of {damage.reference} on all {flips.n:,} test items."
    if not flips.lost and not flips.gained:
        return (
            f"No more is told wrong, and no less; {plural(flips.differing, 'answer')} of "
            f"{flips.n:,} on the test split differ{'s' if flips.differing == 1 else ''}."
        )
    told = ("is worse on", "is better on") if damage.goal == "multi-label" else ("loses", "gains")
    lost, gained = (
        f"{count(number)} ({interval(share.low, share.high, 'fraction')})"
        for number, share in (
            (flips.lost, flips.lost_share),
            (flips.gained, flips.gained_share),
        )
    )
    right = "" if damage.goal == "multi-label" else f" that {damage.reference} tells right"
    wrong = "" if damage.goal == "multi-label" else " that it tells wrong"
    return (
        f"Of {flips.n:,} test items the model {told[0]} {lost}{right} and {told[1]} "
        f"{gained}{wrong}. {_by_chance(flips.p_value, flips.lost > flips.gained)}"
    )


def _by_chance(p_value: float, worse: bool) -> str:
    if p_value > LEVEL:
        return f"Two equally good models would differ as much by chance ({_p(p_value)})."
    kind = "worse" if worse else "better"
    return f"That is more than chance: the model is {kind} ({_p(p_value)})."


def _payers(damage: Damage) -> str:
    paying = damage.paying
    if not paying:
        return f"no {noun(damage)} pays more than chance"
    named = ", ".join(f"{one.label} ({_percent(one.loss)})" for one in paying[:NAMED])
    more = len(paying) - NAMED
    others = f" and {more} more" if more > 0 else ""
    pay, rest = "pays" if len(paying) == 1 else "pay", _rest(damage)
    beside = "" if rest is None else f" (all others {_percent(rest)})"
    return f"{named}{others} {pay} more than chance{beside}"


def _rest(damage: Damage) -> float | None:
    """Return the net loss of all classes that do not pay, as a share of their items.

    An item has one class, so that those which are not listed are what is left of all items. It may
    have several labels: where some are not listed, nothing is known of them.
    """
    paying, flips = damage.paying, damage.flips
    if damage.goal != "multi-label" and flips is not None:
        items = flips.n - sum(one.n for one in paying)
        lost = flips.lost - flips.gained - sum(one.lost - one.gained for one in paying)
    elif _all_listed(damage):
        others = [one for one in damage.classes if not one.pays]
        items = sum(one.n for one in others)
        lost = sum(one.lost - one.gained for one in others)
    else:
        return None
    return lost / items if items > 0 else None


def _all_listed(damage: Damage) -> bool:
    """Say whether every class that has items is among those listed."""
    return len(damage.classes) < MOST_LISTED or len(damage.classes) >= damage.num_classes


def _listed(damage: Damage) -> str:
    every = f"All numbers per {noun(damage)}"
    if _all_listed(damage):
        return every
    return f"{every}, of the {len(damage.classes):,} that lost most"


def _class_cells(one: ClassDamage) -> tuple[str, ...]:
    before, after = one.right / one.n, (one.right - one.lost + one.gained) / one.n
    return (
        one.label, f"{one.n:,}", f"{100 * before:.1f} %", f"{100 * after:.1f} %",
        f"{one.lost:,}", f"{one.gained:,}", f"{100 * one.loss:.1f} %",
        interval(one.low, one.high, "fraction"),
        "< 0.001" if one.p_value < 0.001 else significant(one.p_value, 2),
    )  # fmt: skip


def _target_cells(one: Estimate) -> tuple[str, str]:
    return (
        measured(one.value, one.low, one.high, "target"),
        interval(one.low, one.high, "target", n=one.n),
    )


def _error_line(change: ErrorChange) -> str:
    return (
        f"mean absolute error {_signed(change.mean)}; {count(change.grew)} errors grew, "
        f"{count(change.shrank)} shrank, of {change.n:,}"
    )


def _error_lead(change: ErrorChange) -> str:
    mean = change.mean
    if not mean.n:
        return f"The change of the error is unknown ({mean.method})."
    return (
        f"Over {change.n:,} test items the mean absolute error changes by {_signed(mean)} "
        f"({interval(mean.low, mean.high, 'target')}). {count(change.grew)} errors grow and "
        f"{count(change.shrank)} shrink by more than a thousandth of the mean error. "
        f"{_by_chance(change.p_value, change.grew > change.shrank)}"
    )


def _signed(mean: Estimate) -> str:
    if not mean.n:
        return "unknown"
    written = measured(mean.value, mean.low, mean.high, "target")
    return written if written.startswith("-") else f"+{written}"


def _percent(share: float) -> str:
    return f"{significant(100 * share, 2)} %"


def _p(p_value: float) -> str:
    # Spaces that do not break, so that a line does not end in the middle.
    return "p\u00a0<\u00a00.001" if p_value < 0.001 else f"p\u00a0=\u00a0{significant(p_value, 2)}"
