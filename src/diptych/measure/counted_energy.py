"""Energy that hardware counts, as long as it does: a counter may be lost, or a run go on later."""

import logging
from typing import Protocol

from diptych.core.errors import ConfigError
from diptych.core.values import Energy
from diptych.measure.energy import add

logger = logging.getLogger(__name__)


class Meter(Protocol):
    """Counts from when it was made."""

    def energy(self) -> Energy:
        """Give what was used, labelled ``counter``; raises ConfigError where it is lost."""


class CountedEnergy:
    """What a meter counts, with what was counted in earlier parts of a run.

    Args:
        meter: Opened as this part begins; without one nothing is known.
    """

    def __init__(self, meter: Meter | None) -> None:
        self.meter = meter
        self.before: Energy | None = None

    def go_on(self, before: Energy | None) -> None:
        """Go on after an earlier part of the run.

        Args:
            before: What that part used; where it is not known, nor is the whole.
        """
        self.before, self.meter = before, self.meter if before else None

    def energy(self) -> Energy | None:
        """Read the meter.

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
