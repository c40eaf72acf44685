"""Students trained ahead of their turn, several at once, each by a process of its own.

A fit takes one student after the other, and each has a folder from which its training goes on bit
for bit. So other processes may train in the folders of the next ones meanwhile: the fit comes to
them in the same order, makes the same decisions from the same curves, and finds them trained. It
waits for the one whose turn it is.

Nothing depends on these processes: what a lost one has left is gone on with in the fit itself, and
who turns out not to be needed is stopped. They are ended before anything is measured, leaving a
checkpoint, and started anew when the fit goes on; they end with the fit, however that ends.
"""

import math
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np

from diptych.compression.answers import can_remember
from diptych.core.errors import ConfigError
from diptych.core.interpreter import python
from diptych.core.progress import Step
from diptych.core.values import Dataset
from diptych.fitting import run_file
from diptych.fitting.aim import Aim
from diptych.fitting.forerunner import ANSWERS, DONE, Order
from diptych.fitting.job import Job
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.timetable import LEAST_TRAINING_S, Timetable
from diptych.fitting.trainee import Trainee
from diptych.fitting.trainer import Trainer
from diptych.training.attempt import Attempt
from diptych.training.worker import Failed, Finished, Told

HALT_S = 15.0
"""After that, a process that was asked to stop is ended."""
SILENCE_S = 300.0


def check_jobs(job: Job, settings: Settings) -> None:
    """Check that other processes can train students of a fit.

    Args:
        job: What the fit is about.
        settings: How many at once.

    Raises:
        ConfigError: If they cannot.
    """
    if settings.jobs == 1:
        return
    reasons = {
        "each job reads the data itself, and no path of it was given": job.source is None,
        "a task of one's own cannot be handed to other processes": settings.task is not None,
        "a function that teaches cannot be handed to other processes": bool(settings.functions()),
        "a module that teaches cannot be handed to other processes": settings.given is not None,
        "it cannot be tried how this machine computes fastest while others train": settings.tune,
        "a teacher that is spread over devices cannot be handed to other processes": settings.shard,
    }
    for reason, holds in reasons.items():
        if holds:
            raise ConfigError(reason, "use one job")


def in_turn(plan: ModelPlan, seconds: float) -> Order:
    """Order a student to be trained to the end.

    Args:
        plan: The student.
        seconds: When to be done, from now; infinite without a time limit.

    Returns:
        The order.
    """
    return Order(plan=plan, until=_moment(seconds))


def in_search(plan: ModelPlan, aim: Aim, seconds: float) -> Order:
    """Order a student of the search to be trained until it is given up, or to the end.

    Args:
        plan: The student.
        aim: What it has to reach.
        seconds: How long all of the search may take, infinite without a time limit.

    Returns:
        The order.
    """
    return Order(plan=plan, until=_moment(seconds), scores=aim.scores, needed=aim.needed)


def _moment(seconds: float) -> float | None:
    return None if math.isinf(seconds) else time.time() + seconds


