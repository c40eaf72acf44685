"""A finished bundle for another kind of hardware: lowered from its weights, nothing trained.

Without data the programs that need no calibration are added to what the bundle has; its figures
stay those of its first program. With the data that it was made of, a new bundle is measured whole.

Shapes: N golden examples, K outputs.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from torch import nn

from diptych.core.errors import ConfigError
from diptych.core.files import safe_join
from diptych.core.manifest import Manifest
from diptych.core.specs import Value
from diptych.core.values import Dataset, Precision
from diptych.fitting.assembly import FOR_PEOPLE
from diptych.fitting.budget import Budget
from diptych.fitting.fit import available_programs, recipe_of, run_job
from diptych.fitting.job import Job, open_job
from diptych.fitting.packing import pack
from diptych.fitting.rebuilding import rebuild
from diptych.fitting.settings import SETTINGS, Settings
from diptych.fitting.trials import open_lowered, run_singly, unverified
from diptych.inference import golden, store
from diptych.inference.bundle import Bundle
from diptych.inference.manifest import listed_files
from diptych.reporting.card import render_card
from diptych.targets.lower import LoweredProgram, lower_all
from diptych.targets.parity import check
from diptych.training.compute import compute_outputs
from diptych.training.recipe import TrainingRecipe
from diptych.training.start import read_start


class Lowered(Value):
    """A program or package, and how far it is from the network on N golden examples.

    `max_difference` is the largest in any output; `flips` counts examples that change their label;
    what could not run here is `unverified`, for this reason.
    """

    name: str
    runtime: str
    precision: Precision
    size_bytes: int
    max_difference: float
    flips: int
    n: int
    unverified: str = ""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A bundle that was read: its network, golden inputs (N, ...) and the network's (N, K)."""

    folder: Path
    manifest: Manifest
    network: nn.Module
    inputs: np.ndarray
    reference: np.ndarray


def open_finished(bundle: Path, settings: Settings = SETTINGS) -> Finished:
    """Read a bundle and build its network again.

    Args:
        bundle: The bundle's folder.
        settings: The user's own task, where it is one.

    Returns:
        What is lowered.

    Raises:
        ConfigError: If it is no bundle, or its weights are not those of its network.
    """
    if not store.is_bundle(bundle):
        raise ConfigError(f"{bundle} is no bundle", "give the folder of a bundle")
    manifest, folder = store.read(bundle)
    network = rebuild(read_start(bundle), settings.task)
    inputs = golden.read(folder, manifest).inputs
    return Finished(
        folder=folder,
        manifest=manifest,
        network=network,
        inputs=inputs,
        reference=compute_outputs(network, inputs, TrainingRecipe()),
    )


def add_programs(
    bundle: Path, target: str, out: Path | None = None, settings: Settings = SETTINGS
) -> tuple[Path, tuple[Lowered, ...]]:
    """Add the programs of a target that need no calibration to a copy of a bundle.

    Args:
        bundle: The bundle's folder.
        target: A kind of hardware.
        out: The new bundle's folder, by default ``NAME-TARGET.dip`` beside it; it may be the same.
        settings: The user's own task, and progress.

    Returns:
        Where the new bundle is, and what was added.

    Raises:
        ConfigError: If there is no such target, or nothing is left to add.
        TargetError: If the network cannot be lowered, or a program computes something else.
    """
    plans = [plan for plan in available_programs(target) if plan.method == "calibrated"]
    planned = [plan.choice for plan in plans if plan.precision != "int8"]
    destination = out or named(bundle, target)
    store.check_destination(destination)
    finished = open_finished(bundle, settings)
    manifest = finished.manifest
    had = {(program.runtime, program.precision) for program in manifest.programs}
    choices = [choice for choice in planned if choice not in had]
    if not choices:
        raise ConfigError(
            f"{bundle} has all programs for {target} that need no calibration",
            "give the data that it was made of as --data, for int8",
        )
    programs = lower_all(
        finished.network,
        manifest.input.tensor(),
        choices,
        report=settings.report,
        name=manifest.model.name,
    )
    answers = [_answers(program, finished.inputs) for program in programs]
    told = [
        replace(
            told_of(finished, p.name, (p.runtime, p.precision), _size(p), outputs),
            unverified=unverified(p),
        )
        for p, outputs in zip(programs, answers, strict=True)
    ]
    _write(finished, destination, programs, answers)
    return destination, tuple(told)


