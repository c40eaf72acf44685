"""How many steps a deadline allows, by the pace of the last ones."""

from collections import deque

LOOKS = 25
LOOK_EVERY_STEPS = 20
LOOK_EVERY_S = 2.0
SLACK = 0.03


class Pace:
    """Looks at the time every few steps or seconds.

    Args:
        planned: The steps of the whole run; time left over does not add to them.
    """

    def __init__(self, planned: int) -> None:
        self.planned = planned
        self.looks: deque[tuple[float, int]] = deque(maxlen=LOOKS)

    def affordable(self, step: int, remaining: int, now: float, deadline: float) -> int:
        """Say how many more steps there should be.

        Args:
            step: How many were taken.
            remaining: How many more are planned.
            now: The time, in seconds.
            deadline: When to be done, by the same clock.

        Returns:
            What there is time for, or what is planned where that is about the same.
        """
        if now >= deadline:
            return 0
        if self.looks and not self._due(step, now):
            return remaining
        self.looks.append((now, step))
        then, first = self.looks[0]
        if now <= then:
            return remaining
        affordable = max(0, int((deadline - now) * (step - first) / (now - then)))
        wanted = min(affordable, max(0, self.planned - step))
        return wanted if abs(wanted - remaining) > SLACK * remaining else remaining

    def _due(self, step: int, now: float) -> bool:
        then, last = self.looks[-1]
        return step - last >= LOOK_EVERY_STEPS or now - then >= LOOK_EVERY_S
