import pytest
from msgspec.structs import replace

from diptych.core.values import Energy
from diptych.reporting.charts import breakeven, poster
from diptych.reporting.drawing import PAPER, to_svg


def test_the_lines_cross_at_the_break_even(manifest) -> None:
    rows = breakeven(manifest, PAPER, 600).layer[0].to_dict()["data"]["values"]
    middle = [row for row in rows if row["number"] == manifest.breakeven_predictions]
    training, inference = (row["value"] for row in middle)
    assert training == pytest.approx(inference)


def counted(value_j: float, low_j: float) -> Energy:
    return Energy(
        value_j=value_j, low_j=low_j, high_j=2 * value_j, label="counter", method="made up"
    )


def test_what_the_gpu_used_is_a_part_of_training(manifest) -> None:
    training = replace(manifest.training, energy=counted(1e3, 1e3), gpu_energy=counted(3e3, 3e3))
    model = replace(manifest.model, energy=counted(2e-3, 1e-3))
    both = replace(manifest, training=training, model=model, breakeven_predictions=2e6)
    chart = breakeven(both, PAPER, 600)
    rows = chart.layer[0].to_dict()["data"]["values"]
    middle = {row["panel"]: row["value"] for row in rows if row["number"] == 2e6}
    assert middle == {"training": pytest.approx(4e3), "inference": pytest.approx(4e3)}
    (cross,) = chart.layer[2].to_dict()["data"]["values"]
    assert cross["value"] == pytest.approx(4e3)


def test_a_lower_bound_of_0_has_a_place_on_the_axis(manifest) -> None:
    training = replace(manifest.training, energy=counted(1e3, 1e3))
    model = replace(manifest.model, energy=counted(2e-3, 0.0))
    low = replace(manifest, training=training, model=model, breakeven_predictions=5e5)
    rows = breakeven(low, PAPER, 600).layer[0].to_dict()["data"]["values"]
    bounds = [row["low"] / row["value"] for row in rows if row["panel"] == "inference"]
    assert bounds == pytest.approx([1e-3] * 3)


def test_energies_that_may_not_be_compared_are_not_drawn(manifest) -> None:
    counted = Energy(value_j=1e-3, low_j=1e-3, high_j=1e-3, label="counter", method="made up")
    mixed = replace(manifest, model=replace(manifest.model, energy=counted))
    assert breakeven(mixed, PAPER, 600) is None
    assert breakeven(replace(manifest, breakeven_predictions=None), PAPER, 600) is None


def test_the_poster_holds_every_chart(manifest) -> None:
    svg = to_svg(poster(manifest), "white")
    words = ("fashion-fixture: PASS", "Candidates", "about 14 million", "Learning curves")
    assert all(word in svg for word in words)


def test_the_poster_leaves_out_what_there_is_not(manifest) -> None:
    bare = replace(manifest, breakeven_predictions=None, curves=())
    assert "Learning curves" not in to_svg(poster(bare))
