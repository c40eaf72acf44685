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
