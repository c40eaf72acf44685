"""Numbers as the reports write them: no more digits than their interval supports.

A value is rounded where its half interval h has its first digit, or its second when h begins with
1, 2 or up to 3.5; bounds are rounded likewise, finer only where they would hide on which side of
a limit they lie. However narrow the interval, a share has at most four digits and a time three:
clocks drift by more. However wide, a time or an energy has two: none is 0. A number in the
unit of the values told, ``target``, has no symbol.
Source: Particle Data Group, Review of Particle Physics, introduction, "Rounding" (the rule).
"""

import math

from diptych.core import text

PREFIXES = (
    ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0),
    ("m", 1e-3), ("µ", 1e-6), ("n", 1e-9),
)  # fmt: skip
ALL_DIGITS = 12  # as many as a budget reads
MOST_DECIMALS = 3  # of a percentage; finer than that no data set tells models apart
ROUNDED = {
    "fraction": (100.0, "%", 4),
    "target": (1.0, "", 4),
    "ms": (1.0, "ms", 3),
    "mJ": (1.0, "mJ", 3),
}

POSITIVE = ("ms", "mJ")


def measured(value: float, low: float, high: float, unit: str) -> str:
    """Write a measured number.

    Args:
        value: The number, in the unit.
        low: The lower end of its interval.
        high: The upper end.
        unit: A unit of :func:`diptych.core.text.quantity`.

    Returns:
        Such as ``"93.4 %"``; an exact number is written as :func:`exact` does.
    """
    if high <= low or unit not in ROUNDED or not math.isfinite(high - low):
        return exact(value, unit)
    scale, symbol, _ = ROUNDED[unit]
    written = _rounded(value * scale, _places(low, high, unit), unit)
    return f"{written} {symbol}".rstrip()


def interval(low: float, high: float, unit: str, limit: float | None = None, n: int = 1) -> str:
    """Write an interval.

    Args:
        low: The lower end, in the unit.
        high: The upper end.
        unit: A unit of :func:`diptych.core.text.quantity`.
        limit: The limit that the bounds are compared with, if there is one.
        n: How many samples it was had from; the bounds of many may coincide, as of times by a
            coarse clock, and only what took no more than one is exact then.

    Returns:
        Such as ``"92.9 to 93.9 %"``, ``"exact"``, or ``"at least 0.2 ms"`` where n is too small
        for both bounds.
    """
    if high <= low and n <= 1:
        return "exact"
    if not math.isfinite(high - low):
        return _one_sided(low, high, unit)
    if unit not in ROUNDED:
        return " to ".join(beside(end, limit, unit) for end in (low, high))
    scale, symbol, _ = ROUNDED[unit]
    places = _places(low, high, unit)
    if limit is not None:
        hidden = (_hides(end * scale, limit * scale, places) for end in (low, high))
        places += max(hidden)
    first, last = (_rounded(end * scale, places, unit) for end in (low, high))
    return f"{first} to {last} {symbol}".rstrip()


def exact(value: float, unit: str) -> str:
    """Write a number that has no interval, such as a size.

    Args:
        value: The number, in the unit.
        unit: A unit of :func:`diptych.core.text.quantity`.

    Returns:
        Such as ``"1 %"``, ``"0.18 ms"`` or ``"300 KB"``.
    """
    match unit:
        case "fraction":
            return f"{significant(100 * value, 3)} %"
        case "target":
            return significant(value, 4)
        case "bytes":
            return text.size(value)
        case "usd_per_million":
            return f"${significant(value, 2)}/1M"
        case _:
            return f"{significant(value, 3)} {unit}"


def limit_of(value: float, unit: str) -> str:
    """Write a limit as a person gave it: with all of its digits.

    Args:
        value: The limit, in the unit.
        unit: A unit of :func:`diptych.core.text.quantity`.

    Returns:
        Such as ``"99.95 %"``, ``"$1.25/1M"`` or ``"1.2345 MB"``.
    """
    match unit:
        case "fraction":
            return f"{significant(100 * value, ALL_DIGITS)} %"
        case "target":
            return significant(value, ALL_DIGITS)
        case "bytes":
            fitting = (pair for pair in text.SIZES if value >= pair[1])
            symbol, scale = next(fitting, ("B", 1.0))
            return f"{significant(value / scale, ALL_DIGITS)} {symbol}"
        case "usd_per_million":
            return f"${significant(value, ALL_DIGITS)}/1M"
        case _:
            return f"{significant(value, ALL_DIGITS)} {unit}"


