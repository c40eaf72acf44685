import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace as replace_value
from torch import nn

import diptych
from diptych.core.files import sha256_of_file
from diptych.core.specs import TensorSpec
from diptych.core.values import Candidate
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.assembly import hash_items, kept_trials
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import Trainee
from diptych.fitting.trials import Trial
from diptych.inference import worst
from diptych.targets.lower import LoweredProgram
from diptych.training import weights
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

MakeCandidate = Callable[..., Candidate]


def test_the_hash_of_items_depends_on_their_bytes_alone() -> None:
    items = np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1)
    assert hash_items(items) == hash_items(np.asfortranarray(items))
    assert hash_items(items) != hash_items(items + 1)


PLAN = ModelPlan(
    name="student",
    network=ResidualNetConfig(stem=8, widths=(16,), blocks=(0,)),
    training=TrainingRecipe(),
)
TENSOR = TensorSpec(name="x", dtype="uint8", shape=(None, 1))


def trial(model: Trainee, runtime: str, precision: str, **more: object) -> Trial:
    program = LoweredProgram(
        name=f"{model.name}-{runtime}-{precision}",
        runtime=runtime,
        precision=precision,
        contents={},
        input=TENSOR,
        output=TENSOR,
        **more,
    )
    return Trial(model=model, program=program, session=None, outputs=np.zeros((1, 1)))


def test_beside_a_second_look_the_base_install_has_the_same_network() -> None:
    """The published example had none: it could not be opened without the extra edge."""
    student = Trainee(plan=PLAN, network=nn.Identity())
    other = Trainee(plan=PLAN, network=nn.Identity())
    twice = replace(student, plan=replace_value(PLAN, name="student-else-mirrored"))
    chosen = trial(twice, "litert", "int8")
    floating, rounded = trial(student, "onnxruntime", "fp32"), trial(student, "onnxruntime", "int8")
    others = [trial(other, "onnxruntime", "int8"), trial(student, "openvino", "int8")]
    assert kept_trials(chosen, [*others, floating, rounded, chosen]) == [chosen, rounded]
    assert kept_trials(chosen, [*others, floating, chosen]) == [chosen, floating]
    assert kept_trials(chosen, [*others, chosen]) == [chosen]
    assert kept_trials(rounded, [floating, rounded]) == [rounded]


def test_what_the_base_install_runs_is_not_what_lost_too_much(
    make_candidate: MakeCandidate,
) -> None:
    model = Trainee(plan=PLAN, network=nn.Identity())
    refined = replace(model, seconds=1.0)
    chosen = trial(refined, "openvino", "int8", method="trained")
    trained = trial(refined, "onnxruntime", "int8", method="trained")
    floating, rounded = trial(model, "onnxruntime", "fp32"), trial(model, "onnxruntime", "int8")
    larger = trial(model, "onnxruntime", "int8", method="guarded", passed_on=0.1)

    def kept(*passing: Trial, accuracy: float = 0.7) -> Trial:
        trials = [floating, rounded, larger, chosen, trained]
        rows = [make_candidate(each.name, accuracy=0.5) for each in trials[:-1]]
        rows.append(make_candidate(trained.name, accuracy=accuracy))
        names = {each.name for each in passing}
        rows = [replace_value(row, meets_budget=row.name in names) for row in rows]
        found = kept_trials(chosen, trials, rows)
        assert found[0] is chosen
        return found[1]

    assert kept(chosen, trained) is trained
    assert kept(chosen, floating) is floating
    assert kept(chosen, floating, rounded) is rounded
    assert kept(chosen, larger) is trained  # a cascade has another network too
    assert kept() is trained


def test_of_programs_alike_the_base_install_has_the_best(make_candidate: MakeCandidate) -> None:
    model = Trainee(plan=PLAN, network=nn.Identity())
    chosen = trial(model, "openvino", "int8")
    rounded = trial(model, "onnxruntime", "int8")
    guarded = trial(model, "onnxruntime", "int8", method="guarded")
    rows = [
        make_candidate(each.name, accuracy=score)
        for each, score in ((rounded, 0.165), (guarded, 0.758))
    ]
    assert kept_trials(chosen, [chosen, rounded, guarded], rows) == [chosen, guarded]


@pytest.mark.slow
def test_every_file_is_listed_with_its_hash(digits_bundle: Path) -> None:
    manifest = json.loads((digits_bundle / "bundle.json").read_text())
    listed = {f["path"]: f for f in manifest["files"]}
    listed |= {f["path"]: f for program in manifest["programs"] for f in program["files"]}
    present = {p.relative_to(digits_bundle).as_posix() for p in digits_bundle.rglob("*")}
    assert present - {"bundle.json", "README.md", "report.html"} == set(listed)
    for path, record in listed.items():
        assert sha256_of_file(digits_bundle / path) == record["sha256"]


@pytest.mark.slow
def test_a_bundle_can_be_served_by_the_base_install(digits_bundle: Path) -> None:
    with diptych.load(digits_bundle) as bundle:
        assert "onnxruntime" in {program.runtime for program in bundle.manifest.programs}


@pytest.mark.slow
def test_the_weights_are_those_of_the_chosen_model(digits_bundle: Path) -> None:
    state = weights.decode((digits_bundle / "weights.safetensors").read_bytes())
    learned = [n for n in state if "running" not in n and "num_batches" not in n]
    learned = [n for n in learned if n not in {"mean", "deviation"}]
    with diptych.load(digits_bundle) as bundle:
        assert sum(state[n].numel() for n in learned) == bundle.manifest.model.parameters


@pytest.mark.slow
def test_the_damage_is_that_of_the_scores_and_its_worst_items_are_kept(digits_bundle: Path) -> None:
    with diptych.load(digits_bundle) as bundle:
        manifest = bundle.manifest
    damage, n = manifest.damage, manifest.model.score.n
    assert damage is not None
    assert damage.flips is not None
    lost = damage.flips.lost - damage.flips.gained
    before, after = manifest.teacher.score.value, manifest.model.score.value
    assert lost / n == pytest.approx(before - after)
    assert sum(row.n for row in damage.classes) == n
    kept = worst.read(digits_bundle, manifest)
    assert len(kept) == len(damage.items) == min(12, damage.flips.lost)
    test = read("digits", Options(seed=manifest.provenance.data.seed)).test
    for item, pixels in zip(damage.items, kept, strict=True):
        np.testing.assert_array_equal(pixels, test.inputs[item.index])
        assert (item.item, item.truth[0]) == (
            test.items[item.index],
            manifest.labels[test.targets[item.index]],
        )
