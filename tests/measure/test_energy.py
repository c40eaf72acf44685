from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError
from diptych.measure.energy import (
    Counter,
    PowerModel,
    add,
    counted,
    counters,
    declared,
    modelled,
    read_all,
    share,
    total,
)

RANGE_UJ = 262_143_328_850


def make_zone(powercap: Path, zone: str, name: str, energy: str, range_uj: str = "1000") -> Path:
    folder = powercap / zone
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    return folder


def test_a_machine_without_counters_has_none(tmp_path: Path) -> None:
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
    assert read_all(found) == (5, 7)


@pytest.mark.parametrize("spoil", ["energy_uj", "max_energy_range_uj", "name"])
def test_a_counter_that_cannot_be_read_is_absent(tmp_path: Path, spoil: str) -> None:
    folder = make_zone(tmp_path, "intel-rapl:0", "package-0", "5")
    (folder / spoil).unlink()
    (folder / spoil).mkdir()  # reading it fails for every user, the administrator included
    assert counters(tmp_path) == ()


def test_a_counter_that_shows_nonsense_is_absent(tmp_path: Path) -> None:
    make_zone(tmp_path, "intel-rapl:0", "package-0", "n/a")
    assert counters(tmp_path) == ()


def test_two_readings_of_the_files_give_joules(tmp_path: Path) -> None:
    zones = [make_zone(tmp_path, f"intel-rapl:{i}", f"package-{i}", "1000000") for i in (0, 1)]
    found = counters(tmp_path)
    before = read_all(found)
    for zone, energy in zip(zones, ("3500000", "1250000"), strict=True):
        (zone / "energy_uj").write_text(energy)
    energy = counted(found, before, read_all(found))
    assert energy.value_j == pytest.approx(2.75)
    assert (energy.low_j, energy.high_j, energy.label) == (
        energy.value_j,
        energy.value_j,
        "counter",
    )


@given(st.integers(0, RANGE_UJ - 1), st.integers(0, RANGE_UJ - 1))
def test_a_counter_that_starts_again_in_between_loses_nothing(start: int, spent: int) -> None:
    found = (Counter(path=Path("unused"), range_uj=RANGE_UJ),)
    energy = counted(found, (start,), ((start + spent) % RANGE_UJ,))
    assert energy.value_j == pytest.approx(spent * 1e-6, abs=1e-9)


def test_counting_without_a_counter_is_refused() -> None:
    with pytest.raises(ConfigError, match="no energy counter"):
        counted((), (), ())


def test_modelled_energy_is_cpu_time_times_watts_with_bounds() -> None:
    energy = modelled(2.0, PowerModel(low_w=1.0, mid_w=3.0, high_w=10.0, method="board"))
    assert (energy.low_j, energy.value_j, energy.high_j) == (2.0, 6.0, 20.0)
    assert (energy.label, energy.method) == ("modelled", "board")


@pytest.mark.parametrize("watts", [(0.0, 1.0, 2.0), (2.0, 1.0, 3.0), (1.0, 3.0, 2.0)])
def test_watts_out_of_order_are_refused(watts: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="watts"):
        PowerModel(low_w=watts[0], mid_w=watts[1], high_w=watts[2])


@pytest.mark.parametrize("wrong", [-1.0, float("nan")])
def test_impossible_amounts_are_refused(wrong: float) -> None:
    with pytest.raises(ConfigError, match="CPU seconds"):
        modelled(wrong)
    with pytest.raises(ConfigError, match="statement"):
        declared(wrong, "data sheet")
    with pytest.raises(ConfigError, match="no energy per"):
        share(modelled(1.0), wrong)


def test_a_statement_needs_a_source() -> None:
    with pytest.raises(ConfigError, match="statement"):
        declared(1.0, "")


def test_energies_of_one_label_add_and_divide() -> None:
    every = add(modelled(1.0), modelled(2.0), modelled(3.0))
    assert (every.low_j, every.value_j, every.high_j) == (15.0, 36.0, 72.0)
    assert every.method == modelled(1.0).method
    part = share(every, 6)
    assert (part.low_j, part.value_j, part.high_j) == (2.5, 6.0, 12.0)
    assert part.label == "modelled"


def test_the_total_is_of_what_is_known() -> None:
    assert total([None, modelled(1.0), modelled(2.0)]) == modelled(3.0)
    assert total([None]) is None


def test_energies_of_different_labels_never_add() -> None:
    with pytest.raises(ConfigError, match="declared and modelled do not add"):
        add(modelled(1.0), declared(1.0, "data sheet"))
