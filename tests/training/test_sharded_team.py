"""Oracle: one process with all weights."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from diptych.training.global_norm import GlobalNorm
from diptych.training.meeting import Meeting
from diptych.training.process_team import join
from diptych.training.sharded_team import ShardedTeam

PROGRAM = str(Path(__file__).with_name("team_program.py"))
RECIPES: dict[str, dict[str, Any]] = {
    "adamw and an average": {"optimizer": "adamw", "learning_rate": 0.01, "averaging": 0.9},
    "muon": {"optimizer": "muon", "learning_rate": 0.02, "schedule": "cosine"},
    "schedule-free": {"optimizer": "schedule-free", "learning_rate": 0.01},
    "mixing and accumulation": {"mixup": 0.4, "accumulation": 2, "clip": 1.0},
    "a rate that is looked for": {"learning_rate": None},
    "a frozen body": {"freeze_share": 0.3},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train with every recipe, in one process and in two that share the weights."""
    folder = tmp_path_factory.mktemp("trained")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    team = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    given: list[tuple[str, dict[str, str]]] = [("one", {})]
    given += [("two", team | {"RANK": rank}) for rank in "01"]
    processes = []
    for name, variables in given:
        (folder / name).mkdir(exist_ok=True)
        runs: list[dict[str, Any]] = [
            {"recipe": r, "out": str(folder / name / key)} for key, r in RECIPES.items()
        ]
        once = {"dropout": 0.3, "recipe": {"epochs": 1}}
        runs.append(once | {"out": str(folder / name / "dropout")})
        command = [sys.executable, PROGRAM, json.dumps({"sharded": True, "runs": runs})]
        environment = os.environ | variables
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE))
    errors = [process.communicate(timeout=280)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RECIPES, "dropout"])
def test_two_processes_with_half_the_weights_end_as_one_with_all(trained: Path, name: str) -> None:
    one, two = load_file(trained / "one" / name), load_file(trained / "two" / name)
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[ShardedTeam]:
    """Give a team of one process, joined as any other."""
    address = (tmp_path / "meeting").as_uri()
    meeting = Meeting(address=address, rank=0, size=1, local_rank=0, local_size=1)
    with join(meeting, "cpu", ShardedTeam) as team:
        assert isinstance(team, ShardedTeam)
        yield team


@pytest.mark.slow
def test_weights_are_spread_and_come_back(alone: ShardedTeam) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    network[0].to(memory_format=torch.channels_last)
    network[3].weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert alone.wrapped(network) is network
    assert alone.wrapped(network) is network
    assert all(isinstance(weight, DTensor) for weight in network.parameters())
    assert isinstance(network[1], GlobalNorm)
    network(torch.randn(3, 1, 4, 4)).sum().backward()
    plain = alone.restored(network)
    assert [type(layer) for layer in plain.modules()][1:] == [
        nn.Conv2d,
        nn.BatchNorm2d,
        nn.Flatten,
        nn.Linear,
    ]
    assert not plain[3].weight.requires_grad  # type: ignore[index]
    after = plain.state_dict()
    assert after["1.num_batches_tracked"] == 1
    for name in ("0.weight", "1.weight", "3.weight"):
        assert type(after[name]) is torch.Tensor
        assert torch.equal(after[name], before[name])


class Nested(nn.Module):
    """Lists within lists, whose items are large enough to be spread one by one."""

    def __init__(self) -> None:
        super().__init__()
        inner = nn.Sequential(nn.Linear(1024, 1024), nn.Tanh())
        self.stages, self.head = nn.ModuleList([nn.ModuleList([inner])]), nn.Linear(1024, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.stages[0][0](inputs)  # type: ignore[index]
        outputs: torch.Tensor = self.head(hidden)
        return outputs


@pytest.mark.slow
def test_lists_within_lists_are_spread_from_the_inside(alone: ShardedTeam) -> None:
    torch.manual_seed(0)
    network, inputs = Nested(), torch.randn(3, 1024)
    expected = network(inputs).detach()
    inner = network.stages[0][0]  # type: ignore[index]
    outputs = alone.wrapped(network)(inputs)
    assert all(isinstance(each, FSDPModule) for each in (inner[0], inner, network))
    torch.testing.assert_close(outputs, expected)
    outputs.sum().backward()
    torch.testing.assert_close(alone.restored(network)(inputs), expected)


@pytest.mark.slow
def test_no_thread_outlives_the_team(tmp_path: Path) -> None:
    """Such a one may hold a tensor when the interpreter ends, and then aborts the process."""
    meeting = Meeting(
        address=(tmp_path / "meeting").as_uri(), rank=0, size=1, local_rank=0, local_size=1
    )
    before = threads()
    with join(meeting, "cpu", ShardedTeam) as team:
        network = team.wrapped(nn.Linear(4, 2))
        network(torch.randn(3, 4)).sum().backward()
        team.restored(network)
        assert threads() > before
        del network
    assert threads() <= before


def threads() -> set[Path]:
    """List the threads of this process, also those that Python does not know."""
    return set(Path("/proc/self/task").iterdir())
