"""Energy in joules, each with the label of how it was had; labels are never mixed.

- ``counter``: the hardware's own counters, of processors (:mod:`processor_energy`) and of GPUs
  (:mod:`gpu_energy`). They count the whole device, with whatever else runs on it.
- ``modelled``: CPU seconds x watts of one busy core, with bounds, where there is no counter.
- ``declared``: what somebody said.
"""

from collections.abc import Iterable

from diptych.core.errors import ConfigError
from diptych.core.specs import Value
from diptych.core.values import Energy


class PowerModel(Value, frozen=True, kw_only=True):
    """Watts that one busy core draws, its share of the machine included.

    Cloud servers under full load draw 3.5 to 4.3 W per virtual core, memory and power supply
    included (Cloud Carbon Footprint, "Methodology", from SPECpower results), and two virtual
    cores share a real one; a desktop processor of 125 W and 10 cores draws 12 W per core. The
    bounds hold both; give your own where you know the processor.
    """

    low_w: float = 2.5
    mid_w: float = 6.0
    high_w: float = 12.0
    method: str = "CPU seconds x 6 W per busy core (2.5 to 12)"

    def __post_init__(self) -> None:
        """Check the range.

        Raises:
            ConfigError: If the watts are not in order, or the least is not above 0.
        """
        if not 0 < self.low_w <= self.mid_w <= self.high_w:
            seen = f"{self.low_w}, {self.mid_w}, {self.high_w}"
            raise ConfigError(f"watts {seen} are not low, mid, high", "give them in that order")


POWER = PowerModel()


def modelled(cpu_seconds: float, power: PowerModel = POWER) -> Energy:
    """Estimate energy from CPU time.

    Args:
        cpu_seconds: Seconds of one busy core, not negative.
        power: Watts of a busy core.

    Returns:
        Energy with bounds, labelled ``modelled``.

    Raises:
        ConfigError: If `cpu_seconds` is negative or not a number.
    """
    if not cpu_seconds >= 0:
        raise ConfigError(f"no energy of {cpu_seconds} CPU seconds", "measure CPU time first")
    return Energy(
        value_j=cpu_seconds * power.mid_w,
        low_j=cpu_seconds * power.low_w,
        high_j=cpu_seconds * power.high_w,
        label="modelled",
        method=power.method,
    )


def declared(joules: float, source: str) -> Energy:
    """Take energy from a statement, such as a data sheet.

    Args:
        joules: The energy, not negative.
        source: Who says so, where.

    Returns:
        Energy without bounds, labelled ``declared``.

    Raises:
        ConfigError: If `joules` is negative or not a number, or there is no source.
    """
    if not joules >= 0 or not source:
        raise ConfigError(f"{joules} J from {source!r} is no statement", "name the source")
    return Energy(value_j=joules, low_j=joules, high_j=joules, label="declared", method=source)


def add(first: Energy, *others: Energy) -> Energy:
    """Add energies of one label.

    Args:
        first: An energy.
        others: More of the same label.

    Returns:
        Their sum, with the bounds added and the methods named once each.

    Raises:
        ConfigError: If the labels differ.
    """
    every = (first, *others)
    labels = sorted({energy.label for energy in every})
    if len(labels) > 1:
        raise ConfigError(f"energies labelled {' and '.join(labels)} do not add", "keep them apart")
    return Energy(
        value_j=sum(energy.value_j for energy in every),
        low_j=sum(energy.low_j for energy in every),
        high_j=sum(energy.high_j for energy in every),
        label=first.label,
        method="; ".join(dict.fromkeys(energy.method for energy in every)),
    )


def total(energies: Iterable[Energy | None]) -> Energy | None:
    """Add the energies that are known.

    Args:
        energies: Of one label.

    Returns:
        Their sum; None where none is known.
    """
    known = [energy for energy in energies if energy is not None]
    return add(*known) if known else None


def share(energy: Energy, num_parts: float) -> Energy:
    """Divide an energy, such as among the predictions it was spent on.

    Args:
        energy: The whole.
        num_parts: How many parts, above 0.

    Returns:
        The energy of one part, with the same label and method.

    Raises:
        ConfigError: If `num_parts` is not above 0.
    """
    if not num_parts > 0:
        raise ConfigError(f"no energy per one of {num_parts}", "count what it was spent on")
    return Energy(
        value_j=energy.value_j / num_parts,
        low_j=energy.low_j / num_parts,
        high_j=energy.high_j / num_parts,
        label=energy.label,
        method=energy.method,
    )
