"""A planned model that begins as another one: that one is pruned, and learns from the teacher."""

import copy
from itertools import accumulate

from msgspec.structs import replace

from diptych.compression.prune import FineTuning, PrunedNetwork, prune
from diptych.core.errors import ConfigError, TrainingError
from diptych.core.values import CurvePoint, Dataset
from diptych.fitting.aims import lesson_of, objective_of
from diptych.fitting.members import EnsembleConfig, FunctionConfig
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import PASSES_PER_STEP, Trainee, network_of
from diptych.measure.energy import total
from diptych.targets.adopted import ForeignConfig
from diptych.training.control import RunControl, TrainedNetwork
from diptych.training.encoder import EncoderConfig
from diptych.training.flops import forward_flops
from diptych.training.models import PrunedConfig
from diptych.training.models.pruned import Widths
from diptych.training.models.rescaled import Rescaled
from diptych.training.transfer import WRAPPER
from diptych.training.trees import TreesConfig


def train_pruned(
    plan: ModelPlan, dataset: Dataset, control: RunControl, teacher: Trainee, source: Trainee
) -> Trainee | None:
    """Prune a model and tune it, as planned.

    Args:
        plan: How it is pruned and tuned.
        dataset: The data.
        control: Deadline, progress, stop request; its name and seed name the random streams.
        teacher: Whom to imitate.
        source: What is pruned; left as it is.

    Returns:
        The smaller model; None where nothing could be removed or learned, which is told.

    Raises:
        ConfigError: If the plan says nothing of pruning.
    """
    if plan.prune is None:
        raise ConfigError(f"{plan.name} is not to be pruned", "say how with prune")
    whole = copy.deepcopy(network_of(source)).cpu()  # the teacher itself may go to a device
    answers = teacher.answers(dataset, plan.training, control.device)
    tuning = FineTuning(
        labels=objective_of(dataset, plan.training, None),
        objective=objective_of(dataset, plan.training, answers, control.device),
        training=plan.training,
        control=control,
    )
    try:
        pruned = prune(whole, dataset, plan.prune, tuning, lesson_of(dataset))
    except TrainingError as error:
        control.warn(f"{source.name} is not pruned: {error}")
        return None
    finally:
        teacher.rest()
    if pruned.dropped:
        control.warn(f"{source.name} is not pruned: {pruned.dropped}")
        return None
    control.warn(f"{source.name} is pruned: {_told(pruned)}")
    work = [
        run.samples * (PASSES_PER_STEP * forward_flops(run.network, dataset.spec) + teacher.flops)
        for run in pruned.runs
    ]
    config = pruned_config(source, pruned.widths)
    return Trainee(
        plan=replace(plan, network=config, training=pruned.runs[-1].recipe, prune=pruned.recipe),
        network=pruned.network,
        seconds=sum(run.seconds for run in pruned.runs),
        cpu_seconds=sum(run.cpu_seconds for run in pruned.runs),
        cpu_energy=total(run.cpu_energy for run in pruned.runs),
        gpu_energy=total(run.gpu_energy for run in pruned.runs),
        samples=sum(run.samples for run in pruned.runs),
        curve=_curve(plan.name, pruned.runs),
        parameters=pruned.parameters,
        flops=pruned.flops,
        training_flops=sum(work),
    )


def pruned_config(source: Trainee, widths: Widths) -> PrunedConfig:
    """Write down the shape of a pruned network.

    Args:
        source: What was pruned, may be for a second time.
        widths: Channels in and out of the layers that were cut.

    Returns:
        The shape, by which the network can be built again.

    Raises:
        TypeError: If the source has no network.
    """
    config, cut = source.plan.network, dict(widths)
    if isinstance(source.network, Rescaled):
        cut = {name.removeprefix(WRAPPER): width for name, width in cut.items()}
    match config:
        case PrunedConfig():
            return replace(config, widths=config.widths | cut)
        case (
            TreesConfig() | EncoderConfig() | ForeignConfig() | FunctionConfig() | EnsembleConfig()
        ):
            raise TypeError(f"{source.name} is no network")
        case _:
            return PrunedConfig(network=config, widths=cut)


def _told(pruned: PrunedNetwork) -> str:
    """Say how much smaller it is, and what could not be."""
    told = f"{pruned.parameters:,} of {pruned.parameters_before:,} parameters left"
    if not pruned.left:
        return told
    left = [name.removeprefix(WRAPPER) for name in pruned.left]
    return f"{told}; whole, for more hangs on them: {', '.join(left)}"


def _curve(name: str, runs: tuple[TrainedNetwork, ...]) -> tuple[CurvePoint, ...]:
    """Join the curves of runs that followed each other."""
    epochs = accumulate((len(run.curve) for run in runs[:-1]), initial=0)
    seconds = accumulate((run.seconds for run in runs[:-1]), initial=0.0)
    return tuple(
        replace(point, model=name, epoch=before + point.epoch, seconds=earlier + point.seconds)
        for run, before, earlier in zip(runs, epochs, seconds, strict=True)
        for point in run.curve
    )
