"""What a run is given beside its recipe, and what comes out of it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from diptych.core.progress import Reporter, Step, StopRequest, silent
from diptych.core.values import CurvePoint, Energy
from diptych.measure.counted_energy import CountedEnergy, Meter
from diptych.training.energy_meters import gpu_meter_of, processor_meter_of
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
    leaves in its folder goes on from there. `gpu_meter` and `processor_meter` open the energy
    counters of a team; the processors' are of no use where other runs go on meanwhile, and this one
    is not `alone`. `functions` are the user's, by name. `given` is a user's own module.
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
    gpu_meter: Callable[[torch.device, Team], Meter | None] = gpu_meter_of
    processor_meter: Callable[[Team], Meter | None] = processor_meter_of
    alone: bool = True
    functions: Mapping[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)
    given: Given | None = None

    def counted(self) -> tuple[CountedEnergy, CountedEnergy]:
        """Begin to count energy.

        Returns:
            That of the processors and that of the GPUs.
        """
        processors = self.processor_meter(self.team) if self.alone else None
        return CountedEnergy(processors), CountedEnergy(self.gpu_meter(self.device, self.team))

    def counting(self) -> tuple["RunControl", CountedEnergy]:
        """Begin to count the processors' energy: a counter that is long unread is of no use.

        Returns:
            A control that reads it whenever progress is told, and the energy.
        """
        processors, _ = self.counted()

        def report(step: Step) -> None:
            processors.energy()
            self.report(step)

        return replace(self, report=report), processors

    def warn(self, text: str) -> None:
        """Tell something in words.

        Args:
            text: One line.
        """
        self.report(Step(stage=self.name, done=1, total=1, note=text))


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """A trained network, the recipe as it was really run, and what the run used.

    `waited_seconds` of the `seconds` went by in waiting for data. `cpu_energy` and `gpu_energy` are
    what its processors and GPUs counted, where they do.
    """

    network: nn.Module
    recipe: TrainingRecipe
    curve: tuple[CurvePoint, ...]
    samples: int
    seconds: float
    cpu_seconds: float
    waited_seconds: float = 0.0
    cpu_energy: Energy | None = None
    gpu_energy: Energy | None = None
