from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError
from diptych.measure.processor_energy import Counter, ProcessorMeter, counters, open_meter

RANGE_UJ = 262_143_328_850


def make_zone(powercap: Path, zone: str, name: str, energy: str, range_uj: str = "1000") -> Path:
    folder = powercap / zone
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    return folder


def test_a_machine_without_counters_has_none(tmp_path: Path) -> None:
    assert open_meter(tmp_path) is None
    assert counters(tmp_path / "absent") == ()
    assert counters(tmp_path) == ()


def test_only_whole_packages_are_counted(tmp_path: Path) -> None:
    make_zone(tmp_path, "intel-rapl:0", "package-0", "5")
    make_zone(tmp_path, "intel-rapl:0:0", "core", "3")
    make_zone(tmp_path, "intel-rapl:1", "package-1", "7")
    make_zone(tmp_path, "intel-rapl:2", "psys", "99")
    make_zone(tmp_path, "intel-rapl-mmio:0", "package-0", "5")
    found = counters(tmp_path)
    assert [counter.path.parent.name for counter in found] == ["intel-rapl:0", "intel-rapl:1"]
    assert [counter.read_uj() for counter in found] == [5, 7]


@pytest.mark.parametrize("spoil", ["energy_uj", "max_energy_range_uj", "name"])
def test_a_counter_that_cannot_be_read_is_absent(tmp_path: Path, spoil: str) -> None:
    folder = make_zone(tmp_path, "intel-rapl:0", "package-0", "5")
    (folder / spoil).unlink()
    (folder / spoil).mkdir()  # reading it fails for every user, the administrator included
    assert counters(tmp_path) == ()


def test_a_counter_that_shows_nonsense_is_absent(tmp_path: Path) -> None:
    make_zone(tmp_path, "intel-rapl:0", "package-0", "n/a")
    assert counters(tmp_path) == ()


def test_what_all_packages_used_since_the_meter_was_made_is_counted(tmp_path: Path) -> None:
    ranged = "262143328850"
    zones = [
        make_zone(tmp_path, f"intel-rapl:{i}", f"package-{i}", "1000000", ranged) for i in (0, 1)
    ]
    meter = open_meter(tmp_path)
    assert meter is not None
    assert meter.energy().value_j == 0
    for zone, energy in zip(zones, ("3500000", "1250000"), strict=True):
        (zone / "energy_uj").write_text(energy)
    energy = meter.energy()
    assert energy.value_j == pytest.approx(2.75)
    assert (energy.low_j, energy.high_j, energy.label) == (
        energy.value_j,
        energy.value_j,
        "counter",
    )
    assert energy.method.startswith("RAPL, 2 package(s)")


@given(st.integers(0, RANGE_UJ - 1), st.lists(st.integers(0, RANGE_UJ - 1), max_size=9))
def test_a_counter_that_starts_again_between_readings_loses_nothing(
    start: int, spent: list[int]
) -> None:
    shown = iter((start + sum(spent[:n])) % RANGE_UJ for n in range(len(spent) + 1))

    class One(Counter):
        def read_uj(self) -> int:
            return next(shown)

    meter = ProcessorMeter([One(path=Path("unused"), range_uj=RANGE_UJ)])
    joules = [meter.energy().value_j for _ in spent]
    assert joules == pytest.approx([1e-6 * sum(spent[: n + 1]) for n in range(len(spent))])


def test_a_counter_that_may_have_started_again_unseen_is_not_believed(tmp_path: Path) -> None:
    make_zone(tmp_path, "intel-rapl:0", "package-0", "5", "65532610987")
    seconds = iter((0.0, 130.0, 260.0, 400.0, 401.0))
    meter = ProcessorMeter(counters(tmp_path), lambda: next(seconds))
    assert [meter.energy().value_j, meter.energy().value_j] == [0, 0]
    for _ in range(2):
        with pytest.raises(ConfigError, match="may have started again"):
            meter.energy()


def test_a_counter_that_is_lost_is_said(tmp_path: Path) -> None:
    folder = make_zone(tmp_path, "intel-rapl:0", "package-0", "5")
    meter = open_meter(tmp_path)
    assert meter is not None
    (folder / "energy_uj").unlink()
    with pytest.raises(ConfigError, match="does not tell its energy any more"):
        meter.energy()
