"""The learning rate as a function of progress, so that a plan can change on the way.

Progress goes from 0 to 1. Each step takes an equal share of what is left; when the plan
changes, the shares of the remaining steps change and the rate still ends at zero.
"""

WARMUP_START = 0.2


def rate_factor(progress: float, warmup_share: float) -> float:
    """Give the share of the peak learning rate.

    Args:
        progress: 0 at the first step, towards 1 at the last.
        warmup_share: The share of the run in which the rate rises.

    Returns:
        A factor from 0 to 1: linear up to the peak, then linear down to zero.
    """
    if progress < warmup_share:
        return WARMUP_START + (1 - WARMUP_START) * progress / warmup_share
    return (1 - progress) / (1 - warmup_share)


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
