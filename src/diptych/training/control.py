"""What a run is given beside its recipe, and what comes out of it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from diptych.core.progress import Reporter, Step, StopRequest, silent
from diptych.core.values import CurvePoint, Energy
from diptych.measure.gpu_energy import GpuMeter
from diptych.training.gpu_use import meter_of
from diptych.training.models.given import Given
from diptych.training.recipe import TrainingRecipe
from diptych.training.run_folder import RunFolder
from diptych.training.team import SOLO, Team

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class RunControl:
    """Where a run is computed and kept, what may end it early, and who is told how it goes.

    Times are in seconds of `clock`. Where there is a `folder`, the run goes on from its last
    checkpoint, and leaves one there every `checkpoint_s` and at the end. `fresh` are the names of
    parameters that a network did not find where it started from. With `tune` it is tried first how
    this machine computes fastest. With `pause_after` the run ends after so many epochs, and what it
    leaves in its folder goes on from there. `meter` opens the energy counters of a team's GPUs.
    `functions` are the user's, by name.
    `given` is a user's own module.
    """

    name: str = "training"
    seed: int = 0
    deadline: float | None = None
    clock: Callable[[], float] = time.monotonic
    report: Reporter = silent
    stop: StopRequest = field(default_factory=StopRequest)
    device: torch.device = CPU
    folder: RunFolder | None = None
    checkpoint_s: float = 60.0
    team: Team = SOLO
    fresh: frozenset[str] = frozenset()
    tune: bool = False
    pause_after: int | None = None
    meter: Callable[[torch.device, Team], GpuMeter | None] = meter_of
    functions: Mapping[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)
    given: Given | None = None

    def warn(self, text: str) -> None:
        """Tell something in words.

        Args:
            text: One line.
        """
        self.report(Step(stage=self.name, done=1, total=1, note=text))


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """A trained network, the recipe as it was really run, and what the run used.

    `waited_seconds` of the `seconds` went by in waiting for data. `gpu_energy` is what its GPUs
    counted, where they do.
    """

    network: nn.Module
    recipe: TrainingRecipe
    curve: tuple[CurvePoint, ...]
    samples: int
    seconds: float
    cpu_seconds: float
    waited_seconds: float = 0.0
    gpu_energy: Energy | None = None
