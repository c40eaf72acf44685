"""Saving what rounding to 8 bits lost: other precisions, some layers in float, more training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from msgspec.structs import replace

from diptych.compression.aware import quantized_recipe, train_quantized
from diptych.compression.quantize import QuantizedNetwork
from diptych.core.errors import TargetError, TrainingError
from diptych.core.values import Dataset
from diptych.fitting.aims import lesson_of, objective_of
from diptych.fitting.allowance import Allowance, excess, rounding_costs_too_much
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.reserve import try_reserve
from diptych.fitting.trainee import PASSES_PER_STEP, Trainee, network_of
from diptych.fitting.trials import PARITY_ITEMS, Trial, try_programs
from diptych.targets import Runtime
from diptych.targets.adopted import ForeignConfig
from diptych.targets.guarding import Guard
from diptych.targets.lower import lower_guarded, lower_trained
from diptych.targets.parity import is_faithful
from diptych.training.compute import compute_outputs
from diptych.training.control import RunControl

GUARDING_SHARE = 0.3
"""Of the time; the rest is for training."""


@dataclass(frozen=True, kw_only=True)
class Refining:
    """What may be done about a model that loses too much in 8 bits.

    `programs` are those that a recipe plans for this case, `calibration` raw inputs (M, ...) of the
    training split; `control` has the time for all of it.
    """

    programs: Sequence[ProgramPlan]
    allowance: Allowance
    calibration: np.ndarray
    control: RunControl


@dataclass(frozen=True, kw_only=True)
class Refined:
    """What came of it: the model with the training that it used, if any, and the trials."""

    trainees: tuple[Trainee, ...] = ()
    trials: tuple[Trial, ...] = ()


def refine(
    model: Trainee, teacher: Trainee | None, trials: Sequence[Trial], refining: Refining
) -> Refined:
    """Save what a model lost in 8 bits, if that is more than allowed or its recipe says so.

    What is in reserve and smaller is tried too where int8 is too large.

    Args:
        model: A trained network.
        teacher: Whom it imitated and imitates on; without one it imitates itself in float.
        trials: Of the model, in fp32 and int8.
        refining: What may be done, and how long.

    Returns:
        New trials; none where nothing was lost, or nothing helps.
    """
    lost = rounding_costs_too_much(refining.allowance, trials)
    spare = try_reserve(model, trials, refining.programs, refining.allowance, refining.control)
    if not lost and model.plan.quantized is None:
        return Refined(trials=tuple(spare))
    try:
        guarded = _try_guarded(model, refining) if lost else []
    except TargetError as error:
        refining.control.warn(f"cannot be guarded in 8 bits: {error}")
        guarded = []
    runtimes = [plan.runtime for plan in refining.programs if plan.method == "trained"]
    if isinstance(model.plan.network, ForeignConfig):
        runtimes = []  # an ONNX file holds no weights that can be trained
    try:
        trained = _try_trained(model, teacher, runtimes, refining) if runtimes else Refined()
    except (TargetError, TrainingError) as error:
        refining.control.warn(f"cannot be trained in 8 bits: {error}")
        trained = Refined()
    return Refined(trainees=trained.trainees, trials=(*spare, *guarded, *trained.trials))


def _try_guarded(model: Trainee, refining: Refining) -> list[Trial]:
    if not any(plan.method == "guarded" for plan in refining.programs):
        return []
    allowance, control = refining.allowance, refining.control
    started, deadline = control.clock(), control.deadline

    def go_on() -> bool:
        spent = control.clock() - started
        late = deadline is not None and spent > GUARDING_SHARE * (deadline - started)
        return not control.stop and not late

    guard = Guard(
        inputs=allowance.dataset.validation.inputs,
        excess=lambda outputs: excess(allowance, outputs),
        go_on=go_on,
    )
    spec = allowance.dataset.spec.tensor()
    program = lower_guarded(network_of(model), spec, refining.calibration, guard, model.name)
    if program is None:
        return []
    return try_programs(model, [program], allowance.dataset, control.report)


def _try_trained(
    model: Trainee, teacher: Trainee | None, runtimes: Sequence[Runtime], refining: Refining
) -> Refined:
    dataset, control = refining.allowance.dataset, refining.control
    refined, network = train_in_8_bits(model, teacher, dataset, refining.calibration, control)
    programs = lower_trained(
        network,
        dataset.spec.tensor(),
        runtimes,
        name=model.name,
        report=control.report,
        calibration=refining.calibration,
    )
    tried = try_programs(refined, programs, dataset, control.report)
    inputs = dataset.validation.inputs[:PARITY_ITEMS]
    reference = compute_outputs(network, inputs, model.plan.training)
    faithful = [is_faithful(reference, trial.outputs[: len(reference)]) for trial in tried]
    for trial, same in zip(tried, faithful, strict=True):
        if not same:
            control.warn(f"{trial.name} computes something else than was trained: left out")
    kept = tuple(trial for trial, same in zip(tried, faithful, strict=True) if same)
    return Refined(trainees=(refined,), trials=kept)


def train_in_8_bits(
    model: Trainee,
    teacher: Trainee | None,
    dataset: Dataset,
    calibration: np.ndarray,
    control: RunControl,
) -> tuple[Trainee, QuantizedNetwork]:
    """Train a model on in 8 bits.

    Args:
        model: A trained network.
        teacher: Whom it imitated and imitates on; without one it imitates itself in float.
        dataset: The data.
        calibration: Raw inputs (M, ...) of the training split.
        control: Name, seed, device, deadline, progress and stop request.

    Returns:
        The model with what this training used and how it went, its network still that in float;
        and the network in 8 bits.

    Raises:
        TargetError: If torch cannot follow the network.
        TrainingError: If the loss is not finite or explodes.
    """
    plan, imitated = model.plan, teacher or model
    recipe = plan.quantized or quantized_recipe(plan.training)
    try:
        answers = imitated.answers(dataset, recipe, control.device)
        trained = train_quantized(
            network_of(model),
            lesson_of(dataset),
            recipe,
            objective_of(dataset, recipe, answers, control.device),
            control,
            calibration=calibration,
        )
    finally:
        imitated.rest()
    refined = Trainee(
        plan=replace(plan, quantized=trained.recipe),
        network=model.network,
        seconds=trained.seconds,
        cpu_seconds=trained.cpu_seconds,
        cpu_energy=trained.cpu_energy,
        gpu_energy=trained.gpu_energy,
        samples=trained.samples,
        curve=trained.curve,
        parameters=model.parameters,
        flops=model.flops,
        training_flops=(PASSES_PER_STEP * model.flops + imitated.flops) * trained.samples,
    )
    return refined, cast(QuantizedNetwork, trained.network)
