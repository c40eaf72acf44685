"""A planned model, trained: the teacher on labels, a student on the teacher's answers."""

from dataclasses import dataclass

import torch
from msgspec.structs import replace
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from diptych.compression.distill import distillation
from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec
from diptych.core.values import Dataset
from diptych.fitting.recipe import ModelPlan
from diptych.training.loop import RunControl, TrainedNetwork, initialize, train_network
from diptych.training.models import NETWORKS, ResidualNet
from diptych.training.objectives import cross_entropy

PASSES_PER_STEP = 3
"""A step is a forward pass and a backward pass of about twice its work."""


@dataclass(frozen=True, kw_only=True)
class Trainee:
    """A trained model: the plan as it was really followed, its size and what training used.

    `flops` is of one forward pass; `training_flops` of the whole run, a multiply-add counted as
    two.
    """

    plan: ModelPlan
    trained: TrainedNetwork
    parameters: int
    flops: int
    training_flops: int

    @property
    def name(self) -> str:
        """The model's name."""
        return self.plan.name

    @property
    def network(self) -> nn.Module:
        """The network in evaluation mode."""
        return self.trained.network


def train_model(
    plan: ModelPlan, dataset: Dataset, control: RunControl, teacher: Trainee | None = None
) -> Trainee:
    """Train a model as planned.

    Args:
        plan: The network and its recipe.
        dataset: The data.
        control: Deadline, progress, stop request; its name and seed name the random streams.
        teacher: Whom to imitate; without one the labels are learned.

    Returns:
        The trained model.
    """
    network = build(plan, dataset.spec, len(dataset.labels), control.seed)
    network.set_pixel_statistics(torch.from_numpy(dataset.train.inputs))
    recipe = plan.training
    objective = (
        cross_entropy(recipe.label_smoothing)
        if teacher is None
        else distillation(teacher.network, recipe.temperature, bf16=recipe.bf16)
    )
    flops = forward_flops(network, dataset.spec)
    trained = train_network(network, dataset, recipe, objective, control)
    flops_per_sample = PASSES_PER_STEP * flops + (teacher.flops if teacher else 0)
    return Trainee(
        plan=replace(plan, training=trained.recipe),
        trained=trained,
        parameters=sum(p.numel() for p in network.parameters()),
        flops=flops,
        training_flops=flops_per_sample * trained.samples,
    )


def build(plan: ModelPlan, spec: ImageSpec, num_classes: int, seed: int) -> ResidualNet:
    """Build a planned network with its first weights.

    Args:
        plan: The network.
        spec: The pictures it takes.
        num_classes: How many labels.
        seed: The root seed.

    Returns:
        The network.

    Raises:
        ConfigError: If the pictures are too small for the network's stages.
    """
    stages, side = len(plan.network.widths), min(spec.height, spec.width)
    if side >> stages == 0:
        raise ConfigError(
            f"{plan.name}: pictures of {side} pixels cannot be halved {stages} times",
            "give the network fewer widths and blocks, or raise --image-size",
        )
    kind = NETWORKS[plan.network.name]
    return initialize(lambda: kind(plan.network, spec, num_classes), seed, plan.name)


def forward_flops(network: nn.Module, spec: ImageSpec) -> int:
    """Count the floating-point operations of one prediction.

    Args:
        network: Any network.
        spec: The pictures it takes.

    Returns:
        FLOPs, a multiply-add counted as two.
    """
    was_training = network.training
    network.eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, spec.height, spec.width, spec.channels, dtype=torch.uint8))
    network.train(was_training)
    return int(counter.get_total_flops())
