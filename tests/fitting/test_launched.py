"""torchrun itself starts the processes, as on two machines that share no folder."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import ConfigError
from diptych.fitting.fit import fit
from diptych.fitting.launched import launched
from diptych.fitting.recipe import read_recipe
from diptych.fitting.settings import Settings
from diptych.fitting.train import train
from diptych.training.memory import Cut
from diptych.training.weights import decode

RECIPE = """\
[teacher]
name = "teacher"
network = { name = "residual", stem = 8, widths = [16], blocks = [0] }
training = { epochs = 2.0, batch_size = 64, learning_rate = 0.15 }
"""
MACHINES = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "RANK": "1", "WORLD_SIZE": "2"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def machine(rank: int, port: int, folder: Path, words: list[str]) -> subprocess.Popen[str]:
    """Start a machine's launcher, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
    command += ["--node-rank", str(rank), "--master-addr", "127.0.0.1"]
    command += ["--master-port", str(port), "-m", "diptych", "train", *words]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "parts"),
    [
        pytest.param([], 1, marks=pytest.mark.long),
        pytest.param(["--shard"], 1, marks=pytest.mark.long),
        (["--shard", "--accumulation", "2"], 2),
    ],
)
def test_two_machines_train_what_one_process_does(
    tmp_path: Path, words: list[str], parts: int
) -> None:
    path, same = tmp_path / "tiny.toml", tmp_path / "same.toml"
    path.write_text(RECIPE)
    same.write_text(RECIPE.replace("{ epochs", f"{{ accumulation = {parts}, epochs"))
    train("digits", out=tmp_path / "one.dip", settings=Settings(recipe=read_recipe(same))).close()
    words = ["digits", "--recipe", str(path), *words]
    port = free_port()
    first, second = (machine(k, port, tmp_path / str(k), words) for k in (0, 1))
    try:
        told, errors = first.communicate(timeout=240)
        quiet, _ = second.communicate(timeout=60)
    finally:
        first.kill()
        second.kill()
    assert first.returncode == second.returncode == 0, errors
    assert told.strip().endswith("digits.dip")
    assert not quiet
    assert list((tmp_path / "1").iterdir()) == []
    followed = read_recipe(tmp_path / "0" / "digits.dip").teacher.training
    assert [cut.parts for cut in followed.cuts] == [2] * (parts - 1)
    two = weights_of(tmp_path / "0" / "digits.dip")
    np.testing.assert_allclose(two, weights_of(tmp_path / "one.dip"), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_other_data_on_another_machine_is_refused(tmp_path: Path) -> None:
    lines = [f"{row * 7 % 31},{'even' if row % 2 else 'odd'}" for row in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["size,label", *lines]))
    (tmp_path / "tiny.toml").write_text(RECIPE)
    port = free_port()
    words = ["digits", "--recipe", str(tmp_path / "tiny.toml")]
    first = machine(0, port, tmp_path / "0", words)
    second = machine(1, port, tmp_path / "1", [str(tmp_path / "rows.csv")])
    try:
        _, errors = second.communicate(timeout=120)
    finally:
        first.kill()
        second.kill()
        first.communicate()
    assert "rows.csv is not the data of the first process here, on process 1" in errors


def weights_of(bundle: Path) -> np.ndarray:
    state = decode((bundle / "weights.safetensors").read_bytes())
    return np.concatenate([state[name].double().numpy().ravel() for name in sorted(state)])


def test_a_process_on_its_own_is_none_of_a_team() -> None:
    assert launched({}, Settings()) == Settings()
    assert launched({**MACHINES, "RANK": "0", "WORLD_SIZE": "1"}, Settings()).meeting is None


def test_the_launcher_says_how_many_processes_there_are() -> None:
    settings = launched(MACHINES, Settings())
    assert settings.devices == 2
    assert settings.meeting is not None
    assert settings.meeting.rank == 1
    with pytest.raises(ConfigError, match="torchrun started 2 processes already"):
        launched(MACHINES, Settings(devices=2))


def test_batches_are_cut_by_hand_only_where_torchrun_starts_the_processes() -> None:
    meeting = launched(MACHINES, Settings(), 4).meeting
    assert meeting is not None
    assert meeting.cuts == (Cut(step=0, parts=4),)
    with pytest.raises(ConfigError, match="--accumulation is for several processes"):
        launched({}, Settings(), 4)


def test_a_fit_is_by_one_process(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a fit cannot use 2 processes"):
        fit("digits", out=tmp_path / "a.dip", settings=launched(MACHINES, Settings()))
