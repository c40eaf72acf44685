"""Rounding written out: what a quantization-aware network computes, in other operations."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diptych.compression.quantize import QuantizedNetwork, quantization_aware
from diptych.core.specs import TensorSpec
from diptych.targets.rounding import FromLevels, Levels, WeightLevels, Written, write_rounding

WORDS = TensorSpec(name="tokens", dtype="int32", shape=(None, 5))


class Reader(nn.Module):
    """A table that is looked up twice, a layer after it."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(40, 6)
        self.inner = nn.Linear(6, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        rows = self.table(tokens) + self.table(tokens.flip(1))
        return self.head(torch.relu(self.inner(rows)).amax(1)) * 0.125


@pytest.fixture(scope="module")
def aware(trained) -> QuantizedNetwork:
    return quantization_aware(trained.network, trained.spec, trained.train)


@pytest.fixture(scope="module")
def written(trained, aware) -> tuple[Written, np.ndarray]:
    return write_rounding(aware, trained.train)


def outputs(network: nn.Module, inputs: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(inputs)).numpy()


def test_the_answers_are_those_of_the_network_on_the_last_grid(trained, aware, written):
    network, answers = written
    np.testing.assert_allclose(answers, outputs(aware, trained.train), atol=1e-5)
    (last,) = (m for name, m in network.named_modules() if "after_linear" in name)
    assert isinstance(last, Levels)
    found = outputs(network, trained.test)
    levels = found / last.scale + last.zero
    np.testing.assert_allclose(levels, levels.round(), atol=1e-3)
    reference = outputs(aware, trained.test).clip(answers.min(), answers.max())
    assert np.abs(found - reference).max() < 0.02 * np.ptp(answers)


def test_every_layer_is_rounded_by_channel_and_the_given_network_stays(trained, aware, written):
    before = copy.deepcopy(aware.state_dict())
    network, _ = write_rounding(aware, trained.train[:16])
    weights = [m for m in network.modules() if isinstance(m, WeightLevels)]
    assert sorted(len(m.steps) for m in weights) == [10, 16, 32, 32]
    assert before.keys() == aware.state_dict().keys()
    held = torch.linspace(-1, 1, 30).view(10, 3)
    steps = held.abs().amax(1) / 127
    found = WeightLevels(steps, 127)(held)
    np.testing.assert_allclose(found, (held / steps[:, None]).round() * steps[:, None], atol=1e-6)


def test_levels_are_of_8_bits_and_stand_for_zero_exactly():
    grid = Levels(0.1, 5)
    numbers = torch.tensor([0.0, 0.04, 0.06, 1e3, -1e3])
    np.testing.assert_allclose(grid(numbers), [0, 0, 0.1, 12.2, -13.3], atol=1e-5)


def test_tables_are_kept_in_int8():
    torch.manual_seed(0)
    reader = Reader().eval()
    tokens = np.random.default_rng(0).integers(0, 40, (64, 5)).astype(np.int32)
    aware = quantization_aware(reader, WORDS, tokens)
    network, _ = write_rounding(aware, tokens)
    kept = [b for b in network.buffers() if b.dtype == torch.int8]
    assert [tuple(b.shape) for b in kept] == [(40, 6)]
    assert sum(isinstance(m, FromLevels) for m in network.modules()) == 2
    reference = outputs(aware, tokens)
    off = np.abs(outputs(network, tokens) - reference).max()
    assert 0 < off < 0.02 * np.ptp(reference)
    assert isinstance(network.network, QuantizedNetwork)
    names = [name for name, _ in network.named_parameters()]
    assert [name for name in names if "table" in name and "rows" in name] == []
