"""A program that looks at the mirror image too, where it is unsure: planned, or tried in need.

It costs time for a part of the pictures, and next to no bytes. Only programs for LiteRT can, and
only networks whose training pictures were mirrored.

Shapes: N validation items, K classes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from msgspec.structs import replace as replace_value

from diptych.core.progress import Reporter, Step
from diptych.core.specs import COLUMNS, ImageSpec
from diptych.core.values import Candidate, Dataset
from diptych.fitting.allowance import Allowance
from diptych.fitting.cascading import sureness, threshold
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.trainee import Trainee
from diptych.fitting.trials import Trial, open_lowered, run_all
from diptych.inference.manifest import LOOKS_AGAIN
from diptych.targets.second_look import second_look
from diptych.training.variation import PictureVariation

RUNTIME = "litert"


def can_look_again(model: Trainee, dataset: Dataset) -> bool:
    """Say whether the mirror image of a picture tells a model the same.

    Args:
        model: A network.
        dataset: The data.

    Returns:
        Whether it learned mirrored pictures, and to classify, and does not look twice at all.
    """
    varied = model.plan.training.variation
    mirrors = isinstance(varied, PictureVariation) and varied.flip
    pictures = isinstance(dataset.spec, ImageSpec) and dataset.goal == "classification"
    return mirrors and pictures and not getattr(model.plan.network, "mirrored", False)


def look_as_planned(
    trials: Sequence[Trial], plans: Sequence[ProgramPlan], dataset: Dataset, report: Reporter
) -> list[Trial]:
    """Let programs look again at the shares of pictures that are planned.

    Args:
        trials: Of one model.
        plans: The programs.
        dataset: The data.
        report: Told where a model cannot.

    Returns:
        One more trial for each that does.
    """
    shares = {plan.choice: plan.second_look for plan in plans if plan.second_look}
    asked = [t for t in trials if (t.program.runtime, t.program.precision) in shares]
    found = []
    for trial in asked:
        if can_look_again(trial.model, dataset):
            share = shares[trial.program.runtime, trial.program.precision]
            found.append(look_again(trial, share, dataset))
        else:
            mirrored = getattr(trial.model.plan.network, "mirrored", False)
            why = "always looks twice" if mirrored else "has not learned mirrored pictures"
            note = f"{trial.name} does not look again: it {why}"
            report(Step(stage="second look", done=1, total=1, note=note))
    return found


def look_again(trial: Trial, share: float, dataset: Dataset) -> Trial:
    """Let a program look again at a share of the pictures, those of which it is least sure.

    Args:
        trial: A program for LiteRT, whose model can look again.
        share: Of the validation pictures, from 0 to 1.
        dataset: The data.

    Returns:
        The program that does, tried alike.
    """
    limit = float(np.quantile(sureness(trial.outputs), share))
    return _tried(trial, limit, dataset)


def try_second_look(
    trials: Sequence[Trial],
    candidates: Sequence[Candidate],
    allowance: Allowance,
    report: Reporter,
    teacher: Trainee | None = None,
) -> Trial | None:
    """Let the cheapest student that can look again, as often as it must to keep the budget.

    Args:
        trials: The programs so far.
        candidates: The same, measured.
        allowance: The limits, and the validation split.
        report: Told what is tried.
        teacher: Whose programs do not look again; by default whoever the first program is of.

    Returns:
        The program; None where there is none that looks again at half of the pictures or less and
        surely keeps what the budget says of scores.
    """
    costs = {c.name: c.cost_usd_per_million for c in candidates}
    dataset = allowance.dataset
    able = [
        trial
        for trial in trials
        if trial.program.runtime == RUNTIME
        and trial.program.second_looks is None
        and trial.model is not (teacher or trials[0].model)
        and can_look_again(trial.model, dataset)
    ]
    for trial in sorted(able, key=lambda trial: costs[trial.name]):
        limit = threshold(trial.outputs, _means(trial, dataset), allowance)
        if limit is not None:
            found = _tried(trial, limit, dataset)
            note = f"{trial.name} looks again at {found.program.second_looks:.1%}"
            report(Step(stage="second look", done=1, total=1, note=note))
            return found
    return None


def _means(trial: Trial, dataset: Dataset) -> np.ndarray:
    """Answer every validation picture by two looks, float32 (N, K)."""
    mirrored = np.ascontiguousarray(np.flip(dataset.validation.inputs, COLUMNS))
    means: np.ndarray = (trial.outputs + run_all(trial.session, mirrored)) / 2
    return means


def _tried(trial: Trial, limit: float, dataset: Dataset) -> Trial:
    """Build the program, open it and run it on the validation split."""
    looks = float((sureness(trial.outputs) < limit).mean())
    name, plan = f"{trial.program.name}{LOOKS_AGAIN}", trial.model.plan
    ((file, content),) = trial.program.contents.items()
    program = replace(
        trial.program,
        name=name,
        contents={file.replace(trial.program.name, name): second_look(content, limit)},
        second_looks=looks,
    )
    session = open_lowered(program)
    model = replace(
        trial.model,
        plan=replace_value(plan, name=f"{plan.name}{LOOKS_AGAIN}"),
        flops=round(trial.model.flops * (1 + looks)),
    )
    outputs = run_all(session, dataset.validation.inputs)
    return replace(trial, model=model, program=program, session=session, outputs=outputs)
