"""A network takes the weights that fit, and says in words what is new."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec import structs
from torch import nn

from diptych.core.errors import ConfigError
from diptych.core.specs import (
    AudioSpec,
    CategoryColumn,
    ImageSpec,
    InputSpec,
    NumberColumn,
    TableSpec,
    TextSpec,
)
from diptych.core.values import DataRecord, Dataset, Split
from diptych.training.compute import initialize
from diptych.training.models import (
    NETWORKS,
    NgramsConfig,
    ResidualNetConfig,
    TabularConfig,
)
from diptych.training.models.rescaled import Rescaled
from diptych.training.start import Start
from diptych.training.transfer import begin

PICTURES = ImageSpec(height=8, width=8, channels=1)
RESIDUAL = ResidualNetConfig(stem=8, widths=(16,), blocks=(1,))
WORDS = TextSpec(tokens=4, vocabulary=9)
COLUMNS = TableSpec(
    columns=(NumberColumn(name="age"), CategoryColumn(name="color", values=("red", "green")))
)


def network(spec: InputSpec = PICTURES, config: Any = RESIDUAL, outputs: int = 3) -> nn.Module:
    """Build a network; the number of its outputs is the seed too."""
    made: nn.Module = initialize(lambda: NETWORKS[type(config)](config, spec, outputs), outputs)
    return made


def data(spec: InputSpec = PICTURES, labels: tuple[str, ...] = ("a", "b", "c")) -> Dataset:
    empty = Split(inputs=np.zeros((0, 1)), targets=np.zeros(0, dtype=np.int64), items=())
    return Dataset(
        goal="regression" if len(labels) == 1 else "classification",
        spec=spec,
        labels=labels,
        train=empty,
        validation=empty,
        test=empty,
        record=DataRecord(name="x", sha256="", counts={}, split_method="", seed=0),
    )


@pytest.fixture
def start_of(tiny: Any) -> Callable[..., Start]:
    """Give what makes a start of a network, as from the bundle of a data set."""

    def make(source: nn.Module, dataset: Dataset | None) -> Start:
        told = None
        if dataset is not None:
            told = structs.replace(
                tiny.manifest, labels=dataset.labels, goal=dataset.goal, input=dataset.spec
            )
        tensors = {name: value.clone() for name, value in source.state_dict().items()}
        assets = {} if dataset is None else dataset.assets
        return Start(
            path=Path("cats.dip"), sha256="0" * 64, tensors=tensors, manifest=told, assets=assets
        )

    return make


def same(first: nn.Module, second: nn.Module) -> set[str]:
    others = second.state_dict()
    return {
        name
        for name, value in first.state_dict().items()
        if name in others and torch.equal(value, others[name])
    }


def test_with_the_same_labels_everything_is_taken(start_of: Callable[..., Start]) -> None:
    source, target = network(), network()
    for parameter in source.parameters():
        parameter.data += 1
    source.get_buffer("mean").fill_(99.0)
    started = begin(target, start_of(source, data()), data())
    assert same(source, target) == set(target.state_dict())
    assert started.note == "28 of 28 tensors from cats.dip"
    assert not started.fresh


def test_with_other_labels_the_head_is_new_and_the_scaling_is_that_of_the_source(
    start_of: Callable[..., Start],
) -> None:
    source, target = network(outputs=3), network(outputs=5)
    source.get_buffer("mean").fill_(99.0)
    head = target.get_parameter("head.weight").detach().clone()
    started = begin(target, start_of(source, data()), data(labels=tuple("abcde")))
    assert started.note == "26 of 28 tensors from cats.dip; head.weight and head.bias are new"
    assert started.fresh == {"head.weight", "head.bias"}
    assert target.get_buffer("mean").item() == 99.0
    assert torch.equal(target.get_parameter("head.weight"), head)


def test_a_head_for_as_many_other_labels_is_new_too(start_of: Callable[..., Start]) -> None:
    source, target = network(), initialize(lambda: network(outputs=3), 7, "other")
    nn.init.ones_(source.get_parameter("head.weight"))
    started = begin(target, start_of(source, data()), data(labels=("x", "y", "z")))
    assert started.fresh == {"head.weight", "head.bias"}
    assert not torch.equal(target.get_parameter("head.weight"), torch.ones(3, 16))


def test_of_a_file_that_tells_nothing_a_head_that_fits_is_taken(
    start_of: Callable[..., Start],
) -> None:
    assert not begin(network(), start_of(network(), None), data()).fresh


def test_more_colors_make_the_first_layer_new(start_of: Callable[..., Start]) -> None:
    spec = ImageSpec(height=16, width=16, channels=3)
    started = begin(network(spec), start_of(network(), data()), data(spec))
    assert started.note == (
        "25 of 28 tensors from cats.dip; mean, deviation and body.0.convolution.weight are new"
    )
    assert started.fresh == {"body.0.convolution.weight"}


def test_another_shape_of_network_is_refused_with_the_first_differences(
    start_of: Callable[..., Start],
) -> None:
    wide = ResidualNetConfig(stem=16, widths=(32,), blocks=(1,))
    with pytest.raises(ConfigError) as caught:
        begin(network(config=wide), start_of(network(), data()), data())
    assert caught.value.message == (
        "nothing of cats.dip fits the network: body.0.convolution.weight is 16 x 1 x 3 x 3 here "
        "and 8 x 1 x 3 x 3 there; body.1.convolution.weight is 32 x 16 x 3 x 3 here and "
        "16 x 8 x 3 x 3 there; body.2.first.convolution.weight is 32 x 32 x 3 x 3 here and "
        "16 x 16 x 3 x 3 there"
    )


def test_what_is_not_used_is_counted(start_of: Callable[..., Start]) -> None:
    deeper = ResidualNetConfig(stem=8, widths=(16, 16), blocks=(1, 0))
    started = begin(network(), start_of(network(config=deeper), data()), data())
    assert started.note == "28 of 28 tensors from cats.dip; 6 of theirs not used"


def test_a_classifier_gives_its_body_to_a_network_of_values_and_back(
    start_of: Callable[..., Start],
) -> None:
    values = data(labels=("price",))
    for source, told, target, wanted in (
        (network(), data(), Rescaled(network(outputs=1), 5.0, 2.0), values),
        (Rescaled(network(outputs=1), 5.0, 2.0), values, network(), data()),
    ):
        inner = source.network if isinstance(source, Rescaled) else source
        inner.get_buffer("mean").fill_(99.0)
        begin(target, start_of(source, told), wanted)
        body = target.network if isinstance(target, Rescaled) else target
        assert body.get_buffer("mean").item() == 99.0
        if isinstance(target, Rescaled):
            assert (target.mean.item(), target.deviation.item()) == (5.0, 2.0)


def test_half_precision_is_widened(start_of: Callable[..., Start]) -> None:
    start = start_of(network().half(), data())
    target = network()
    assert not begin(target, start, data()).fresh
    assert all(p.dtype == torch.float32 for p in target.parameters())


@pytest.mark.parametrize(
    ("spec", "config", "other", "said"),
    [
        (WORDS, NgramsConfig(buckets=1021), TextSpec(tokens=4, vocabulary=8), "vocabulary"),
        (COLUMNS, TabularConfig(), TableSpec(columns=COLUMNS.columns[:1]), "columns"),
        (
            COLUMNS,
            TabularConfig(),
            TableSpec(
                columns=(COLUMNS.columns[0], CategoryColumn(name="color", values=("a", "b")))
            ),
            "columns",
        ),
        (
            PICTURES,
            RESIDUAL,
            AudioSpec(sample_rate=8000, samples=4096),
            "takes inputs of kind image, and the data is of kind audio",
        ),
    ],
)
def test_inputs_that_mean_something_else_are_refused(
    start_of: Callable[..., Start], spec: InputSpec, config: Any, other: InputSpec, said: str
) -> None:
    source = network(spec, config)
    with pytest.raises(ConfigError, match=said):
        begin(network(spec, config), start_of(source, data(spec)), data(other))


def test_texts_cut_into_other_pieces_are_refused(start_of: Callable[..., Start]) -> None:
    config = NgramsConfig(buckets=1021)
    told, other = (replace(data(WORDS), assets={"tokenizer.json": x}) for x in (b"1", b"2"))
    with pytest.raises(ConfigError, match=r"another tokenizer\.json"):
        begin(network(WORDS, config), start_of(network(WORDS, config), told), other)


def test_a_file_of_weights_for_words_is_refused(start_of: Callable[..., Start]) -> None:
    config = NgramsConfig(buckets=1021)
    with pytest.raises(ConfigError, match="does not say which words its rows stand for"):
        begin(network(WORDS, config), start_of(network(WORDS, config), None), data(WORDS))


def test_a_bag_that_learned_by_letters_goes_on_with_them(start_of: Callable[..., Start]) -> None:
    config = NgramsConfig(buckets=1021, letters=4)
    pieces = ("", "", "\u2581good", "\u2581bad", "\u2581goodly", "ly", "s", "ness", "\u2581film")
    source, target = network(WORDS, config), network(WORDS, config)
    nn.init.normal_(source.get_parameter("table.weight"))
    tokens = torch.tensor([[2, 3, 8, 0], [4, 5, 7, 6]], dtype=torch.int32)
    for each in (source, target):
        each.learn_spelling(pieces)
    expected = source.eval()(tokens)
    source.fold()
    begin(target, start_of(source, data(WORDS)), data(WORDS))
    torch.testing.assert_close(target.eval()(tokens), expected)
