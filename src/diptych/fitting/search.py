"""The search for a cheaper student, among those that were not needed to keep the budget."""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from diptych.core.progress import Reporter, Step
from diptych.core.values import GivenUp
from diptych.fitting.aim import Aim
from diptych.fitting.forecast import UNKNOWN, Forecast
from diptych.fitting.ladder import climb, within
from diptych.fitting.optional import optional
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import Trainee
from diptych.reporting.given_up import told

STAGE = "search"
HOPELESS = Forecast(value=-math.inf, low=-math.inf, high=-math.inf)
"""Of what cannot be trained."""


class Search:
    """Trains cheaper students for a part of their epochs, and remembers them.

    Whoever was trained ahead of its turn is judged by the same epochs as if it had not been.
    `turns` are those who may be looked at, in that order, once it has begun.

    Args:
        aim: What they have to reach.
        items: On how many scores are counted.
        train: Trains a plan up to an epoch at least, from where it was left.
        has_time: Asked before each.
        score: The name of the main score.
        report: Told what is expected of each.
    """

    def __init__(
        self,
        aim: Aim,
        items: int,
        train: Callable[[ModelPlan, int], Trainee],
        has_time: Callable[[], bool],
        score: str,
        report: Reporter,
    ) -> None:
        self.aim, self.items, self.train = aim, items, train
        self.has_time, self.score, self.report = has_time, score, report
        self.paused: dict[str, Trainee] = {}
        self.turns: tuple[ModelPlan, ...] = ()

    def found(
        self, seconds: float, is_done: Callable[[ModelPlan], bool] = lambda plan: False
    ) -> Iterator[ModelPlan]:
        """Find who is worth training to the end, one after the other.

        Args:
            seconds: For all of the search, with that.
            is_done: Says who was trained to the end before, and has a turn however late it is.

        Returns:
            The plans, in the order of their turns; none else where there is too little time.
        """
        chosen = within(self.aim.plans, seconds, self.aim.reference.seconds)
        plans = [plan for plan in self.aim.plans if plan in chosen or is_done(plan)]
        self.turns = tuple(reversed(plans))
        return climb(plans, self.aim.needed, self._look)

    def leave(self, name: str, model: Trainee) -> None:
        """Remember one that was trained ahead of its turn, which it did not come to.

        Args:
            name: Whose.
            model: As far as it was trained; one that was looked at is known already.
        """
        if name not in self.paused:
            self.paused[name] = model
            self.report(Step(stage=STAGE, done=1, total=1, note=f"{name}: not needed any more"))

    def left(self, trained: Collection[str]) -> dict[str, tuple[Trainee, GivenUp]]:
        """List those that were not trained to the end.

        Args:
            trained: The names of those that were.

        Returns:
            By name, with what was expected of each.
        """
        left = {name: model for name, model in self.paused.items() if name not in trained}
        return {name: (m, self.aim.give_up(m, self.items)) for name, m in left.items()}

    def _look(self, plan: ModelPlan, share: float) -> Forecast:
        if not self.has_time():
            return UNKNOWN
        epochs = self.aim.epochs(share)
        model: Trainee | None = None
        with optional(plan.name, True, self.report):
            model = self.paused[plan.name] = self.train(plan, epochs)
        if model is None:
            return HOPELESS
        model = replace(model, curve=model.curve[:epochs])
        note = f"{plan.name}: {told(self.aim.give_up(model, self.items), self.score)}"
        self.report(Step(stage=STAGE, done=1, total=1, note=note))
        return self.aim.expect(model, self.items)
