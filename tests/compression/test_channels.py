from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diptych.compression.channels import Group, find_groups, masked, removed, size_of, trainable
from diptych.core.errors import TrainingError
from diptych.core.specs import AudioSpec, TextSpec
from diptych.inference.runtimes import open_session
from diptych.targets.lower import lower
from diptych.training.models.pruned import widths_of

Cases = Callable[[str], Any]
EVERY_THIRD = slice(0, None, 3)
SOUNDS = AudioSpec(sample_rate=8000, samples=4096)
TEXTS = TextSpec(tokens=12, vocabulary=50)


def outputs(network: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return network(inputs)


def group_of(network: nn.Module, inputs: Tensor, name: str) -> Group:
    return next(group for group in find_groups(network, inputs) if group.name == name)


def with_silent_inputs(network: nn.Module, group: Group, out: list[int], inputs: Tensor) -> Tensor:
    """Compute outputs while the layers that take some channels are given zeros for them."""
    handles = []
    for use in group.takers:
        gone = [
            p for p, c in zip(use.places.tolist(), use.channels.tolist(), strict=True) if c in out
        ]
        layer = network.get_submodule(use.layer)

        def silence(layer: nn.Module, given: tuple[Tensor], gone: list[int] = gone) -> Tensor:
            x = given[0].clone()
            x[(..., gone) if isinstance(layer, nn.Linear) else (slice(None), gone)] = 0.0
            return x

        handles.append(layer.register_forward_pre_hook(silence))
    found = outputs(network, inputs)
    for handle in handles:
        handle.remove()
    return found


def test_a_network_without_channels_answers_as_if_they_were_silent(case: Any) -> None:
    removable = 0
    for group in find_groups(case.network, case.inputs):
        out = list(range(group.size))[EVERY_THIRD]
        smaller = removed(case.network, group, out, case.inputs)
        if smaller is not None:
            removable += 1
            expected = with_silent_inputs(case.network, group, out, case.inputs)
            assert torch.allclose(outputs(smaller, case.inputs), expected, atol=1e-4), group.name
            assert not torch.equal(expected, outputs(case.network, case.inputs))
    assert removable >= 3


def test_masking_weights_is_masking_what_they_take(case: Any) -> None:
    for group in find_groups(case.network, case.inputs):
        out = list(range(group.size))[EVERY_THIRD]
        expected = with_silent_inputs(case.network, group, out, case.inputs)
        found = outputs(masked(case.network, group, out), case.inputs)
        assert torch.allclose(found, expected, atol=1e-5), group.name


def test_removing_from_all_groups_in_turn_is_masking_all_of_them(case: Any) -> None:
    smaller, silent = case.network, case.network
    for group in find_groups(case.network, case.inputs):
        out = list(range(group.size))[EVERY_THIRD]
        cut = removed(smaller, group, out, case.inputs)
        if cut is not None:
            smaller, silent = cut, masked(silent, group, out)
    expected, found = outputs(silent, case.inputs), outputs(smaller, case.inputs)
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_plain_network_is_masked_as_by_hand(cases: Cases) -> None:
    case = cases("plain")
    group = group_of(case.network, case.inputs, "features.0")
    smaller = removed(case.network, group, [1, 2, 5], case.inputs)
    convolution, norm = case.network.features[0], case.network.features[1]
    with torch.no_grad():
        for tensor in (convolution.weight, convolution.bias, norm.weight, norm.bias):
            tensor[[1, 2, 5]] = 0.0
    assert smaller is not None
    assert smaller.features[0].weight.shape == (13, 3, 3, 3)
    assert smaller.features[4].weight.shape == (32, 13, 3, 3)
    assert torch.allclose(
        outputs(smaller, case.inputs), outputs(case.network, case.inputs), atol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "sharing"),
    [
        ("residual", {"body.1.convolution", "body.2.second.convolution"}),
        ("depthwise", {"body.1.0", "body.0.0"}),
        ("joined", {"shortcut", "back"}),
    ],
)
def test_layers_that_share_channels_lose_the_same_ones(
    cases: Cases, name: str, sharing: set[str]
) -> None:
    case = cases(name)
    before = widths_of(case.network)
    groups = find_groups(case.network, case.inputs)
    assert len({group.name for group in groups} & sharing) == 1
    group = next(group for group in groups if group.name in sharing)
    smaller = removed(case.network, group, [0, 3], case.inputs)
    assert smaller is not None
    after = widths_of(smaller)
    assert {layer for layer in sharing if after[layer][1] == before[layer][1] - 2} == sharing


