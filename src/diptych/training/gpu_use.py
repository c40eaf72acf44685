"""What the GPUs of a run count that they use, where they have a counter and its library is here."""

import logging

import torch

from diptych.core.errors import ConfigError, MissingExtraError
from diptych.core.values import Energy
from diptych.measure.energy import add
from diptych.measure.gpu_energy import GpuMeter
from diptych.training.team import Team

logger = logging.getLogger(__name__)


def meter_of(device: torch.device, team: Team) -> GpuMeter | None:
    """Open the energy counters of the GPUs that a team computes on.

    Args:
        device: This process's.
        team: Process r of it computes on GPU r.

    Returns:
        The meter, for the first process of a team on one machine; None for a processor, and where
        there is no counter or no library to read it.
    """
    if device.type != "cuda" or team.rank or team.local_size < team.size:
        return None
    places = [device] if team.size == 1 else range(team.size)
    try:
        return GpuMeter([f"GPU-{torch.cuda.get_device_properties(at).uuid}" for at in places])
    except (ConfigError, MissingExtraError) as error:
        logger.warning("%s; the energy of the GPU is not counted", error)
        return None


class GpuUse:
    """The energy of a run's GPUs, of earlier parts of the run too.

    Args:
        meter: Opened as this part begins; without one nothing is known.
    """

    def __init__(self, meter: GpuMeter | None) -> None:
        self.meter = meter
        self.before: Energy | None = None

    def go_on(self, before: Energy | None) -> None:
        """Go on after an earlier part of the run.

        Args:
            before: What that part used; where it is not known, nor is the whole.
        """
        self.before, self.meter = before, self.meter if before else None

    def energy(self) -> Energy | None:
        """Read the counters.

        Returns:
            The energy so far, labelled ``counter``; None where it is not known.
        """
        if self.meter is None:
            return None
        try:
            now = self.meter.energy()
        except ConfigError as error:
            logger.warning("%s", error)
            self.meter = None
            return None
        return add(self.before, now) if self.before else now
