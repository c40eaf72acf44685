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
from diptych.training.models.conformer import Attention, Conformer, ConformerConfig

SPEC = AudioSpec(sample_rate=8000, samples=4096)
SMALL = ConformerConfig(width=16, blocks=2, heads=2, kernel=3, stem=8)
Lowered = Callable[..., dict[str, np.ndarray]]


def network(config: ConformerConfig = SMALL, outputs: int = 3) -> Conformer:
    torch.manual_seed(0)
    return Conformer(config, SPEC, outputs)


def test_any_number_of_outputs_and_of_frames() -> None:
    for samples in (256, 300, 4096, 9999):
        spec = AudioSpec(sample_rate=8000, samples=samples)
        logits = Conformer(SMALL, spec, 5).eval()(torch.zeros(2, samples, dtype=torch.int16))
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
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(net(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (net.eval()(inputs).argmax(1) == targets).float().mean() > 0.95


@given(st.floats(0.1, 4.0), st.sampled_from([1, 2, 3, 4, 8]))
def test_scaled_widths_are_shared_among_the_heads(factor: float, heads: int) -> None:
    config = ConformerConfig(width=96, heads=heads).scaled(factor)
    assert config.width % 8 == config.width % heads == config.stem % 8 == 0


def test_it_is_written_and_read_with_its_name() -> None:
    written = msgspec.json.encode(SMALL)
    assert b'"name":"conformer"' in written
    assert msgspec.json.decode(written, type=ConformerConfig) == SMALL


@pytest.mark.parametrize("fields", [{"width": 10, "heads": 4}, {"kernel": 4}])
def test_what_does_not_fit_together_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="heads, kernel"):
        ConformerConfig(**fields)


def test_attention_is_torchs() -> None:
    torch.manual_seed(0)
    mine = Attention(SMALL).eval()
    theirs = torch.nn.MultiheadAttention(16, 2, batch_first=True).eval()
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = mine.inward.weight, mine.inward.bias
    theirs.out_proj.load_state_dict(mine.outward.state_dict())
    x = torch.randn(3, 5, 16)
    normed = mine.norm(x)
    torch.testing.assert_close(mine(x), theirs(normed, normed, normed)[0], atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_every_program_computes_the_same(
    tones: tuple[torch.Tensor, torch.Tensor], lowered: Lowered, tmp_path: Path
) -> None:
    inputs, _ = tones
    net = network()
    net.learn_scaling(inputs)
    for parameter in net.parameters():  # no two equal, as after training
        parameter.data += 0.02 * torch.randn_like(parameter)
    for _ in range(20):  # norms see the features
        net(inputs)
    outputs = lowered(net.eval(), SPEC, inputs, tmp_path)
    reference = net(inputs).detach().numpy()
    for name, got in outputs.items():
        allowed = 1e-3 if name.endswith("fp32") else 0.06
        assert np.abs(got - reference).max() < allowed * np.ptp(reference), name
