"""A planned model, trained: the teacher on labels, a student on the teacher's answers.

Shapes: N items, K outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from diptych.compression.distill import distillation, recorded, running
from diptych.core.arrays import sample
from diptych.core.errors import ConfigError
from diptych.core.values import CurvePoint, Dataset, Energy
from diptych.fitting.given import open_elsewhere
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.starting import begin_plan
from diptych.targets.adopted import AdoptedNetwork, ForeignConfig
from diptych.tasks.own import task_of
from diptych.training.compute import compute_outputs, initialize, tensor_of
from diptych.training.control import CPU, RunControl
from diptych.training.encoder import EncoderConfig, train_encoder
from diptych.training.flops import forward_flops
from diptych.training.loop import train_network
from diptych.training.models import NETWORKS, GivenConfig, OwnConfig, PrunedConfig
from diptych.training.models.pruned import cut
from diptych.training.models.rescaled import Rescaled, target_scale
from diptych.training.models.spelling import fold_spelling, teach_spelling
from diptych.training.objectives import Objective, learn, learn_labels, mixed
from diptych.training.recipe import TrainingRecipe
from diptych.training.recorded import RecordedModel
from diptych.training.trees import TreesConfig, train_trees

SCALING_BYTES = 32 << 20
PASSES_PER_STEP = 3
"""A step is a forward pass and a backward pass of about twice its work."""


@runtime_checkable
class Scaled(Protocol):
    """A network that scales its inputs inside the graph."""

    def learn_scaling(self, inputs: Tensor) -> None:
        """Learn the scale of raw training inputs (N, ...)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Trainee:
    """A trained model: the plan as it was really followed, its size and what training used.

    `network` is in evaluation mode; trees and pretrained encoders have none, but their `recorded`
    outputs. `flops` is of one forward pass; `training_flops` of the whole run, a multiply-add
    counted as two.
    """

    plan: ModelPlan
    network: nn.Module | None
    recorded: RecordedModel | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
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

    def outputs(self, dataset: Dataset, split: Literal["validation", "test"]) -> np.ndarray:
        """Answer a split.

        Args:
            dataset: What the model was trained on.
            split: Which.

        Returns:
            float32 (N, K).
        """
        if self.recorded is not None:
            answers: np.ndarray = getattr(self.recorded, split)
            return answers
        inputs = getattr(dataset, split).inputs
        return compute_outputs(network_of(self), inputs, self.plan.training)


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

    Raises:
        ConfigError: If it is to be kept as it is, and is not whole.
    """
    config, training = plan.network, plan.training
    if isinstance(config, TreesConfig):
        trees = train_trees(dataset, config, control, threads=training.threads)
        grown = replace(config, trees=trees.trees or config.trees)
        return _recorded_trainee(replace(plan, network=grown), trees)
    if isinstance(config, EncoderConfig):
        objective = objective_of(dataset, training, None, control.device)
        encoder = train_encoder(dataset, config, training, objective, control)
        done = replace(config, answered=encoder.answered)
        return _recorded_trainee(replace(plan, network=done), encoder)
    if isinstance(config, ForeignConfig | GivenConfig):
        opened = open_elsewhere(config, dataset, training.threads, control.given)
        return _as_it_is(plan, opened, dataset)
    network = build(plan, dataset, control.seed)
    control = begin_plan(plan, network, dataset, control)
    flops = forward_flops(network, dataset.spec)
    if plan.kept and control.fresh:
        raise ConfigError(
            f"{plan.name} lacks {min(control.fresh)}, and is not to be trained",
            "give the bundle that the network is of",
        )
    if plan.kept:
        fold_spelling(network)
        return _as_it_is(plan, network, dataset)
    objective = objective_of(dataset, plan.training, teacher, control.device)
    trained = train_network(network.to(control.device), dataset, plan.training, objective, control)
    for model in (network, teacher.network if teacher else None):
        if model is not None:
            model.cpu()
    fold_spelling(network)
    flops_per_sample = PASSES_PER_STEP * flops + (teacher.flops if teacher else 0)
    return Trainee(
        plan=replace(plan, training=trained.recipe),
        network=trained.network,
        seconds=trained.seconds,
        cpu_seconds=trained.cpu_seconds,
        gpu_energy=trained.gpu_energy,
        samples=trained.samples,
        curve=trained.curve,
        parameters=sum(p.numel() for p in network.parameters()),
        flops=flops,
        training_flops=flops_per_sample * trained.samples,
    )


def _as_it_is(plan: ModelPlan, network: nn.Module, dataset: Dataset) -> Trainee:
    """Return a model that was trained before."""
    adopted = network if isinstance(network, AdoptedNetwork) else None
    learned = sum(p.numel() for p in network.parameters())
    return Trainee(
        plan=plan,
        network=network.eval(),
        parameters=adopted.parameter_count if adopted else learned,
        flops=adopted.flops if adopted else forward_flops(network, dataset.spec),
    )


def _recorded_trainee(plan: ModelPlan, model: RecordedModel) -> Trainee:
    return Trainee(
        plan=replace(plan, training=model.recipe or plan.training),
        network=None,
        recorded=model,
        seconds=model.seconds,
        cpu_seconds=model.cpu_seconds,
        samples=model.samples,
        curve=model.curve,
        parameters=model.parameters,
        flops=model.flops,
        training_flops=model.training_flops,
    )


def objective_of(
    dataset: Dataset,
    recipe: TrainingRecipe,
    teacher: Trainee | None,
    device: torch.device = CPU,
) -> Objective:
    """Choose what a network is trained towards.

    Args:
        dataset: The data.
        recipe: Smoothing, balance, temperature, and the share of labels beside a teacher.
        teacher: Whom to imitate; without one the labels are learned.
        device: Where the network is trained; a teacher that is a network goes there.

    Returns:
        The loss of a batch.
    """
    scale = target_scale(dataset)[1]
    targets, own = tensor_of(dataset.train.targets).to(device), task_of(dataset)
    weights = class_weights(dataset) if recipe.balance else None
    if own is not None and own.loss is not None:
        labels = learn(own.loss, targets)
    else:
        labels = learn_labels(
            dataset.goal,
            targets,
            label_smoothing=recipe.label_smoothing,
            class_weights=None if weights is None else weights.to(device),
            scale=scale,
        )
    if teacher is None:
        return labels
    answers = (
        running(network_of(teacher).to(device), recipe.arithmetic)
        if teacher.recorded is None
        else recorded(torch.from_numpy(teacher.recorded.train).to(device))
    )
    imitation = distillation(dataset.goal, answers, recipe.temperature, scale=scale)
    return mixed(labels, imitation, recipe.label_share) if recipe.label_share else imitation


def class_weights(dataset: Dataset) -> Tensor | None:
    """Weigh classes so that each counts as much as the others.

    Args:
        dataset: The data.

    Returns:
        float32 (K,), on average 1 over the training items; None where there are no classes.
    """
    if dataset.goal not in {"classification", "ordinal"}:
        return None
    counts = np.bincount(dataset.train.targets, minlength=len(dataset.labels)).clip(1)
    return torch.from_numpy((counts.sum() / (len(counts) * counts)).astype(np.float32))


def build(plan: ModelPlan, dataset: Dataset, seed: int) -> nn.Module:
    """Build a planned network with its first weights, scaled to the training items.

    Args:
        plan: The network.
        dataset: The data.
        seed: The root seed.

    Returns:
        The network.
    """
    make = network_maker(plan, dataset)
    network = initialize(make, seed, plan.name)
    if isinstance(network, Scaled):
        network.learn_scaling(tensor_of(sample(dataset.train.inputs, SCALING_BYTES)))
    teach_spelling(network, dataset)
    if dataset.goal == "regression" and task_of(dataset) is None:
        return Rescaled(network, *target_scale(dataset))
    return network


def network_maker(plan: ModelPlan, dataset: Dataset) -> Callable[[], nn.Module]:
    """Give what builds a planned network.

    Args:
        plan: The network.
        dataset: The data; a user's own task builds its own networks.

    Returns:
        A function without arguments.

    Raises:
        ConfigError: If the plan is of a user's own task, and the data is not.
    """
    config, spec, outputs = plan.network, dataset.spec, len(dataset.labels)
    if isinstance(config, PrunedConfig):
        make = network_maker(replace(plan, network=config.network), dataset)
        return lambda: cut(make(), config.widths)
    if not isinstance(config, OwnConfig):
        return lambda: NETWORKS[type(config)](config, spec, outputs)
    own = task_of(dataset)
    if own is None:
        raise ConfigError(f"{plan.name} is of a task of its own", "hand the task over")
    return lambda: own.network(own.spec, outputs, config.width)
