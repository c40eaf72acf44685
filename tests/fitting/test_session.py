import dataclasses
import math
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from diptych.compression.prune import PruneRecipe
from diptych.core.errors import TrainingError
from diptych.core.progress import Step, StopRequest, silent
from diptych.core.values import Candidate
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.bounds import seconds_for_bound
from diptych.fitting.budget import Budget
from diptych.fitting.evidence import LATE_RUNS
from diptych.fitting.fit import run_job
from diptych.fitting.fit_folder import FitFolder, FitRequest
from diptych.fitting.job import Job
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.fitting.session import QUICK, FitSession
from diptych.fitting.settings import Settings
from diptych.fitting.stock import take_stock
from diptych.fitting.timetable import FINAL_TIMING_S, LEAST_TIMING_S, TIMING_S
from diptych.fitting.trainee import Trainee
from diptych.measure.machine import describe
from diptych.training.checkpoint import Checkpoint, Position
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation


@pytest.fixture
def job(tmp_path: Path) -> Job:
    dataset = read("digits", Options(seed=0))
    budget = Budget.parse("drop<=5%")
    return Job(dataset=dataset, budget=budget, machine=describe(), destination=tmp_path / "out.dip")


@pytest.fixture
def recipe() -> FitRecipe:
    training = TrainingRecipe(
        epochs=2, batch_size=64, variation=PictureVariation(translate=1, cutout=2)
    )
    teacher = ModelPlan(
        name="teacher",
        network=ResidualNetConfig(stem=8, widths=(16,), blocks=(0,)),
        training=training,
    )
    portable = (ProgramPlan(runtime="onnxruntime", precision="fp32"),)
    return FitRecipe(
        teacher=teacher, students=(replace(teacher, name="student"),), programs=portable
    )


@pytest.mark.slow
def test_the_widest_students_that_can_keep_the_budget_are_trained(
    job: Job, recipe: FitRecipe
) -> None:
    students = [
        replace(
            recipe.teacher,
            name=f"student-{width}",
            network=ResidualNetConfig(stem=8, widths=(width,), blocks=(0,)),
        )
        for width in (256, 128, 64, 32)
    ]
    recipe = replace(recipe, students=tuple(students), most_students=2)
    sizes = {p.name: 4 * 9 * 8 * p.network.widths[0] for p in students}  # of its widest layer
    budget = Budget.parse(f"size<={sizes['student-64'] + 8000}B")
    session = FitSession(dataclasses.replace(job, budget=budget), recipe, None, Settings())
    session.choose_students()
    assert [plan.name for plan in session.recipe.students] == ["student-64", "student-32"]
    assert session.recipe.most_students == 0
    late = FitSession(dataclasses.replace(job, budget=budget), recipe, 0.0, Settings())
    late.choose_students()
    assert [plan.name for plan in late.recipe.students] == ["student-256", "student-128"]


@pytest.mark.slow
def test_a_student_whose_training_fails_is_left_out_and_the_fit_goes_on(
    job: Job, recipe: FitRecipe
) -> None:
    training = replace(recipe.teacher.training, learning_rate=1e9)
    wild = replace(recipe.teacher, name="wild", training=training)
    recipe, told = replace(recipe, students=(wild, *recipe.students)), list[Step]()
    with run_job(job, recipe, None, Settings(report=told.append)) as bundle:
        models = {candidate.model for candidate in bundle.manifest.candidates}
    assert models == {"teacher", "student"}
    (why,) = [step.note for step in told if step.stage == "wild" and "left out" in step.note]
    assert "loss" in why
    alone = replace(recipe, teacher=replace(wild, name="teacher"), students=())
    with pytest.raises(TrainingError, match="loss"):
        run_job(job, alone, None, Settings())


