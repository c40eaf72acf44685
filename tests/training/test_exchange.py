import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import torch

from diptych.core.errors import TrainingError
from diptych.training.exchange import MEMORY, ROOM, Exchange, reserve
from diptych.training.meeting import LostTeamError

OTHER = """
import sys
from pathlib import Path
import torch
from diptych.training.exchange import Exchange
path, count, turns = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
exchange = Exchange(path, 1, 2, 60.0)
print("open", flush=True)
for turn in range(turns):
    own = torch.arange(count) - turn
    heard = exchange.gather(own)
    assert torch.equal(heard, torch.stack([own * 3, own])), heard
    mean = own.float()
    exchange.average(mean)
    assert torch.equal(mean, own.float() * 2), mean
print("right", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    path = reserve(2)
    if path is None:
        pytest.skip("this machine has no memory that processes can share in order")
    yield path
    path.unlink()


@contextmanager
def other_process(place: Path, count: int, turns: int) -> Iterator[subprocess.Popen[str]]:
    """Start the second process, which checks what it hears, and wait until it is there."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(place), str(count), str(turns)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(("count", "turns"), [(5, 1000), (ROOM // 8, 3), (ROOM // 4 + 3, 3)])
def test_each_process_gets_what_both_said_in_every_turn(
    place: Path, count: int, turns: int
) -> None:
    with (
        closing(Exchange(place, 0, 2, 60.0)) as exchange,
        other_process(place, count, turns) as other,
    ):
        for turn in range(turns):
            theirs = torch.arange(count) - turn
            assert torch.equal(exchange.gather(theirs * 3), torch.stack([theirs * 3, theirs]))
            mean = theirs.float() * 3
            exchange.average(mean)
            assert torch.equal(mean, theirs.float() * 2)
        assert other.stdout is not None
        assert other.stdout.readline() == "right\n"


@pytest.mark.slow
def test_the_end_of_another_process_is_seen_at_once(place: Path) -> None:
    with closing(Exchange(place, 0, 2, 60.0)) as exchange:
        with other_process(place, 1, 1):
            exchange.gather(torch.zeros(1, dtype=torch.int64))
            exchange.average(torch.zeros(1))
        with pytest.raises(LostTeamError, match="process 1 has ended"):
            exchange.gather(torch.zeros(1, dtype=torch.int64))


@pytest.mark.slow
def test_one_that_stands_still_is_waited_for_as_long_as_was_said(place: Path) -> None:
    with (
        closing(Exchange(place, 0, 2, 0.3)) as exchange,
        other_process(place, 1, 0),
        pytest.raises(LostTeamError, match=r"process 1 did not come within 0\.3 s"),
    ):
        exchange.gather(torch.zeros(1))


@pytest.mark.slow
def test_nothing_is_made_of_what_belongs_to_different_layers(place: Path) -> None:
    with (
        closing(Exchange(place, 0, 2, 60.0)) as exchange,
        other_process(place, 5, 1),
        pytest.raises(TrainingError, match="at different layers: they tell each other 32, 40 b"),
    ):
        exchange.gather(torch.zeros(4, dtype=torch.int64))


def test_a_machine_without_such_memory_has_none_to_reserve(tmp_path: Path) -> None:
    assert reserve(2, tmp_path / "none") is None


def test_where_nothing_can_be_written_there_is_none_either() -> None:
    assert reserve(2, Path("/proc")) is None


def test_more_than_there_is_cannot_be_reserved_and_leaves_nothing() -> None:
    before = set(MEMORY.glob("diptych-*")) if MEMORY.is_dir() else set()
    assert reserve(10**9) is None
    assert before >= set(MEMORY.glob("diptych-*"))
