"""Planned networks, built with their first weights and scaled to the training items.

Shapes: N items.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from msgspec.structs import replace
from torch import Tensor, nn

from diptych.core.arrays import sample
from diptych.core.errors import ConfigError
from diptych.core.values import Dataset
from diptych.fitting.recipe import ModelPlan
from diptych.tasks.own import task_of
from diptych.training.compute import initialize, tensor_of
from diptych.training.models import NETWORKS, OwnConfig, PrunedConfig
from diptych.training.models.own import own_network
from diptych.training.models.pruned import cut
from diptych.training.models.rescaled import Rescaled, target_scale
from diptych.training.models.spelling import teach_spelling

SCALING_BYTES = 32 << 20


@runtime_checkable
class Scaled(Protocol):
    """A network that scales its inputs inside the graph."""

    def learn_scaling(self, inputs: Tensor) -> None:
        """Learn the scale of raw training inputs (N, ...)."""
        ...


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
    return lambda: own_network(own, outputs, config.width)
