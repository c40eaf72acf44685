import dataclasses
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from diptych.core.errors import ConfigError
from diptych.core.progress import Step
from diptych.data import read
from diptych.fitting.fit import fit
from diptych.fitting.processes import check_shareable
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.run_file import request_of
from diptych.fitting.settings import Settings
from diptych.fitting.train import resume, train
from diptych.measure.machine import describe
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.start import StartPlan
from diptych.training.trees import TreesConfig
from diptych.training.weights import decode

NETWORK = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
TRAINING = TrainingRecipe(epochs=2, batch_size=64)
RECIPE = FitRecipe(teacher=ModelPlan(name="teacher", network=NETWORK, training=TRAINING))
STUDENT = ModelPlan(name="student", network=NETWORK, training=replace(TRAINING, epochs=1))
TEAM = Settings(recipe=RECIPE, devices=2)


def weights(bundle: Path) -> np.ndarray:
    state = decode((bundle / "weights.safetensors").read_bytes())
    return np.concatenate([state[name].double().numpy().ravel() for name in sorted(state)])


@pytest.mark.slow
@pytest.mark.parametrize("shard", [pytest.param(False, marks=pytest.mark.long), True])
def test_two_processes_train_what_one_does_and_a_killed_one_is_started_anew(
    tmp_path: Path, shard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diptych.fitting.job.describe", lambda: replace(describe(), cores=1))
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
    assert "2 processes are more than the cores of this machine (1)" in [step.note for step in said]
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


@pytest.mark.slow
def test_no_process_is_started_for_a_training_that_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.dip"
    train("digits", out=out, settings=Settings(recipe=RECIPE)).close()
    monkeypatch.setattr("diptych.fitting.processes.supervise", refuse)
    resume(tmp_path / "a.run", settings=Settings(devices=2)).close()
    assert out.is_dir()


def refuse(*given: object) -> None:
    raise AssertionError("nothing is left to be trained")


def test_data_that_other_processes_cannot_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="each process reads the data itself"):
        train(read("digits"), out=tmp_path / "a.dip", settings=TEAM)
    assert not (tmp_path / "a.run").exists()


def test_a_team_does_not_try_how_the_machine_computes_fastest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one process tries how"):
        train("digits", out=tmp_path / "a.dip", settings=dataclasses.replace(TEAM, tune=True))


def test_weights_are_shared_with_others_only(tmp_path: Path) -> None:
    alone = dataclasses.replace(TEAM, devices=1, shard=True)
    with pytest.raises(ConfigError, match="no others to share weights with"):
        train("digits", out=tmp_path / "a.dip", settings=alone)


@pytest.mark.slow
def test_two_processes_train_the_teacher_of_a_fit_and_one_its_students(tmp_path: Path) -> None:
    only = ProgramPlan(runtime="onnxruntime", precision="fp32")
    recipe = replace(RECIPE, students=(STUDENT,), programs=(only,))
    shared = {"teacher": False, "student": False}

    def look(step: Step) -> None:
        if step.stage in shared:
            shared[step.stage] |= bool(children())

    settings = dataclasses.replace(TEAM, recipe=recipe, report=look, checkpoint_s=0.0)
    with fit("digits", out=tmp_path / "a.dip", settings=settings) as bundle:
        scores = {c.name: c.scores["accuracy"].value for c in bundle.manifest.candidates}
    assert shared == {"teacher": True, "student": False}
    assert scores.keys() == {"teacher onnxruntime fp32", "student onnxruntime fp32"}
    assert scores["teacher onnxruntime fp32"] > 0.4
    assert not (tmp_path / "a.fit").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"network": TreesConfig()}, "2 devices would train teacher, which is no network"),
        (
            {"kept": True, "start": StartPlan(path="a.dip", sha256="0" * 64)},
            "2 devices would train teacher, which was trained before",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_teacher_that_no_processes_can_share_is_refused(
    tmp_path: Path, change: dict[str, object], why: str
) -> None:
    recipe = replace(RECIPE, teacher=replace(RECIPE.teacher, **change), students=(STUDENT,))
    request = request_of("digits", tmp_path / "a.dip", recipe, Settings())
    with pytest.raises(ConfigError, match=why):
        check_shareable(request, TEAM)
    check_shareable(request, Settings())
