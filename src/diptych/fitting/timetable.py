"""When a fit is to be done, and how much of its time goes where."""

import math
from collections.abc import Callable

PROBING_SHARE = 0.05
PROBE_S = 8.0
TEACHER_SHARE = 0.45
LEAST_TEACHER_SHARE = 0.15
REFINING_SHARE = 0.03
FIRST_GUESS_S = 30.0
FIRST_GUESS_SHARE = 0.2
SAFETY = 1.25
FINISHING_S = 8.0
LEAST_TRAINING_S = 5.0
TIMING_S = 3.0
"""For each program, where there is time."""
FINAL_TIMING_S = 10.0
FINAL_TIMING_SHARE = 0.04
LEAST_TIMING_S = 0.2


class Timetable:
    """Says what is left for training with all that comes after it put aside; times in seconds.

    `lowering_s`, what a model takes to be lowered and tried, is a guess until it is set.

    Args:
        deadline: When to be done, in seconds of the clock; None for no limit.
        clock: Gives seconds.
        students: How many are trained, at least.
        refined: Whether what a model loses in 8 bits may have to be saved.
    """

    def __init__(
        self, deadline: float | None, clock: Callable[[], float], *, students: int, refined: bool
    ) -> None:
        self.deadline, self.clock = deadline, clock
        self.limit_s = float("inf") if deadline is None else deadline - clock()
        timing_s = min(FINAL_TIMING_S, FINAL_TIMING_SHARE * self.limit_s)
        self.final_timing_s = self._usual_timing_s = max(LEAST_TIMING_S, timing_s)
        self.lowering_s = min(FIRST_GUESS_S, max(0.0, FIRST_GUESS_SHARE * self.limit_s))
        self._probing_until = clock() + PROBING_SHARE * self.limit_s - PROBE_S
        self.refining_s = self._refining_s(students) if refined else 0.0

    @property
    def is_late(self) -> bool:
        """Whether the deadline is over."""
        return self.deadline is not None and self.clock() >= self.deadline

    def may_probe(self) -> bool:
        """Say whether there is time to see what another untrained network costs.

        Returns:
            No where that takes more than its share.
        """
        return self.clock() < self._probing_until

    def training_s(self, models: int, refined: int | None = None) -> float:
        """Say what is left for the training of so many models.

        Args:
            models: How many are still to be trained, lowered and tried.
            refined: How many of them may lose too much in 8 bits, by default all.

        Returns:
            At least 1; infinite without a deadline.
        """
        if self.deadline is None:
            return float("inf")
        refined = models if refined is None else refined
        after = SAFETY * self.lowering_s * models + self.refining_s * refined
        aside = after + 2 * self.final_timing_s + FINISHING_S
        return max(1.0, self.deadline - self.clock() - aside)

    def put_aside(self, seconds: float) -> None:
        """Put more time aside for the last timing, where a slow program needs it.

        Args:
            seconds: How long it needs; it has no more than its share of the limit. Without one
                nothing has to be put aside.
        """
        most_s = 0.0 if self.deadline is None else FINAL_TIMING_SHARE * self.limit_s
        self.final_timing_s = max(self._usual_timing_s, min(seconds, most_s))

    def spare_s(self, *, last: bool) -> float:
        """Say how much longer programs may be timed than usual.

        Args:
            last: Whether nothing is trained any more.

        Returns:
            Half of what is left at the end; before, no more than the last timing has. Infinite
            without a deadline.
        """
        if self.deadline is None:
            return float("inf")
        if not last:
            spare_s = (self.training_s(1) - LEAST_TRAINING_S) / 2
            return max(0.0, min(self.final_timing_s, spare_s))
        aside = 2 * self.final_timing_s + FINISHING_S
        return max(0.0, self.deadline - self.clock() - aside) / 2

    def teacher_s(self, students: int) -> float:
        """Say how long a teacher is trained.

        Args:
            students: How many it will teach.

        Returns:
            Seconds; all that there is if too little would be left for students.
        """
        seconds = TEACHER_SHARE * self.training_s(1 + students, max(1, students))
        if not students or seconds < LEAST_TEACHER_SHARE * self.limit_s:
            return self.training_s(1)
        return seconds

    def together_s(self, left: int, together: int, jobs: int) -> float:
        """Say how long each of several students is trained that are trained at once.

        Args:
            left: How many models are still to be trained, these too.
            together: How many of them are trained at once, as far as there are jobs.
            jobs: How many at a time.

        Returns:
            Seconds.
        """
        turns = math.ceil(together / jobs) + left - together
        return self.training_s(left) / turns

    def student_s(self, left: int) -> float:
        """Say how long the next student is trained.

        Args:
            left: How many are still to be trained, this one too.

        Returns:
            Seconds; all that there is if there is too little for each.
        """
        seconds = self.training_s(left) / left
        return seconds if seconds >= LEAST_TRAINING_S else self.training_s(1)

    def _refining_s(self, students: int) -> float:
        """Return what is put aside for each model to save what it loses in 8 bits."""
        if self.deadline is None:
            return 0.0
        seconds = REFINING_SHARE * self.limit_s / max(1, students)
        return seconds if seconds >= LEAST_TRAINING_S else 0.0
