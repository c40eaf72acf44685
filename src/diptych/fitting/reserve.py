"""Programs in reserve: in other precisions, for where int8 loses too much or is too large.

Where int8 does, they are no use: it is the fastest and the smallest but for weights in 4 bits.
"""

from collections.abc import Sequence

from diptych.core.errors import TargetError
from diptych.core.manifest import Machine
from diptych.core.values import Dataset, Precision
from diptych.fitting.allowance import Allowance, excess
from diptych.fitting.plans.machines import fast_arithmetic
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.trainee import Trainee, network_of
from diptych.fitting.trials import Trial, try_programs
from diptych.inference.runtimes import available
from diptych.targets import RESERVE, Choice
from diptych.targets.lower import lower_exported
from diptych.targets.onnx import export
from diptych.targets.precisions import is_worthwhile
from diptych.training.control import RunControl

SMALLER: frozenset[Precision] = frozenset(("int4-weights",))
"""What takes fewer bytes than int8."""
RESERVE_SHARE = 0.3
"""Of the time for saving what 8 bits lost; the rest is for guarding and training."""


def reserve_programs(target: str, machine: Machine) -> tuple[ProgramPlan, ...]:
    """List what is in reserve for a kind of hardware.

    Args:
        target: Its name.
        machine: This one; without instructions for bfloat16 that is left out.

    Returns:
        The programs whose runtime is installed; may be none.
    """
    slow = set() if fast_arithmetic(machine) == "bf16" else {"bf16"}
    return tuple(
        ProgramPlan(runtime=runtime, precision=precision, method="reserve")
        for runtime, precision in RESERVE.get(target, ())
        if available(runtime) and precision not in slow
    )


def needed(
    allowance: Allowance, trials: Sequence[Trial], choices: Sequence[Choice]
) -> list[Choice]:
    """Say what of the reserve can help a model that does what is allowed, but not in int8.

    Args:
        allowance: The limits.
        trials: Of one model.
        choices: What is in reserve.

    Returns:
        All of it where a program keeps the limits of scores and of the drop and none in int8 does;
        what is smaller than int8 where these do and are too large; else nothing.
    """
    limit = allowance.budget.limit("size") or float("inf")
    good = [trial for trial in trials if excess(allowance, trial.outputs) <= 0]
    rounded = [trial for trial in good if trial.program.precision == "int8"]
    if not good or any(trial.size_bytes <= limit for trial in rounded):
        return []
    return [choice for choice in choices if not rounded or choice[1] in SMALLER]


def try_reserve(
    model: Trainee,
    trials: Sequence[Trial],
    programs: Sequence[ProgramPlan],
    allowance: Allowance,
    control: RunControl,
) -> list[Trial]:
    """Try what is in reserve, if it is needed.

    Args:
        model: A trained network.
        trials: Of the model, in fp32 and int8.
        programs: Planned ones, among others those in reserve.
        allowance: The limits.
        control: The time, of which these take a share; told of each program.

    Returns:
        New trials; none where int8 does.
    """
    planned = [plan.choice for plan in programs if plan.method == "reserve"]
    choices = needed(allowance, trials, planned)
    if not choices:
        return []
    started, found = control.clock(), list[Trial]()
    exported = export(network_of(model), allowance.dataset.spec.tensor())
    for choice in choices:
        if control.stop or _is_late(control, started):
            break
        if is_worthwhile(exported, choice[1]):
            found += _try(model, exported, choice, allowance.dataset, control)
    return found


def _try(
    model: Trainee, exported: bytes, choice: Choice, dataset: Dataset, control: RunControl
) -> list[Trial]:
    """Try one program; what cannot be made, or computes something else, is left out and told."""
    try:
        program = lower_exported(exported, dataset.spec.tensor(), choice, name=model.name)
        return try_programs(model, [program], dataset, control.report)
    except TargetError as error:
        control.warn(f"{' '.join(choice)} is left out: {error}")
        return []


def _is_late(control: RunControl, started: float) -> bool:
    if control.deadline is None:
        return False
    return control.clock() - started > RESERVE_SHARE * (control.deadline - started)
