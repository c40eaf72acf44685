import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

import diptych
from diptych.core.errors import BudgetError, ConfigError, MissingExtraError, StorageError
from diptych.core.extras import installed
from diptych.core.files import sha256_of_file
from diptych.core.manifest import Machine
from diptych.core.progress import Step, StopRequest
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.budget import Budget
from diptych.fitting.fit import available_programs, check_programs, fit, recipe_of
from diptych.fitting.job import Job, open_job
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.fitting.settings import Settings
from diptych.targets import CONVERTERS, ROUNDERS, lacking
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation

RUN = [sys.executable, "-m", "diptych"]


def quick_recipe(epochs: float = 3.0) -> FitRecipe:
    """Train two tiny networks for a moment."""
    training = TrainingRecipe(
        epochs=epochs, batch_size=64, variation=PictureVariation(translate=1, cutout=2)
    )
    plans = [
        ModelPlan(
            name=name,
            network=ResidualNetConfig(stem=8, widths=(width,), blocks=(0,)),
            training=training,
        )
        for name, width in (("teacher", 32), ("student-16", 16))
    ]
    portable = (ProgramPlan(runtime="onnxruntime", precision="fp32"),)
    return FitRecipe(teacher=plans[0], students=(plans[1],), programs=portable)


@pytest.mark.slow
def test_a_fit_leaves_a_bundle_that_says_what_was_measured(digits_bundle: Path) -> None:
    with diptych.load(digits_bundle) as bundle:
        manifest = bundle.manifest
        assert manifest.verdict == "PASS"
        assert {term.name for term in manifest.terms} == {"drop", "p99", "size"}
        for model in {"teacher", manifest.model.name}:
            assert sum(candidate.model == model for candidate in manifest.candidates) >= 4
        assert sum(candidate.chosen for candidate in manifest.candidates) == 1
        assert manifest.model.name != "teacher"
        assert manifest.model.memory_bytes is not None
        assert manifest.model.cold_ms is not None
        assert manifest.model.cold_ms.n >= 5
        assert manifest.provenance.calibration_sha256
        assert manifest.training.flops > 0
        passing = [c for c in manifest.candidates if c.meets_budget]
        chosen = next(c for c in manifest.candidates if c.chosen)
        assert all(chosen.cost_usd_per_million <= each.cost_usd_per_million for each in passing)


@pytest.mark.slow
def test_what_the_bundle_claims_is_what_it_does(digits_bundle: Path) -> None:
    """The accuracy in the manifest is found again by running the bundle on the test split."""
    test = read("digits", Options(seed=0)).test
    with diptych.load(digits_bundle) as bundle:
        right = bundle.run(test.inputs).argmax(1) == test.targets
        claimed = bundle.manifest.model.score
        assert (claimed.value, claimed.n) == (pytest.approx(right.mean()), len(test))
        size = sum((digits_bundle / file.path).stat().st_size for file in bundle.program.files)
        verdicts = {term.name: term for term in bundle.manifest.terms}
        chosen = next(c for c in bundle.manifest.candidates if c.chosen)
        assert verdicts["size"].value == chosen.size_bytes
        assert size == bundle.program.size_bytes


@pytest.mark.slow
def test_every_program_of_the_bundle_agrees_with_the_golden_examples(digits_bundle: Path) -> None:
    with diptych.load(digits_bundle) as bundle:
        runtimes = [program.runtime for program in bundle.manifest.programs]
    assert "onnxruntime" in runtimes
    for runtime in runtimes:
        diptych.load(digits_bundle, runtime=runtime).close()


@pytest.mark.slow
def test_a_fit_is_done_again_from_its_own_bundle_bit_for_bit(tmp_path: Path) -> None:
    """What a time limit decided is in the bundle, and is followed without one."""
    ticks = iter(range(10**9))
    settings = Settings(recipe=quick_recipe(epochs=200), clock=lambda: 0.05 * next(ticks))
    first = fit("digits", out=tmp_path / "a.dip", time_limit=60.0, settings=settings)
    recipe = read_recipe(first.path)
    assert recipe.teacher.training.replans
    again = fit("digits", out=tmp_path / "b.dip", settings=Settings(recipe=recipe))
    hashes = [sha256_of_file(b.path / "weights.safetensors") for b in (first, again)]
    assert hashes[0] == hashes[1]
    assert first.manifest.provenance.recipe == again.manifest.provenance.recipe


