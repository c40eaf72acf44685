"""Trains the models of a fit, each in a folder of its own, and keeps what it has trained."""

from dataclasses import replace

from diptych.core.progress import silent
from diptych.fitting.job import Job
from diptych.fitting.launched import lead
from diptych.fitting.processes import train_in_processes
from diptych.fitting.pruning import train_pruned
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.trainee import Trainee, train_model
from diptych.training.compute import find_device
from diptych.training.control import RunControl
from diptych.training.run_folder import RunFolder
from diptych.training.trees import TreesConfig


class Trainer:
    """The models of a fit: `trainees`, the teacher first.

    Args:
        job: Data and folders.
        recipe: The teacher, and the seed of everything random.
        settings: Clock, progress, stop request, devices.
        timed: Whether the seconds that are given for a training count.
    """

    def __init__(self, job: Job, recipe: FitRecipe, settings: Settings, *, timed: bool) -> None:
        self.job, self.settings, self.timed = job, settings, timed
        self.recipe, self.planned_teacher, self.seed = recipe, recipe.teacher, recipe.seed
        self.trainees: list[Trainee] = []

    @property
    def teacher(self) -> Trainee | None:
        """The teacher, once it is trained."""
        return self.trainees[0] if self.trainees else None

    def train(self, plan: ModelPlan, seconds: float) -> Trainee:
        """Train a model: the first is the teacher, the others imitate it.

        Args:
            plan: The model.
            seconds: How long it may take.

        Returns:
            The model, which is one of `trainees` now.
        """
        control = self.control(plan.name, seconds, self.folder(plan))
        if self.settings.meeting is not None:
            lead(self.job, control, self.settings.meeting)
        elif self.settings.devices > 1 and self.teacher is None:
            train_in_processes(self.job, control, self.recipe, self.settings)
        trainee = train_model(plan, self.job.dataset, control, self.teacher)
        self.trainees.append(trainee)
        return trainee

    def train_to(self, plan: ModelPlan, epochs: int, seconds: float) -> Trainee:
        """Train a student for a part of its epochs, from where it was left.

        Args:
            plan: The student.
            epochs: After how many it pauses.
            seconds: How long all of its training may take.

        Returns:
            The student as it is then, which is none of `trainees`.
        """
        control = self.control(plan.name, seconds, self.folder(plan))
        control = replace(control, pause_after=epochs)
        return train_model(plan, self.job.dataset, control, self.teacher)

    def left(self, plan: ModelPlan) -> Trainee:
        """Open what the training of a student has left in its folder, and do not go on with it.

        Args:
            plan: The student.

        Returns:
            The student as it is, which is none of `trainees`.
        """
        control = self.control(plan.name, 0.0, self.folder(plan))
        control = replace(control, pause_after=0, report=silent)
        return train_model(plan, self.job.dataset, control, self.teacher)

    def prune(self, plan: ModelPlan, source: str, seconds: float) -> Trainee | None:
        """Prune a model and train what is left of it.

        Args:
            plan: The smaller model.
            source: The name of one of `trainees`.
            seconds: How long it may take.

        Returns:
            The model, which is one of `trainees` now; None where it cannot be had, which is told.
        """
        control = self.control(plan.name, seconds, self.folder(plan))
        whole = next((trainee for trainee in self.trainees if trainee.name == source), None)
        if whole is None:
            control.warn(f"{source} is not there to be pruned")
            return None
        pruned = train_pruned(plan, self.job.dataset, control, self.trainees[0], whole)
        self.trainees += [pruned] if pruned else []
        return pruned

    def control(self, name: str, seconds: float, folder: RunFolder | None) -> RunControl:
        """Say how a run is done.

        Args:
            name: What it is called.
            seconds: How long it may take.
            folder: Where it is kept, if it is.

        Returns:
            The control of the run.
        """
        clock = self.settings.clock
        return RunControl(
            name=name,
            seed=self.seed,
            deadline=clock() + seconds if self.timed else None,
            clock=clock,
            report=self.settings.report,
            stop=self.settings.stop,
            device=find_device(self.settings.device),
            alone=self.settings.jobs == 1,
            folder=folder,
            checkpoint_s=self.settings.checkpoint_s,
            tune=self.settings.tune,
            functions=self.settings.functions(),
            given=self.settings.given,
        )

    def folder(self, plan: ModelPlan) -> RunFolder | None:
        """Open the folder of a model's training.

        Args:
            plan: The model.

        Returns:
            The folder, where it has one.
        """
        if self.job.fit is None or isinstance(plan.network, TreesConfig) or plan.kept:
            return self.job.run
        is_teacher = plan == self.planned_teacher
        return self.job.fit.run(plan, None if is_teacher else self.planned_teacher)
