"""``python -m diptych.fitting.forerunner``: a process that trains students before their turn.

It reads the data itself, as the fit does, and takes orders until it is told to stop. All that it
leaves is in the folders of the students' trainings.
"""

import shutil
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from diptych.core.errors import ConfigError
from diptych.core.progress import Step
from diptych.core.specs import Value
from diptych.fitting import run_file
from diptych.fitting.aim import epochs_at, expected_of
from diptych.fitting.aims import lesson_of
from diptych.fitting.budget import Budget
from diptych.fitting.forecast import Forecast
from diptych.fitting.job import Job, open_job
from diptych.fitting.ladder import climb
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.trainee import Trainee, train_model
from diptych.fitting.trainer import Trainer
from diptych.training.encoder import EncoderConfig
from diptych.training.recorded import RecordedModel
from diptych.training.run_folder import RunFolder
from diptych.training.trees import TreesConfig
from diptych.training.worker import STOP, Worker, work

DONE = "ahead"
"""The stage of the step that tells that an order was carried out."""
ANSWERS = "answers.npy"
"""What the teacher has answered, in the fit's folder, where it was asked about all items."""


class Order(Value):
    """A student to be trained, until a moment in seconds since 1970, if there is a time limit.

    With the `scores` of another one's epochs it is given up as soon as it surely will not reach
    what is `needed`, after the same epochs as in the search.
    """

    plan: ModelPlan
    until: float | None = None
    scores: tuple[float, ...] = ()
    needed: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """All that the orders of one fit share."""

    folder: Path
    job: Job
    trainer: Trainer
    teacher: Trainee


def main() -> int:
    """Carry out orders about the fit in a folder.

    Returns:
        The exit code.
    """
    folder, checkpoint_s = sys.argv[1:]
    return work(lambda worker: train_ahead(worker, Path(folder), float(checkpoint_s)))


def train_ahead(worker: Worker, folder: Path, checkpoint_s: float) -> None:
    """Carry out orders until the last line of them.

    Args:
        worker: Whom to tell how it goes, whether to stop, and the orders.
        folder: The fit's.
        checkpoint_s: How often a training leaves a checkpoint.
    """
    usual = Settings(report=worker.report, stop=worker.stop, checkpoint_s=checkpoint_s)
    lesson = begin(folder, usual)
    for line in iter(worker.orders.get, STOP):
        if worker.stop:
            return
        order = msgspec.json.decode(line, type=Order)
        carry_out(order, lesson)
        if not worker.stop:
            worker.report(Step(stage=DONE, done=1, total=1, note=order.plan.name))


def carry_out(order: Order, lesson: Lesson) -> None:
    """Train one student, in its folder, as far as the fit will want it.

    Args:
        order: The student.
        lesson: Data, teacher and the rest.
    """
    plan, trainer, items = order.plan, lesson.trainer, len(lesson.job.dataset.validation)
    left = None if order.until is None else order.until - time.time()
    with closing(_opened(lesson.folder / plan.name)) as run:
        control = trainer.control(plan.name, 0.0, run)
        deadline = None if left is None else control.clock() + left
        control = replace(control, deadline=deadline, alone=False)

        def look(plan: ModelPlan, share: float) -> Forecast:
            paused = replace(control, pause_after=epochs_at(share, order.scores))
            model = train_model(plan, lesson.job.dataset, paused, lesson.teacher)
            return expected_of(model, order.scores, items)

        hopeful = climb((plan,), order.needed, look) if order.scores else (plan,)
        for each in hopeful:
            train_model(each, lesson.job.dataset, control, lesson.teacher)


def begin(folder: Path, settings: Settings) -> Lesson:
    """Read the data and open the teacher as the fit has them.

    Args:
        folder: The fit's.
        settings: Those that the folder does not tell.

    Returns:
        What the orders share.

    Raises:
        ConfigError: If the folder does not say where the data is.
    """
    request = run_file.read(folder)
    if request.data is None:
        raise ConfigError(f"{folder} does not say where its data is", "use one job")
    settings = run_file.settings_of(request, settings)
    job = open_job(request.data, Budget(), request.out, request.seed, settings)
    trainer = Trainer(job, request.recipe, settings, timed=False)
    return Lesson(folder=folder, job=job, trainer=trainer, teacher=_teacher(folder, job, trainer))


def _teacher(folder: Path, job: Job, trainer: Trainer) -> Trainee:
    """Open the teacher, with what it was asked already."""
    plan, file = trainer.planned_teacher, folder / ANSWERS
    known = np.load(file) if file.exists() else None
    if known is not None and isinstance(plan.network, TreesConfig | EncoderConfig):
        none = known[:0]
        answers = RecordedModel(train=known, validation=none, test=none, seconds=0, cpu_seconds=0)
        return Trainee(plan=plan, network=None, recorded=answers)
    with tempfile.TemporaryDirectory() as place:  # several processes open it, and each has its own
        for name in sorted((folder / plan.name).glob("checkpoint-*"))[-1:]:
            shutil.copy(name, place)
        with closing(_opened(Path(place))) as run:
            control = replace(trainer.control(plan.name, 0.0, run), pause_after=0)
            teacher = train_model(plan, job.dataset, control)
    if known is not None:
        teacher.memory.learn(lesson_of(job.dataset).train.inputs, known)
    return teacher


def _opened(path: Path) -> RunFolder:
    """Open a folder that the fit holds for this process."""
    return RunFolder(path, lambda text: None, held=False)


if __name__ == "__main__":
    sys.exit(main())