@pytest.mark.slow
def test_a_budget_that_nothing_meets_leaves_the_nearest_bundle(tmp_path: Path) -> None:
    settings = Settings(recipe=quick_recipe())
    bundle = fit("digits", "size<=2KB, p99<=1s", out=tmp_path / "a.dip", settings=settings)
    manifest = bundle.manifest
    assert manifest.verdict == "FAIL"
    assert [offer.term for offer in manifest.relaxations] == ["size"]
    smallest = min(candidate.size_bytes for candidate in manifest.candidates)
    assert smallest <= manifest.relaxations[0].needed <= 1.1 * smallest


@pytest.mark.slow
def test_a_stop_request_in_training_still_gives_a_valid_bundle(tmp_path: Path) -> None:
    stop = StopRequest()

    def stop_soon(step: Step) -> None:
        stop.requested |= step.stage == "teacher" and step.done >= 20

    settings = Settings(recipe=quick_recipe(epochs=500), stop=stop, report=stop_soon)
    bundle = fit("digits", out=tmp_path / "a.dip", settings=settings)
    assert bundle.manifest.provenance.interrupted
    assert [c.model for c in bundle.manifest.candidates] == ["teacher"]
    diptych.load(bundle.path).close()


@pytest.mark.slow
def test_an_interrupt_from_outside_ends_with_a_valid_bundle(tmp_path: Path) -> None:
    out = tmp_path / "a.dip"
    command = [*RUN, "fit", "digits", "--time-limit", "10m", "--out", str(out), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("teacher:"):
            break
    os.kill(process.pid, signal.SIGINT)
    printed, complaint = process.communicate(timeout=120)
    assert process.returncode in {0, 3}, complaint
    assert json.loads(printed)["interrupted"] is True
    diptych.load(out).close()


@pytest.mark.slow
def test_a_killed_fit_leaves_the_earlier_bundle_whole(tmp_path: Path) -> None:
    settings = Settings(recipe=quick_recipe())
    before = fit("digits", out=tmp_path / "a.dip", settings=settings)
    before.close()
    digest = sha256_of_file(before.path / "bundle.json")
    process = subprocess.Popen([*RUN, "fit", "digits", "--out", str(before.path)])
    time.sleep(np.random.default_rng().uniform(1.0, 6.0))
    process.kill()
    process.wait()
    assert sha256_of_file(before.path / "bundle.json") == digest
    diptych.load(before.path).close()


def test_a_misspelt_budget_is_refused_before_any_data_is_read(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="sise") as caught:
        fit(tmp_path / "nothing", "sise<=3KB")
    assert "size" in caught.value.hint


def test_a_recipe_is_followed_in_what_the_processor_has(tmp_path: Path, machine: Machine) -> None:
    network = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
    training = TrainingRecipe(arithmetic="bf16")
    asked = FitRecipe(teacher=ModelPlan(name="teacher", network=network, training=training))
    told: list[Step] = []
    settings = Settings(recipe=asked, device="cpu", report=told.append)
    job = open_job("digits", Budget(), tmp_path / "a.dip", 0, settings)
    found = [
        recipe_of(dataclasses.replace(job, machine=here), None, settings, timed=False)
        for here in (machine, replace(machine, flags=("avx2", "avx512_bf16")))
    ]
    assert [each.teacher.training.arithmetic for each in found] == ["fp32", "bf16"]
    assert [step.note for step in told if step.stage == "recipe"] == [
        "this processor does not compute in bf16: fp32 instead, to other weights"
    ]


def test_a_folder_that_is_not_a_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(StorageError, match="not a bundle"):
        fit("digits", out=tmp_path)
    assert (tmp_path / "holiday.jpg").read_bytes() == b"precious"


def test_what_saves_too_great_a_loss_is_planned_after_what_is_always_tried() -> None:
    programs = [(p.runtime, p.precision, p.method) for p in available_programs("cpu-portable")]
    assert programs == [
        ("onnxruntime", "fp32", "calibrated"),
        ("onnxruntime", "int8", "calibrated"),
        ("onnxruntime", "fp16", "reserve"),
        ("onnxruntime", "int8", "guarded"),
        ("onnxruntime", "int8", "trained"),
    ]


def test_an_unknown_target_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="gpu"):
        available_programs("gpu")
    with pytest.raises(ConfigError) as caught:
        available_programs("cpu-portabel")
    assert "cpu-portable" in caught.value.hint


