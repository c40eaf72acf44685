"""The search for a cheaper student, among those that were not needed to keep the budget."""

from collections.abc import Callable, Collection, Iterator

from diptych.core.progress import Reporter, Step
from diptych.core.values import GivenUp
from diptych.fitting.aim import Aim
from diptych.fitting.forecast import UNKNOWN, Forecast
from diptych.fitting.ladder import climb, within
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import Trainee
from diptych.reporting.given_up import told

STAGE = "search"


class Search:
    """Trains cheaper students for a part of their epochs, and remembers them.

    Args:
        aim: What they have to reach.
        items: On how many scores are counted.
        train: Trains a plan up to an epoch, from where it was left.
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

    def found(self, seconds: float) -> Iterator[ModelPlan]:
        """Find who is worth training to the end, one after the other.

        Args:
            seconds: For all of the search, with that.

        Returns:
            The plans, in the order of their turns; none where there is too little time.
        """
        plans = within(self.aim.plans, seconds, self.aim.reference.seconds)
        return climb(plans, self.aim.needed, self._look)

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
        model = self.paused[plan.name] = self.train(plan, self.aim.epochs(share))
        note = f"{plan.name}: {told(self.aim.give_up(model, self.items), self.score)}"
        self.report(Step(stage=STAGE, done=1, total=1, note=note))
        return self.aim.expect(model, self.items)
