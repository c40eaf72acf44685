"""What a search told apart and what it did not, in words."""

from diptych.core.manifest import Manifest
from diptych.core.values import GivenUp
from diptych.reporting.numbers import exact, interval, measured
from diptych.tasks.goals import unit_of


def told(one: GivenUp, score: str) -> str:
    """Say how far a student was trained, and what was expected of it.

    Args:
        one: The student.
        score: The name of the main score.

    Returns:
        Such as ``3 of 20 epochs, 90.8 to 91.6 % expected, 92.0 % needed``.
    """
    expected = interval(one.expected.low, one.expected.high, unit_of(score), n=one.expected.n)
    needed = measured(one.needed, one.expected.low, one.expected.high, unit_of(score))
    return f"{one.epochs} of {one.planned_epochs} epochs, {expected} expected, {needed} needed"


def lines(manifest: Manifest) -> tuple[str, ...]:
    """List the students that were given up, or for which there was no time.

    Args:
        manifest: The bundle.

    Returns:
        A line for each, its name first.
    """
    given_up = [f"{one.model}: {told(one, manifest.score_name)}" for one in manifest.given_up]
    return (*given_up, *(f"{name}: not begun, no time was left" for name in manifest.untrained))


def noise(manifest: Manifest) -> str:
    """Say which differences of cost are none.

    Args:
        manifest: The bundle.

    Returns:
        A sentence; empty where noise was not measured.
    """
    if manifest.noise_floor is None:
        return ""
    share = exact(manifest.noise_floor, "fraction")
    return f"Copies of one program differed by {share} in cost: less than that is chance."
