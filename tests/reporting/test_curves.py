import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from diptych.core.values import CurvePoint
from diptych.reporting.curves import MOST_POINTS, MOST_TICKS, curves, ticks
from diptych.reporting.drawing import PAPER, theme, to_svg


def point(epoch, score, *, model="teacher", loss=1.0, seconds=None):
    time = float(epoch) if seconds is None else seconds
    return CurvePoint(model=model, epoch=epoch, seconds=time, loss=loss, score=score)


def charts(manifest, *points, width=900):
    """Return the charts of a report on these points, by the title of what they show."""
    whole = curves(replace(manifest, curves=points), PAPER, width).to_dict()
    sets = whole.get("datasets", {})
    found = {}
    for chart in whole.get("hconcat") or whole["vconcat"]:
        data = chart.get("data") or chart["layer"][0].get("data") or whole["data"]
        line = chart["layer"][0]["encoding"]
        rows = data.get("values") or sets[data["name"]]
        found[line["y"]["title"].split()[0]] = (line, rows)
    return found


def drawn(manifest, *points, width=900):
    return to_svg(theme(curves(replace(manifest, curves=points), PAPER, width), PAPER))


def texts(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_every_model_is_a_line_of_its_times_with_its_name(manifest):
    points = [point(e, e / 10, seconds=90.0 * e, loss=3.0 / e) for e in (1, 2, 5)]
    points += [point(e, e / 20, model="student-8", seconds=60.0 * e) for e in (1, 2)]
    found = charts(manifest, *points)
    _, rows = found["training"]
    assert [(r["model"], r["time"], r["value"], r["end"]) for r in rows] == [
        ("teacher", 1.5, 3.0, False),
        ("teacher", 3.0, 1.5, False),
        ("teacher", 7.5, 0.6, True),
        ("student-8", 1.0, 1.0, False),
        ("student-8", 2.0, 1.0, True),
    ]
    words = texts(drawn(manifest, *points))
    assert {"teacher", "student-8", "minutes of training", "training loss"} <= set(words)


@pytest.mark.parametrize(
    ("longest", "unit"), [(2.0, "seconds"), (179.0, "seconds"), (180.0, "minutes"), (2e4, "hours")]
)
def test_time_is_in_the_unit_that_people_would_use(manifest, longest, unit):
    svg = drawn(manifest, point(1, 0.5, seconds=longest / 2), point(2, 0.6, seconds=longest))
    assert f"{unit} of training" in texts(svg)


def test_a_score_close_to_perfect_is_drawn_by_what_is_missing(manifest):
    scores = (0.1, 0.9, 0.98, 0.995)
    line, rows = charts(manifest, *(point(i + 1, s) for i, s in enumerate(scores)))["accuracy"]
    assert [row["value"] for row in rows] == pytest.approx([90.0, 10.0, 2.0, 0.5])
    assert line["y"]["scale"]["type"] == "log"
    words = texts(drawn(manifest, *(point(i + 1, s) for i, s in enumerate(scores))))
    named = [word for word in words if word in {"50", "80", "90", "95", "98", "99"}]
    assert named == ["50", "80", "90", "95", "98", "99"]


def test_a_perfect_score_stands_above_all_others_and_is_named(manifest):
    points = [point(i + 1, score) for i, score in enumerate((0.1, 0.99, 1.0))]
    _, rows = charts(manifest, *points)["accuracy"]
    assert [row["value"] for row in rows] == pytest.approx([90.0, 1.0, 0.5])
    assert "100" in texts(drawn(manifest, *points))


@pytest.mark.parametrize("scores", [(0.1, 0.3, 0.5), (0.2, 1.5), (1.0, 1.0)])
def test_other_scores_are_drawn_as_they_are(manifest, scores):
    line, rows = charts(manifest, *(point(i + 1, s) for i, s in enumerate(scores)))["accuracy"]
    assert [row["value"] for row in rows] == pytest.approx([100 * score for score in scores])
    assert line["y"]["scale"].get("type") != "log"


def test_a_score_of_less_than_nothing_does_not_hide_the_others(manifest):
    line, _ = charts(manifest, point(1, -40.0), point(2, 0.5), point(3, 0.9))["accuracy"]
    assert line["y"]["scale"]["domain"][0] == pytest.approx(110.0)


def test_scores_that_are_all_below_zero_rise_from_the_lowest(manifest):
    line, rows = charts(manifest, point(1, -5.0), point(2, -1.0), point(3, -0.5))["accuracy"]
    assert [row["value"] for row in rows] == [-500.0, -100.0, -50.0]
    assert "domainMin" not in line["y"]["scale"]
    mixed, _ = charts(manifest, point(1, -0.4), point(2, 0.5))["accuracy"]
    assert mixed["y"]["scale"]["domainMin"] == 0


def test_losses_below_zero_are_drawn_on_a_plain_axis(manifest):
    line, rows = charts(manifest, point(1, 0.5, loss=2.0), point(2, 0.6, loss=-7.0))["training"]
    assert [row["value"] for row in rows] == [2.0, -7.0]
    assert line["y"]["scale"].get("type") != "log"


def test_what_is_not_finite_or_was_not_scored_is_left_out(manifest):
    points = [point(1, 0.5), point(2, None), point(3, math.nan, loss=math.inf), point(4, 0.75)]
    found = charts(manifest, *points)
    assert [row["time"] for row in found["accuracy"][1]] == [1.0, 4.0]
    assert [row["time"] for row in found["training"][1]] == [1.0, 2.0, 4.0]


def test_without_scores_the_losses_are_still_drawn(manifest):
    assert list(charts(manifest, point(1, None), point(2, None))) == ["training"]


def test_one_epoch_is_no_curve(manifest):
    alone = (point(1, 0.5), point(1, 0.25, model="student-8"))
    assert curves(replace(manifest, curves=alone), PAPER, 900) is None
    assert curves(replace(manifest, curves=()), PAPER, 900) is None


def test_a_long_curve_is_thinned_and_keeps_its_ends(manifest):
    points = [point(e, 0.5, model=m) for m in ("teacher", "student-8") for e in range(1, 1001)]
    _, rows = charts(manifest, *points)["training"]
    for model in ("teacher", "student-8"):
        of_model = [row for row in rows if row["model"] == model]
        assert MOST_POINTS / 2 <= len(of_model) <= MOST_POINTS + 1
        assert [60 * of_model[i]["time"] for i in (0, -1)] == pytest.approx([1.0, 1000.0])
        assert [row["end"] for row in of_model] == [False] * (len(of_model) - 1) + [True]


def test_on_a_phone_the_charts_stand_under_one_another(manifest):
    points = (point(1, 0.5), point(2, 0.75))
    assert "hconcat" in curves(replace(manifest, curves=points), PAPER, 900).to_dict()
    assert "vconcat" in curves(replace(manifest, curves=points), PAPER, 285).to_dict()


def test_long_names_do_not_make_the_chart_wider_than_a_phone(manifest):
    names = ("teacher-of-many-layers-and-heads", "student-convolution-96", "student-mixture")
    points = [point(e, 0.5, model=name) for name in names for e in (1, 2)]
    svg = drawn(manifest, *points, width=285)
    assert set(names) <= set(texts(svg))
    width, short = (
        float(re.search(r'width="([0-9.]+)"', one)[1])
        for one in (svg, drawn(manifest, point(1, 0.5), point(2, 0.5), width=285))
    )
    assert width <= short + 1


def test_a_curve_is_of_the_main_score(tabled):
    points = (point(1, 0.5), point(2, 0.75))
    assert "R² on validation, %" in texts(drawn(tabled.manifest, *points))


@given(st.floats(1e-9, 1e9), st.floats(1.0, 1e6) | st.floats(1.0, 1e290))
def test_ticks_are_few_and_lie_on_the_axis(low, factor):
    chosen = ticks(low, low * factor)
    assert chosen == sorted(chosen)
    assert len(chosen) <= MOST_TICKS
    assert all(low <= tick <= low * factor for tick in chosen)
    assert len(chosen) >= (2 if factor >= 10 else 0)
