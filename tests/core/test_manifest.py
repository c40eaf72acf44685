from typing import get_args

import pytest
from msgspec import ValidationError, convert, json, structs, to_builtins

from diptych.core import manifest as manifests
from diptych.core.manifest import Manifest
from diptych.core.specs import AudioSpec, ImageSpec, InputSpec, TextSpec, Value
from diptych.core.values import Estimate, Goal, ModelSummary

KINDS = [k for k in vars(manifests).values() if isinstance(k, type) and issubclass(k, Value)]


def number() -> Estimate:
    return Estimate(value=0.5, low=0.25, high=0.75, n=10, method="made up")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_bundle_says_is_frozen_and_strict(kind: type[Value]) -> None:
    settings = kind.__struct_config__
    assert settings.frozen
    assert settings.forbid_unknown_fields
    assert all(field.encode_name == field.name for field in structs.fields(kind))


def test_a_manifest_comes_back_from_json_as_it_was(tiny) -> None:
    model = structs.replace(tiny.manifest.model, scores={"r2": number(), "mae": number()})
    plain = structs.replace(
        tiny.manifest, candidates=(), model=model, teacher=model, assets=("tokenizer.json",)
    )
    assert json.decode(json.encode(plain), type=Manifest) == plain


@pytest.mark.parametrize("goal", get_args(Goal))
@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (ImageSpec(height=8, width=8, channels=1), "image"),
        (AudioSpec(sample_rate=8000, samples=8000), "audio"),
        (TextSpec(tokens=8, vocabulary=8), "text"),
    ],
)
def test_a_task_is_named_by_its_input_and_its_goal(
    tiny, goal: Goal, spec: InputSpec, kind: str
) -> None:
    named = structs.replace(tiny.manifest, goal=goal, input=spec)
    assert named.task == f"{kind}-{goal}"


def test_the_main_score_is_the_models_first(tiny) -> None:
    scores = {"r2": number(), "mae": number()}
    model = ModelSummary(name="m", scores=scores, parameters=1, flops=1)
    assert structs.replace(tiny.manifest, model=model).score_name == "r2"
    assert tiny.manifest.score_name == "accuracy"


def test_a_goal_that_is_unknown_and_a_model_without_scores_are_refused(tiny) -> None:
    plain = to_builtins(structs.replace(tiny.manifest, candidates=()))
    assert convert(plain, Manifest).goal == "classification"
    with pytest.raises(ValidationError, match="goal"):
        convert(plain | {"goal": "mind-reading"}, Manifest)
    with pytest.raises(ValidationError, match="scores"):
        convert(plain | {"model": plain["model"] | {"scores": {}}}, Manifest)
