"""The learning rate as a function of progress, so that a plan can change on the way.

Progress goes from 0 to 1. Each step takes an equal share of what is left; when the plan
changes, the shares of the remaining steps change and the rate still ends where it should.

Source: `one-cycle`: L. Smith and N. Topin, "Super-convergence: very fast training of neural
networks using large learning rates", 2017, with the cosines and the ends of fastai; `warmup-decay`:
A. Hägele et al., "Scaling laws and compute-optimal training beyond fixed training durations", 2024.
"""

import math
from collections.abc import Callable

WARMUP_START = 0.2
CYCLE_START = 1 / 25
CYCLE_END = 1e-5
DECAY_SHARE = 0.2
LEAST_MOMENTUM = 0.85 / 0.95


def rate_factor(progress: float, warmup_share: float, schedule: str = "linear") -> float:
    """Give the share of the peak learning rate.

    Args:
        progress: 0 at the first step, towards 1 at the last.
        warmup_share: The share of the run in which the rate rises.
        schedule: A name in `SCHEDULES`.

    Returns:
        A factor from 0 to 1.
    """
    return SCHEDULES[schedule](progress, warmup_share)


def momentum_factor(progress: float, warmup_share: float, schedule: str) -> float:
    """Give the share of the recipe's momentum.

    Args:
        progress: 0 at the first step, towards 1 at the last.
        warmup_share: The share of the run in which the rate rises.
        schedule: A name in `SCHEDULES`.

    Returns:
        1, but for `one-cycle`, where it is the lower the higher the rate is.
    """
    if schedule != "one-cycle":
        return 1.0
    if progress < warmup_share:
        return _cosine(1.0, LEAST_MOMENTUM, progress / warmup_share)
    return _cosine(1.0, LEAST_MOMENTUM, _left(progress, warmup_share))


def schedule_for(optimizer: str, schedule: str) -> str:
    """Say which schedule an optimizer follows.

    Args:
        optimizer: Its name.
        schedule: What the recipe says.

    Returns:
        The same, but for `schedule-free`, whose rate is constant after the warm-up.
    """
    return "constant" if optimizer == "schedule-free" else schedule


def _linear(progress: float, warmup_share: float) -> float:
    return min(_warmup(progress, warmup_share), _left(progress, warmup_share))


def _cosine_decay(progress: float, warmup_share: float) -> float:
    decay = _cosine(0.0, 1.0, _left(progress, warmup_share))
    return min(_warmup(progress, warmup_share), decay)


def _one_cycle(progress: float, warmup_share: float) -> float:
    if progress < warmup_share:
        return _cosine(CYCLE_START, 1.0, progress / warmup_share)
    return _cosine(CYCLE_END, 1.0, _left(progress, warmup_share))


def _warmup_decay(progress: float, warmup_share: float) -> float:
    start = max(warmup_share, 1 - DECAY_SHARE)
    return min(_warmup(progress, warmup_share), _left(progress, start))


def _warmup(progress: float, warmup_share: float) -> float:
    if progress >= warmup_share:
        return 1.0
    return WARMUP_START + (1 - WARMUP_START) * progress / warmup_share


def _left(progress: float, start: float) -> float:
    """Return the share of what comes after the start that is still to do."""
    return min(1.0, (1 - progress) / (1 - start))


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "linear": _linear,
    "cosine": _cosine_decay,
    "one-cycle": _one_cycle,
    "warmup-decay": _warmup_decay,
    "constant": _warmup,
}


class Progress:
    """How far a run is, under a plan that may change.

    Args:
        steps: The planned number of steps.
    """

    def __init__(self, steps: int) -> None:
        self.step = 0
        self.remaining = steps
        self.share = 0.0

    def advance(self) -> None:
        """Count one step as done."""
        self.share += (1 - self.share) / self.remaining
        self.step += 1
        self.remaining -= 1

    def replan(self, remaining: int) -> None:
        """Plan so many more steps.

        Args:
            remaining: At least 0.
        """
        self.remaining = remaining
