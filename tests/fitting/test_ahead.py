import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from diptych.compression.function import Function
from diptych.core.errors import ConfigError
from diptych.core.files import sha256_of_file
from diptych.core.progress import Step, StopRequest
from diptych.data import read
from diptych.fitting.ahead import Ahead, check_jobs, in_search
from diptych.fitting.aim import Aim
from diptych.fitting.budget import Budget
from diptych.fitting.fit import fit
from diptych.fitting.fit_folder import FitFolder, FitRequest
from diptych.fitting.job import Job, open_job
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.search import Search
from diptych.fitting.settings import Settings
from diptych.fitting.trainee import Trainee, network_of
from diptych.fitting.trainer import Trainer
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

NETWORK = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
NAMES = ("one", "two", "three", "four")


def plan(name: str, width: int = 16, epochs: float = 9.0) -> ModelPlan:
    training = TrainingRecipe(epochs=epochs, batch_size=64)
    return ModelPlan(name=name, network=replace(NETWORK, widths=(width,)), training=training)


RECIPE = FitRecipe(
    teacher=plan("teacher", 32),
    students=tuple(plan(name, 8 * n) for n, name in enumerate(NAMES, 1)),
    programs=(ProgramPlan(runtime="onnxruntime", precision="fp32"),),
)


class Told:
    """What is reported, and what is done at it."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.ahead: Ahead | None = None
        self.killed = ""

    def __call__(self, step: Step) -> None:
        self.steps.append(step)


class KillsOne(Told):
    """Ends the first process that tells of its training."""

    def __call__(self, step: Step) -> None:
        super().__call__(step)
        at = self.ahead.at.items() if self.ahead else ()
        rank = next((rank for rank, name in at if name == step.stage), None)
        if self.ahead and self.ahead.attempt and rank is not None and not self.killed:
            self.killed = step.stage
            self.ahead.attempt.processes[rank].kill()


def trainer(tmp_path: Path, told: Told, stop: StopRequest | None = None) -> Iterator[Trainer]:
    stop = StopRequest() if stop is None else stop
    settings = Settings(recipe=RECIPE, jobs=2, report=told, stop=stop, checkpoint_s=0.0)
    job = open_job("digits", Budget(), tmp_path / "out.dip", 0, settings)
    request = FitRequest(
        data_sha256=job.dataset.record.sha256, budget="", seed=0, target="cpu", timed=False
    )
    with closing(FitFolder(tmp_path / "out.fit", request, told)) as folder:
        folder.keep(RECIPE)
        yield Trainer(dataclasses.replace(job, fit=folder), RECIPE, settings, timed=False)


def alone(job: Job) -> Trainer:
    """Make what trains one after the other, and keeps nothing."""
    return Trainer(dataclasses.replace(job, fit=None), RECIPE, Settings(), timed=False)


def looking(one: Trainer) -> Callable[[ModelPlan, int], Trainee]:
    return lambda plan, epochs: one.train_to(plan, epochs, 1.0)


def weights(model: Trainee) -> np.ndarray:
    state = network_of(model).state_dict()
    return np.concatenate([state[name].double().numpy().ravel() for name in sorted(state)])


@pytest.mark.slow
def test_students_trained_at_once_are_those_trained_in_turn_though_a_process_is_killed(
    tmp_path: Path,
) -> None:
    told = KillsOne()
    for at_once in trainer(tmp_path, told):
        in_turn = alone(at_once.job)
        for each in (RECIPE.teacher, *RECIPE.students):
            in_turn.train(each, 1.0)
        first, *others = RECIPE.students
        at_once.train(RECIPE.teacher, 1.0)
        with closing(Ahead(at_once)) as ahead:
            told.ahead = ahead
            ahead.train(RECIPE.students, float("inf"))
            assert ahead.attempt is None  # the teacher was not asked yet, by anyone
            at_once.train(first, 1.0)
            ahead.train(others, float("inf"))
            assert ahead.over == {each.name for each in others}
            ahead.halt()
            for each in others:
                at_once.train(each, 1.0)
        for ours, theirs in zip(at_once.trainees, in_turn.trainees, strict=True):
            assert np.array_equal(weights(ours), weights(theirs))
            assert [p.score for p in ours.curve] == [p.score for p in theirs.curve]
    assert told.killed
    lost = [step for step in told.steps if "was ended by SIGKILL" in step.note]
    assert [step.stage for step in lost] == [told.killed]


@pytest.mark.slow
def test_the_search_decides_ahead_what_it_decides_in_turn(tmp_path: Path) -> None:
    """The narrowest is hopeless, and the others reach what is needed."""
    told = Told()
    for at_once in trainer(tmp_path, told):
        in_turn = alone(at_once.job)
        wide, *cheaper = reversed(RECIPE.students)
        for one in (in_turn, at_once):
            one.train(RECIPE.teacher, 1.0)
            one.train(wide, 1.0)
        reference = at_once.trainees[1]
        scores = tuple(point.score or 0.0 for point in reference.curve)
        ends = [in_turn.train(each, 1.0).curve[-1].score or 0.0 for each in cheaper]
        needed = (ends[-1] + ends[-2]) / 2
        aim = Aim(reference=reference, scores=scores, needed=needed, plans=tuple(cheaper))
        items = len(at_once.job.dataset.validation)
        with closing(Ahead(at_once)) as ahead:
            ahead.start([in_search(each, aim, float("inf")) for each in reversed(cheaper)])
            for each in cheaper:
                ahead.wait(each.name)
        found: dict[str, list[str]] = {}
        again = alone(at_once.job)
        again.trainees = in_turn.trainees[:2]
        for name, one in (("in turn", again), ("at once", at_once)):
            search = Search(aim, items, looking(one), lambda: True, "accuracy", told)
            told.steps.clear()
            winner = next(search.found(float("inf")))
            found[name] = [step.note for step in told.steps if step.stage == "search"]
            found[name].append(winner.name)
        assert found["at once"] == found["in turn"]
        assert ahead.begun_of(cheaper) == cheaper


@pytest.mark.slow
def test_a_stop_ends_all_processes_and_leaves_what_they_did(tmp_path: Path) -> None:
    stop = StopRequest()

    class Stops(Told):
        def __call__(self, step: Step) -> None:
            super().__call__(step)
            stop.requested |= self.ahead is not None and step.stage in NAMES

    told = Stops()
    for at_once in trainer(tmp_path, told, stop):
        at_once.train(RECIPE.teacher, 1.0)
        at_once.train(RECIPE.students[0], 1.0)
        with closing(Ahead(at_once)) as ahead:
            told.ahead = ahead
            others = [plan(each.name, 64, 400.0) for each in RECIPE.students[1:]]
            ahead.start([in_search(each, NO_AIM, float("inf")) for each in others])
            attempt = ahead.attempt
            ahead.wait("two")
            assert attempt is not None
            assert ahead.attempt is None
            assert all(process.returncode is not None for process in attempt.processes)
            begun = ahead.begun_of(others)
            assert begun
            left = at_once.left(begun[0])
            assert 0 < left.samples < 400 * len(at_once.job.dataset.train)


NO_AIM = Aim(reference=None, scores=(), needed=0.0, plans=())  # type: ignore[arg-type]


def test_what_other_processes_cannot_have_is_refused(tmp_path: Path) -> None:
    def teach(inputs: np.ndarray) -> np.ndarray:
        return np.zeros((len(inputs), 10), np.float32)

    teacher: Function = teach
    data = read("digits")
    for source, settings, wrong in (
        (data, Settings(jobs=2), "no path of it was given"),
        ("digits", Settings(jobs=2, teacher=teacher), "a function that teaches"),
        ("digits", Settings(jobs=2, devices=2, shard=True), "spread over devices cannot be handed"),
        ("digits", Settings(jobs=2, tune=True), "how this machine computes fastest"),
    ):
        with pytest.raises(ConfigError, match=wrong):
            fit(source, out=tmp_path / "a.dip", settings=settings)
    assert not list(tmp_path.iterdir())


def test_with_one_job_there_are_no_processes(tmp_path: Path) -> None:
    for one in trainer(tmp_path, Told()):
        one.settings = dataclasses.replace(one.settings, jobs=1)
        check_jobs(one.job, one.settings)
        with closing(Ahead(one)) as ahead:
            ahead.train(RECIPE.students, float("inf"))
            assert ahead.attempt is None
            assert not ahead.begun


TOML = """
programs = [{ runtime = "onnxruntime", precision = "fp32" }]
[teacher]
name = "teacher"
network = { name = "residual", stem = 8, widths = [16], blocks = [0] }
training = { epochs = 2, learning_rate = 0.15 }
"""
STUDENT = """
[[students]]
name = "student-{}"
network = {{ name = "residual", stem = 8, widths = [16], blocks = [0] }}
training = {{ epochs = {}, learning_rate = 0.15 }}
"""


def forerunners(folder: Path) -> list[int]:
    """Find the processes that train for a fit."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"diptych.fitting.forerunner" in words and str(folder).encode() in words:
            found.append(int(place.name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGKILL]
)
def test_no_process_outlives_the_fit(tmp_path: Path, how: signal.Signals) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TOML + "".join(STUDENT.format(n, 2 if n == 0 else 4000) for n in range(3)))
    words = ["fit", "digits", "--recipe", str(recipe), "--out", str(tmp_path / "out.dip")]
    command = [sys.executable, "-m", "diptych", *words, "--jobs", "2"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    folder, until = tmp_path / "out.fit", time.monotonic() + 120
    while len(forerunners(folder)) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    while not (folder / "student-1" / "metrics.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert len(forerunners(folder)) == 2
    os.kill(process.pid, how)
    process.wait(timeout=120)
    while forerunners(folder) and time.monotonic() < until:
        time.sleep(0.05)
    assert not forerunners(folder)
    if how == signal.SIGINT:
        assert process.returncode in {0, 3}
        assert (tmp_path / "out.dip" / "bundle.json").is_file()
        assert list((folder / "student-1").glob("checkpoint-*"))


@pytest.mark.long
def test_a_fit_with_two_jobs_makes_the_bundle_of_one(tmp_path: Path) -> None:
    wide = ResidualNetConfig(stem=8, widths=(32, 64), blocks=(0, 1))
    training = TrainingRecipe(epochs=18, batch_size=64)
    scales = {"teacher": 1.5, "student": 1.0, "less": 0.75, "least": 0.5, "nothing": 0.05}
    teacher, student, *cheaper = (
        ModelPlan(name=name, network=wide.scaled(scale), training=training)
        for name, scale in scales.items()
    )
    recipe = replace(
        RECIPE, teacher=teacher, students=(student,), cheaper=tuple(cheaper), most_students=0
    )
    for jobs in (1, 2):
        out = tmp_path / f"{jobs}.dip"
        settings = Settings(recipe=recipe, jobs=jobs)
        with fit("digits", "accuracy>=93%", out=out, settings=settings) as bundle:
            manifest = bundle.manifest
        assert not (tmp_path / f"{jobs}.fit").exists()
        if jobs == 1:
            first = manifest
    one, two = (tmp_path / f"{jobs}.dip" / "weights.safetensors" for jobs in (1, 2))
    assert sha256_of_file(one) == sha256_of_file(two)
    assert manifest.model.name == first.model.name
    given_up = {each.model: each for each in manifest.given_up}
    assert {each.model: each for each in first.given_up}.items() <= given_up.items()
    assert manifest.training.samples >= first.training.samples  # what was not needed was paid for
