"""A training that starts from other weights: what it reads, plans and begins with."""

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec import structs, to_builtins

from diptych.compression.prune import PruneRecipe
from diptych.core.errors import ConfigError
from diptych.core.files import sha256_of_file
from diptych.core.progress import Step, StopRequest
from diptych.core.specs import ImageSpec
from diptych.core.values import Dataset
from diptych.data.reading import Options
from diptych.fitting.building import build
from diptych.fitting.fit import fit
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.starting import begin_plan, read_alike, with_start
from diptych.fitting.train import resume, train
from diptych.fitting.trainee import train_model
from diptych.training import weights
from diptych.training.control import RunControl
from diptych.training.models import PrunedConfig, ResidualNetConfig, TabularConfig
from diptych.training.recipe import Replan, TrainingRecipe
from diptych.training.start import Start, StartPlan, read_start

NETWORK = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
WIDE = ResidualNetConfig(stem=16, widths=(32,), blocks=(1,))
TRAINING = TrainingRecipe(epochs=2, batch_size=8, learning_rate=0.05)
PLAN = ModelPlan(name="teacher", network=WIDE, training=TRAINING)
TABLE = ModelPlan(name="student", network=TabularConfig(), training=TRAINING)


@pytest.fixture
def start(tiny: Any) -> Start:
    """Make the start of a bundle that was trained at another rate."""
    used = ModelPlan(
        name="teacher",
        network=NETWORK,
        training=structs.replace(
            TRAINING, learning_rate=0.5, replans=(Replan(step=3, remaining=2),)
        ),
    )
    manifest = structs.replace(
        tiny.manifest,
        architecture=to_builtins(NETWORK) | {"diptych": "0.1.0"},
        provenance=structs.replace(
            tiny.manifest.provenance, recipe=to_builtins(FitRecipe(teacher=used))
        ),
    )
    return Start(path=Path("cats.dip"), sha256="0" * 64, tensors={}, manifest=manifest)


@pytest.fixture
def saved(make_dataset: Callable[..., Dataset], tmp_path: Path) -> Start:
    """Save the weights of a trained network as a file."""
    plan = structs.replace(PLAN, network=NETWORK)
    trained = train_model(plan, make_dataset(classes=4), RunControl())
    assert trained.network is not None
    (tmp_path / "four.safetensors").write_bytes(weights.encode(trained.network))
    return read_start(tmp_path / "four.safetensors")


def test_data_is_prepared_as_the_bundle_prepares_it(start: Start) -> None:
    assert read_alike(Options(), start).spec == ImageSpec(height=8, width=8, channels=3)
    larger = read_alike(Options(image_size=32), start).spec
    assert larger == ImageSpec(height=32, width=32, channels=3)
    assert read_alike(Options(seed=3), replace(start, manifest=None)) == Options(seed=3)


def test_as_many_items_are_held_back_as_for_the_bundle(start: Start) -> None:
    assert read_alike(Options(), start).validation_items is None
    assert start.manifest is not None
    provenance = start.manifest.provenance
    data = structs.replace(provenance.data, validation_items=30)
    provenance = structs.replace(provenance, data=data)
    held = replace(start, manifest=structs.replace(start.manifest, provenance=provenance))
    assert read_alike(Options(), held).validation_items == 30
    assert read_alike(Options(validation_items=40), held).validation_items == 40


def test_the_network_is_that_of_the_bundle_and_the_plan_one_for_its_kind(start: Start) -> None:
    plan = with_start([TABLE, PLAN], start)
    assert (plan.name, plan.network) == ("teacher", NETWORK)
    assert plan.training == TRAINING
    assert plan.start == StartPlan(path="cats.dip", sha256="0" * 64)


def test_without_a_plan_for_its_kind_it_is_trained_as_it_was(start: Start) -> None:
    plan = with_start([TABLE], start)
    assert plan.network == NETWORK
    assert plan.training.learning_rate == 0.5
    assert not plan.training.replans


def test_what_was_pruned_goes_on_as_it_is(start: Start) -> None:
    assert start.manifest is not None
    shape = PrunedConfig(network=NETWORK, widths={"head": (8, 4)})
    whole = structs.replace(PLAN, network=NETWORK)
    half = structs.replace(whole, name="half", network=shape, prune=PruneRecipe(share=0.5))
    recipe = FitRecipe(teacher=whole, students=(half,))
    manifest = structs.replace(
        start.manifest,
        architecture=to_builtins(shape) | {"diptych": "0.1.0"},
        provenance=structs.replace(start.manifest.provenance, recipe=to_builtins(recipe)),
    )
    plan = with_start([TABLE, PLAN], replace(start, manifest=manifest))
    assert not plan.kept
    assert (plan.name, plan.network, plan.prune) == ("half", shape, None)


