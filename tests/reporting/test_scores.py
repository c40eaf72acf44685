from msgspec.structs import replace

from diptych.measure.means import unknown
from diptych.reporting.scores import axis, figure, figures, lines, meanings, title, word
from diptych.tasks.goals import GOALS


def test_shares_are_percents_and_errors_are_plain_numbers(tabled) -> None:
    scores = tabled.manifest.model.scores
    assert lines(scores) == (
        "83.0 %",
        "80.5 to 85.5 %, n = 4,128",
        "RMSE 46,500 (45,100 to 47,900)",
        "MAE 30,300 (29,400 to 31,200)",
    )
    assert axis("rmse") == ("RMSE on validation", 1.0)
    assert axis("accuracy") == ("accuracy on validation, %", 100.0)


def test_every_metric_of_every_goal_has_a_meaning(manifest) -> None:
    for goal, kind in GOALS.items():
        model = replace(manifest.model, scores=dict.fromkeys(kind.metrics, manifest.model.score))
        explained = [name for name, _ in meanings(replace(manifest, goal=goal, model=model))]
        assert explained == [title(name) for name in kind.metrics]


def test_a_users_own_score_keeps_its_name_and_has_no_meaning_of_ours(manifest) -> None:
    own = replace(manifest, model=replace(manifest.model, scores={"wer": manifest.model.score}))
    assert (word("wer"), title("wer")) == ("wer", "Wer")
    assert meanings(own) == []


def test_a_score_that_could_not_be_had_is_unknown() -> None:
    nothing = unknown("undefined: all targets are equal")
    assert figure("r2", nothing) == "unknown"
    assert figures("r2", nothing) == ("unknown", "undefined: all targets are equal")
    assert lines({"r2": nothing, "auroc": nothing})[-1] == "AUROC unknown"


def test_a_score_whose_bounds_coincide_is_not_exact(manifest) -> None:
    half = replace(manifest.model.score, value=0.5, low=0.5, high=0.5, n=9)
    assert figures("accuracy", half) == ("50 %", "50.00 to 50.00 %, n = 9")
    assert lines({"accuracy": half, "auroc": half})[-1] == "AUROC 50 % (50.00 to 50.00 %)"
