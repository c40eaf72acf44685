"""The training loop: a run is started, or gone on with, and driven to its end."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from diptych.core.seeds import derive
from diptych.core.values import Dataset
from diptych.training.compute import compute_threads
from diptych.training.control import RunControl, TrainedNetwork
from diptych.training.kept_memory import kept_memory
from diptych.training.objectives import Objective
from diptych.training.recipe import TrainingRecipe
from diptych.training.run import Run


def train_network(
    network: nn.Module,
    dataset: Dataset,
    recipe: TrainingRecipe,
    objective: Objective,
    control: RunControl,
) -> TrainedNetwork:
    """Train a network on the training split; its weights are changed in place.

    Args:
        network: Takes raw inputs (B, ...) and gives outputs (B, K), or (B, M, K) of M members of an
            ensemble while it is trained; it is on the run's device, or on the processor where a
            team shares its weights.
        dataset: Its `train` split is learned, its `validation` split scored after each epoch.
        recipe: The settings; recorded `replans` are followed, as long as there is no deadline.
        objective: The loss.
        control: Name, seed, device, deadline, folder, progress and stop request.

    Returns:
        The network in evaluation mode with its record.

    Raises:
        TrainingError: If the loss is not finite or explodes, or the folder holds another run.
    """
    devices = [control.device] if control.device.type == "cuda" else []
    with (
        _current(control.device),
        kept_memory(),
        compute_threads(control.team.threads(recipe.threads)),
        torch.random.fork_rng(devices=devices),
    ):
        torch.manual_seed(derive(control.seed, control.name, "network"))
        run = Run(network, dataset, recipe, objective, control)
        try:
            run.go()
        finally:
            run.close()
        network = control.team.restored(network)
    network.eval()
    return TrainedNetwork(
        network=network,
        recipe=run.recipe_so_far(),
        curve=tuple(run.curve),
        samples=run.progress.step * run.feed.batch_size,
        seconds=run.seconds,
        cpu_seconds=run.cpu_seconds,
        waited_seconds=run.waited_seconds,
        cpu_energy=run.processors.energy(),
        gpu_energy=run.gpus.energy(),
    )


def _current(device: torch.device) -> AbstractContextManager[object]:
    """Mean this device where none is named, as by what seeds the draws of a step."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
