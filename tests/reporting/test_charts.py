import pytest
from msgspec.structs import replace

from diptych.core.values import CurvePoint, Energy
from diptych.reporting.charts import breakeven, curves, poster
from diptych.reporting.drawing import PAPER, theme, to_svg


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


def test_only_epochs_that_were_scored_are_drawn(manifest) -> None:
    unscored = CurvePoint(model="teacher", epoch=99, seconds=1.0, loss=1.0, score=None)
    chart = curves(replace(manifest, curves=(*manifest.curves, unscored)), PAPER, 600)
    assert len(chart.to_dict()["data"]["values"]) == len(manifest.curves)
    assert curves(replace(manifest, curves=(unscored,)), PAPER, 600) is None


def test_the_poster_holds_every_chart(manifest) -> None:
    svg = to_svg(poster(manifest), "white")
    words = ("fashion-fixture: PASS", "Candidates", "about 14 million", "Learning curves")
    assert all(word in svg for word in words)


def test_the_poster_leaves_out_what_there_is_not(manifest) -> None:
    bare = replace(manifest, breakeven_predictions=None, curves=())
    assert "Learning curves" not in to_svg(poster(bare))


def test_a_curve_is_of_the_main_score(tabled) -> None:
    svg = to_svg(theme(curves(tabled.manifest, PAPER, 600), PAPER))
    assert "R² on validation, %" in svg


def test_an_epoch_that_went_astray_is_left_out(manifest) -> None:
    astray = [replace(one, score=float("nan")) for one in manifest.curves[:3]]
    chart = curves(replace(manifest, curves=(*astray, *manifest.curves[3:])), PAPER, 600)
    assert len(chart.to_dict()["data"]["values"]) == len(manifest.curves) - 3
