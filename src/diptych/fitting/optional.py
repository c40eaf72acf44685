"""Trainings that a fit can do without: it goes on where one fails, and says so."""

from collections.abc import Iterator
from contextlib import contextmanager

from diptych.core.errors import TrainingError
from diptych.core.progress import Reporter, Step


@contextmanager
def optional(name: str, able: bool, report: Reporter) -> Iterator[None]:
    """Leave out what comes of a training that fails.

    Args:
        name: What is trained.
        able: Whether the fit has a program without it.
        report: Told why it is left out.

    Yields:
        Nothing.

    Raises:
        TrainingError: If the training fails, and nothing is there without it.
    """
    try:
        yield
    except TrainingError as error:
        if not able:
            raise
        report(Step(stage=name, done=1, total=1, note=f"left out: {error.message}"))
