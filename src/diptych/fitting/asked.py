"""What a caller in Python may hand over, checked before anything is begun."""

from pathlib import Path

from diptych.core.errors import ConfigError
from diptych.core.text import parse_duration


def check_text_or_path(name: str, value: object) -> None:
    """Check that something names a file or a folder.

    Args:
        name: What it is called.
        value: What was given; None for nothing.

    Raises:
        ConfigError: If it is of another type.
    """
    if value is not None and not isinstance(value, str | Path):
        raise ConfigError(f"{name} = {value!r} is no path", "give a text or a pathlib.Path")


def check_whole(name: str, value: object, least: int | None = None) -> None:
    """Check that something is a whole number.

    Args:
        name: What it is called.
        value: What was given; None for nothing.
        least: What it has to be at least.

    Raises:
        ConfigError: If it is none, or too small.
    """
    if value is None:
        return
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if number is None or (least is not None and number < least):
        wanted = "a whole number" + ("" if least is None else f" of at least {least}")
        raise ConfigError(f"{name} = {value!r} is not possible", f"give {wanted}")


def seconds_of(name: str, value: object) -> float | None:
    """Read a duration.

    Args:
        name: What it is called.
        value: Seconds, or such as ``"25m"``; None for none.

    Returns:
        Seconds; None for none.

    Raises:
        ConfigError: If it is neither, or not above 0.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return parse_duration(value)
    number = float(value) if isinstance(value, int | float) else 0.0
    if isinstance(value, bool) or not number > 0:
        raise ConfigError(f"{name} = {value!r} is no time", 'give seconds, or such as "25m"')
    return number
