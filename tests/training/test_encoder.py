import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from msgspec.structs import replace as replace_value

from diptych.core.errors import ConfigError, DataError, TrainingError
from diptych.core.progress import Step, StopRequest
from diptych.core.specs import AudioSpec, TextSpec
from diptych.core.unlabelled import Unlabelled
from diptych.core.values import DataRecord, Dataset, Goal, Split
from diptych.tasks.goals import GOALS
from diptych.training.control import RunControl
from diptych.training.encoder import CERTAIN, EncoderConfig, check_items, train_encoder
from diptych.training.objectives import learn_labels
from diptych.training.pretrained import open_network
from diptych.training.recipe import TrainingRecipe
from diptych.training.recorded import RecordedModel

SaveEncoder = Callable[..., Path]
GOAL_KINDS: tuple[Goal, ...] = get_args(Goal)
WORDS = ("good", "bad", "so", "not", "film", "very")
RECORD = DataRecord(name="made", sha256="", counts={}, split_method="", seed=0)
RECIPE = TrainingRecipe(
    epochs=10.0,
    batch_size=16,
    optimizer="adamw",
    learning_rate=3e-3,
    label_smoothing=0.0,
    warmup_share=0.1,
    clip=1.0,
)


def targets_of(goal: Goal, first: np.ndarray) -> np.ndarray:
    """Tell the number of the first word, 0 to 5, in each goal's way."""
    if goal == "multi-label":
        return np.stack([first > 1, first > 3], 1).astype(np.float32)
    return 100.0 + first.astype(np.float32) if goal == "regression" else first // 2


def make(goal: Goal = "classification", items: int = 240) -> Dataset:
    random = np.random.default_rng(0)

    def split(count: int) -> Split:
        words = random.integers(0, len(WORDS), (count, 5))
        texts = [" ".join(WORDS[n] for n in row[: 2 + row[1] % 4]) for row in words]
        return Split(
            inputs=words.astype(np.int32),
            targets=targets_of(goal, words[:, 0]),
            items=tuple(map(str, range(count))),
            originals=tuple(texts),
        )

    labels = {"regression": ("stars",), "multi-label": ("p", "q")}.get(goal, ("p", "q", "r"))
    splits = {"train": split(items), "validation": split(40), "test": split(60)}
    spec = TextSpec(tokens=5, vocabulary=8)
    return Dataset(goal=goal, spec=spec, labels=labels, record=RECORD, **splits)


def run(dataset: Dataset, config: EncoderConfig, **changes: object) -> RecordedModel:
    recipe = changes.pop("recipe", RECIPE)
    targets = torch.from_numpy(dataset.train.targets)
    objective = learn_labels(dataset.goal, targets, label_smoothing=0.0, scale=2.0)
    return train_encoder(dataset, config, recipe, objective, RunControl(name="teacher", **changes))


@pytest.mark.slow
@pytest.mark.parametrize("goal", GOAL_KINDS)
def test_an_encoder_learns_whatever_is_told_of_texts(encoder_folder: Path, goal: Goal) -> None:
    dataset = make(goal)
    model = run(dataset, EncoderConfig(folder=str(encoder_folder)))
    for name in ("train", "validation", "test"):
        outputs, split = getattr(model, name), getattr(dataset, name)
        assert outputs.dtype == np.float32
        assert outputs.shape == (len(split), len(dataset.labels))
        assert GOALS[goal].item_scores(outputs, split.targets).mean() > 0.9, name
    assert model.answered is None
    assert model.curve[-1].score > 0.9
    assert model.samples == 2400


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["DistilBertModel", "RobertaModel", "ElectraModel"])
def test_other_encoders_learn_too(save_encoder: SaveEncoder, tmp_path: Path, kind: str) -> None:
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "embedding_size": 32}
    padding = 1 if kind == "RobertaModel" else 0
    folder = save_encoder(tmp_path / kind, kind, pad_token_id=padding, **sizes)
    dataset = make()
    model = run(dataset, EncoderConfig(folder=str(folder)))
    assert (model.test.argmax(1) == dataset.test.targets).mean() > 0.9


