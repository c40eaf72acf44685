"""A planned model, trained: the teacher on labels, a student on the teacher's answers.

Shapes: N items, K outputs.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from msgspec.structs import replace
from torch import nn

from diptych.compression.answers import (
    Answers,
    Memory,
    Repeated,
    Running,
    asked_for,
    can_remember,
    can_repeat,
    recorded,
)
from diptych.compression.features import Showing
from diptych.core.progress import Reporter, Step, silent
from diptych.core.values import CurvePoint, Dataset, Energy
from diptych.fitting.aims import lesson_of, objective_of
from diptych.fitting.building import build
from diptych.fitting.recipe import ONLY_TEACH, ModelPlan
from diptych.fitting.showing import Learner, showing_learner, shows
from diptych.fitting.standing import is_standing, open_standing
from diptych.fitting.starting import begin_plan
from diptych.training.compute import compute_outputs
from diptych.training.control import CPU, RunControl
from diptych.training.encoder import EncoderConfig, train_encoder
from diptych.training.flops import forward_flops
from diptych.training.loop import train_network
from diptych.training.models.pixels import PixelNet
from diptych.training.models.spelling import fold_spelling
from diptych.training.recipe import TrainingRecipe
from diptych.training.recorded import RecordedModel
from diptych.training.trees import TreesConfig, train_trees

PASSES_PER_STEP = 3
"""A step is a forward pass and a backward pass of about twice its work."""


@dataclass(frozen=True, kw_only=True)
class Trainee:
    """A trained model: the plan as it was really followed, its size and what training used.

    `network` is in evaluation mode; trees and pretrained encoders have none, but their `recorded`
    outputs, functions and several models together neither, but what is `answering`. `flops` is of
    one forward pass; `training_flops` of the whole run, a multiply-add counted as two.
    """

    plan: ModelPlan
    network: nn.Module | None
    recorded: RecordedModel | None = None
    answering: nn.Module | None = None
    memory: Memory = field(default_factory=Memory, repr=False, compare=False)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    cpu_energy: Energy | None = None
    gpu_energy: Energy | None = None
    samples: int = 0
    curve: tuple[CurvePoint, ...] = ()
    parameters: int = 0
    flops: int = 0
    training_flops: int = 0

    @property
    def name(self) -> str:
        """The model's name."""
        return self.plan.name

    def outputs(
        self, dataset: Dataset, split: Literal["validation", "test"], report: Reporter = silent
    ) -> np.ndarray:
        """Answer a split.

        Args:
            dataset: What the model was trained on.
            split: Which.
            report: Told how far that is.

        Returns:
            float32 (N, K).
        """
        if self.recorded is not None:
            answers: np.ndarray = getattr(self.recorded, split)
            return answers
        inputs = getattr(dataset, split).inputs

        def tell(done: int) -> None:
            report(Step(stage=f"{self.name} answers {split}", done=done, total=len(inputs)))

        return compute_outputs(self.voice(), inputs, self.plan.training, tell)

    def all_outputs(self, dataset: Dataset, report: Reporter = silent) -> dict[str, np.ndarray]:
        """Answer the splits that are not learned.

        Args:
            dataset: What the model was trained on.
            report: Told how far that is.

        Returns:
            float32 (N, K) of each, by its name.
        """
        return {
            "validation": self.outputs(dataset, "validation", report),
            "test": self.outputs(dataset, "test", report),
        }

    @property
    def mirrors(self) -> bool:
        """Whether it tells the same of a picture and its mirror image."""
        return getattr(self.network, "mirrored", False)

    def voice(self) -> nn.Module:
        """Give what answers items.

        Returns:
            The network, or what only answers.
        """
        return network_of(self) if self.answering is None else self.answering

    def answers(
        self, dataset: Dataset, recipe: TrainingRecipe, device: torch.device = CPU
    ) -> Answers:
        """Answer the items of a lesson, each once where it stays as it is, or comes again.

        Args:
            dataset: What a student learns, without labels too.
            recipe: How the student learns it.
            device: Where.

        Returns:
            How batches are answered.
        """
        if self.recorded is not None:
            return recorded(torch.from_numpy(self.recorded.lesson()).to(device))
        items = lesson_of(dataset).train.inputs
        voice = self.voice().to(device)
        if can_remember(recipe, len(items), len(dataset.labels)):
            return self.memory.recall(Running(voice), items)
        running = Running(voice, recipe.arithmetic)
        if can_repeat(recipe, len(items), len(dataset.labels), mirrors=self.mirrors):
            return Repeated(running, mirrors=self.mirrors)
        return running

    def rest(self) -> None:
        """Come back to the processor, from where a student was taught."""
        if self.recorded is None:
            self.voice().cpu()