def test_a_teacher_that_was_kept_as_it_is_learns_where_training_starts_from_it(
    start: Start,
) -> None:
    assert start.manifest is not None
    kept = structs.replace(PLAN, network=NETWORK, start=start.plan, kept=True)
    recipe = to_builtins(FitRecipe(teacher=kept))
    provenance = structs.replace(start.manifest.provenance, recipe=recipe)
    manifest = structs.replace(start.manifest, provenance=provenance)
    plan = with_start([TABLE], replace(start, manifest=manifest))
    assert (plan.network, plan.start, plan.kept) == (NETWORK, start.plan, False)


def test_a_file_keeps_the_planned_network(saved: Start) -> None:
    assert with_start([PLAN], saved).network == WIDE


def test_first_weights_are_those_that_the_plan_names(
    make_dataset: Callable[..., Dataset], saved: Start
) -> None:
    plan = structs.replace(PLAN, network=NETWORK, start=saved.plan)
    dataset, said = make_dataset(classes=3), list[Step]()
    network = build(plan, dataset, 0)
    control = begin_plan(plan, network, dataset, RunControl(report=said.append))
    taken = {k for k, v in network.state_dict().items() if torch.equal(v, saved.tensors[k])}
    assert taken == set(saved.tensors) - {"head.weight", "head.bias"}
    assert control.fresh == {"head.weight", "head.bias"}
    assert said[-1].note.endswith("four.safetensors; head.weight and head.bias are new")


def test_a_plan_without_a_start_begins_as_built(make_dataset: Callable[..., Dataset]) -> None:
    control = RunControl()
    assert begin_plan(PLAN, torch.nn.Linear(1, 1), make_dataset(), control) is control


def test_weights_that_were_changed_since_are_not_taken(
    make_dataset: Callable[..., Dataset], saved: Start
) -> None:
    changed = StartPlan(path=str(saved.path), sha256="f" * 64)
    plan = structs.replace(PLAN, network=NETWORK, start=changed)
    with pytest.raises(ConfigError, match="are not those that they were"):
        train_model(plan, make_dataset(), RunControl())


def test_a_frozen_start_trains_the_head_alone(
    make_dataset: Callable[..., Dataset], saved: Start
) -> None:
    training = structs.replace(TRAINING, freeze_share=0.99)
    plan = ModelPlan(name="teacher", network=NETWORK, training=training, start=saved.plan)
    network = train_model(plan, make_dataset(classes=3), RunControl()).network
    assert network is not None
    body = {k: v for k, v in network.state_dict().items() if not k.startswith("head")}
    assert all(torch.equal(v, saved.tensors[k]) for k, v in body.items())


def test_the_weights_of_a_recipe_are_found_where_none_are_given(saved: Start) -> None:
    recipe = FitRecipe(teacher=structs.replace(PLAN, start=saved.plan))
    assert Settings(recipe=recipe).source_of_weights() == saved.path
    assert Settings(recipe=recipe, start=Path("a")).source_of_weights() == Path("a")
    assert Settings().source_of_weights() is None


def test_a_fit_takes_no_start_of_its_own(saved: Start) -> None:
    with pytest.raises(ConfigError, match="its recipe names"):
        fit("digits", settings=Settings(start=saved.path))


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_with_the_data_and_the_weights_of_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = FitRecipe(teacher=structs.replace(PLAN, network=NETWORK))
    train("digits", out="a.dip", settings=Settings(recipe=recipe)).close()
    frozen = structs.replace(TRAINING, freeze_share=0.5, layer_decay=0.5)
    slower = FitRecipe(teacher=structs.replace(PLAN, network=NETWORK, training=frozen))
    stop = StopRequest()

    def stop_later(step: Step) -> None:
        stop.requested = stop.requested or (step.stage == "teacher" and step.done >= 40)

    settings = Settings(recipe=slower, start=Path("a.dip"))
    train("digits", out="whole.dip", settings=settings).close()
    stopped = dataclasses.replace(settings, report=stop_later, stop=stop)
    train("digits", out="parts.dip", settings=stopped).close()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    resume(tmp_path / "parts.run").close()
    files = [tmp_path / name / "weights.safetensors" for name in ("whole.dip", "parts.dip")]
    assert sha256_of_file(files[0]) == sha256_of_file(files[1])
