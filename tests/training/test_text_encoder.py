"""An encoder of texts answers tokens filled up with padding as the library answers them without."""

from pathlib import Path

import numpy as np
import pytest
import torch

from diptych.training.pretrained import open_network, open_tokenizer, tokens_of
from diptych.training.text_encoder import Encoder

WORDS = ("good", "bad", "so", "not", "film", "unseen")


@pytest.mark.slow
def test_a_text_is_answered_the_same_alone_and_in_company(encoder_folder: Path) -> None:
    model = open_network(encoder_folder, 3)
    encoder = Encoder(model).eval()
    tokenizer = open_tokenizer(encoder_folder, 18)
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, random.integers(1, 20))) for _ in range(70)]
    rows = torch.from_numpy(tokens_of(tokenizer, [*texts, "", "so " * 40], 18, 0))
    with torch.no_grad():
        together = encoder(rows)
        for row, outputs in zip(rows, together, strict=True):
            alone = model(input_ids=row[row != 0][None].long()).logits[0]
            torch.testing.assert_close(outputs, alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(encoder.train()(rows[:4]).shape, together[:4].shape)


@pytest.mark.slow
def test_tokens_with_other_numbers_mean_the_same(encoder_folder: Path) -> None:
    model = open_network(encoder_folder, 3)
    rows = torch.tensor([[2, 4, 6, 3, 0, 0]])
    exchanged = torch.tensor([[4, 2, 6, 3, 0, 0]])
    with torch.no_grad():
        expected = Encoder(model).eval()(rows)
        found = Encoder(model, {2: 4, 4: 2}).eval()(exchanged)
    assert torch.equal(found, expected)
