from collections.abc import Callable
from dataclasses import replace as with_fields
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diptych.compression.answers import Running
from diptych.compression.channels import Group
from diptych.compression.distill import distillation
from diptych.compression.importance import IMPORTANCES
from diptych.compression.prune import (
    FineTuning,
    PrunedNetwork,
    PruneRecipe,
    kept,
    prune,
    widths_after,
)
from diptych.core.errors import ConfigError
from diptych.core.progress import StopRequest
from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.training.control import RunControl
from diptych.training.models.pruned import cut, widths_of
from diptych.training.objectives import learn_labels
from diptych.training.recipe import TrainingRecipe

Cases = Callable[[str], Any]
PICTURES = ("residual", "plain", "joined")


class Pixels(nn.Module):
    """Mean color of each quarter row: (N, 48)."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.float().mean(1).flatten(1) / 255


class Swapped(nn.Module):
    """Neighbors change places."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, 1, (-1, 2)).flip(2).flatten(1)


def split(items: int) -> Split:
    """Random pictures whose brightness tells one of five classes."""
    classes = np.arange(items) % 5
    noise = np.random.default_rng(items).integers(0, 40, (items, 16, 16, 3))
    return Split(
        inputs=(noise + 40 * classes[:, None, None, None]).astype(np.uint8),
        targets=classes,
        items=tuple(map(str, range(items))),
    )


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset(
        goal="classification",
        spec=ImageSpec(height=16, width=16, channels=3),
        labels=tuple("abcde"),
        train=split(80),
        validation=split(20),
        test=split(20),
        record=DataRecord(name="made", sha256="0" * 64, counts={}, split_method="made", seed=0),
    )


def tuning(dataset: Dataset, network: nn.Module, **control: Any) -> FineTuning:
    targets = torch.from_numpy(dataset.train.targets)
    return FineTuning(
        labels=learn_labels("classification", targets, label_smoothing=0.1),
        objective=distillation("classification", Running(network), 2.0),
        training=TrainingRecipe(epochs=3.0, batch_size=20, learning_rate=0.01),
        control=RunControl(name="student", **control),
    )


def pruned(
    dataset: Dataset, network: nn.Module, control: dict[str, Any] | None = None, **recipe: Any
) -> PrunedNetwork:
    plan = tuning(dataset, network, **(control or {}))
    return prune(network, dataset, PruneRecipe(**recipe), plan)


@pytest.mark.parametrize("importance", IMPORTANCES)
@pytest.mark.parametrize("name", PICTURES)
def test_half_of_the_channels_leaves_less_than_half_of_the_network(
    cases: Cases, dataset: Dataset, name: str, importance: Any
) -> None:
    network = cases(name).network
    before = {key: value.clone() for key, value in network.state_dict().items()}
    result = pruned(dataset, network, share=0.5, importance=importance)
    assert result.parameters == sum(p.numel() for p in result.network.parameters())
    assert result.parameters < 0.6 * result.parameters_before
    assert result.flops < 0.6 * result.flops_before
    assert not result.network.training
    assert not result.dropped
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("name", PICTURES)
def test_widths_are_known_before_anything_is_learned(
    cases: Cases, dataset: Dataset, name: str, steps: int
) -> None:
    network = cases(name).network
    known = widths_after(network, dataset, PruneRecipe(share=0.5))
    assert known == pruned(dataset, network, share=0.5, steps=steps).widths
    assert widths_after(network, dataset, PruneRecipe(share=0.01)) == {}


def test_channels_stay_a_multiple_and_the_ends_of_the_network_as_they_were(
    cases: Cases, dataset: Dataset
) -> None:
    network = cases("residual").network
    result = pruned(dataset, network, share=0.4)
    widths = widths_of(result.network)
    assert widths["body.0.convolution"][0] == 3
    assert widths["head"][1] == 5
    assert [width[1] for name, width in widths.items() if name.endswith("convolution")] == [
        8, 16, 16, 16, 16, 16, 16
    ]  # fmt: skip
    assert result.widths == {
        name: width for name, width in widths.items() if width != widths_of(network)[name]
    }


def test_the_recorded_widths_build_a_network_that_the_weights_fit(
    cases: Cases, dataset: Dataset
) -> None:
    case = cases("residual")
    result = pruned(dataset, case.network, share=0.5)
    rebuilt = cut(cases("residual").network, result.widths)
    rebuilt.load_state_dict(result.network.state_dict())
    with torch.no_grad():
        assert torch.equal(rebuilt(case.inputs), result.network(case.inputs))


def test_several_steps_end_with_the_same_widths_and_learn_in_between(
    cases: Cases, dataset: Dataset
) -> None:
    network = cases("joined").network
    at_once = pruned(dataset, network, share=0.5)
    gradual = pruned(dataset, network, share=0.5, steps=3, epochs=2.0)
    assert gradual.widths == at_once.widths
    assert [run.samples for run in at_once.runs] == [3 * 80]
    assert [run.samples for run in gradual.runs] == [2 * 80, 2 * 80, 3 * 80]


