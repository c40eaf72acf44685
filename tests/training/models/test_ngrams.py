import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.specs import TextSpec
from diptych.training.models.ngrams import MASK, MULTIPLIERS, Ngrams, NgramsConfig

CONFIG = NgramsConfig(orders=3, buckets=5_000, width=4)
SPEC = TextSpec(tokens=8, vocabulary=32_768)


def naive_rows(tokens: list[int], pieces: int, config: NgramsConfig) -> list[list[int]]:
    """Hash in integers of any size, one run at a time; a list for each length of runs."""
    found = []
    for order in range(config.orders):
        rows = []
        for end in range(order, len(tokens)):
            hashed = 0
            for place, token in enumerate(tokens[end - order : end + 1]):
                hashed = (hashed & MASK) + token * MULTIPLIERS[place]
            row = tokens[end] if order == 0 else pieces + (hashed & MASK) % config.buckets
            rows.append(row if tokens[end] else 0)
        found.append(rows)
    return found


@given(st.lists(st.integers(1, 32_767), min_size=0, max_size=8), st.integers(1, 4))
def test_rows_are_those_of_a_hash_that_cannot_overflow(tokens: list[int], orders: int) -> None:
    config = NgramsConfig(orders=orders, buckets=5_000, width=4)
    padded = tokens + [0] * (8 - len(tokens))
    found = Ngrams(config, SPEC, 2).rows(torch.tensor([padded], dtype=torch.int32))[0].tolist()
    wanted = naive_rows(padded, SPEC.vocabulary, config)
    assert found == [row for rows in wanted for row in rows]


def test_the_largest_token_stays_below_what_32_bits_hold() -> None:
    assert max(MULTIPLIERS) * 32_767 + MASK < 1 << 31


def test_runs_spread_over_the_buckets_as_if_by_chance() -> None:
    network = Ngrams(NgramsConfig(orders=2, buckets=10_007), SPEC, 2)
    pairs = np.random.default_rng(0).zipf(1.3, (10_000, 2)) % 2_000 + 1
    pairs = np.unique(pairs, axis=0)
    rows = network.rows(torch.from_numpy(pairs.astype(np.int32)))[:, 2]
    used, expected = len(rows.unique()), 10_007 * (1 - (1 - 1 / 10_007) ** len(pairs))
    assert abs(used - expected) < 0.05 * expected


def test_the_outputs_are_the_weighted_sum_of_the_rows() -> None:
    torch.manual_seed(0)
    network = Ngrams(CONFIG, SPEC, 3).eval()
    torch.nn.init.normal_(network.table.weight)
    tokens = [7, 9, 7, 30_000, 0, 0, 0, 0]
    rows = [row for rows in naive_rows(tokens, SPEC.vocabulary, CONFIG) for row in rows if row]
    table = network.table.weight.detach().double()
    mean = sum(table[row] for row in rows) / np.sqrt(len(rows))
    wanted = network.head.double()(mean)
    given = network.float()(torch.tensor([tokens], dtype=torch.int32))[0]
    np.testing.assert_allclose(given.detach(), wanted.detach(), rtol=1e-4)


def test_scaling_changes_the_buckets_alone_and_leaves_some() -> None:
    assert CONFIG.scaled(2.0) == NgramsConfig(orders=3, buckets=10_001, width=4)
    assert CONFIG.scaled(1e-9).buckets == 1_021
