"""What `compression.peers` compares of ours: the programs that Diptych makes of one network.

`int8` are those of every fit; `guarded` and `trained` those that a fit adds where 8 bits lose too
much, made here whether they do or not; `student` is what a fit with this teacher finds. Seconds are
of all of it, from the network in memory, exporting to ONNX included; of the student those of the
whole `diptych fit`.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx

import diptych
from compression.peer_items import MOST_DROP
from diptych.core.progress import silent
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.allowance import Allowance, excess
from diptych.fitting.budget import Budget
from diptych.fitting.calibration import calibration_items
from diptych.fitting.plans import plan_fit
from diptych.fitting.plans.teacher import with_bundle
from diptych.fitting.refining import train_in_8_bits
from diptych.fitting.starting import read_alike
from diptych.fitting.trainee import Trainee, network_of, train_model
from diptych.measure.machine import describe
from diptych.targets import Runtime
from diptych.targets.guarding import Guard
from diptych.targets.lower import LoweredProgram, lower, lower_guarded, lower_trained
from diptych.training.control import RunControl
from diptych.training.start import read_start

SEED, CALIBRATION_ITEMS = 0, 512
DROP = f"drop<={100 * MOST_DROP:g}%"
RUNTIMES: tuple[Runtime, ...] = ("onnxruntime", "openvino")


@dataclass(frozen=True)
class Ours:
    """The network of a bundle, the data prepared as for it, and items to calibrate with."""

    bundle: Path
    data: Path
    dataset: Dataset
    teacher: Trainee
    calibration: np.ndarray


def open_ours(bundle: Path, data: Path) -> Ours:
    start = read_start(bundle)
    dataset = read(data, read_alike(Options(seed=SEED), start))
    plan = plan_fit(dataset, Budget.parse(DROP), describe(), SEED, timed=False)
    recipe = with_bundle(plan, start, dataset)
    teacher = train_model(recipe.teacher, dataset, RunControl(name="teacher", seed=SEED))
    items = calibration_items(dataset, CALIBRATION_ITEMS, SEED, silent)
    return Ours(bundle, data, dataset, teacher, items)


def write_inputs(ours: Ours, inputs: Path, tests: Path) -> None:
    """Write what tools are given, and apart from it the test split, which none of them is."""
    for folder in (inputs, tests):
        folder.mkdir(parents=True, exist_ok=True)
    np.save(inputs / "calibration.npy", ours.calibration)
    np.save(inputs / "validation.npy", ours.dataset.validation.inputs)
    np.save(inputs / "labels.npy", ours.dataset.validation.targets)
    np.save(tests / "inputs.npy", ours.dataset.test.inputs)
    np.save(tests / "labels.npy", ours.dataset.test.targets)
    model = onnx.load_from_string(next(iter(fp32(ours, "onnxruntime").contents.values())))
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"  # tools tell steps apart by their names
    onnx.save(model, inputs / "model.onnx")


def fp32(ours: Ours, runtime: Runtime) -> LoweredProgram:
    spec = ours.dataset.spec.tensor()
    return lower(network_of(ours.teacher), spec, runtime=runtime, precision="fp32")


def int8(ours: Ours, runtime: Runtime) -> LoweredProgram:
    network, spec = network_of(ours.teacher), ours.dataset.spec.tensor()
    return lower(network, spec, runtime=runtime, precision="int8", calibration=ours.calibration)


def guarded(ours: Ours) -> LoweredProgram | None:
    allowance = Allowance(
        budget=Budget.parse(DROP),
        dataset=ours.dataset,
        teacher_outputs=ours.teacher.outputs(ours.dataset, "validation"),
    )
    guard = Guard(
        inputs=ours.dataset.validation.inputs, excess=lambda outputs: excess(allowance, outputs)
    )
    network, spec = network_of(ours.teacher), ours.dataset.spec.tensor()
    return lower_guarded(network, spec, ours.calibration, guard)


def trained(ours: Ours, runtime: Runtime) -> LoweredProgram:
    control = RunControl(name="int8", seed=SEED)
    _, network = train_in_8_bits(ours.teacher, None, ours.dataset, ours.calibration, control)
    return lower_trained(network, ours.dataset.spec.tensor(), [runtime])[0]


MODEL: Mapping[str, Callable[[Ours], LoweredProgram | None]] = {
    f"fp32 {runtime}": partial(fp32, runtime=runtime) for runtime in RUNTIMES
}
LOWERED: Mapping[str, Callable[[Ours], LoweredProgram | None]] = {
    **{f"int8 {runtime}": partial(int8, runtime=runtime) for runtime in RUNTIMES},
    "guarded onnxruntime": guarded,
    **{f"trained {runtime}": partial(trained, runtime=runtime) for runtime in RUNTIMES},
}
STUDENTS = tuple(f"student {runtime}" for runtime in RUNTIMES)


def make(ours: Ours, name: str, out: Path) -> dict[str, object]:
    """Make one program in a folder, and tell how long it took."""
    begin = time.monotonic()
    program = {**MODEL, **LOWERED}[name](ours)
    if program is None:
        return {"failed": "no layer can stay in int8"}
    for file, content in program.contents.items():
        (out / file).write_bytes(content)
    told: dict[str, object] = {"seconds": time.monotonic() - begin, "files": [*program.contents]}
    if program.in_float:
        told["in_float"] = program.in_float
    return told | {"package": f"diptych {diptych.__version__}"}


def make_student(ours: Ours, runtime: str, out: Path, minutes: float) -> dict[str, object]:
    """Take one program of what a fit finds, which is run where it has not been yet."""
    bundle = out.parent / f"student-{minutes:g}m.dip"
    done = bundle.with_suffix(".json")
    if not done.is_file():
        shutil.rmtree(bundle.with_suffix(".fit"), ignore_errors=True)  # seconds are of a whole fit
        begin = time.monotonic()
        words = [sys.executable, "-m", "diptych", "fit", ours.data, "--teacher", ours.bundle]
        model = out.parent.parent / "inputs" / "model.onnx"
        budget = f"{DROP}, size<={model.stat().st_size // 10}B"
        words += ["--budget", budget, "--time-limit", f"{minutes:g}m", "--seed", SEED]
        code = subprocess.run([*map(str, words), "--out", str(bundle)], stdout=sys.stderr)
        if code.returncode not in {0, 3}:
            return {"failed": f"fit ended with code {code.returncode}"}
        done.write_text(json.dumps({"seconds": time.monotonic() - begin, "budget": budget}))
    manifest = diptych.load(bundle, golden="skip").manifest
    found = [each for each in manifest.programs if each.runtime == runtime]
    if not found:
        return {"failed": f"the bundle has no program for {runtime}"}
    for file in found[0].files:
        (out / file.path).write_bytes((bundle / file.path).read_bytes())
    told = json.loads(done.read_text()) | {"precision": found[0].precision}
    files = [file.path for file in found[0].files]
    return told | {"files": files, "package": f"diptych {diptych.__version__}"}
