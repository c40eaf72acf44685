import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diptych.core.errors import ConfigError
from diptych.core.progress import Step, silent
from diptych.core.specs import AudioSpec, TextSpec
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.given import make_given, take
from diptych.fitting.given_use import _answers, find_given
from diptych.training.models.given import Given, GivenConfig, GivenNetwork

MakeDataset = Callable[..., Dataset]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return read("digits", Options(seed=0))


def given(elsewhere: Path, function: str, output: str | None = None) -> Given:
    weights = elsewhere / "net.safetensors"
    return make_given(f"{elsewhere / 'net.py'}:{function}", silent, weights, output)


class Bright(nn.Module):
    """Tells how bright pictures are, of the kind that `make_dataset` makes with two classes.

    It is sure where their mean is as it was in training: that of pixels, scaled.
    """

    def __init__(self, mean: float, deviation: float, channel: int) -> None:
        super().__init__()
        usual = (torch.tensor([19.5, 119.5]) - mean) / deviation
        self.weight, self.width = nn.Parameter(usual), 10 / deviation
        self.channel = channel

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[self.channel] in {1, 3}
        away = (x.flatten(1).mean(1, keepdim=True) - self.weight) / self.width
        return 9 * torch.exp(-away.square())


@pytest.mark.parametrize(
    ("module", "name", "first"),
    [
        (Bright(0.0, 255.0, 1), "from 0 to 1", True),
        (Bright(0.0, 255.0, 3), "from 0 to 1", False),
        (Bright(127.5, 127.5, 1), "from -1 to 1", True),
        (Bright(0.0, 1.0, 1), "from 0 to 255", True),
    ],
)
def test_the_way_in_which_it_wants_pixels_is_found(
    make_dataset: MakeDataset, module: nn.Module, name: str, first: bool
) -> None:
    data, told = make_dataset(channels=3, items=60), list[Step]()
    data = dataclasses.replace(data, validation=data.train)
    config = find_given(take(module, "bright", silent), data, told.append)
    assert config.scaling is not None
    assert (config.scaling.name, config.channels_first) == (name, first)
    assert told[-1].note.endswith("it knows 60 of 60 validation items")
    assert f"channels {'first' if first else 'last'}" in told[-1].note


def test_a_module_that_takes_bytes_gets_them(make_dataset: MakeDataset) -> None:
    class Bytes(Bright):
        def forward(self, x: Tensor) -> Tensor:
            assert x.dtype == torch.uint8
            return super().forward(x.float())

    data = make_dataset(items=60)
    data = dataclasses.replace(data, validation=data.train)
    config = find_given(take(Bytes(0.0, 1.0, 3), "bytes", silent), data, silent)
    assert config.scaling is None


@pytest.mark.parametrize("function", ["make", "gives_dict", "gives_tuple", "gives_shares"])
def test_its_scores_are_those_that_it_was_trained_to_give(
    elsewhere: Path, digits: Dataset, function: str
) -> None:
    output = "scores" if function in {"gives_dict", "gives_tuple"} else None
    module = given(elsewhere, function, output)
    config = find_given(module, digits, silent)
    assert config.probabilities == (function == "gives_shares")
    pixels = torch.from_numpy(digits.test.inputs)
    with torch.no_grad():
        logits = GivenNetwork(module.network, config)(pixels)
        alone = given(elsewhere, "make").network(pixels.permute(0, 3, 1, 2).float() / 255)
    assert torch.allclose(logits.softmax(1), alone.softmax(1), atol=1e-5)
    assert (logits.argmax(1).numpy() == digits.test.targets).mean() > 0.9


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("gives_dict", "gives 2 outputs: features, scores"),
        ("by_chance", "answers the same items differently each time, first in classifier"),
        ("fixed_batch", r"gives \(1, 10\) for a batch of 3, no scores"),
        ("fewer", "gives 7 scores, and the data has 10 labels"),
        ("reordered", "has its labels in another order: its output 0 is mostly '1'"),
    ],
)
def test_what_cannot_teach_is_told(
    elsewhere: Path, digits: Dataset, function: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        find_given(given(elsewhere, function), digits, silent)


def test_a_module_of_other_pictures_is_told_what_it_raises(
    elsewhere: Path, make_dataset: MakeDataset
) -> None:
    with pytest.raises(ConfigError, match=r"raises RuntimeError on 8x8x3 image-classification: "):
        find_given(given(elsewhere, "make"), make_dataset(channels=3, classes=10), silent)


def test_a_module_that_has_learned_nothing_is_refused(elsewhere: Path, digits: Dataset) -> None:
    untrained = make_given(f"{elsewhere / 'net.py'}:make", silent)
    with pytest.raises(ConfigError, match="no more than chance"):
        find_given(untrained, digits, silent)


def test_scores_that_are_not_finite_are_refused(make_dataset: MakeDataset) -> None:
    with pytest.raises(ConfigError, match="scores that are not finite"):
        find_given(take(Bright(float("nan"), 1.0, 1), "nan", silent), make_dataset(), silent)


def test_texts_and_numbers_are_of_another_kind(elsewhere: Path, make_dataset: MakeDataset) -> None:
    module = given(elsewhere, "make")
    texts = dataclasses.replace(make_dataset(), spec=TextSpec(tokens=4, vocabulary=8))
    with pytest.raises(ConfigError, match="and this is text-classification"):
        find_given(module, texts, silent)
    with pytest.raises(ConfigError, match="and this is image-regression"):
        find_given(module, make_dataset(goal="regression"), silent)


def test_sound_may_be_wanted_from_minus_1_to_1(make_dataset: MakeDataset) -> None:
    class Loud(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            loud = x.abs().mean(1, keepdim=True)
            return torch.cat([0.1 - loud, loud - 0.1], 1)

    made = make_dataset(items=60)
    draw = np.random.default_rng(0)
    loud = np.where(made.train.targets, 16000, 100)[:, None]
    inputs = (draw.choice([-1, 1], (60, 256)) * loud).astype(np.int16)
    split = dataclasses.replace(made.train, inputs=inputs)
    data = dataclasses.replace(
        made, spec=AudioSpec(sample_rate=8000, samples=256), train=split, validation=split
    )
    config = find_given(take(Loud(), "loud", silent), data, silent)
    assert config.scaling is not None
    assert config.scaling.name == "from -1 to 1"


class Watched(Bright):
    """Notes how many items come at once, and how many of its layers are watched then."""

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__(0.0, 1.0, 1)
        self.noise, self.inner, self.seen = noise, nn.Identity(), set[tuple[int, int]]()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.add((len(x), len(self.inner._forward_hooks)))
        scores = self.inner(super().forward(x))
        return scores + self.noise * torch.rand_like(scores)


def test_layers_are_watched_only_where_answers_differ_and_on_few_items(
    make_dataset: MakeDataset,
) -> None:
    data = make_dataset(items=60)
    data = dataclasses.replace(data, validation=data.train)
    same, other = (take(Watched(noise), "watched", silent) for noise in (0.0, 1.0))
    find_given(same, data, silent)
    assert {hooks for _, hooks in same.network.seen} == {0}
    with pytest.raises(ConfigError, match="first in its own forward"):
        find_given(other, data, silent)
    assert {items for items, hooks in other.network.seen if hooks} == {3}


def test_large_inputs_come_fewer_at_once() -> None:
    watched = take(Watched(), "watched", silent)
    config = GivenConfig(source="watched", sha256=watched.sha256)
    assert _answers(watched, config, np.zeros((20, 1, 1 << 20), np.float32)).shape == (20, 2)
    assert sorted(watched.network.seen) == [(4, 0), (8, 0)]
