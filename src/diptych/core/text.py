"""Quantities and names as people write them: sizes, durations, the nearest spelling."""

import difflib
import re
from collections.abc import Iterable

from diptych.core.errors import ConfigError

SIZES = (("GB", 1e9), ("MB", 1e6), ("KB", 1e3))
DURATIONS_S = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def nearest(word: str, known: Iterable[str]) -> str:
    """Make the hint for a misspelt name.

    Args:
        word: What was written.
        known: The names that exist.

    Returns:
        ``did you mean 'x'?`` where one is close, else the list of names.
    """
    names = sorted(known)
    close = difflib.get_close_matches(word.lower(), names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def size(size_bytes: float) -> str:
    """Write a size.

    Args:
        size_bytes: Bytes.

    Returns:
        Such as ``"1.2 MB"`` (decimal units) or ``"812 B"``.
    """
    for unit, scale in SIZES:
        if size_bytes >= scale:
            return f"{size_bytes / scale:.3g} {unit}"
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
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def quantity(value: float, unit: str) -> str:
    """Write a number in a budget term's own unit.

    Args:
        value: The number, in the unit.
        unit: ``fraction``, ``ms``, ``bytes``, ``mJ``, ``usd_per_million``, or another word.

    Returns:
        Such as ``"0.62 %"``, ``"0.18 ms"`` or ``"122 KB"``.
    """
    match unit:
        case "fraction":
            return f"{100 * value:.2f} %"
        case "bytes":
            return size(value)
        case "usd_per_million":
            return f"${value:.3g}/1M"
        case _:
            return f"{value:.3g} {unit}"


def parse_duration(text: str) -> float:
    """Read a duration.

    Args:
        text: A number with ``s``, ``m`` or ``h`` (plain numbers are seconds), such as ``25m``.

    Returns:
        Seconds, above zero.

    Raises:
        ConfigError: If it is not a duration.
    """
    match = re.fullmatch(r"\s*(\d*\.?\d+)\s*(s|sec|m|min|h)?\s*", text)
    seconds = float(match.group(1)) * DURATIONS_S[match.group(2) or "s"] if match else 0.0
    if seconds <= 0:
        raise ConfigError(f"{text!r} is not a duration", "write it such as 90s, 25m or 1.5h")
    return seconds
