"""Energy that processors count themselves: RAPL, of Intel and AMD, as Linux shows it.

A counter starts again after some minutes of full load: 65 kJ of AMD's packages, 262 kJ of Intel's.
Read too seldom it would lose whole rounds, so that what it counted is then told to be unknown.

Source: Linux kernel documentation, "Power Capping Framework" (the layout of the counters).
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from diptych.core.errors import ConfigError
from diptych.core.values import Energy

POWERCAP = Path("/sys/class/powercap")
JOULES_PER_UJ = 1e-6
MOST_W = 500.0
"""What a package draws for minutes at most: the largest of 2025 are made for as much."""


@dataclass(frozen=True, kw_only=True)
class Counter:
    """One package's energy counter: a file of microjoules that starts again after `range_uj`.

    Within `round_s` seconds it cannot come around to where it was.
    """

    path: Path
    range_uj: int
    round_s: float = math.inf

    def read_uj(self) -> int:
        """Read the counter.

        Returns:
            Microjoules since some moment in the past.
        """
        return int(self.path.read_text(encoding="ascii"))


class ProcessorMeter:
    """Counts what processors use from now on, with whatever else runs on them.

    A counter starts again after some minutes of full load, so it is to be read now and then.

    Args:
        counters: From :func:`counters`.
        clock: Seconds.
    """

    def __init__(
        self, counters: Sequence[Counter], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._counters, self._clock = counters, clock
        self._last, self._total_uj, self._read_s = self._read(), 0, clock()

    def energy(self) -> Energy:
        """Read the counters.

        Returns:
            What all packages have used since the meter was made, labelled ``counter``.

        Raises:
            ConfigError: If a counter cannot be read any more, or was last read so long ago that it
                may have started again unseen.
        """
        now, now_s = self._read(), self._clock()
        pause_s = now_s - self._read_s
        if any(pause_s >= counter.round_s for counter in self._counters):
            raise ConfigError(
                f"a processor's energy counter may have started again in {pause_s:.0f} s unread",
                "model the energy instead",
            )
        for counter, before, after in zip(self._counters, self._last, now, strict=True):
            self._total_uj += (after - before) % counter.range_uj
        self._last, self._read_s = now, now_s
        joules = JOULES_PER_UJ * self._total_uj
        method = f"RAPL, {len(self._counters)} package(s), everything that ran on them"
        return Energy(value_j=joules, low_j=joules, high_j=joules, label="counter", method=method)

    def _read(self) -> list[int]:
        try:
            return [counter.read_uj() for counter in self._counters]
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"a processor does not tell its energy any more: {error}",
                "model the energy instead",
            ) from error


def open_meter(powercap: Path = POWERCAP) -> ProcessorMeter | None:
    """Begin to count, where this process may.

    Args:
        powercap: The folder in which Linux shows power zones.

    Returns:
        The meter; None where there is no counter.
    """
    found = counters(powercap)
    return ProcessorMeter(found) if found else None


def counters(powercap: Path = POWERCAP) -> tuple[Counter, ...]:
    """Find the energy counters that this process may read.

    Args:
        powercap: The folder in which Linux shows power zones.

    Returns:
        One counter per processor package; none where the machine has none, hides them from
        virtual machines, or keeps them to the administrator.
    """
    found = []
    for zone in sorted(powercap.glob("intel-rapl:*")):
        try:
            if zone.name.count(":") != 1 or not _text(zone / "name").startswith("package"):
                continue
            range_uj = int(_text(zone / "max_energy_range_uj"))
            round_s = JOULES_PER_UJ * range_uj / MOST_W
            counter = Counter(path=zone / "energy_uj", range_uj=range_uj, round_s=round_s)
            counter.read_uj()
        except (OSError, ValueError):
            continue
        found.append(counter)
    return tuple(found)


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()