def network_of(model: Trainee) -> nn.Module:
    """Give the network of a model that is one.

    Args:
        model: Not trees, nor a pretrained encoder.

    Returns:
        The network in evaluation mode.

    Raises:
        TypeError: If it has none.
    """
    if model.network is None:
        raise TypeError(f"{model.name} is no network")
    return model.network


def train_model(
    plan: ModelPlan, dataset: Dataset, control: RunControl, teacher: Trainee | None = None
) -> Trainee:
    """Train a model as planned.

    Args:
        plan: The network, the trees or the encoder, and the recipe.
        dataset: The data.
        control: Deadline, progress, stop request; its name and seed name the random streams.
        teacher: Whom to imitate; without one the labels are learned.

    Returns:
        The trained model.
    """
    config, training = plan.network, plan.training
    if isinstance(config, TreesConfig):
        trees = train_trees(
            dataset, config, control, threads=training.threads, balance=training.balance
        )
        grown = replace(config, trees=trees.trees or config.trees)
        return _recorded_trainee(replace(plan, network=grown), trees)
    if isinstance(config, EncoderConfig):
        objective = objective_of(dataset, training, None, control.device)
        encoder = train_encoder(dataset, config, training, objective, control)
        done = replace(config, answered=encoder.answered)
        return _recorded_trainee(replace(plan, network=done), encoder)
    if is_standing(plan):
        return _standing_trainee(plan, dataset, control)
    network = build(plan, dataset, control.seed)
    control = begin_plan(plan, network, dataset, control)
    flops = forward_flops(network, dataset.spec)
    learner = _learner(network, teacher, dataset, training, control)
    try:
        trained = train_network(
            learner.module if control.team.is_sharded else learner.module.to(control.device),
            lesson_of(dataset) if teacher else dataset,
            training,
            learner.objective,
            learner.control,
        )
    finally:
        if teacher:
            teacher.rest()
    whole = trained.network.network if isinstance(trained.network, Showing) else trained.network
    whole.cpu()
    fold_spelling(whole)
    learned = flops // (whole.passes if isinstance(whole, PixelNet) else 1)
    training_flops = PASSES_PER_STEP * learned * trained.samples
    if teacher:
        count, outputs = len(lesson_of(dataset).train.inputs), len(dataset.labels)
        seen, mirrors = trained.samples, teacher.mirrors
        asked = asked_for(trained.recipe, count, outputs, seen, mirrors=mirrors)
        training_flops += teacher.flops * asked
    return Trainee(
        plan=replace(plan, training=trained.recipe),
        network=whole,
        seconds=trained.seconds,
        cpu_seconds=trained.cpu_seconds,
        cpu_energy=trained.cpu_energy,
        gpu_energy=trained.gpu_energy,
        samples=trained.samples,
        curve=trained.curve,
        parameters=sum(p.numel() for p in whole.parameters()),
        flops=flops,
        training_flops=training_flops,
    )


def _learner(
    network: nn.Module,
    teacher: Trainee | None,
    dataset: Dataset,
    training: TrainingRecipe,
    control: RunControl,
) -> Learner:
    """Say what is trained, and towards what."""
    if teacher and shows(training):
        return showing_learner(network, teacher.network, dataset, training, control)
    answers = teacher.answers(dataset, training, control.device) if teacher else None
    objective = objective_of(dataset, training, answers, control.device)
    return Learner(module=network, objective=objective, control=control)


def _standing_trainee(plan: ModelPlan, dataset: Dataset, control: RunControl) -> Trainee:
    """Return a model that was trained before."""
    standing = open_standing(plan, dataset, control)
    only = isinstance(plan.network, ONLY_TEACH)
    return Trainee(
        plan=plan,
        network=None if only else standing.network,
        answering=standing.network if only else None,
        seconds=0.0,
        cpu_seconds=0.0,
        samples=0,
        parameters=standing.parameters,
        flops=standing.flops,
    )


def _recorded_trainee(plan: ModelPlan, model: RecordedModel) -> Trainee:
    return Trainee(
        plan=replace(plan, training=model.recipe or plan.training),
        network=None,
        recorded=model,
        seconds=model.seconds,
        cpu_seconds=model.cpu_seconds,
        cpu_energy=model.cpu_energy,
        samples=model.samples,
        curve=model.curve,
        parameters=model.parameters,
        flops=model.flops,
        training_flops=model.training_flops,
    )