def test_it_learns_again_what_it_was_tuned_to(cases: Cases, dataset: Dataset) -> None:
    network = cases("plain").network
    result = pruned(dataset, network, share=0.3)
    losses = [point.loss for point in result.runs[-1].curve]
    assert losses[-1] < losses[0]


def test_the_seed_decides_the_weights(cases: Cases, dataset: Dataset) -> None:
    network = cases("plain").network
    results = [pruned(dataset, network, {"seed": seed}, share=0.5) for seed in (0, 0, 1)]
    first, again, other = (result.network.classifier[2].weight for result in results)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_where_nothing_can_be_removed_the_pruning_is_dropped_and_says_so(
    cases: Cases, dataset: Dataset
) -> None:
    network = cases("plain").network
    result = pruned(dataset, network, share=0.1, multiple=64)
    assert result.network is network
    assert "0.1 of its channels in multiples of 64" in result.dropped
    assert (result.parameters, result.widths, result.runs) == (result.parameters_before, {}, ())


def test_layers_that_cannot_be_cut_are_named(cases: Cases, dataset: Dataset) -> None:
    assert pruned(dataset, cases("plain").network, share=0.5).left == ()
    torch.manual_seed(0)  # by chance the half that is cut may be the one that is swapped
    network = nn.Sequential(Pixels(), nn.Linear(48, 16), Swapped(), nn.Linear(16, 5)).eval()
    result = pruned(dataset, network, share=0.5)
    assert result.left == ("1",)
    assert result.dropped


def test_the_recipe_that_was_followed_gives_the_same_weights_without_a_clock(
    cases: Cases, dataset: Dataset
) -> None:
    now = iter(range(10**6))
    network = cases("plain").network
    timed = tuning(dataset, network, clock=lambda: float(next(now)), deadline=60.0)
    recipe = PruneRecipe(share=0.5, steps=3, epochs=50.0)
    first = prune(network, dataset, recipe, timed)
    assert all(run.recipe.replans for run in first.runs[:-1])
    untimed = with_fields(tuning(dataset, network), training=first.runs[-1].recipe)
    again = prune(network, dataset, first.recipe, untimed)
    assert [run.samples for run in again.runs] == [run.samples for run in first.runs]
    weights = first.network.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in again.network.state_dict().items())


def test_the_runs_share_the_time_that_there_is(cases: Cases, dataset: Dataset) -> None:
    now = iter(range(10**6))
    control = {"clock": lambda: float(next(now)), "deadline": 300.0}
    network = cases("plain").network
    plan = tuning(dataset, network, **control)
    long = with_fields(plan, training=msgspec.structs.replace(plan.training, epochs=1000.0))
    result = prune(network, dataset, PruneRecipe(share=0.5, steps=2, epochs=1000.0), long)
    assert next(now) < 400
    first, last = (run.samples for run in result.runs)
    assert 0.2 < first / (first + last) < 0.8


def test_a_stop_leaves_a_whole_network(cases: Cases, dataset: Dataset) -> None:
    control = {"stop": StopRequest(requested=True)}
    result = pruned(dataset, cases("plain").network, control, share=0.5, steps=2)
    with torch.no_grad():
        assert result.network(cases("plain").inputs).shape == (6, 5)


@pytest.mark.parametrize(
    ("size", "whole", "share", "stay"),
    [
        (32, 32, 0.5, 16),
        (32, 32, 0.4, 16),
        (24, 24, 0.5, 16),
        (8, 8, 0.9, 8),
        (20, 20, 0.1, 16),
        (16, 32, 0.5, 16),
        (6, 6, 0.5, 6),
        (32, 32, 0.01, 32),
        (40, 40, 0.999, 8),
    ],
)
def test_what_stays_is_the_nearest_multiple(size: int, whole: int, share: float, stay: int) -> None:
    group = Group(name="a", size=size, takers=())
    assert kept(group, whole, PruneRecipe(share=share)) == stay


@pytest.mark.parametrize(("heads", "share", "stay"), [(4, 0.5, 2), (4, 0.9, 1), (1, 0.9, 1)])
def test_heads_are_counted_one_by_one(heads: int, share: float, stay: int) -> None:
    group = Group(name="a", size=heads, takers=(), of_heads=True)
    assert kept(group, heads, PruneRecipe(share=share)) == stay


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_share_of_nothing_or_everything_is_refused(share: float) -> None:
    with pytest.raises(msgspec.ValidationError, match="share"):
        msgspec.convert({"share": share}, PruneRecipe)
    with pytest.raises(ConfigError, match="cannot be pruned"):
        PruneRecipe(share=share)


@pytest.mark.parametrize(
    "setting",
    [
        {"steps": 0},
        {"importance": "luck"},
        {"multiple": 0},
        {"epochs": 0.0},
        {"hope": 1},
        {"steps": 3, "tunings": [{}]},
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"share": 0.5} | setting, PruneRecipe)
