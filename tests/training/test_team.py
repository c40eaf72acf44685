import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from diptych.core.errors import ConfigError
from diptych.training.team import SOLO, Team

AS_MANY = "if there are as many training items"


@given(st.integers(1, 8), st.integers(0, 12))
def test_the_parts_of_a_team_are_the_whole_batch_in_order(size: int, each: int) -> None:
    items = list(range(size * each))
    parts = []
    for rank in range(size):
        team = Team()
        team.rank, team.size = rank, size
        parts += items[team.part(len(items))]
    assert parts == items


@given(st.integers(2, 8), st.integers(1, 40), st.integers(2, 12))
def test_a_batch_that_cannot_be_shared_is_told_with_a_number_of_parts_that_can(
    size: int, share: int, parts: int
) -> None:
    team = Team()
    team.size = size
    assume(share % parts)
    with pytest.raises(ConfigError, match="cannot be shared evenly") as refused:
        team.check(size * share, parts)
    team.check(size * share, int(refused.value.hint.rsplit("accumulation = ", 1)[1]))
    with pytest.raises(ConfigError) as refused:
        team.check(size * share + 1, parts)
    assert "accumulation" not in refused.value.hint


@pytest.mark.parametrize(
    ("batch_size", "parts", "hint"),
    [
        (128, 1, f"choose batch_size = 126, or 129 {AS_MANY}"),
        (15, 2, f"choose batch_size = 12, or 18 {AS_MANY}, or accumulation = 1"),
        (2, 1, f"choose batch_size = 3 {AS_MANY}, or fewer processes"),
    ],
)
def test_a_larger_batch_is_advised_only_where_there_are_as_many_items(
    batch_size: int, parts: int, hint: str
) -> None:
    team = Team()
    team.size = 3
    with pytest.raises(ConfigError) as refused:
        team.check(batch_size, parts)
    assert refused.value.hint == hint


def test_a_team_of_one_decides_and_computes_by_itself() -> None:
    network = nn.Linear(2, 2)
    assert SOLO.wrapped(network) is network
    assert SOLO.agreed(7) == 7
    assert torch.arange(5)[SOLO.part(5)].tolist() == [0, 1, 2, 3, 4]
