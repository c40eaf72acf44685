import math

import pytest
from msgspec.structs import replace

from diptych.measure.means import unknown
from diptych.reporting.drawing import PAPER, theme, to_svg
from diptych.reporting.scatter import candidates, limits, score_scale


def points(chart) -> list[dict]:
    values = [layer.to_dict().get("data", {}).get("values", []) for layer in chart.layer]
    return next(rows for rows in values if rows and "kind" in rows[0])


def test_every_candidate_is_a_point_and_one_is_chosen(manifest) -> None:
    rows = points(candidates(manifest, PAPER, 600))
    assert len(rows) == len(manifest.candidates)
    assert [row["name"] for row in rows if row["chosen"]] == ["student-s-int8-openvino"]


def test_a_drop_is_a_line_below_the_teacher(manifest) -> None:
    drop, p99 = limits(manifest)
    assert (drop.axis, drop.label) == ("score", "drop ≤ 1 %")
    assert drop.value == pytest.approx(100 * (0.9382 - 0.01))
    assert (p99.axis, p99.value) == ("p99", 1.0)


def test_an_accuracy_limit_has_its_own_name(manifest) -> None:
    term = replace(manifest.terms[0], name="accuracy", relation=">=", limit=0.9)
    (line,) = limits(replace(manifest, terms=(term,)))
    assert (line.value, line.label) == (90.0, "accuracy ≥ 90 %")


def test_bounds_that_are_missing_or_impossible_do_not_break_the_chart(manifest) -> None:
    first, *others = manifest.candidates
    odd = replace(first, p99_ms=replace(first.p99_ms, low=0.0, high=math.inf))
    chart = candidates(replace(manifest, candidates=(odd, *others)), PAPER, 300)
    svg = to_svg(theme(chart, PAPER))
    assert "NaN" not in svg
    assert "Infinity" not in svg


def test_without_candidates_there_is_no_chart(manifest) -> None:
    assert candidates(replace(manifest, candidates=()), PAPER, 600) is None


def test_a_candidate_whose_score_is_unknown_is_no_point_and_no_measure_of_a_drop(manifest) -> None:
    nothing = unknown("undefined: a value is not finite")
    first, *others = manifest.candidates
    odd = replace(first, scores={"accuracy": nothing}, drop=nothing)
    some = replace(manifest, candidates=(odd, *others))
    rows = points(candidates(some, PAPER, 600))
    assert len(rows) == len(others)
    assert limits(some) == limits(manifest)
    alone = replace(manifest, candidates=(odd,))
    assert candidates(alone, PAPER, 600) is None
    assert [one.axis for one in limits(alone)] == ["p99"]


def test_the_names_are_in_the_drawing(manifest) -> None:
    svg = to_svg(theme(candidates(manifest, PAPER, 600), PAPER))
    assert all(word in svg for word in ("student-s-int8-openvino", "drop ≤ 1 %", "p99 ≤ 1 ms"))


def test_an_axis_is_that_of_the_score(tabled, tagged) -> None:
    r2 = to_svg(theme(candidates(tabled.manifest, PAPER, 600), PAPER))
    assert "R² on validation, %" in r2
    assert "accuracy" not in r2
    assert "F1 on validation, %" in to_svg(theme(candidates(tagged.manifest, PAPER, 600), PAPER))


def test_the_main_score_by_either_of_its_names_is_a_line(tabled) -> None:
    term = replace(tabled.manifest.terms[0], relation=">=", limit=0.8)
    for name in ("r2", "score"):
        (line,) = limits(replace(tabled.manifest, terms=(replace(term, name=name),)))
        assert (line.axis, line.value) == ("score", 80.0)
    assert limits(replace(tabled.manifest, terms=(replace(term, name="mae"),))) == []


def test_a_score_below_zero_does_not_squeeze_the_others() -> None:
    assert score_scale([-500.0, 80.0]).to_dict()["domainMin"] == 0
    assert "domainMin" not in score_scale([70.0, 80.0]).to_dict()


def test_scores_that_are_all_below_zero_keep_their_places(tabled) -> None:
    assert "domainMin" not in score_scale([-60.0, -45.0]).to_dict()
    scores = {"r2": replace(tabled.manifest.model.score, value=-0.5, low=-0.6, high=-0.4)}
    some = [replace(one, scores=scores) for one in tabled.manifest.candidates]
    chart = candidates(replace(tabled.manifest, candidates=tuple(some)), PAPER, 600)
    scales = [layer.to_dict()["encoding"].get("y", {}).get("scale") for layer in chart.layer]
    assert {"zero": False, "clamp": True} in scales
    assert not any("domainMin" in scale for scale in scales if scale)


def test_labels_of_limits_stand_at_opposite_ends(manifest) -> None:
    def ends(limit: float) -> list[str]:
        p99 = replace(manifest.terms[1], limit=limit)
        chart = candidates(replace(manifest, terms=(manifest.terms[0], p99)), PAPER, 600)
        layers = [layer.to_dict() for layer in chart.layer]
        texts = [one for one in layers if one["encoding"].get("text", {}).get("field") == "label"]
        return [one["mark"]["align"] for one in texts]

    assert ends(0.1) == ["right", "left"]
    assert ends(4.0) == ["left", "right"]
