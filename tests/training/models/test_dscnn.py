from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError
from diptych.core.specs import AudioSpec
from diptych.training.models.dscnn import DepthwiseNet, DepthwiseNetConfig

SPEC = AudioSpec(sample_rate=8000, samples=4096)
SMALL = DepthwiseNetConfig(stem=8, widths=(16, 24), strides=(2, 1))
Lowered = Callable[..., dict[str, np.ndarray]]


def network(config: DepthwiseNetConfig = SMALL, outputs: int = 3) -> DepthwiseNet:
    torch.manual_seed(0)
    return DepthwiseNet(config, SPEC, outputs)


def test_any_number_of_outputs_and_of_frames() -> None:
    for samples in (256, 300, 4096, 9999):
        spec = AudioSpec(sample_rate=8000, samples=samples)
        logits = DepthwiseNet(SMALL, spec, 5).eval()(torch.zeros(2, samples, dtype=torch.int16))
        assert logits.shape == (2, 5)


def test_masks_and_dropout_are_only_in_training(sounds: torch.Tensor) -> None:
    net = network()
    net.learn_scaling(sounds)
    assert not torch.equal(net(sounds), net(sounds))
    net.eval()
    assert torch.equal(net(sounds), net(sounds))


def test_the_same_seed_gives_the_same_weights_and_masks(sounds: torch.Tensor) -> None:
    first, second = (network()(sounds) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.slow
def test_it_learns_to_tell_tones(tones: tuple[torch.Tensor, torch.Tensor]) -> None:
    inputs, targets = tones
    net = network()
    net.learn_scaling(inputs)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(net(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (net.eval()(inputs).argmax(1) == targets).float().mean() > 0.95


@given(st.floats(0.1, 4.0))
def test_scaled_widths_are_multiples_of_8(factor: float) -> None:
    scaled = DepthwiseNetConfig().scaled(factor)
    assert all(width % 8 == 0 and width >= 8 for width in (scaled.stem, *scaled.widths))
    assert scaled.strides == DepthwiseNetConfig().strides


def test_it_is_written_and_read_with_its_name() -> None:
    written = msgspec.json.encode(SMALL)
    assert b'"name":"dscnn"' in written
    assert msgspec.json.decode(written, type=DepthwiseNetConfig) == SMALL


def test_a_width_without_a_stride_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 widths and 1 strides"):
        DepthwiseNetConfig(widths=(8, 8), strides=(1,))


@pytest.mark.slow
def test_every_program_computes_the_same(
    tones: tuple[torch.Tensor, torch.Tensor], lowered: Lowered, tmp_path: Path
) -> None:
    inputs, _ = tones
    net = network()
    net.learn_scaling(inputs)
    for _ in range(20):  # norms see the features
        net(inputs)
    outputs = lowered(net.eval(), SPEC, inputs, tmp_path)
    reference = net(inputs).detach().numpy()
    for name, got in outputs.items():
        allowed = 1e-3 if name.endswith("fp32") else 0.06
        assert np.abs(got - reference).max() < allowed * np.ptp(reference), name