def measure_again(
    bundle: Path,
    target: str,
    data: str | Path | Dataset,
    out: Path | None = None,
    settings: Settings = SETTINGS,
) -> Bundle:
    """Make a new bundle of the same network for a target, in all its precisions, and measure it.

    Args:
        bundle: The bundle's folder.
        target: A kind of hardware.
        data: What the bundle was made of.
        out: The new bundle's folder, by default ``NAME-TARGET.dip`` beside it.
        settings: How to read the data, and progress.

    Returns:
        The new bundle. Its budget is that of the old one; a drop is against its network in float.

    Raises:
        ConfigError: If there is no such target, or the data is another.
    """
    manifest = store.read(bundle)[0]
    programs = tuple(plan for plan in available_programs(target) if plan.method != "trained")
    settings = dataclasses.replace(settings, target=target, teacher=bundle)
    job = open_made(bundle, manifest, data, out or named(bundle, target), settings)
    planned = recipe_of(job, manifest.provenance.data.seed, settings, timed=False)
    model = replace(planned.teacher, name=manifest.model.name)
    recipe = replace(planned, teacher=model, students=(), most_students=0, programs=programs)
    return run_job(job, recipe, None, settings)


def open_made(
    bundle: Path, manifest: Manifest, data: str | Path | Dataset, out: Path, settings: Settings
) -> Job:
    """Open what a bundle was made of, prepared as for it.

    Args:
        bundle: The bundle's folder.
        manifest: What it says.
        data: What it was made of.
        out: The folder of what is made now.
        settings: How to read the data, and progress.

    Returns:
        The job, with the bundle's budget.

    Raises:
        ConfigError: If the data is another.
    """
    made = manifest.provenance.data
    budget = Budget.parse(manifest.budget) if manifest.budget else Budget()
    job = open_job(data, budget, out, made.seed, dataclasses.replace(settings, teacher=bundle))
    if job.dataset.record.sha256 != made.sha256:
        raise ConfigError(
            f"{data} is not the data that {bundle} was made of: their hashes differ",
            f"give what {made.name!r} was, read alike",
        )
    return job


def named(bundle: Path, target: str) -> Path:
    """Name the bundle that is made where no name is given.

    Args:
        bundle: The old one.
        target: A kind of hardware.

    Returns:
        ``NAME-TARGET.dip`` beside it.
    """
    path = bundle.resolve()
    return path.with_name(f"{path.stem}-{target}.dip")


def _answers(program: LoweredProgram, inputs: np.ndarray) -> np.ndarray:
    session = open_lowered(program)
    outputs = run_singly(session, inputs)
    session.close()
    return outputs


def _size(program: LoweredProgram) -> int:
    return sum(map(len, program.contents.values()))


def told_of(
    finished: Finished, name: str, choice: tuple[str, Precision], size: int, outputs: np.ndarray
) -> Lowered:
    """Compare a program with the network; what computes something else is refused.

    Args:
        finished: The bundle that was lowered.
        name: The program's name.
        choice: Its runtime and precision.
        size: Its bytes.
        outputs: What it answers to the golden examples, float32 (N, K).

    Returns:
        How far it is from the network.

    Raises:
        TargetError: If it computes something else.
    """
    runtime, precision = choice
    parity = check(finished.reference, outputs, precision)
    return Lowered(
        name=name,
        runtime=runtime,
        precision=precision,
        size_bytes=size,
        max_difference=parity.max_difference,
        flips=parity.flips,
        n=parity.n,
    )


def _write(
    finished: Finished,
    destination: Path,
    programs: Sequence[LoweredProgram],
    answers: Sequence[np.ndarray],
) -> None:
    """Write the bundle again with more programs, which come after those that were measured."""
    manifest, folder = finished.manifest, finished.folder
    expected = dict(golden.read(folder, manifest).expected)
    listed = {*listed_files(manifest), *FOR_PEOPLE}
    contents = {
        name: safe_join(folder, name).read_bytes() for name in listed if (folder / name).is_file()
    }
    added = []
    for program, outputs in zip(programs, answers, strict=True):
        packed = [p for p in pack(program, outputs, unverified(program)) if p.name not in expected]
        expected |= {each.name: outputs for each in packed}
        contents |= program.contents
        added += packed
    contents[golden.FILE_NAME] = golden.build(finished.inputs, expected)
    renewed = store.record(golden.FILE_NAME, contents[golden.FILE_NAME])
    files = tuple(renewed if file.path == golden.FILE_NAME else file for file in manifest.files)
    grown = replace(manifest, programs=(*manifest.programs, *added), files=files)
    contents["README.md"] = render_card(grown).encode()
    store.write(destination, grown, contents)
