"""A cascade tried: a student that answers, and a better program for what it is unsure of.

Where students alone miss what the budget says of scores, a cascade may keep it at a part of the
price. The threshold is the least at which the validation split shows that it does.

Shapes: N validation items, K classes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from msgspec.structs import replace as replace_value

from diptych.core.errors import TargetError
from diptych.core.progress import Reporter, Step
from diptych.core.values import Candidate
from diptych.fitting.allowance import Allowance, excess
from diptych.fitting.trainee import Trainee
from diptych.fitting.trials import Trial, open_lowered, run_all
from diptych.targets.cascade import cascade
from diptych.targets.lower import LoweredProgram

RUNTIME = "onnxruntime"
MOST_PASSED_ON = 0.5
STEPS = 64


def try_cascade(
    trials: Sequence[Trial],
    candidates: Sequence[Candidate],
    allowance: Allowance,
    report: Reporter,
    teacher: Trainee | None = None,
) -> Trial | None:
    """Make the cascade of the cheapest student and the cheapest program that is good enough.

    Args:
        trials: The programs so far.
        candidates: The same, measured.
        allowance: The limits, and the validation split.
        report: Told what is tried.
        teacher: Whose programs are not a student's; by default whoever the first program is of.

    Returns:
        The cascade; None where no program is good enough, where half of the items or more would be
        passed on, or where it would cost no less than the good program alone.
    """
    costs = {c.name: c.cost_usd_per_million for c in candidates}
    able = [t for t in trials if t.program.runtime == RUNTIME and t.program.passed_on is None]
    good = [t for t in able if excess(allowance, t.outputs, surely=True) <= 0]
    teacher = teacher or trials[0].model
    students = [t for t in able if t.model is not teacher and t not in good]
    if allowance.dataset.goal != "classification" or not good or not students:
        return None
    large = min(good, key=lambda trial: costs[trial.name])
    small = min(students, key=lambda trial: costs[trial.name])
    found = threshold(small.outputs, large.outputs, allowance)
    if found is None:
        return None
    passed_on = float((sureness(small.outputs) < found).mean())
    if costs[small.name] + passed_on * costs[large.name] >= costs[large.name]:
        return None
    note = f"{small.name} passes {passed_on:.1%} on to {large.name}"
    report(Step(stage="cascade", done=1, total=1, note=note))
    try:
        return _tried(small, large, found, passed_on, allowance)
    except TargetError as error:
        report(Step(stage="cascade", done=1, total=1, note=error.message))
        return None


def threshold(small: np.ndarray, large: np.ndarray, allowance: Allowance) -> float | None:
    """Find the least sureness at which answers may be kept.

    Args:
        small: float32 (N, K), the answers that are kept where they are sure.
        large: float32 (N, K), the answers in place of the others.
        allowance: The limits, and the validation split.

    Returns:
        A threshold between the sureness of two items; None if there is none with which the limits
        are kept and no more than `MOST_PASSED_ON` of the items are passed on.
    """
    sure = np.sort(sureness(small))
    for step in range(1, STEPS + 1):
        place = round(MOST_PASSED_ON * step / STEPS * len(sure))
        if not 0 < place < len(sure):
            continue
        limit = float(sure[place - 1] + sure[place]) / 2
        answers = np.where((sureness(small) < limit)[:, None], large, small)
        if excess(allowance, answers, surely=True) <= 0:
            return limit
    return None


def sureness(logits: np.ndarray) -> np.ndarray:
    """Say how sure answers are.

    Args:
        logits: float32 (N, K).

    Returns:
        The lead of the largest logit over the next one (N,).
    """
    second, first = np.partition(logits, -2, axis=1)[:, -2:].T
    lead: np.ndarray = first - second
    return lead


def _tried(
    small: Trial, large: Trial, limit: float, passed_on: float, allowance: Allowance
) -> Trial:
    """Build the cascade, open it and run it on the validation split."""
    contents = [next(iter(each.program.contents.values())) for each in (small, large)]
    name = f"{small.model.name}-else-{large.model.name}"
    program = LoweredProgram(
        name=name,
        runtime=small.program.runtime,
        precision=small.program.precision,
        contents={f"{name}.onnx": cascade(contents[0], contents[1], limit)},
        input=small.program.input,
        output=small.program.output,
        passed_on=passed_on,
    )
    session = open_lowered(program)
    model = replace(
        small.model,
        plan=replace_value(small.model.plan, name=name),
        parameters=small.model.parameters + large.model.parameters,
    )
    return Trial(
        model=model,
        program=program,
        session=session,
        outputs=run_all(session, allowance.dataset.validation.inputs),
        assets_bytes=small.assets_bytes,
    )
