"""Quantities and names as people write them: sizes, durations, the nearest spelling."""

import difflib
import math
import re
from collections.abc import Iterable

from diptych.core.errors import ConfigError

MOST_LETTERS = 200
SIZES = (("GB", 1e9), ("MB", 1e6), ("KB", 1e3))
NUMBER = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
SIZE = re.compile(rf"{NUMBER}\s*(GB|MB|KB|B|)")
DURATIONS_S = {"": 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
DURATION = re.compile(rf"{NUMBER}\s*(s|sec|m|min|h|)")


def nearest(word: str, known: Iterable[str]) -> str:
    """Make the hint for a misspelt name.

    Args:
        word: What was written; its first letters decide where it is long.
        known: The names that exist.

    Returns:
        ``did you mean 'x'?`` where one is close, else the list of names.
    """
    names = sorted(known)
    close = difflib.get_close_matches(word[:MOST_LETTERS].lower(), names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def size(size_bytes: float) -> str:
    """Write a size.

    Args:
        size_bytes: Bytes.

    Returns:
        Such as ``"1.2 MB"`` (decimal units) or ``"812 B"``.
    """
    for unit, scale in SIZES:
        if size_bytes >= 0.9995 * scale:
            return f"{number(size_bytes / scale)} {unit}"
    return f"{size_bytes:.0f} B"


def duration(seconds: float) -> str:
    """Write a duration.

    Args:
        seconds: Seconds.

    Returns:
        Such as ``"41 s"``, ``"3 min 20 s"`` or ``"1 h 05 min"``.
    """
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def number(value: float) -> str:
    """Write a number for people.

    Args:
        value: Any number.

    Returns:
        Three digits, and all of those before the point: ``"0.123"``, ``"1.2"`` or ``"1,235"``.
    """
    return f"{value:.3g}" if not abs(value) >= 999.5 else f"{value:,.0f}"


def quantity(value: float, unit: str) -> str:
    """Write a number in a budget term's own unit.

    Args:
        value: The number, in the unit; may be infinite.
        unit: ``fraction``, ``ms``, ``bytes``, ``mJ``, ``usd_per_million``, ``target`` (that of the
            values told, which has no name), or another word.

    Returns:
        Such as ``"0.62 %"``, ``"0.18 ms"``, ``"122 KB"`` or ``"49,871"``; ``"inf"`` has no unit.
    """
    if not math.isfinite(value):
        return str(value)
    match unit:
        case "fraction":
            return f"{100 * value:z.2f} %"
        case "bytes":
            return size(value)
        case "usd_per_million":
            return f"${number(value)}/1M"
        case "target":
            return f"{value:.4g}" if abs(value) < 999.95 else f"{value:,.0f}"
        case _:
            return f"{number(value)} {unit}"


def parse_duration(text: str) -> float:
    """Read a duration.

    Args:
        text: A number with ``s``, ``m`` or ``h`` (plain numbers are seconds), such as ``25m``.

    Returns:
        Seconds, above zero.

    Raises:
        ConfigError: If it is not a duration.
    """
    match = DURATION.fullmatch(text.strip().lower())
    seconds = float(match.group(1)) * DURATIONS_S[match.group(2)] if match else 0.0
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{text!r} is not a duration", "write it such as 90s, 25m or 1.5h")
    return seconds


def parse_size(text: str) -> int:
    """Read a size.

    Args:
        text: A number with ``B``, ``KB``, ``MB`` or ``GB``, such as ``20GB``; plain numbers are
            bytes.

    Returns:
        Bytes, zero or more.

    Raises:
        ConfigError: If it is not a size.
    """
    match = SIZE.fullmatch(text.strip().upper())
    amount = float(match.group(1)) * dict(SIZES).get(match.group(2), 1.0) if match else math.inf
    if amount == math.inf:
        raise ConfigError(f"{text!r} is not a size", "write it such as 500MB or 20GB")
    return round(amount)
