"""Oracle: one process with the whole batch."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from diptych.core.errors import ConfigError
from diptych.training.global_norm import GlobalNorm
from diptych.training.meeting import LostTeamError, Meeting
from diptych.training.process_team import ProcessTeam, join

PROGRAM = str(Path(__file__).with_name("team_program.py"))
RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {},
    "adamw and an average": {"optimizer": "adamw", "learning_rate": 0.01, "averaging": 0.9},
    "muon": {"optimizer": "muon", "learning_rate": 0.02, "schedule": "cosine"},
    "schedule-free": {"optimizer": "schedule-free", "learning_rate": 0.01},
    "mixing and accumulation": {"mixup": 0.4, "accumulation": 2, "clip": 1.0},
    "a rate that is looked for": {"learning_rate": None},
    "a frozen body": {"freeze_share": 0.3},
    "channels last": {"channels_last": True},
}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


UNEVEN = """
import os, sys
import torch
from torch import nn
from diptych.training.meeting import meeting_of
from diptych.training.process_team import join

class Uneven(nn.Module):
    '''Each item goes through the first layer, a positive one through the second too.'''

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 1, bias=False) for _ in range(3))

    def forward(self, inputs):
        outputs = self.layers[0](inputs)
        return outputs + self.layers[1](inputs) if (inputs > 0).all() else outputs

with join(meeting_of(os.environ), "cpu") as team:
    network = Uneven()
    forward = team.wrapped(network)
    forward(torch.tensor([[3.0, 5.0]]) * (2 * team.rank - 1)).sum().backward()
    team.share_gradients(network.parameters())
    found = [None if each.grad is None else each.grad.tolist() for each in network.parameters()]
    assert found == [[[0.0, 0.0]], [[1.5, 2.5]], None], found
"""


def start(asked: dict[str, Any], size: int, timeout_s: float = 60.0) -> list[subprocess.Popen[str]]:
    """Start the training of this folder by hand."""
    return start_program([PROGRAM, json.dumps(asked)], size, timeout_s)


def start_program(words: list[str], size: int, timeout_s: float) -> list[subprocess.Popen[str]]:
    """Start processes of Python with the environment that torchrun makes."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    common |= {"WORLD_SIZE": str(size), "DIPTYCH_TIMEOUT_S": str(timeout_s)}
    own = [common | {"RANK": str(rank)} if size > 1 else {} for rank in range(size)]
    return [
        subprocess.Popen(
            [sys.executable, *words],
            env=os.environ | variables,
            stderr=subprocess.PIPE,
            text=True,
        )
        for variables in own
    ]


def runs(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    given: dict[str, dict[str, Any]] = {name: {"recipe": r} for name, r in RECIPES.items()}
    given["dropout"] = {"dropout": 0.3, "recipe": {"accumulation": 2}}
    given["shared matrices"] = {"width": 128, "recipe": RECIPES["muon"] | {"epochs": 0.3}}
    return {"runs": [run | {"out": str(folder / name)} for name, run in given.items()]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train with every recipe, in one process and in two."""
    folder = tmp_path_factory.mktemp("trained")
    processes = start(runs(folder / "one"), 1) + start(runs(folder / "two"), 2)
    errors = [process.communicate(timeout=280)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RECIPES, "dropout", "shared matrices"])
def test_two_processes_end_with_the_weights_of_one(trained: Path, name: str) -> None:
    one, two = load_file(trained / "one" / name), load_file(trained / "two" / name)
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_what_one_process_alone_used_learns_in_all_and_what_none_used_in_none() -> None:
    processes = start_program(["-c", UNEVEN], 2, 60.0)
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "timeout_s"), [(signal.SIGKILL, 60.0), (signal.SIGSTOP, 3.0)])
def test_a_process_whose_peer_is_gone_ends_with_one_clear_error(
    tmp_path: Path, signum: signal.Signals, timeout_s: float
) -> None:
    asked = {"recipe": {"epochs": 1e6}, "folder": str(tmp_path / "run"), "every_s": 0.0}
    first, second = start(asked, 2, timeout_s)
    try:
        while not list(tmp_path.glob("run/checkpoint-*")) and first.poll() is None:
            time.sleep(0.05)
        second.send_signal(signum)
        _, error = first.communicate(timeout=60)
        assert first.returncode == 1
        assert "LostTeamError: process 0 of 2 lost the others: " in error
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_a_process_that_nobody_meets_gives_up(tmp_path: Path) -> None:
    meeting = Meeting(
        address=(tmp_path / "meeting").as_uri(),
        rank=0,
        size=2,
        local_rank=0,
        local_size=2,
        timeout_s=1.0,
    )
    with (
        pytest.raises(LostTeamError, match="0 of 2 did not meet the others within 1 s"),
        join(meeting, "cpu"),
    ):
        pytest.fail("it met somebody")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[ProcessTeam]:
    """Give a team of one process, joined as any other."""
    address = (tmp_path / "meeting").as_uri()
    meeting = Meeting(address=address, rank=0, size=1, local_rank=0, local_size=1)
    with join(meeting, "cpu") as team:
        yield team


def test_what_the_first_process_has_is_what_all_get(alone: ProcessTeam) -> None:
    assert alone.agreed(-(2**40)) == -(2**40)
    assert alone.summed([0.1, 2.0]) == [0.1, 2.0]
    assert alone.shared(b"checkpoint") == b"checkpoint"
    assert alone.shared(b"") == b""
    assert alone.gathered(torch.arange(3.0)).tolist() == [[0.0, 1.0, 2.0]]


@pytest.mark.slow
def test_a_network_comes_back_as_it_was(alone: ProcessTeam) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    norm, inputs = network[1], torch.randn(6, 3)
    for frozen in (True, False):
        network[0].requires_grad_(not frozen)
        wrapped = alone.wrapped(network)
        assert isinstance(network[1], GlobalNorm)
        with alone.apart():
            wrapped(inputs).square().sum().backward()
        wrapped(inputs).square().sum().backward()
        assert (network[0].weight.grad is None) == frozen
    alone.restored(network)
    assert network[1] is norm
    assert norm.num_batches_tracked == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    meeting = Meeting(address="file:///none", rank=1, size=2, local_rank=1, local_size=2)
    with pytest.raises(ConfigError, match="there is no device 'cuda'"), join(meeting, "cuda"):
        pytest.fail("it joined")