@pytest.mark.slow
def test_a_fit_that_goes_on_keeps_the_students_that_it_chose(
    job: Job, recipe: FitRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = replace(recipe.teacher, name="wide")
    recipe = replace(recipe, students=(wide, *recipe.students), most_students=1)
    request = FitRequest(data_sha256="0" * 64, budget="", seed=0, target="cpu", timed=False)
    asked: list[str] = []

    def interrupted(session: FitSession) -> None:
        asked.append("teacher")
        raise KeyboardInterrupt

    for known in (None, recipe):
        with closing(FitFolder(tmp_path / "a.fit", request, silent)) as folder:
            assert folder.recipe == known
            resumed = dataclasses.replace(job, fit=folder)
            with monkeypatch.context() as patched:
                patched.setattr(FitSession, "choose_students", lambda _: asked.append("students"))
                patched.setattr(FitSession, "train_teacher", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    run_job(resumed, recipe, None, Settings())
    assert asked == ["students", "teacher", "teacher"]


def test_without_a_deadline_there_is_always_time(job: Job, recipe: FitRecipe) -> None:
    assert FitSession(job, recipe, None, Settings()).has_time()


def tried(session: FitSession) -> FitSession:
    """Let a session have a program, whichever."""
    session.trials.append(None)  # type: ignore[arg-type]
    return session


def test_after_the_deadline_there_is_none(job: Job, recipe: FitRecipe) -> None:
    settings = Settings(clock=lambda: 100.0)
    assert not tried(FitSession(job, recipe, 103.0, settings)).has_time()
    assert tried(FitSession(job, recipe, 1000.0, settings)).has_time()


def test_without_any_program_there_is_time_however_late_it_is(job: Job, recipe: FitRecipe) -> None:
    settings = Settings(clock=lambda: 100.0)
    assert FitSession(job, recipe, 50.0, settings).has_time()


def test_a_stop_ends_the_fit_and_before_any_program_interrupts_it(
    job: Job, recipe: FitRecipe
) -> None:
    stopped = Settings(stop=StopRequest(requested=True))
    assert not tried(FitSession(job, recipe, None, stopped)).has_time()
    with pytest.raises(KeyboardInterrupt):
        FitSession(job, recipe, None, stopped).has_time()


def test_what_is_to_be_pruned_and_was_not_trained_is_told(job: Job, recipe: FitRecipe) -> None:
    told: list[str] = []
    smaller = replace(recipe.teacher, name="smaller", prune=PruneRecipe(share=0.5))
    planned = replace(recipe, students=(smaller, replace(smaller, name="less", source="smaller")))
    session = FitSession(job, planned, None, Settings(report=lambda step: told.append(step.note)))
    session.trainer.trainees.append(
        Trainee(plan=planned.teacher, network=None, seconds=0.0, cpu_seconds=0.0, samples=0)
    )
    session.train_student(planned.students[1])
    assert len(session.trainer.trainees) == 1
    assert "there is no program of smaller, so nothing is pruned from it" in told


@pytest.mark.slow
def test_a_valid_bundle_is_there_after_each_model(job: Job, recipe: FitRecipe) -> None:
    from diptych.inference.bundle import load

    session = FitSession(job, recipe, None, Settings())
    session.train_teacher()
    with load(job.destination) as first:
        assert {c.model for c in first.manifest.candidates} == {"teacher"}
    session.train_student(recipe.students[0])
    session.finish()
    with load(job.destination) as last:
        assert len(last.manifest.candidates) == 2
        assert last.manifest.model.cold_ms is not None


INT8 = tuple(
    ProgramPlan(runtime="onnxruntime", precision="int8", method=method)
    for method in ("calibrated", "trained")
)


@pytest.mark.slow
def test_a_model_is_trained_on_in_8_bits_where_its_recipe_says_so(
    job: Job, recipe: FitRecipe
) -> None:
    from diptych.inference.bundle import load

    asked = TrainingRecipe(epochs=1, batch_size=64, optimizer="adamw", learning_rate=1e-3)
    students = (replace(recipe.students[0], quantized=asked),)
    both = replace(recipe, students=students, programs=(*recipe.programs, *INT8))
    session = FitSession(job, both, None, Settings())
    session.train_teacher()
    session.train_student(students[0])
    session.finish()
    with load(job.destination) as bundle:
        manifest = bundle.manifest
    scores = {c.name: c.score.value for c in manifest.candidates}
    assert set(scores) == {
        *(f"{model} onnxruntime {p}" for model in ("teacher", "student") for p in ("fp32", "int8")),
        "student onnxruntime int8 (trained)",
    }
    in_float = scores["student onnxruntime fp32"]
    assert abs(scores["student onnxruntime int8 (trained)"] - in_float) < 0.1
    assert read_recipe(job.destination).students == students
    assert read_recipe(job.destination).teacher.quantized is None
    assert {point.model for point in manifest.curves} == {"teacher", "student", "student int8"}
    assert manifest.training.samples > sum(model.samples for model in session.trainer.trainees)


@pytest.mark.slow
def test_a_deadline_that_passed_while_data_was_read_still_leaves_a_bundle(
    job: Job, recipe: FitRecipe
) -> None:
    alone = replace(recipe, students=())
    session = FitSession(job, alone, 50.0, Settings(clock=lambda: 100.0))
    session.train_teacher()
    session.finish()
    assert (job.destination / "bundle.json").is_file()


def test_with_too_few_items_to_calibrate_every_model_is_tried_in_fp32(
    job: Job, recipe: FitRecipe
) -> None:
    """The test split is the training split over again, so no item may be taken."""
    same = dataclasses.replace(
        job, dataset=dataclasses.replace(job.dataset, test=job.dataset.train)
    )
    both = replace(recipe, programs=(*recipe.programs, *INT8))
    session = FitSession(same, both, None, Settings())
    assert session._programs("calibrated") == list(recipe.programs)
    assert session._programs("guarded", "trained") == []
    rounded = FitSession(same, replace(recipe, programs=INT8), None, Settings())
    assert rounded._programs("calibrated") == []
    assert tuple(QUICK) == recipe.programs
    assert len(FitSession(job, both, None, Settings())._programs("calibrated")) == 2


@pytest.mark.slow
def test_a_cheaper_student_takes_the_place_of_one_that_keeps_the_budget(
    job: Job, recipe: FitRecipe
) -> None:
    from diptych.inference.bundle import load

    wide = ResidualNetConfig(stem=8, widths=(32, 64), blocks=(0, 1))
    training = replace(recipe.teacher.training, epochs=18.0)
    teacher = ModelPlan(name="teacher", network=wide.scaled(1.5), training=training)
    networks = {
        name: wide.scaled(s) for name, s in (("student", 1.0), ("less", 0.75), ("least", 0.5))
    }
    networks["nothing"] = replace(wide, stem=2, widths=(2, 4))
    student, *cheaper = (
        ModelPlan(name=name, network=network, training=training)
        for name, network in networks.items()
    )
    planned = replace(recipe, teacher=teacher, students=(student,), cheaper=tuple(cheaper))
    told: list[str] = []
    settings = Settings(report=lambda step: told.append(f"{step.stage}: {step.note}"))
    session = FitSession(
        dataclasses.replace(job, budget=Budget.parse("accuracy>=93%")), planned, None, settings
    )
    session.train_teacher()
    session.train_student(student)
    session.find_cheaper()
    session.finish()
    with load(job.destination) as bundle:
        manifest = bundle.manifest
    assert manifest.verdict == "PASS"
    assert manifest.model.name in {"less", "least"}
    given_up = {one.model: one for one in manifest.given_up}
    assert "nothing" in given_up
    assert given_up["nothing"].expected.high < given_up["nothing"].needed
    trained = {plan.name for plan in read_recipe(job.destination).students}
    assert trained.isdisjoint(given_up)
    assert {"student", manifest.model.name} <= trained
    assert any(line.startswith("search: nothing: 2 of 18 epochs") for line in told)
    spent = sum(model.samples for model in session.trainer.trainees)
    assert manifest.training.samples > spent  # what was given up was paid for as well


@pytest.mark.slow
def test_after_the_deadline_one_program_of_the_teacher_has_to_do_and_who_was_left_out_is_told(
    job: Job, recipe: FitRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diptych.fitting.evidence.COLD_RUNS", 3)
    programs = (*recipe.programs, ProgramPlan(runtime="onnxruntime", precision="int8"))
    late = replace(recipe, programs=programs)
    job = dataclasses.replace(job, budget=Budget.parse("drop<=5%, size<=1KB"))
    bundle = run_job(job, late, time.monotonic(), Settings())
    assert len(bundle.manifest.candidates) == 1
    assert bundle.manifest.untrained == ("student",)
    assert bundle.manifest.nearest == ("teacher onnxruntime fp32",)
    early = run_job(job, late, None, Settings())
    assert len(early.manifest.candidates) == 4
    starts = [each.manifest.model.cold_ms for each in (bundle, early)]
    assert [each.n for each in starts if each] == [LATE_RUNS, 3]
    assert early.manifest.untrained == ()


def test_loading_libraries_is_not_what_each_model_takes(
    job: Job, recipe: FitRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = [0.0]

    def load(runtimes: set[str]) -> None:
        passed[0] += 7.0 if runtimes else 0.0

    monkeypatch.setattr("diptych.fitting.session.load_libraries", load)
    rounded = ProgramPlan(runtime="onnxruntime", precision="int8")
    session = FitSession(
        job, replace(recipe, programs=(rounded,)), 60.0, Settings(clock=lambda: passed[0])
    )
    session.train_teacher()
    assert passed[0] >= 7.0
    assert session.time.lowering_s == 0.0


def checkpoint(remaining: int) -> Checkpoint:
    position = Position(
        name="any",
        seed=0,
        data_sha256="0" * 64,
        planned=TrainingRecipe(),
        recipe=TrainingRecipe(),
        step=1,
        remaining=remaining,
    )
    return Checkpoint(position=position, tensors={"weight": torch.ones(2)})


def test_a_student_that_was_trained_to_the_end_before_is_taken_however_late_it_is(
    job: Job, recipe: FitRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, half, untouched = (replace(recipe.teacher, name=name) for name in ("a", "b", "c"))
    recipe, taken = replace(recipe, students=(half, done, untouched)), list[str]()
    request = FitRequest(data_sha256="0" * 64, budget="", seed=0, target="cpu", timed=True)

    def interrupted(session: FitSession) -> None:
        taken.extend(session.untrained)
        raise KeyboardInterrupt

    monkeypatch.setattr(FitSession, "train_teacher", tried)
    monkeypatch.setattr(FitSession, "train_student", lambda _, plan: taken.append(plan.name))
    monkeypatch.setattr(FitSession, "find_cheaper", interrupted)
    with closing(FitFolder(tmp_path / "a.fit", request, silent)) as folder:
        folder.keep(recipe)
        for plan, remaining in ((half, 2), (done, 0)):
            folder.run(plan, recipe.teacher).save(checkpoint(remaining))
        with pytest.raises(KeyboardInterrupt):
            run_job(dataclasses.replace(job, fit=folder), recipe, 0.0, Settings())
    assert taken == ["a", "b", "c"]  # one is taken, and two are told
    stopped = Settings(stop=StopRequest(requested=True))
    assert not tried(FitSession(job, recipe, None, stopped)).has_time(done)


def test_a_program_that_passed_stays_the_choice_where_its_last_timing_had_too_few_calls(
    job: Job,
    recipe: FitRecipe,
    make_candidate: Callable[..., Candidate],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    budget = Budget.parse("drop<=5%, p99<=3ms")
    session = FitSession(dataclasses.replace(job, budget=budget), recipe, None, Settings())
    session.trainer.trainees.append(Trainee(plan=recipe.teacher, network=None))
    session.trials = [SimpleNamespace(name="cheap"), SimpleNamespace(name="dear")]
    session.teacher_outputs = {"validation": np.empty(0), "test": np.empty(0)}
    timed = {"cheap": (2.0, 1.9, 2.1), "dear": (1.0, 0.9, 1.1)}
    costs = {"cheap": 1.0, "dear": 2.0}
    where = "diptych.fitting."
    monkeypatch.setattr(where + "comparison.time_trials", lambda *_, **more: {})
    monkeypatch.setattr(where + "stock.gather_evidence", lambda *_, **more: None)
    monkeypatch.setattr(
        where + "comparison.as_candidate",
        lambda trial, *_: make_candidate(trial.name, p99=timed[trial.name], cost=costs[trial.name]),
    )
    assert take_stock(session, 1.0).chosen.name == "cheap"
    timed["cheap"] = (2.0, 1.8, math.inf)
    outcome = take_stock(session, 1.0)
    assert outcome.chosen.name == "cheap"
    assert [candidate.meets_budget for candidate in session.candidates] == [True, True]


def test_what_the_p99_of_a_slow_choice_takes_is_put_aside_for_the_last_timing(
    job: Job,
    recipe: FitRecipe,
    make_candidate: Callable[..., Candidate],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = dataclasses.replace(job, budget=Budget.parse("p99<=80ms"))
    session = FitSession(job, recipe, 10_000.0, Settings(clock=lambda: 100.0))
    session.trainer.trainees.append(Trainee(plan=recipe.teacher, network=None))
    session.trials = [SimpleNamespace(name="slow", varies=True)]
    session.teacher_outputs = {"validation": np.empty(0), "test": np.empty(0)}
    slow = make_candidate("slow", p50=50.0, p99=(60.0, 55.0, math.inf))
    monkeypatch.setattr("diptych.fitting.comparison.time_trials", lambda *_, **more: {})
    monkeypatch.setattr("diptych.fitting.comparison.as_candidate", lambda *_: slow)
    monkeypatch.setattr("diptych.fitting.stock.gather_evidence", lambda *_, **more: None)
    assert session.time.final_timing_s == FINAL_TIMING_S
    take_stock(session, 1.0)
    assert session.time.final_timing_s == pytest.approx(seconds_for_bound(slow, job.budget))


def test_a_student_that_failed_in_the_contest_is_not_trained_again(
    job: Job, recipe: FitRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, trained = FitSession(job, recipe, None, Settings()), list[str]()
    monkeypatch.setattr(session.trainer, "train", lambda plan, _: trained.append(plan.name))
    session.train_student(replace(recipe.students[0], name="sound"))
    session.contest.failed.add("student")
    session.train_student(recipe.students[0])
    assert trained == ["sound"]


def test_the_last_choice_is_timed_for_as_long_as_those_before_where_there_is_time(
    job: Job,
    recipe: FitRecipe,
    make_candidate: Callable[..., Candidate],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def seconds(deadline: float | None, *, stop: bool = False, aside_s: float = 0.0) -> float:
        settings = Settings(clock=lambda: 100.0, stop=StopRequest(requested=stop))
        session, given = FitSession(job, recipe, deadline, settings), list[float]()
        session.time.put_aside(aside_s)
        session.candidates = (make_candidate(drop=0.1),)
        session.trials = [SimpleNamespace(name="c")] * 20

        def stock(session: FitSession, seconds: float, *, last: bool) -> None:
            given.append(seconds)
            raise KeyboardInterrupt

        monkeypatch.setattr("diptych.fitting.finishing.take_stock", stock)
        with pytest.raises(KeyboardInterrupt):
            session.finish()
        return given[0]

    assert seconds(None) == 20 * TIMING_S
    assert seconds(10_000.0) == 20 * TIMING_S
    assert seconds(None, stop=True) == FINAL_TIMING_S
    assert seconds(10_000.0, aside_s=90.0) == 90.0
    assert seconds(10_000.0, stop=True, aside_s=90.0) == FINAL_TIMING_S
    assert seconds(101.0) == LEAST_TIMING_S
    assert FINAL_TIMING_S < seconds(250.0) < 20 * TIMING_S
