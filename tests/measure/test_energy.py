import pytest

from diptych.core.errors import ConfigError
from diptych.measure.energy import PowerModel, add, declared, modelled, share, total


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
