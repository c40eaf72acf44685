"""A model lowered and tried in each of the planned programs.

A network of ours that cannot be lowered is a defect, and told as such. What came from elsewhere may
have an operation that a target lacks: that program is left out, and it is said which and why.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diptych.core.errors import TargetError
from diptych.core.progress import Reporter, Step
from diptych.core.values import Dataset
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.second_look import look_as_planned
from diptych.fitting.trainee import Trainee, network_of
from diptych.fitting.trials import Trial, try_programs
from diptych.targets.adopted import ForeignConfig
from diptych.targets.lower import lower_all
from diptych.training.models import GivenConfig


def lower_and_try(
    model: Trainee,
    plans: Sequence[ProgramPlan],
    dataset: Dataset,
    calibration: np.ndarray,
    report: Reporter,
    *,
    alone: bool = False,
) -> list[Trial]:
    """Lower a model to programs and run them on the validation split.

    Args:
        model: A network.
        plans: The programs, at least one.
        dataset: The data.
        calibration: Training items (M, ...).
        report: Told of each program, and of those that are left out.
        alone: Whether there is no other model.

    Returns:
        One trial per program; of a model that was made elsewhere, those that there can be, if any.

    Raises:
        TargetError: If a network of ours cannot be lowered, or nothing else is left to be.
    """
    try:
        return _tried(model, plans, dataset, calibration, report)
    except TargetError:
        if not is_made_elsewhere(model.plan):
            raise
    trials, reasons = list[Trial](), dict[str, str]()
    for plan in plans:
        try:
            trials += _tried(model, [plan], dataset, calibration, report)
        except TargetError as error:
            reasons[" ".join(plan.choice)] = str(error)
    for reason in dict.fromkeys(reasons.values()):
        left_out = [program for program, why in reasons.items() if why == reason]
        note = f"left out: {', '.join(left_out)}: {reason}"
        report(Step(stage=f"try {model.name}", done=1, total=1, note=note))
    if alone and not trials:
        reason = f"{_source_of(model)}: {next(iter(reasons.values()))}"
        raise TargetError(reason, "allow students, which are other networks")
    return trials


def is_made_elsewhere(plan: ModelPlan) -> bool:
    """Say whether a planned network is not one that this package has designed.

    Args:
        plan: Of a network.

    Returns:
        Whether it is a user's module, what is pruned from one, or an ONNX file.
    """
    return isinstance(_whole(plan), ForeignConfig | GivenConfig)


def _whole(plan: ModelPlan) -> object:
    """Return how a network is planned, or that which it is pruned from."""
    return getattr(plan.network, "network", plan.network)


def _source_of(model: Trainee) -> str:
    """Name what the user gave."""
    whole = _whole(model.plan)
    if isinstance(whole, ForeignConfig):
        return Path(whole.path).name
    return whole.source if isinstance(whole, GivenConfig) else model.name


def _tried(
    model: Trainee,
    plans: Sequence[ProgramPlan],
    dataset: Dataset,
    calibration: np.ndarray,
    report: Reporter,
) -> list[Trial]:
    programs = lower_all(
        network_of(model),
        dataset.spec.tensor(),
        [plan.choice for plan in plans],
        calibration=calibration,
        name=model.name,
        report=report,
    )
    trials = try_programs(model, programs, dataset, report)
    return [*trials, *look_as_planned(trials, plans, dataset, report)]
