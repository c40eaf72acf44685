"""Oracles: a team that took the smaller parts by plan, and one process with the whole batch."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from diptych.core.errors import TrainingError
from diptych.core.progress import Step, StopRequest, silent
from diptych.training.memory import Cut, joined, more_parts, parts_at
from diptych.training.supervisor import Job, supervise

PROGRAM = str(Path(__file__).with_name("team_program.py"))


def test_parts_are_those_of_the_last_cut_and_never_fewer_than_planned() -> None:
    cuts = (Cut(step=9, parts=4), Cut(step=3, parts=2))
    assert [parts_at(step, 1, cuts) for step in (0, 2, 3, 8, 9, 99)] == [1, 1, 2, 2, 4, 4]
    assert [parts_at(step, 3, cuts) for step in (0, 3, 9)] == [3, 3, 4]


def test_cuts_that_are_told_are_joined_once_and_from_where_the_run_goes_on() -> None:
    known, told = (Cut(step=3, parts=2),), Cut(step=0, parts=4)
    assert joined(1, (), (), 7) == ()
    assert joined(1, (), (told,), 0) == (told,)
    assert joined(1, known, (told,), 7) == (*known, Cut(step=7, parts=4))
    assert joined(1, known, (Cut(step=9, parts=4),), 7) == (*known, Cut(step=9, parts=4))
    assert joined(1, known, (*known, Cut(step=0, parts=2)), 7) == known
    assert joined(4, known, (told,), 7) == known


@pytest.mark.parametrize("count", [2, 6, 7, 12, 64])
def test_parts_are_equal_and_take_half_the_memory_until_they_are_single_items(count: int) -> None:
    parts = 1
    while parts < count:
        more = more_parts(parts, count)
        assert count % more == 0
        assert more >= 2 * parts
        assert not any(count % n == 0 for n in range(2 * parts, more))
        parts = more
    assert parts == count


def team(folder: Path, **asked: Any) -> Job:
    given = {"supervised": True, "folder": str(folder), "out": f"{folder}.safetensors"} | asked
    return Job(command=[sys.executable, PROGRAM, json.dumps(given)], count=2, folder=folder)


def hungry(rank: int, most: int, after: int, where: str) -> dict[str, Any]:
    return {"hungry_rank": rank, "hungry": {"most": most, "after": after, "where": where}}


CUTS = {"cuts": [{"step": 7, "parts": 2}]}
SAID = "out of memory at step 7: each batch is computed in 2 parts from there on"


def halved(folder: Path, **asked: Any) -> dict[str, torch.Tensor]:
    """Train with one process out of memory at step 7; give the weights, after it was told once."""
    steps: list[Step] = []
    supervise(team(folder, **asked), steps.append, StopRequest())
    told = [step.note for step in steps if step.stage == "restart"]
    assert [note.split(": the processes")[0] for note in told] == [SAID]
    return load_file(f"{folder}.safetensors")


@pytest.mark.slow
def test_a_team_of_which_one_is_out_of_memory_goes_on_with_half_for_all(tmp_path: Path) -> None:
    common = {"every_s": 0.0, "dropout": 0.2}
    ours = halved(tmp_path / "cut", **hungry(0, 3, 7, "backward"), **common)
    supervise(team(tmp_path / "plan", recipe=CUTS, **common), silent, StopRequest())
    theirs = load_file(tmp_path / "plan.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_so_does_one_that_shares_the_weights_as_one_process_with_all_would(tmp_path: Path) -> None:
    ours = halved(tmp_path / "cut", **hungry(1, 3, 7, "forward"), sharded=True)
    asked = json.dumps({"recipe": CUTS, "out": str(tmp_path / "one")})
    subprocess.run([sys.executable, PROGRAM, asked], check=True)
    torch.testing.assert_close(ours, load_file(tmp_path / "one"), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_team_that_cannot_halve_any_more_ends_with_one_line(tmp_path: Path) -> None:
    began, wrong = time.monotonic(), hungry(1, 0, 3, "forward")
    with pytest.raises(TrainingError, match="cpu has no memory for a single item") as caught:
        supervise(
            team(tmp_path / "run", recipe={"accumulation": 6}, **wrong), silent, StopRequest()
        )
    assert time.monotonic() - began < 60
    assert "\n" not in str(caught.value)
