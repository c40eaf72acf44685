"""What a plan asks of a machine."""

import torch
from msgspec.structs import replace

from diptych.core.manifest import Machine
from diptych.core.progress import Reporter, Step
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.measure.machine import ARM_BF16, X86_BF16
from diptych.training.recipe import Arithmetic, TrainingRecipe
from diptych.training.trees import TreesConfig


def fast_arithmetic(machine: Machine) -> Arithmetic:
    """Say what the processor multiplies matrices of fastest.

    Args:
        machine: The machine.

    Returns:
        bfloat16 if it has instructions for it, else float32.
    """
    return "bf16" if any(flag in machine.flags for flag in X86_BF16) else "fp32"


def for_processor(
    recipe: FitRecipe, machine: Machine, device: torch.device, report: Reporter
) -> FitRecipe:
    """Adapt a recipe that was written elsewhere to what this processor multiplies fast.

    Args:
        recipe: As given.
        machine: Where it is followed.
        device: Where its networks are trained.
        report: Is told what is computed otherwise than the recipe says.

    Returns:
        On a processor a network that asks for half precision computes in what there are
        instructions for; without them torch emulates it, far slower than float32. Where the
        instructions are not known the recipe stays.
    """
    if device.type != "cpu" or not machine.flags or ARM_BF16 in machine.flags:
        return recipe
    fast, slow = fast_arithmetic(machine), set[str]()

    def able(training: TrainingRecipe) -> TrainingRecipe:
        if training.arithmetic in {"fp32", fast}:
            return training
        slow.add(training.arithmetic)
        return replace(training, arithmetic=fast)

    def adapted(plan: ModelPlan) -> ModelPlan:
        quantized = plan.quantized and able(plan.quantized)
        return replace(plan, training=able(plan.training), quantized=quantized)

    followed = replace(
        recipe,
        teacher=adapted(recipe.teacher),
        students=tuple(map(adapted, recipe.students)),
        cheaper=tuple(map(adapted, recipe.cheaper)),
    )
    for asked in sorted(slow):
        note = f"this processor does not compute in {asked}: {fast} instead, to other weights"
        report(Step(stage="recipe", done=1, total=1, note=note))
    return followed


def for_jobs(recipe: FitRecipe, jobs: int, machine: Machine) -> FitRecipe:
    """Adapt a plan to students that are trained at once.

    Args:
        recipe: Planned for one after the other.
        jobs: How many at once.
        machine: Where.

    Returns:
        Each student has its part of the processor's threads, at least one.
    """
    most = max(1, machine.cores // jobs)

    def shared(plan: ModelPlan) -> ModelPlan:
        threads = min(most, plan.training.threads)
        return replace(plan, training=replace(plan.training, threads=threads))

    return replace(recipe, students=tuple(shared(student) for student in recipe.students))


def for_device(recipe: FitRecipe, device: torch.device) -> FitRecipe:
    """Adapt a plan to where its networks are trained.

    Args:
        recipe: Planned for the processor.
        device: Where.

    Returns:
        On a graphics processor networks compute in bfloat16, with one thread beside it; trees grow
        on the processor.
    """
    if device.type == "cpu":
        return recipe

    def moved(plan: ModelPlan) -> ModelPlan:
        if isinstance(plan.network, TreesConfig):
            return plan
        return replace(plan, training=replace(plan.training, arithmetic="bf16", threads=1))

    students = tuple(moved(student) for student in recipe.students)
    return replace(recipe, teacher=moved(recipe.teacher), students=students)