@pytest.mark.parametrize(
    ("name", "layer"), [("transformer", "blocks.1"), ("conformer", "blocks.0.attention")]
)
def test_heads_are_removed_whole(cases: Cases, name: str, layer: str) -> None:
    case = cases(name)
    group = group_of(case.network, case.inputs, layer)
    assert (group.size, group.of_heads) == (4, True)
    smaller = removed(case.network, group, [2], case.inputs)
    assert smaller is not None
    attention = smaller.get_submodule(layer)
    assert attention.heads == 3
    assert attention.projections().taker.in_features == 24


def test_outputs_and_inputs_are_no_groups(case: Any) -> None:
    found = {group.name: group for group in find_groups(case.network, case.inputs)}
    assert not {"head", "classifier.2"} & found.keys()
    for group in found.values():
        smaller = removed(case.network, group, [0], case.inputs)
        if smaller is not None:
            assert outputs(smaller, case.inputs).shape == (6, 5)


class Normed(nn.Module):
    """What is removed changes what a norm over channels gives to the others."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.head = nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.first(x)))


class OnItsInputs(nn.Module):
    """Its only convolution is added to what came in, which cannot be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(8, 8, 1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((x + self.first(x)).mean((2, 3)))


class Shuffled(nn.Module):
    """Channels change places in a way that no graph of layers shows."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.first(x).unflatten(1, (2, 4)).transpose(1, 2).flatten(1))


class Tied(nn.Module):
    """Two layers with the same weights would need their own if one was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(torch.relu(self.first(x))))


@pytest.mark.parametrize(
    ("network", "inputs"),
    [
        (Normed(), torch.randn(5, 4)),
        (Tied(), torch.randn(5, 8)),
        (OnItsInputs(), torch.randn(5, 8, 3, 3)),
        (Shuffled(), torch.randn(5, 4)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_removed_without_other_effects_stays(
    network: nn.Module, inputs: Tensor
) -> None:
    before = outputs(network.eval(), inputs)
    for group in find_groups(network, inputs):
        assert removed(network, group, [0, 1], inputs) is None
    assert torch.equal(outputs(network, inputs), before)


def test_shared_weights_are_counted_once() -> None:
    assert size_of(Tied()) == 64 + 8 + 8 + 24 + 3


def test_a_network_that_cannot_be_followed_is_refused() -> None:
    class Stubborn(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ValueError("no")

    with pytest.raises(TrainingError, match="which layers share channels: no"):
        find_groups(Stubborn(), torch.zeros(1))


def test_what_learns_and_how_it_lies_in_memory_stays(cases: Cases) -> None:
    case = cases("residual")
    group = group_of(case.network, case.inputs, "body.2.second.convolution")
    smaller = removed(case.network.train(), group, [0], case.inputs)
    assert smaller is not None
    assert smaller.training
    assert not smaller.get_parameter("body.1.norm.weight").requires_grad
    assert smaller.get_parameter("body.2.second.norm.weight").requires_grad
    weight = smaller.get_parameter("body.1.convolution.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_a_copy_for_gradients_leaves_the_network_alone(cases: Cases) -> None:
    network = cases("residual").network.train()
    copy = trainable(network)
    assert not copy.training
    assert network.training
    assert all(parameter.requires_grad for parameter in copy.parameters())
    assert not network.get_parameter("body.1.norm.weight").requires_grad


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transformer", "conformer"])
def test_a_network_with_fewer_heads_is_lowered_to_a_smaller_program(
    cases: Cases, name: str, tmp_path: Path
) -> None:
    case, spec = cases(name), (TEXTS if name == "transformer" else SOUNDS)
    smaller = case.network
    for group in find_groups(case.network, case.inputs):
        if group.of_heads:
            smaller = removed(smaller, group, [0, 2, 3], case.inputs) or smaller
    programs = [
        lower(each, spec.tensor(), runtime="onnxruntime", precision="fp32", name=part)
        for part, each in (("whole", case.network), ("fewer", smaller))
    ]
    whole, fewer = (next(iter(program.contents.values())) for program in programs)
    gone = size_of(case.network) - size_of(smaller)
    assert len(whole) - len(fewer) == pytest.approx(4 * gone, rel=0.05)
    (tmp_path / "fewer.onnx").write_bytes(fewer)
    session = open_session("onnxruntime", [tmp_path / "fewer.onnx"])
    expected = outputs(smaller, case.inputs).numpy()
    assert np.allclose(session.run(case.inputs.numpy()), expected, atol=1e-4)
