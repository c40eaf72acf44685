from dataclasses import replace as changed
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

import diptych
from diptych.core.manifest import Machine
from diptych.core.progress import Step, StopRequest
from diptych.core.values import Candidate, Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.budget import Budget
from diptych.fitting.cores import try_on_all_cores
from diptych.fitting.fit import fit
from diptych.fitting.job import Job
from diptych.fitting.lowering import lower_and_try
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.trainee import Trainee, train_model
from diptych.fitting.trials import Trial, as_candidate, time_trials
from diptych.training.control import RunControl
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

PLAN = ModelPlan(
    name="teacher",
    network=ResidualNetConfig(stem=8, widths=(16,), blocks=(0,)),
    training=TrainingRecipe(epochs=1, batch_size=64),
)
PORTABLE = (ProgramPlan(runtime="onnxruntime", precision="fp32"),)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return read("digits", Options(seed=0))


@pytest.fixture(scope="module")
def tried(digits: Dataset) -> tuple[Trainee, list[Trial], list[Candidate]]:
    model = train_model(PLAN, digits, RunControl(name="teacher"))
    trials = lower_and_try(model, PORTABLE, digits, digits.train.inputs[:64], lambda step: None)
    inputs = digits.validation.inputs
    timings = time_trials(trials, inputs, seed=0, time_limit_s=5.0, report=lambda step: None)
    answers = model.outputs(digits, "validation")
    return model, trials, [as_candidate(t, timings.get(t.name), digits, answers) for t in trials]


def job(digits: Dataset, machine: Machine, budget: str, cores: int = 2) -> Job:
    limits = Budget.parse(budget)
    machine = replace(machine, cores=cores)
    return Job(dataset=digits, budget=limits, machine=machine, destination=Path("never.dip"))


def test_a_model_that_is_too_slow_on_one_thread_is_tried_on_all_cores(
    digits: Dataset, tried: tuple[Trainee, list[Trial], list[Candidate]], machine: Machine
) -> None:
    _, trials, candidates = tried
    told: list[Step] = []
    settings = Settings(report=told.append)
    slow = job(digits, machine, "drop<=1%, p99<=1us", cores=3)
    (found,) = try_on_all_cores(trials, candidates, slow, settings)
    assert found.threads == 3
    assert found.name == "teacher onnxruntime fp32, 3 threads"
    assert found.program is trials[0].program
    assert np.allclose(found.outputs, trials[0].outputs, atol=1e-4)
    assert [step.note for step in told] == ["too slow on one thread: tried on 3"]
    assert as_candidate(found, None, digits, found.outputs).threads == 3


@pytest.mark.parametrize("budget", ["drop<=1%", "p99<=10s", "p50<=10s, size<=1B", "accuracy>=2%"])
def test_what_is_fast_enough_stays_on_one_thread(
    digits: Dataset,
    tried: tuple[Trainee, list[Trial], list[Candidate]],
    machine: Machine,
    budget: str,
) -> None:
    _, trials, candidates = tried
    assert try_on_all_cores(trials, candidates, job(digits, machine, budget), Settings()) == []


def test_nothing_is_tried_on_a_single_core_or_after_a_stop(
    digits: Dataset, tried: tuple[Trainee, list[Trial], list[Candidate]], machine: Machine
) -> None:
    _, trials, candidates = tried
    single = job(digits, machine, "p99<=1us", cores=1)
    assert try_on_all_cores(trials, candidates, single, Settings()) == []
    stopped = Settings(stop=StopRequest(requested=True))
    assert try_on_all_cores(trials, candidates, job(digits, machine, "p99<=1us"), stopped) == []


def test_a_model_of_which_one_program_may_be_fast_enough_stays_on_one_thread(
    digits: Dataset, tried: tuple[Trainee, list[Trial], list[Candidate]], machine: Machine
) -> None:
    _, (trial,), (candidate,) = tried
    other = changed(trial, program=changed(trial.program, method="guarded"))
    fast = replace(candidate, name=other.name, p99_ms=replace(candidate.p99_ms, low=0.0))
    slow = job(digits, machine, "p99<=1us")
    assert try_on_all_cores([trial, other], [candidate, fast], slow, Settings()) == []


@pytest.mark.slow
def test_a_bundle_of_a_program_on_several_threads_opens_with_them(
    tmp_path: Path,
) -> None:
    recipe = FitRecipe(teacher=PLAN, students=(), programs=PORTABLE)
    settings = Settings(recipe=recipe)
    bundle = fit("digits", "p50<=1us", out=tmp_path / "slow.dip", settings=settings)
    rows = bundle.leaderboard()
    assert {row.threads for row in rows} == {1, bundle.manifest.machine.cores}
    assert rows[0].chosen
    assert bundle.program.threads == rows[0].threads
    assert diptych.load(bundle.path).program.threads == rows[0].threads
