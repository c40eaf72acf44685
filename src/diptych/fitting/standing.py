"""Models that were trained before and are used as they are: bundles, ONNX files, functions.

Shapes: N items.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace
from torch import nn

from diptych.compression.ensemble import Ensemble
from diptych.compression.function import Function, FunctionNetwork
from diptych.core.errors import ConfigError
from diptych.core.text import nearest
from diptych.core.values import Dataset
from diptych.fitting.building import build
from diptych.fitting.given import open_elsewhere
from diptych.fitting.members import EnsembleConfig, FunctionConfig, Member
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.starting import begin_plan
from diptych.targets.adopted import ForeignConfig, open_adopted
from diptych.training.control import RunControl
from diptych.training.flops import forward_flops
from diptych.training.models import GivenConfig
from diptych.training.models.spelling import fold_spelling


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A model in evaluation mode; what is not known of its size is 0."""

    network: nn.Module
    parameters: int = 0
    flops: int = 0


def is_standing(plan: ModelPlan) -> bool:
    """Say whether a model is not trained.

    Args:
        plan: The model.

    Returns:
        Whether it is used as it is.
    """
    return plan.kept or isinstance(
        plan.network, ForeignConfig | GivenConfig | FunctionConfig | EnsembleConfig
    )


def open_standing(plan: ModelPlan, dataset: Dataset, control: RunControl) -> Standing:
    """Open a model that is used as it is.

    Args:
        plan: The model.
        dataset: What it is asked about.
        control: Seed, functions that were handed over, and who is told what was opened.

    Returns:
        The model.

    Raises:
        ConfigError: If it is not whole, or not what the plan says.
    """
    config = plan.network
    if isinstance(config, EnsembleConfig):
        return _open_several(plan, config, dataset, control)
    if isinstance(config, FunctionConfig):
        function = _find(config, control.functions)
        return Standing(network=FunctionNetwork(function, len(dataset.labels)).eval())
    if isinstance(config, GivenConfig):
        return _measured(open_elsewhere(config, dataset, 1, control.given), dataset)
    if isinstance(config, ForeignConfig):
        adopted = open_adopted(config, dataset.spec, plan.training.threads)
        return Standing(network=adopted, parameters=adopted.parameter_count, flops=adopted.flops)
    network = build(plan, dataset, control.seed)
    fresh = begin_plan(plan, network, dataset, control).fresh
    if fresh:
        raise ConfigError(
            f"{plan.name} lacks {min(fresh)}, and is not to be trained",
            "give the bundle that the network is of",
        )
    fold_spelling(network)
    return _measured(network, dataset)


def _measured(network: nn.Module, dataset: Dataset) -> Standing:
    return Standing(
        network=network.eval(),
        parameters=sum(p.numel() for p in network.parameters()),
        flops=forward_flops(network, dataset.spec),
    )


def _open_several(
    plan: ModelPlan, config: EnsembleConfig, dataset: Dataset, control: RunControl
) -> Standing:
    members = [open_standing(_plan_of(member, plan), dataset, control) for member in config.members]
    return Standing(
        network=Ensemble([member.network for member in members], dataset.goal).eval(),
        parameters=sum(member.parameters for member in members),
        flops=sum(member.flops for member in members),
    )


def _plan_of(member: Member, plan: ModelPlan) -> ModelPlan:
    kept = member.start is not None
    return replace(plan, network=member.network, start=member.start, kept=kept)


def _find(config: FunctionConfig, functions: Mapping[str, Function]) -> Function:
    if config.function not in functions:
        raise ConfigError(
            f"the teacher {config.function} is a function, and was not handed over",
            f"give it as teacher; {nearest(config.function, functions)}"
            if functions
            else "give it as teacher in the settings",
        )
    return functions[config.function]
