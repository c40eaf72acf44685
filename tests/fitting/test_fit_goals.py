"""Whole fits of toy data for every goal: pictures whose brightness and stripes tell something."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import diptych
from diptych.core.errors import BudgetError, DataError
from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset, Goal, Split
from diptych.fitting.evaluate import evaluate
from diptych.fitting.fit import fit
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.fitting.settings import Settings
from diptych.inference.bundle import Bundle
from diptych.tasks.goals import GOALS
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

LABELS = {
    "classification": ("none", "lying", "standing", "both"),
    "multi-label": ("lying", "standing"),
    "ordinal": ("none", "one", "both"),
    "regression": ("weight",),
}
BUDGETS = {
    "classification": "drop<=30%, accuracy>=60%, f1>=50%, p99<=1s",
    "multi-label": "drop<=30%, f1>=60%, auroc>=60%, p99<=1s",
    "ordinal": "drop<=30%, accuracy>=60%, mae<=0.5, p99<=1s",
    "regression": "drop<=30%, r2>=60%, mae<=150, rmse<=200, p99<=1s",
}
FitToy = Callable[[Goal], Bundle]


def split(goal: Goal, count: int, seed: int) -> Split:
    """Draw pictures of lying and standing stripes, each there or not, in noise."""
    rng = np.random.default_rng(seed)
    stripes = rng.integers(0, 2, (count, 2))
    pixels = rng.integers(0, 40, (count, 8, 8, 1))
    pixels[:, ::2] += 100 * stripes[:, 0, None, None, None]
    pixels[:, :, ::2] += 100 * stripes[:, 1, None, None, None]
    targets = {
        "classification": stripes @ [1, 2],
        "multi-label": stripes.astype(np.float32),
        "ordinal": stripes.sum(1),
        "regression": (1000 + 300 * stripes.sum(1) + rng.normal(0, 20, count)).astype(np.float32),
    }[goal]
    items = tuple(f"{seed}#{n}" for n in range(count))
    return Split(inputs=pixels.astype(np.uint8), targets=targets, items=items)


def toy(goal: Goal) -> Dataset:
    record = DataRecord(
        name="stripes", sha256="0" * 64, counts={"train": 320}, split_method="made", seed=0
    )
    return Dataset(
        goal=goal,
        spec=ImageSpec(height=8, width=8, channels=1),
        labels=LABELS[goal],
        train=split(goal, 320, 0),
        validation=split(goal, 100, 1),
        test=split(goal, 200, 2),
        record=record,
    )


def recipe() -> FitRecipe:
    """Train two tiny networks for a moment, with every setting of a recipe in use."""
    training = TrainingRecipe(
        epochs=20,
        batch_size=32,
        optimizer="adamw",
        learning_rate=0.02,
        weight_decay=0.01,
        label_smoothing=0.02,
        clip=1.0,
        averaging=0.9,
        balance=True,
        label_share=0.3,
    )
    teacher, student = (
        ModelPlan(
            name=name,
            network=ResidualNetConfig(stem=8, widths=(width,), blocks=(0,)),
            training=training,
        )
        for name, width in (("teacher", 32), ("student", 16))
    )
    programs = tuple(
        ProgramPlan(runtime=runtime, precision=precision)
        for runtime, precision in (("onnxruntime", "fp32"), ("openvino", "int8"))
    )
    return FitRecipe(teacher=teacher, students=(student,), programs=programs)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fit_toy(tmp_path_factory: pytest.TempPathFactory) -> FitToy:
    """Give the function that fits toy data once per goal."""
    folder, made = tmp_path_factory.mktemp("toys"), dict[str, Bundle]()

    def make(goal: Goal) -> Bundle:
        if goal not in made:
            settings = Settings(recipe=recipe())
            made[goal] = fit(toy(goal), BUDGETS[goal], out=folder / goal, settings=settings)
        return made[goal]

    return make


@pytest.mark.slow
@pytest.mark.parametrize("goal", get_args(Goal))
def test_every_goal_is_fitted_within_its_budget(goal: Goal, fit_toy: FitToy) -> None:
    manifest = fit_toy(goal).manifest
    assert manifest.task == f"image-{goal}"
    assert manifest.score_name == GOALS[goal].score
    assert [term.name for term in manifest.terms] == [
        part.split("<")[0].split(">")[0].strip() for part in BUDGETS[goal].split(",")
    ]
    assert {term.name: term.verdict for term in manifest.terms} == dict.fromkeys(
        (term.name for term in manifest.terms), "PASS"
    )
    assert {point.model for point in manifest.curves} == {"teacher", "student"}
    assert len(manifest.candidates) == 4
    for candidate in manifest.candidates:
        assert list(candidate.scores) == list(GOALS[goal].metrics)


@pytest.mark.slow
@pytest.mark.parametrize("goal", get_args(Goal))
def test_what_a_bundle_claims_is_what_it_answers(goal: Goal, fit_toy: FitToy) -> None:
    data = toy(goal)
    with diptych.load(fit_toy(goal).path) as bundle:
        manifest = bundle.manifest
        outputs = bundle.run(data.test.inputs)
        answers = bundle.predict(list(data.test.inputs))
    for name, metric in GOALS[goal].metrics.items():
        claimed, found = manifest.model.scores[name], metric(outputs, data.test.targets)
        assert found.value == pytest.approx(claimed.value, rel=1e-4, abs=1e-6), name
        assert (found.n, found.method) == (claimed.n, claimed.method)
    if goal == "regression":
        told = np.array([answer.value for answer in answers])
        assert np.abs(told - data.test.targets).mean() == pytest.approx(
            manifest.model.scores["mae"].value, rel=1e-3
        )
    elif goal == "multi-label":
        wanted = [tuple(np.array(data.labels)[row > 0].tolist()) for row in data.test.targets]
        exact = np.mean([a.labels == w for a, w in zip(answers, wanted, strict=True)])
        assert exact == pytest.approx(manifest.model.scores["accuracy"].value, abs=0.01)
    else:
        right = [data.labels[t] == a.label for a, t in zip(answers, data.test.targets, strict=True)]
        assert np.mean(right) == pytest.approx(manifest.model.score.value, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("goal", get_args(Goal))
def test_the_drop_is_between_the_teacher_and_the_choice(goal: Goal, fit_toy: FitToy) -> None:
    manifest = fit_toy(goal).manifest
    assert manifest.model.drop is not None
    lost = manifest.teacher.score.value - manifest.model.score.value
    assert manifest.model.drop.value == pytest.approx(lost, abs=1e-6)
    drop = next(term for term in manifest.terms if term.name == "drop")
    assert (drop.value, drop.low, drop.high) == (
        manifest.model.drop.value,
        manifest.model.drop.low,
        manifest.model.drop.high,
    )


@pytest.mark.slow
@pytest.mark.parametrize("goal", get_args(Goal))
def test_an_evaluation_says_what_the_manifest_says(goal: Goal, fit_toy: FitToy) -> None:
    bundle = fit_toy(goal)
    result = evaluate(bundle, toy(goal))
    assert (result.n, result.items, result.score) == (200, "test split", GOALS[goal].score)
    assert list(result.scores) == list(GOALS[goal].metrics)
    for name, score in bundle.manifest.model.scores.items():
        assert result.scores[name].value == pytest.approx(score.value, rel=1e-4, abs=1e-6)
    assert bool(result.confusion) == (goal in {"classification", "ordinal"})
    assert bool(result.per_class) == (goal in {"classification", "ordinal"})
    if result.confusion:
        matrix = np.array(result.confusion)
        assert np.trace(matrix) / matrix.sum() == pytest.approx(result.scores["accuracy"].value)


@pytest.mark.slow
@pytest.mark.parametrize("goal", ["classification", "multi-label"])
def test_labels_in_another_order_and_fewer_of_them_are_scored_alike(
    goal: Goal, fit_toy: FitToy
) -> None:
    bundle, data = fit_toy(goal), toy(goal)
    order = np.arange(len(data.labels))[::-1]
    moved = data.test.targets[:, order] if goal == "multi-label" else order[data.test.targets]
    turned = dataclasses.replace(
        data,
        labels=tuple(reversed(data.labels)),
        test=dataclasses.replace(data.test, targets=moved),
    )
    assert evaluate(bundle, turned).scores == evaluate(bundle, data).scores
    strange = dataclasses.replace(data, labels=("lyin", *data.labels[1:]))
    with pytest.raises(DataError, match="'lyin'") as raised:
        evaluate(bundle, strange)
    assert raised.value.hint


@pytest.mark.slow
def test_a_score_that_is_out_of_reach_fails_and_says_what_would_do(tmp_path: Path) -> None:
    data, settings = toy("regression"), Settings(recipe=recipe())
    bundle = fit(data, "mae<=0.5, p99<=1s", out=tmp_path / "a.dip", settings=settings)
    manifest = bundle.manifest
    assert manifest.verdict == "FAIL"
    assert [(term.name, term.verdict) for term in manifest.terms] == [
        ("mae", "FAIL"),
        ("p99", "PASS"),
    ]
    (offer,) = manifest.relaxations
    assert offer.term == "mae"
    assert manifest.terms[0].high <= offer.needed <= 1.02 * manifest.terms[0].high


@pytest.mark.slow
def test_a_fit_of_numbers_is_done_again_from_its_bundle(fit_toy: FitToy, tmp_path: Path) -> None:
    goal: Goal = "regression"
    first = fit_toy(goal)
    settings = Settings(recipe=read_recipe(first.path))
    again = fit(toy(goal), BUDGETS[goal], out=tmp_path / "a.dip", settings=settings)
    assert again.manifest.provenance.recipe == first.manifest.provenance.recipe
    outputs = {c.name: c.scores for c in first.manifest.candidates}
    assert {c.name: c.scores for c in again.manifest.candidates} == outputs


@pytest.mark.slow
@pytest.mark.parametrize("goal", get_args(Goal))
def test_what_is_on_disk_is_plain_json_with_the_goal(goal: Goal, fit_toy: FitToy) -> None:
    plain = json.loads((fit_toy(goal).path / "bundle.json").read_text())
    assert (plain["goal"], plain["labels"]) == (goal, list(LABELS[goal]))
    assert next(iter(plain["model"]["scores"])) == GOALS[goal].score


@pytest.mark.parametrize(
    ("goal", "budget", "known"),
    [
        ("regression", "accuracy>=90%", "r2"),
        ("classification", "r2>=90%", "accuracy"),
        ("multi-label", "mae<=3", "f1"),
        ("ordinal", "rmse<=3", "mae"),
    ],
)
def test_a_score_of_another_goal_is_refused_before_anything_is_trained(
    goal: Goal, budget: str, known: str, tmp_path: Path
) -> None:
    with pytest.raises(BudgetError, match="which this data has not") as raised:
        fit(toy(goal), budget, out=tmp_path / "a.dip", settings=Settings(recipe=recipe()))
    assert known in raised.value.hint
    assert not (tmp_path / "a.dip").exists()