class Ahead:
    """The processes that train ahead; with one job there are none.

    Args:
        trainer: The models of the fit, where they have their folders, and the settings.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.job, self.settings = trainer, trainer.job, trainer.settings
        self.jobs = self.settings.jobs if self.job.fit else 1
        self.begun: dict[str, ModelPlan] = {}
        self.over: set[str] = set()
        self.opened = ExitStack()
        self.attempt: Attempt | None = None
        self.waiting: list[Order] = []
        self.at: dict[int, str] = {}
        self.until = math.inf

    def start(self, orders: Sequence[Order]) -> None:
        """Have students trained, where there are several and it has not begun already.

        Args:
            orders: The students, in the order of their turns.
        """
        job, teacher = self.job, self.trainer.teacher
        left = [order for order in orders if order.plan.name not in self.over]
        count = min(self.jobs, len(left))
        if self.attempt or self.settings.stop or count < 2 or not (job.fit and teacher):
            return
        if not _is_told(teacher, [order.plan for order in left], job.dataset):
            return
        folder = job.fit.path
        for order in left:
            self.trainer.folder(order.plan)
        request = run_file.request_of(
            job.source, job.destination, self.trainer.recipe, self.settings
        )
        run_file.write(folder, request)
        _hand_over(folder / ANSWERS, teacher)
        words = "-m", "diptych.fitting.forerunner", str(folder), str(self.settings.checkpoint_s)
        place = self.opened.enter_context(tempfile.TemporaryDirectory(prefix="diptych-"))
        self.attempt = Attempt(python(*words), count, Path(place))
        self.opened.callback(self.attempt.close)
        self.waiting = left
        self.until = HALT_S + max(order.until or math.inf for order in left)
        for rank in range(count):
            self._give(rank)

    def wait(self, name: str) -> None:
        """Wait until a student has been trained as far as it was ordered, or nobody trains it.

        Args:
            name: The student's; one that was not ordered is not waited for.
        """
        while self.attempt and self._is_coming(name):
            heard = self._hear(self.attempt)
            if self.settings.stop or not self.at or time.time() > self.until:
                self.halt()
            elif heard is None and self.attempt.is_silent(SILENCE_S):
                self._say(name, "no process makes progress: they are ended")
                self.jobs = 1
                self.halt()

    def come_to(
        self, plan: ModelPlan, students: Sequence[ModelPlan], timetable: Timetable, left: int
    ) -> None:
        """Have a student trained at once with those that come after it, before any is tried.

        Args:
            plan: The one whose turn it is; one that is to be pruned is not trained ahead.
            students: All, in the order of their turns.
            timetable: Says how long they may take; too little is left to each turn.
            left: How many models are still to be trained.
        """
        planned = [each for each in students if each.prune is None]
        if plan in planned:
            plans = planned[planned.index(plan) :]
            seconds = timetable.together_s(left, len(plans), self.settings.jobs)
            if seconds >= LEAST_TRAINING_S:
                self.train(plans, seconds)

    def train(self, plans: Sequence[ModelPlan], seconds: float) -> None:
        """Have students trained to the end at once, and wait for them.

        Args:
            plans: The students.
            seconds: How long one may take, infinite without a time limit.
        """
        turns = [(1 + place // self.jobs) * seconds for place in range(len(plans))]
        self.start([in_turn(plan, turn) for plan, turn in zip(plans, turns, strict=True)])
        for plan in plans:
            self.wait(plan.name)

    def begun_of(self, plans: Sequence[ModelPlan]) -> list[ModelPlan]:
        """List those that have been trained for a part, at least.

        Args:
            plans: Some students.

        Returns:
            Those of them with a checkpoint.
        """
        begun = [plan for plan in plans if self.begun.get(plan.name) == plan]
        folders = [(plan, self.trainer.folder(plan)) for plan in begun]
        return [plan for plan, folder in folders if folder and folder.checkpoints()]

    def halt(self) -> None:
        """Stop all trainings, which go on later from where they are, and end their processes."""
        self.waiting = []
        if self.attempt:
            self.attempt.stop()
            until = self.settings.clock() + HALT_S
            while self.at and self.settings.clock() < until:
                self._hear(self.attempt)
        self.close()

    def close(self) -> None:
        """End all processes at once."""
        self.opened.close()
        self.attempt, self.waiting, self.at = None, [], {}

    def _is_coming(self, name: str) -> bool:
        return name in self.at.values() or any(name == each.plan.name for each in self.waiting)

    def _give(self, rank: int) -> None:
        """Give a process what is next."""
        if self.attempt and self.waiting:
            order = self.waiting.pop(0)
            name = order.plan.name
            self.at[rank], self.begun[name] = name, order.plan
            self.attempt.order(rank, msgspec.json.encode(order))

    def _hear(self, attempt: Attempt) -> int | None:
        """Take what a process says; say which one."""
        rank, message = attempt.next()
        if rank is None or rank not in self.at:
            return rank
        name = self.at[rank]
        if message is None:
            self._lose(rank, attempt.end_of(rank))
        elif isinstance(message, Failed):
            self._lose(rank, message.message)
            self.jobs = 1
        elif isinstance(message, Finished):
            self.at.pop(rank)
        elif isinstance(message, Told) and message.stage == DONE:
            self.over.add(self.at.pop(rank))
            self._give(rank)
        elif isinstance(message, Told) and message.stage == name:
            self._say(name, message.note, message.done, message.total)
        return rank

    def _lose(self, rank: int, why: str) -> None:
        """Let the fit itself go on with what a process is gone from."""
        name = self.at.pop(rank)
        self.over.add(name)
        self._say(name, f"{why}: this goes on without that process, from its last checkpoint")

    def _say(self, name: str, note: str, done: float = 1, total: float = 1) -> None:
        self.settings.report(Step(stage=name, done=done, total=total, note=note))


def _is_told(teacher: Trainee, plans: Sequence[ModelPlan], dataset: Dataset) -> bool:
    """Return whether other processes learn the same answers as the fit would, to the last bit.

    An answer that is remembered depends by its rounding on the batch in which it was asked for.
    """
    if teacher.recorded is not None or teacher.memory.known() is not None:
        return True
    count, outputs = dataset.num_learned, len(dataset.labels)
    return not any(can_remember(plan.training, count, outputs) for plan in plans)


def _hand_over(file: Path, teacher: Trainee) -> None:
    """Write down what the teacher has answered, so that nobody asks again."""
    recorded = teacher.recorded
    answers = recorded.lesson() if recorded else teacher.memory.known()
    file.unlink(missing_ok=True)
    if answers is not None:
        np.save(file, answers)