@pytest.mark.slow
def test_the_seed_decides_and_what_it_used_is_told(encoder_folder: Path) -> None:
    dataset, config = make(), EncoderConfig(folder=str(encoder_folder))
    recipe = replace_value(RECIPE, epochs=2.0)
    steps: list[Step] = []
    one = run(dataset, config, recipe=recipe, seed=3, report=steps.append)
    again = run(dataset, config, recipe=recipe, seed=3)
    other = run(dataset, config, recipe=recipe, seed=4)
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert not np.array_equal(one.test, other.test)
    assert {"teacher", "teacher answers"} == {step.stage for step in steps}
    network = open_network(encoder_folder, 3)
    assert one.parameters == sum(p.numel() for p in network.parameters())
    dense = sum(
        p.numel() for n, p in network.named_parameters() if p.dim() > 1 and "embeddings" not in n
    )
    assert 2 * dense < one.flops < 2 * dense * 20
    assert one.training_flops == one.flops * (3 * one.samples + 240 + 40 + 60)


@pytest.mark.slow
def test_a_deadline_shortens_training_and_answers_and_the_recipe_does_it_again(
    encoder_folder: Path,
) -> None:
    dataset, config = make(items=6000), EncoderConfig(folder=str(encoder_folder))
    ticks = itertools.count()
    limited = run(dataset, config, deadline=200.0, clock=lambda: float(next(ticks)))
    assert next(ticks) < 260
    assert limited.samples < 60_000
    answered = limited.answered
    assert answered is not None
    assert 0 < answered < 6000
    labels = (limited.train == CERTAIN * (2 * np.eye(3)[dataset.train.targets] - 1)).all(1)
    assert labels.sum() == 6000 - answered
    assert limited.recipe is not None
    replay = replace_value(config, answered=answered)
    again = run(dataset, replay, recipe=limited.recipe)
    np.testing.assert_array_equal(again.train, limited.train)
    np.testing.assert_array_equal(again.test, limited.test)


@pytest.mark.slow
@pytest.mark.parametrize("goal", GOAL_KINDS)
def test_texts_without_an_answer_stand_with_their_label(encoder_folder: Path, goal: Goal) -> None:
    dataset = make(goal)
    config = EncoderConfig(folder=str(encoder_folder), answered=0)
    model = run(dataset, config, recipe=replace_value(RECIPE, epochs=0.1))
    assert model.answered == 0
    assert GOALS[goal].item_scores(model.train, dataset.train.targets).mean() == 1.0


@pytest.mark.slow
def test_too_little_time_is_said_before_any_is_spent(encoder_folder: Path) -> None:
    ticks = itertools.count()
    with pytest.raises(TrainingError, match=r"teacher needs .* to answer validation and test"):
        run(
            make(),
            EncoderConfig(folder=str(encoder_folder)),
            deadline=5.0,
            clock=lambda: float(next(ticks)),
        )
    assert next(ticks) < 10


@pytest.mark.slow
def test_a_person_may_stop_it(encoder_folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(make(), EncoderConfig(folder=str(encoder_folder)), stop=StopRequest(requested=True))


@pytest.mark.slow
def test_other_weights_than_those_of_the_recipe_are_refused(encoder_folder: Path) -> None:
    config = EncoderConfig(folder=str(encoder_folder), sha256="0" * 64)
    with pytest.raises(ConfigError, match="is not what the recipe was made with"):
        run(make(), config)


@pytest.mark.slow
def test_a_tokenizer_of_another_model_is_refused(save_encoder: SaveEncoder, tmp_path: Path) -> None:
    folder = save_encoder(tmp_path / "small")
    tokenizer = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(tokenizer.replace('"very": 9', '"very": 99'))
    with pytest.raises(ConfigError, match="has tokens that its model does not know"):
        run(make(), EncoderConfig(folder=str(folder)))


def test_data_without_its_texts_is_one_clear_line() -> None:
    dataset = make()
    check_items(dataset)
    for originals in (None, (), ("a",), (1,) * 40):
        bare = replace(dataset, validation=replace(dataset.validation, originals=originals))
        with pytest.raises(DataError, match="validation split does not hold its texts"):
            check_items(bare)
    sounds = replace(dataset, spec=AudioSpec(sample_rate=8000, samples=4096))
    with pytest.raises(ConfigError, match="works with texts or pictures, and this is audio"):
        check_items(sounds)


@pytest.mark.slow
def test_texts_without_labels_are_answered_as_new_ones(encoder_folder: Path) -> None:
    dataset = make()
    test, recipe = dataset.test, replace_value(RECIPE, epochs=1.0)
    more = Unlabelled(
        joined=np.concatenate([dataset.train.inputs, test.inputs]),
        items=test.items,
        originals=test.originals,
    )
    told = replace(dataset, unlabelled=more)
    model = run(told, EncoderConfig(folder=str(encoder_folder)), recipe=recipe)
    np.testing.assert_allclose(model.unlabelled, model.test, atol=1e-5)
    assert model.lesson().shape == (len(dataset.train) + len(test), 3)
