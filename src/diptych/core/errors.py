"""The family of errors: each says what was wrong, with the value seen, and what to do next."""

from typing import ClassVar


class DiptychError(Exception):
    """An error that a user can act on.

    Args:
        message: What was wrong, with the value seen; one line.
        hint: What to do next; one line.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(DiptychError, ValueError):
    """A setting, an argument or a recipe is not usable."""


class BudgetError(ConfigError):
    """A budget cannot be read."""


class DataError(DiptychError, ValueError):
    """The user's data, or one input, cannot be used."""


class BundleError(DiptychError, ValueError):
    """A bundle is damaged, hostile, of another version, or disagrees with this machine."""


class StorageError(DiptychError, OSError):
    """A file or folder cannot be read or written."""


class MissingExtraError(DiptychError, ImportError):
    """An optional dependency is not installed."""


class TargetError(DiptychError, RuntimeError):
    """A model cannot be lowered for a target, or computes something else there."""


class TrainingError(DiptychError, RuntimeError):
    """Training cannot start or cannot go on."""
