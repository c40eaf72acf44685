"""What holds for every network that takes texts."""

from typing import Any

import numpy as np
import pytest
import torch

from diptych.core.specs import TextSpec
from diptych.training.models.ngrams import Ngrams, NgramsConfig
from diptych.training.models.textcnn import TextConvolution, TextConvolutionConfig
from diptych.training.models.textmixture import TextMixture, TextMixtureConfig
from diptych.training.models.transformer import Transformer, TransformerConfig

SPEC = TextSpec(tokens=16, vocabulary=500)
NETWORKS = [
    (Ngrams, NgramsConfig(buckets=2_000)),
    (TextConvolution, TextConvolutionConfig(width=16, channels=16)),
    (
        TextMixture,
        TextMixtureConfig(
            bag=NgramsConfig(buckets=2_000),
            convolution=TextConvolutionConfig(width=16, channels=16),
        ),
    ),
    (Transformer, TransformerConfig(width=32, heads=4, layers=2, hidden=32)),
]
each = pytest.mark.parametrize(("network", "config"), NETWORKS)


def built(network: Any, config: Any, outputs: int = 3) -> Any:
    torch.manual_seed(0)
    made = network(config, SPEC, outputs)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made.eval()


def texts(count: int, seed: int = 0) -> np.ndarray:
    """Make texts of every length from none to all places."""
    random = np.random.default_rng(seed)
    tokens = random.integers(1, SPEC.vocabulary, (count, SPEC.tokens), dtype=np.int32)
    lengths = np.arange(count) % (SPEC.tokens + 1)
    return np.where(np.arange(SPEC.tokens) < lengths[:, None], tokens, 0).astype(np.int32)


@each
def test_tokens_become_outputs(network: Any, config: Any) -> None:
    outputs = built(network, config)(torch.from_numpy(texts(20)))
    assert outputs.shape == (20, 3)
    assert outputs.dtype == torch.float32
    assert outputs.isfinite().all()


@each
def test_padding_changes_nothing(network: Any, config: Any) -> None:
    made, tokens = built(network, config), torch.from_numpy(texts(9))
    short = tokens[:, :8]
    torch.testing.assert_close(made(short), made(tokens), rtol=1e-4, atol=1e-5)


@each
def test_the_order_of_a_batch_changes_nothing(network: Any, config: Any) -> None:
    made, tokens = built(network, config), torch.from_numpy(texts(20))
    order = torch.randperm(20)
    torch.testing.assert_close(made(tokens)[order], made(tokens[order]), rtol=1e-4, atol=1e-5)


@each
def test_the_order_of_words_counts(network: Any, config: Any) -> None:
    made, tokens = built(network, config), torch.from_numpy(texts(17)[-1:])
    assert (made(tokens) - made(tokens.flip(1))).abs().max() > 1e-3


@each
def test_a_wider_network_is_wider_and_works(network: Any, config: Any) -> None:
    sizes = [
        sum(parameter.numel() for parameter in built(network, config.scaled(factor)).parameters())
        for factor in (0.5, 1.0, 2.0)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
    assert built(network, config.scaled(2.0))(torch.from_numpy(texts(3))).shape == (3, 3)


@each
def test_it_learns_which_of_two_orders_a_pair_has(network: Any, config: Any) -> None:
    torch.manual_seed(0)
    made = network(config, SPEC, 2)
    tokens = torch.zeros(256, 16, dtype=torch.int32)
    labels = torch.arange(256) % 2
    tokens[:, :4] = torch.randint(100, 500, (256, 4), dtype=torch.int32)
    tokens[:, 4] = torch.where(labels == 1, 7, 9)
    tokens[:, 5] = torch.where(labels == 1, 9, 7)
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)
    for _ in range(40):
        members = made(tokens).reshape(256, -1, 2)
        loss = torch.nn.functional.cross_entropy(members.mean(1), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (made.eval()(tokens).argmax(1) == labels).float().mean() > 0.95


@pytest.mark.slow
@each
def test_runtimes_give_its_outputs_for_any_batch(network: Any, config: Any, tmp_path: Any) -> None:
    from diptych.inference.runtimes import open_session
    from diptych.targets.onnx import export
    from diptych.targets.openvino import from_onnx

    made = built(network, config)
    model = export(made, SPEC.tensor())
    for runtime, files in (("onnxruntime", {"m.onnx": model}), ("openvino", from_onnx(model))):
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        session = open_session(runtime, [tmp_path / name for name in files])
        for count in (1, 2, 33):
            tokens = texts(count, seed=count)
            with torch.no_grad():
                wanted = made(torch.from_numpy(tokens)).numpy()
            np.testing.assert_allclose(session.run(tokens), wanted, rtol=1e-3, atol=2e-4)
        session.close()
