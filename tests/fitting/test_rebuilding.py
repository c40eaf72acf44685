"""Networks built again from bundles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec import structs, to_builtins
from torch import Tensor, nn

from diptych.core.errors import ConfigError
from diptych.core.specs import OwnSpec, TextSpec
from diptych.core.values import Dataset
from diptych.fitting.rebuilding import rebuild
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import build
from diptych.tasks.own import Task
from diptych.training.compute import tensor_of
from diptych.training.models import NgramsConfig, OwnConfig, PrunedConfig, ResidualNetConfig
from diptych.training.models.pruned import cut
from diptych.training.recipe import TrainingRecipe
from diptych.training.start import Start

SHAPE = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
PLAN = ModelPlan(name="student", network=SHAPE, training=TrainingRecipe())


@pytest.fixture
def begun(tiny: Any) -> Callable[..., Start]:
    """Give the maker of what is read of a bundle with a network and its weights."""

    def make(network: nn.Module, config: object, **told: object) -> Start:
        manifest = structs.replace(
            tiny.manifest, architecture=to_builtins(config) | {"diptych": "0.1.0"}, **told
        )
        tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        return Start(path=Path("a.dip"), sha256="0" * 64, tensors=tensors, manifest=manifest)

    return make


def same(network: nn.Module, start: Start, inputs: Tensor, task: Task | None = None) -> bool:
    with torch.no_grad():
        return torch.equal(network.eval()(inputs), rebuild(start, task)(inputs))


@pytest.mark.parametrize("goal", ["classification", "regression"])
def test_a_network_answers_as_before_without_its_data(
    goal: str, begun: Callable[..., Start], make_dataset: Callable[..., Dataset]
) -> None:
    dataset = make_dataset(channels=3, classes=3, goal=goal)
    network = build(PLAN, dataset, seed=3)
    start = begun(network, SHAPE, goal=goal, labels=dataset.labels, input=dataset.spec)
    assert same(network, start, tensor_of(dataset.test.inputs))


def test_a_pruned_network_is_as_narrow_again(
    begun: Callable[..., Start], make_dataset: Callable[..., Dataset]
) -> None:
    dataset = make_dataset(channels=3, classes=3)
    whole = build(PLAN, dataset, seed=3)
    last = next(name for name, part in reversed(list(whole.named_modules())) if part is not whole)
    layer = whole.get_submodule(last)
    assert isinstance(layer, nn.Linear)
    config = PrunedConfig(network=SHAPE, widths={last: (layer.in_features, layer.out_features)})
    start = begun(cut(whole, config.widths), config, labels=dataset.labels, input=dataset.spec)
    assert same(whole, start, tensor_of(dataset.test.inputs))


def test_a_network_of_texts_needs_no_letters(begun: Callable[..., Start]) -> None:
    from diptych.training.models import NETWORKS

    spec, config = TextSpec(tokens=12, vocabulary=50), NgramsConfig(width=3, buckets=64)
    network = NETWORKS[NgramsConfig](config, spec, 3)
    nn.init.normal_(network.table.weight)
    start = begun(network, config, input=spec)
    assert same(network, start, torch.randint(0, 50, (4, 12), dtype=torch.int32))


def test_a_network_of_ones_own_is_built_by_its_task(begun: Callable[..., Start]) -> None:
    task = Task(
        name="sums",
        shape=(4,),
        decode=lambda item: item,
        network=lambda spec, outputs, width: nn.Linear(4, outputs),
    )
    network = task.network(task.spec, 3, 1.0)
    start = begun(network, OwnConfig(), input=OwnSpec(task="sums", dtype="float32", shape=(4,)))
    assert same(network, start, torch.ones(2, 4), task)


def test_weights_that_are_not_of_the_network_are_refused(
    begun: Callable[..., Start], make_dataset: Callable[..., Dataset]
) -> None:
    dataset = make_dataset(channels=3, classes=3)
    network = build(PLAN, dataset, seed=3)
    start = begun(network, structs.replace(SHAPE, stem=4), input=dataset.spec)
    with pytest.raises(ConfigError, match=r"the weights of a\.dip do not fit: size mismatch"):
        rebuild(start)


def test_a_file_of_weights_is_no_bundle() -> None:
    with pytest.raises(ConfigError, match="holds no network"):
        rebuild(Start(path=Path("a.safetensors"), sha256="0" * 64, tensors={}))
