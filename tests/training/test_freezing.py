"""Freezing holds still what was learned elsewhere, and lets go of it when it is due."""

import numpy as np
import pytest
import torch
from msgspec import structs
from torch import nn

from diptych.core.specs import ImageSpec, NumberColumn, TableSpec, TextSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.training.compute import initialize
from diptych.training.control import RunControl
from diptych.training.freezing import Freezing, head_of
from diptych.training.loop import train_network
from diptych.training.models import (
    NETWORKS,
    ResidualNet,
    ResidualNetConfig,
    TabularConfig,
    TextConvolutionConfig,
)
from diptych.training.models.rescaled import Rescaled
from diptych.training.objectives import learn_labels
from diptych.training.optimizers import OPTIMIZERS
from diptych.training.recipe import TrainingRecipe

SPEC = ImageSpec(height=8, width=8, channels=1)
CONFIG = ResidualNetConfig(stem=8, widths=(16,), blocks=(1,))
TABLE = TableSpec(columns=(NumberColumn(name="age"),))
SHAPES = (TextConvolutionConfig(), TextSpec(tokens=8, vocabulary=9)), (TabularConfig(), TABLE)


def network() -> ResidualNet:
    return initialize(lambda: ResidualNet(CONFIG, SPEC, 2), 0, "test")


def data() -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (80, 8, 8, 1), dtype=np.uint8)
    targets = (pixels.mean((1, 2, 3)) > 127).astype(np.int64)
    split = Split(inputs=pixels, targets=targets, items=("",) * 80)
    empty = Split(inputs=pixels[:0], targets=targets[:0], items=())
    record = DataRecord(name="bright", sha256="c" * 64, counts={}, split_method="", seed=0)
    return Dataset(
        goal="classification",
        spec=SPEC,
        labels=("dark", "bright"),
        train=split,
        validation=empty,
        test=empty,
        record=record,
    )


def trained(net: nn.Module, recipe: TrainingRecipe) -> nn.Module:
    objective = learn_labels(
        "classification", torch.from_numpy(data().train.targets), label_smoothing=0.1
    )
    return train_network(net, data(), recipe, objective, RunControl(seed=1)).network


def changed(before: dict[str, torch.Tensor], net: nn.Module) -> set[str]:
    return {
        name for name, value in net.state_dict().items() if not torch.equal(value, before[name])
    }


@pytest.mark.parametrize(("config", "spec"), SHAPES)
def test_the_head_of_a_network_depends_on_the_labels_and_the_rest_does_not(
    config: object, spec: object
) -> None:
    few, more = (NETWORKS[type(config)](config, spec, count) for count in (3, 5))
    shapes = {name: value.shape for name, value in few.state_dict().items()}
    other = {name for name, value in more.state_dict().items() if value.shape != shapes[name]}
    assert other == head_of(few)


def test_the_scale_of_values_belongs_to_the_head() -> None:
    assert head_of(Rescaled(network(), 3.0, 2.0)) == {
        "mean",
        "deviation",
        "network.head.weight",
        "network.head.bias",
    }


def test_without_a_layer_called_a_head_it_is_the_last_one() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    assert head_of(net) == {"2.weight", "2.bias"}


def test_what_is_frozen_has_no_gradients_and_keeps_its_statistics() -> None:
    net = network().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    freezing = Freezing(net, 0.5)
    assert freezing.at(0.0)
    net(torch.randint(0, 256, (4, 8, 8, 1), dtype=torch.uint8)).sum().backward()
    moved = {name for name, p in net.named_parameters() if p.grad is not None}
    assert moved == {"head.weight", "head.bias"}
    assert not changed(before, net)


def test_it_is_frozen_until_its_share_and_as_it_was_before_after_it() -> None:
    net = network().train()
    wanted = {name: p.requires_grad for name, p in net.named_parameters()}
    assert not all(wanted.values()), "a network with a fixed scale shows that it stays fixed"
    freezing = Freezing(net, 0.25)
    assert [freezing.at(share) for share in (0.0, 0.2, 0.25, 0.9)] == [True, False, True, False]
    assert {name: p.requires_grad for name, p in net.named_parameters()} == wanted
    assert all(module.training for module in net.modules())


def test_norms_stay_frozen_where_an_epoch_ends_meanwhile() -> None:
    net = network().train()
    freezing = Freezing(net, 0.5)
    freezing.at(0.0)
    net.train()
    freezing.at(0.1)
    assert not any(m.training for m in net.modules() if isinstance(m, nn.BatchNorm2d))


def test_what_was_learned_nowhere_is_never_frozen() -> None:
    net = network()
    Freezing(net, 0.5, {"body.0.convolution.weight", "body.0.norm.weight"}).at(0.0)
    first = net.get_submodule("body.0")
    assert all(p.requires_grad for p in first.parameters() if p is not first.norm.bias)
    assert first.norm.training


def test_nothing_waits_where_no_share_is_given() -> None:
    assert not Freezing(network(), 0.0).at(0.0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_changes_the_head_alone_until_the_share_is_done(optimizer: str) -> None:
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    recipe = TrainingRecipe(
        epochs=1, batch_size=8, learning_rate=0.01, optimizer=optimizer, freeze_share=0.99
    )
    trained(net, recipe)
    assert changed(before, net) == {"head.weight", "head.bias"}
    assert all(
        p.requires_grad for name, p in net.named_parameters() if name != "body.1.norm.weight"
    )
    trained(net, structs.replace(recipe, freeze_share=0.5))
    assert changed(before, net) >= {"body.0.convolution.weight", "body.0.norm.running_mean"}


def test_first_layers_learn_slowly_where_the_recipe_says_so() -> None:
    def moved(decay: float) -> float:
        net = network()
        before = net.get_submodule("body.0").convolution.weight.detach().clone()
        recipe = TrainingRecipe(epochs=1, batch_size=8, learning_rate=0.01, layer_decay=decay)
        trained(net, recipe)
        after = net.get_submodule("body.0").convolution.weight
        return float((after - before).detach().norm())

    assert 0 < moved(0.01) < 0.1 * moved(1.0)
