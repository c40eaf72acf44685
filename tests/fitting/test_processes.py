import dataclasses
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import ConfigError
from diptych.core.progress import Step
from diptych.data import read
from diptych.fitting.fit import fit
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.train import train
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.weights import decode

NETWORK = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
TRAINING = TrainingRecipe(epochs=2, batch_size=64)
RECIPE = FitRecipe(teacher=ModelPlan(name="teacher", network=NETWORK, training=TRAINING))
TEAM = Settings(recipe=RECIPE, devices=2)


def weights(bundle: Path) -> np.ndarray:
    state = decode((bundle / "weights.safetensors").read_bytes())
    return np.concatenate([state[name].double().numpy().ravel() for name in sorted(state)])


@pytest.mark.slow
@pytest.mark.parametrize("shard", [pytest.param(False, marks=pytest.mark.long), True])
def test_two_processes_train_what_one_does_and_a_killed_one_is_started_anew(
    tmp_path: Path, shard: bool
) -> None:
    train("digits", out=tmp_path / "one.dip", settings=Settings(recipe=RECIPE)).close()
    said: list[Step] = []

    def kill_once(step: Step) -> None:
        said.append(step)
        if step.stage == "teacher" and step.done >= 20 and not killed:
            killed.append(min(children()))
            os.kill(killed[0], signal.SIGKILL)

    killed: list[int] = []
    settings = dataclasses.replace(TEAM, report=kill_once, checkpoint_s=0.0, shard=shard)
    train("digits", out=tmp_path / "two.dip", settings=settings).close()
    assert any(step.stage == "restart" and "SIGKILL" in step.note for step in said)
    one, two = weights(tmp_path / "one.dip"), weights(tmp_path / "two.dip")
    np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-3)


def children() -> list[int]:
    """Find the processes that this one started, but for pytest's own."""
    mine = str(os.getpid())
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
            words = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == mine and b"diptych.fitting.worker" in words:
            found.append(int(place.name))
    return found


def test_data_that_other_processes_cannot_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="each process reads the data itself"):
        train(read("digits"), out=tmp_path / "a.dip", settings=TEAM)
    assert not (tmp_path / "a.run").exists()


def test_weights_are_shared_with_others_only(tmp_path: Path) -> None:
    alone = dataclasses.replace(TEAM, devices=1, shard=True)
    with pytest.raises(ConfigError, match="no others to share weights with"):
        train("digits", out=tmp_path / "a.dip", settings=alone)


def test_a_fit_is_by_one_process(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a fit cannot use 2 devices"):
        fit("digits", out=tmp_path / "a.dip", settings=TEAM)
