import numpy as np
import torch

from diptych.core.specs import TextSpec
from diptych.training.models.textcnn import (
    EMBEDDING_GAIN,
    TextConvolution,
    TextConvolutionConfig,
)

CONFIG = TextConvolutionConfig(width=16, channels=32, runs=(1, 2, 3))
SPEC = TextSpec(tokens=8, vocabulary=50)


def test_outputs_come_from_the_strongest_answer_of_each_channel_over_the_text() -> None:
    torch.manual_seed(0)
    network = TextConvolution(CONFIG, SPEC, 3).eval()
    tokens = [4, 9, 2, 4, 30]
    table = EMBEDDING_GAIN * network.embedding.weight.detach().double().numpy()
    strongest = []
    for length, run in zip(CONFIG.runs, network.runs, strict=True):
        weight = run.weight.detach().double().numpy()
        before, after = np.zeros(((length - 1) // 2, 16)), np.zeros((length // 2, 16))
        text = np.concatenate([before, table[tokens], after])
        answers = [
            (weight * text[at : at + length].T).sum((1, 2)) + run.bias.detach().double().numpy()
            for at in range(len(tokens))
        ]
        strongest.append(np.maximum(np.max(answers, 0), 0))
    head = network.head
    wanted = head.weight.detach().double().numpy() @ np.concatenate(strongest)
    given = network(torch.tensor([tokens + [0] * 3], dtype=torch.int32))
    np.testing.assert_allclose(
        given[0].detach().numpy(), wanted + head.bias.detach().numpy(), rtol=1e-4, atol=1e-6
    )


def test_the_number_of_parameters_is_the_sum_of_its_layers() -> None:
    runs = 32 * 16 * (1 + 2 + 3) + 3 * 32
    network = TextConvolution(CONFIG, SPEC, 3)
    assert sum(p.numel() for p in network.parameters()) == 50 * 16 + runs + 3 * 96 + 3


def test_scaling_keeps_runs_and_dropout() -> None:
    wide = TextConvolutionConfig(width=32, channels=64, runs=(1, 2, 3))
    assert CONFIG.scaled(2.0) == wide
    assert CONFIG.scaled(0.01) == TextConvolutionConfig(width=16, channels=16, runs=(1, 2, 3))
