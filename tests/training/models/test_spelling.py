from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

pytest.importorskip("tokenizers")

from diptych.core.specs import TextSpec
from diptych.core.values import Dataset
from diptych.data import read
from diptych.training.models.ngrams import Ngrams, NgramsConfig
from diptych.training.models.rescaled import Rescaled
from diptych.training.models.spelling import (
    MOST_RUNS,
    SHORTEST,
    fold_spelling,
    letter_rows,
    teach_spelling,
)
from diptych.training.models.textcnn import TextConvolutionConfig
from diptych.training.models.textmixture import TextMixture, TextMixtureConfig

WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
SPEC = TextSpec(tokens=6, vocabulary=5)
PIECES = ["", "", "▁unknown", "▁knows", "ing"]
BAG = NgramsConfig(orders=2, buckets=1_021, width=4, letters=5)


@pytest.fixture
def texts(tmp_path: Path) -> Dataset:
    rows = [f"reading and writing {n},{'yes' if n % 2 else 'no'}" for n in range(40)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]))
    return read(tmp_path / "texts.csv")


@given(st.lists(WORDS, min_size=1, max_size=6), st.integers(0, 6), st.integers(1, 50))
def test_each_run_of_letters_has_its_row_and_the_rest_is_padding(
    pieces: list[str], longest: int, buckets: int
) -> None:
    rows = letter_rows(pieces, longest, 7, buckets)
    assert rows.dtype == np.int32
    for piece, row in zip(pieces, rows.tolist(), strict=True):
        runs = [
            piece[start:end]
            for start in range(len(piece))
            for end in range(start + SHORTEST, len(piece) + 1)
            if end - start <= longest
        ]
        wanted = sorted(7 + crc32(run.encode()) % buckets for run in runs)
        found = sorted(number for number in row if number)
        assert found == wanted if len(runs) <= MOST_RUNS else len(found) == MOST_RUNS
        assert row == [*row[: len(found)], *[0] * (len(row) - len(found))]


def test_pieces_that_are_spelled_alike_share_rows_and_others_do_not() -> None:
    unknown, knows, _ = letter_rows(PIECES[2:], 4, 1, 1 << 20)
    shared = set(unknown.tolist()) & set(knows.tolist()) - {0}
    assert shared == {1 + crc32(run.encode()) % (1 << 20) for run in ("kno", "now", "know")}


def bag(config: NgramsConfig = BAG) -> Ngrams:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Ngrams(config, SPEC, 3)
        nn.init.normal_(network.table.weight)
    return network


def tokens() -> torch.Tensor:
    return torch.tensor([[2, 3, 4, 0, 0, 0], [3, 1, 3, 2, 4, 4], [0] * 6], dtype=torch.int32)


def test_a_piece_is_its_own_row_and_those_of_its_letters() -> None:
    network = bag()
    network.learn_spelling(PIECES)
    table = network.table.weight.detach().double()
    rows = letter_rows(PIECES, BAG.letters, SPEC.vocabulary, BAG.buckets)[3]
    rows = rows[rows > 0]
    whole = table[3] + table[rows].sum(0) / np.sqrt(len(rows))
    found = network(torch.tensor([[3, 0, 0, 0, 0, 0]], dtype=torch.int32))[0]
    torch.testing.assert_close(found, network.head(whole.float()))


def test_folded_letters_leave_the_answers_and_no_trace_in_the_graph() -> None:
    network = bag()
    names = set(network.state_dict())
    network.learn_spelling(PIECES)
    assert set(network.state_dict()) == names
    before = network(tokens())
    assert (before - bag()(tokens())).abs().max() > 0.1
    fold_spelling(network)
    torch.testing.assert_close(network(tokens()), before)
    fold_spelling(network)
    torch.testing.assert_close(network(tokens()), before)
    assert network.letters is None


def test_bags_inside_other_networks_learn_by_letters_too(texts: Dataset) -> None:
    shape = TextMixtureConfig(bag=BAG, convolution=TextConvolutionConfig(width=16, channels=16))
    network = Rescaled(TextMixture(shape, texts.spec, 1), 0.0, 1.0)
    bag = network.get_submodule("network.bag")
    teach_spelling(network, texts)
    assert bag.letters.shape[0] == texts.spec.vocabulary
    assert (bag.shares > 0).sum() >= 3
    fold_spelling(network)
    assert bag.letters is None


def test_networks_without_letters_stay_as_they_are(texts: Dataset) -> None:
    network = Ngrams(NgramsConfig(), texts.spec, 2)
    teach_spelling(network, texts)
    assert network.letters is None