def test_a_stop_before_training_interrupts(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit("digits", out=tmp_path / "a.dip", settings=Settings(stop=StopRequest(requested=True)))
    assert not (tmp_path / "a.dip").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_an_interrupt_at_any_moment_leaves_a_whole_bundle_or_none(
    seed: int, tmp_path: Path
) -> None:
    """Early it ends with 130 and nothing, later with a bundle that loads."""
    out = tmp_path / "a.dip"
    process = subprocess.Popen(
        [*RUN, "fit", "digits", "--out", str(out)], stderr=subprocess.PIPE, text=True
    )
    time.sleep(np.random.default_rng(seed).uniform(0.3, 12.0))
    process.send_signal(signal.SIGINT)
    _printed, complaint = process.communicate(timeout=120)
    code = 130 if process.returncode == -signal.SIGINT else process.returncode  # as shells tell it
    assert code in {0, 3, 130}, complaint
    assert "Traceback" not in complaint
    assert out.exists() == (code != 130)
    if out.exists():
        diptych.load(out).close()
    assert {path.name for path in tmp_path.iterdir()} <= {"a.dip", "a.fit"}


def test_machine_code_is_no_target_of_a_fit() -> None:
    with pytest.raises(ConfigError, match="torch makes machine code") as caught:
        available_programs("torch")
    assert "diptych export BUNDLE --target torch" in caught.value.hint


def test_a_target_that_may_not_run_here_is_planned_all_the_same() -> None:
    (plan,) = available_programs("cuda")
    assert plan.choice == ("onnxruntime-cuda", "fp32")


def test_a_target_whose_programs_cannot_be_made_here_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CONVERTERS, "litert", ("no_such_library", "edge-export"))
    with pytest.raises(MissingExtraError, match="edge needs no_such_library") as told:
        available_programs("edge")
    assert told.value.hint == "pip install 'diptych[edge-export]'"


def test_a_recipe_whose_programs_cannot_be_made_here_is_refused_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONVERTERS, "litert", ("no_such_library", "edge-export"))
    programs = (ProgramPlan(runtime="litert", precision="int8"),)
    settings = Settings(recipe=replace(quick_recipe(), programs=programs), report=refuse_training)
    with pytest.raises(MissingExtraError, match="the recipe's litert int8 program needs no_such"):
        fit("digits", out=tmp_path / "a.dip", settings=settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not installed("openvino", "nncf"), reason="the extra openvino is absent")
def test_openvino_without_what_rounds_for_it_is_planned_in_float(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = [(p.runtime, p.precision) for p in available_programs("cpu")]
    monkeypatch.setitem(ROUNDERS, "openvino", ("no_such_library", "openvino"))
    left = [(p.runtime, p.precision) for p in available_programs("cpu")]
    assert ("openvino", "fp32") in left
    assert ("onnxruntime", "int8") in left
    assert {choice for choice in whole if choice not in left} == {
        ("openvino", "int8"),
        ("openvino", "int8-weights"),
        ("openvino", "int4-weights"),
    }
    check_programs([ProgramPlan(runtime="openvino", precision="int8", method="trained")])
    with pytest.raises(MissingExtraError, match="openvino int8 program needs no_such") as told:
        check_programs([ProgramPlan(runtime="openvino", precision="int8")])
    assert told.value.hint == "pip install 'diptych[openvino]'"


def refuse_training(step: Step) -> None:
    assert step.stage not in {"teacher", "student-16"}


@pytest.mark.skipif(bool(lacking("litert")), reason="the extra edge-export is absent")
def test_programs_for_small_devices_are_calibrated_or_trained() -> None:
    programs = [(p.runtime, p.precision, p.method) for p in available_programs("edge")]
    assert programs == [
        ("litert", "fp32", "calibrated"),
        ("litert", "int8", "calibrated"),
        ("litert", "int8", "trained"),
    ]


def test_a_timed_fit_that_goes_on_has_what_is_left_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []

    def interrupted(job: Job, recipe: FitRecipe, deadline: float, settings: Settings) -> None:
        left.append(deadline - settings.clock())
        job.fit.keep(recipe)
        settings.report(Step(stage="teacher", done=1, total=2))
        raise KeyboardInterrupt

    monkeypatch.setattr("diptych.fitting.fit.run_job", interrupted)
    settings = Settings(recipe=quick_recipe(), clock=lambda: 100.0, started=70.0)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            fit("digits", out=tmp_path / "a.dip", time_limit=1000.0, settings=settings)
    assert left == [970.0, pytest.approx(940.0, abs=9.0), pytest.approx(910.0, abs=9.0)]
