import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import load_file
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from diptych.core.errors import StorageError, TrainingError
from diptych.training.checkpoint import Checkpoint, Position
from diptych.training.meeting import Meeting
from diptych.training.process_team import join
from diptych.training.recipe import TrainingRecipe
from diptych.training.resume import latest
from diptych.training.run_folder import RunFolder
from diptych.training.sharded_checkpoint import outline, path_of, read, save
from diptych.training.sharded_team import ShardedTeam

PROGRAM = str(Path(__file__).with_name("team_program.py"))
RECIPE = {"optimizer": "adamw", "learning_rate": 0.01, "averaging": 0.9}
POSITION = Position(
    name="student",
    seed=3,
    data_sha256="a" * 64,
    planned=TrainingRecipe(),
    recipe=TrainingRecipe(learning_rate=0.1),
    step=7,
    remaining=5,
    numbers={"scaler": {}},
)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShardedTeam]:
    """Give a team of one process, joined as any other."""
    address = (tmp_path_factory.mktemp("team") / "meeting").as_uri()
    meeting = Meeting(address=address, rank=0, size=1, local_rank=0, local_size=1)
    with join(meeting, "cpu", ShardedTeam) as team:
        assert isinstance(team, ShardedTeam)
        yield team


@pytest.fixture(scope="module")
def tensors(alone: ShardedTeam) -> dict[str, Tensor]:
    weight = torch.arange(12.0).reshape(4, 3)
    return {
        "network.weight": distribute_tensor(weight, alone.mesh, [Shard(0)]),
        "network.steps": torch.tensor(7),
        "optimizer.0.momentum": distribute_tensor(weight + 1, alone.mesh, [Shard(0)]),
        "generator.cpu": torch.get_rng_state(),
    }


def whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@pytest.mark.slow
def test_what_is_kept_is_read_whole_or_in_shares(
    alone: ShardedTeam, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    save(tmp_path, Checkpoint(position=POSITION, tensors=tensors), alone)
    path = path_of(tmp_path, 7)
    assert not list(path.rglob("*metadata*"))
    assert outline(path).position == POSITION
    assert {k: t.shape for k, t in outline(path).tensors.items()} == {
        k: t.shape for k, t in tensors.items()
    }
    like = {"network.weight": tensors["network.weight"], "optimizer.0": tensors["network.weight"]}
    for found in (read(path), read(path, like)):
        assert found.position == POSITION
        assert found.tensors.keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert torch.equal(whole(found.tensors[name]), whole(tensor))
    assert isinstance(found.tensors["optimizer.0.momentum"], DTensor)


@pytest.mark.slow
def test_the_folder_of_a_run_has_them_among_its_checkpoints(
    alone: ShardedTeam, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    checkpoint = Checkpoint(position=POSITION, tensors=tensors)
    folder = RunFolder(tmp_path, print)
    try:
        save(tmp_path, checkpoint, alone)
        found = folder.latest()
        assert found is not None
        assert torch.equal(found.tensors["network.weight"], whole(tensors["network.weight"]))
        (tmp_path / ".checkpoint-0000000008.shards.tmp").mkdir()
        folder.clear()
        assert not list(tmp_path.glob("*checkpoint-*"))
    finally:
        folder.close()


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["no index", "bad index", "no share", "cut", "garbage", "other"])
def test_what_is_not_whole_is_refused(
    alone: ShardedTeam, tensors: dict[str, Tensor], tmp_path: Path, wrong: str
) -> None:
    save(tmp_path, Checkpoint(position=POSITION, tensors=tensors), alone)
    path = path_of(tmp_path, 7)
    (share,) = path.glob("*.safetensors")
    changes = {
        "no index": (path / "index.json").unlink,
        "bad index": lambda: (path / "index.json").write_text('{"step": 7}'),
        "no share": share.unlink,
        "cut": lambda: share.write_bytes(share.read_bytes()[:-40]),
        "other": lambda: share.write_bytes(share.read_bytes()[:-1] + b"?"),
        "garbage": lambda: share.write_bytes(b"\x80\x04K\x01." * 50),
    }
    changes[wrong]()
    with pytest.raises(TrainingError, match="is no whole checkpoint"):
        read(path, tensors)


@pytest.mark.slow
def test_a_team_goes_on_from_the_last_one_that_is_whole(
    alone: ShardedTeam, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    said: list[str] = []
    folder = RunFolder(tmp_path, said.append)
    try:
        assert latest(folder, alone) is None
        for step in (7, 9):
            at = replace(POSITION, step=step)
            save(tmp_path, Checkpoint(position=at, tensors=tensors), alone)
        assert latest(folder, alone).position.step == 9
        (path_of(tmp_path, 9) / "index.json").unlink()
        assert not said
        assert latest(folder, alone).position.step == 7
        assert len(said) == 1
        assert f"{path_of(tmp_path, 9)} is no whole checkpoint" in said[0]
        (path_of(tmp_path, 7) / "index.json").unlink()
        with pytest.raises(TrainingError, match=r"0000000009\.shards is no whole checkpoint"):
            latest(folder, alone)
    finally:
        folder.close()


@pytest.mark.slow
def test_a_place_that_cannot_be_written_is_said(
    alone: ShardedTeam, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        save(tmp_path / "file", Checkpoint(position=POSITION, tensors=tensors), alone)


def start(asked: dict[str, Any], size: int, **flags: bool) -> list[subprocess.Popen[bytes]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    team = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
    own = [team | {"RANK": str(rank)} for rank in range(size)] if flags else [{}]
    command = [sys.executable, PROGRAM, json.dumps(asked | flags)]
    return [
        subprocess.Popen(command, env=os.environ | variables, stderr=subprocess.DEVNULL)
        for variables in own
    ]


def finish(asked: dict[str, Any], size: int, **flags: bool) -> dict[str, Tensor]:
    codes = [process.wait(timeout=200) for process in start(asked, size, **flags)]
    assert codes == [0] * size
    return load_file(asked["out"])


@pytest.mark.slow
def test_a_killed_run_goes_on_in_another_number_of_processes(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    asked = {"recipe": RECIPE, "folder": str(folder), "every_s": 0.0, "out": str(tmp_path / "out")}
    processes = start(asked, 2, sharded=True)
    try:
        while not list(folder.glob("checkpoint-*.shards")) and processes[0].poll() is None:
            time.sleep(0.02)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    shutil.copytree(folder, tmp_path / "copy")
    expected = finish(asked | {"folder": str(tmp_path / "whole")}, 1)
    torch.testing.assert_close(finish(asked, 3, sharded=True), expected, rtol=1e-4, atol=1e-5)
    by_one = finish(asked | {"folder": str(tmp_path / "copy")}, 1)
    torch.testing.assert_close(by_one, expected, rtol=1e-4, atol=1e-5)