def loosened(value: float, unit: str, up: bool) -> str:
    """Write a limit that a value keeps, rounded outward so that it still keeps it.

    Args:
        value: The value, in the unit.
        unit: A unit of :func:`diptych.core.text.quantity`.
        up: Round up, for an upper limit; otherwise down.

    Returns:
        Such as ``"1.43 ms"`` for 1.421 ms.
    """
    if not math.isfinite(value) or value == 0:
        return exact(value, unit)
    digits = 2 if unit == "usd_per_million" else 3
    step = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    steps = value / step
    whole = round(steps)
    if abs(steps - whole) > 1e-6:
        whole = math.ceil(steps) if up else math.floor(steps)
    return exact(whole * step, unit)


def beside(value: float, limit: float | None, unit: str) -> str:
    """Write an exact number that is compared with a limit.

    Args:
        value: The number, in the unit.
        limit: The limit, if there is one.
        unit: ``bytes`` or ``usd_per_million``.

    Returns:
        The number as usual; with more digits where it would be hidden on which side of the limit
        it lies.
    """
    written = exact(value, unit)
    if limit is None or value == limit or written != exact(limit, unit):
        return written
    if unit == "bytes":
        return f"{value:,.0f} B"
    finer = (f"${significant(value, digits)}/1M" for digits in range(3, ALL_DIGITS + 1))
    return next((one for one in finer if one != limit_of(limit, unit)), written)


def significant(value: float, digits: int) -> str:
    """Write a number with some significant digits and never an exponent.

    Args:
        value: The number.
        digits: How many digits count, at least 1.

    Returns:
        Such as ``"0.0012"`` or ``"1,200"``, without trailing zeros.
    """
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    written = _fixed(value, places)
    return written.rstrip("0").rstrip(".") if "." in written else written


def scaled(value: float, unit: str, digits: int = 2) -> str:
    """Write a quantity with a metric prefix.

    Args:
        value: The quantity in the unit.
        unit: The unit's symbol.
        digits: Significant digits.

    Returns:
        Such as ``"1.2 mJ"`` or ``"3.4 PFLOP"``.
    """
    if not math.isfinite(value) or value == 0:
        return f"{value:g} {unit}"
    rounded = float(f"{value:.{digits - 1}e}")
    fitting = (pair for pair in PREFIXES if abs(rounded) >= pair[1])
    prefix, scale = next(fitting, PREFIXES[-1])
    return f"{significant(rounded / scale, digits)} {prefix}{unit}"


def count(number: float) -> str:
    """Write a count.

    Args:
        number: How many.

    Returns:
        Such as ``"78,026"`` or ``"9.6 million"``.
    """
    words = (("trillion", 1e12), ("billion", 1e9), ("million", 1e6))
    for word, scale in words:
        if number >= 0.9995 * scale:
            return f"{significant(number / scale, 3)} {word}"
    return f"{number:,.0f}"


def plural(number: int, noun: str) -> str:
    """Write a count with its noun.

    Args:
        number: How many.
        noun: What, in the singular; its plural ends in s.

    Returns:
        Such as ``"1 core"`` or ``"2 cores"``.
    """
    return f"{count(number)} {noun}" + ("" if number == 1 else "s")


def _one_sided(low: float, high: float, unit: str) -> str:
    if math.isfinite(low):
        return f"at least {exact(low, unit)}"
    return f"at most {exact(high, unit)}" if math.isfinite(high) else "unknown"


def _places(low: float, high: float, unit: str) -> int:
    scale, _, most = ROUNDED[unit]
    places = _decimals(low * scale, high * scale, most)
    return min(places, MOST_DECIMALS) if unit == "fraction" else places


def _decimals(low: float, high: float, most: int) -> int:
    half, largest = (high - low) / 2, max(abs(low), abs(high))
    finest = most - 1 - math.floor(math.log10(largest)) if largest else 0
    if half <= 0:
        return finest
    exponent = math.floor(math.log10(half))
    return min((1 if half / 10**exponent < 3.55 else 0) - exponent, finest)


def _rounded(value: float, places: int, unit: str) -> str:
    if unit in POSITIVE and value:
        places = max(places, 1 - math.floor(math.log10(abs(value))))
    return _fixed(value, places)


def _fixed(value: float, places: int) -> str:
    shown = round(value, places)
    return f"{shown + 0.0:,.{max(places, 0)}f}"


def _hides(end: float, limit: float, places: int) -> int:
    for more in range(3):
        if end == limit or round(end, places + more) != round(limit, places + more):
            return more
    return 3
