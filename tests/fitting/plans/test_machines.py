import pytest
import torch
from msgspec.structs import replace

from diptych.core.manifest import Machine
from diptych.core.progress import Step
from diptych.fitting.plans.machines import fast_arithmetic, for_device, for_jobs, for_processor
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), "fp32"),
        (("avx2", "avx512f"), "fp32"),
        (("avx2", "amx_bf16"), "bf16"),
        (("avx512_bf16",), "bf16"),
        (("bf16", "not_amx_bf16"), "fp32"),
    ],
)
def test_bfloat16_is_for_processors_that_multiply_it(
    machine: Machine, flags: tuple[str, ...], expected: str
) -> None:
    assert fast_arithmetic(replace(machine, flags=flags)) == expected


def test_networks_on_a_graphics_processor_compute_in_bfloat16() -> None:
    network = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
    plans = [
        ModelPlan(name=name, network=network, training=TrainingRecipe(threads=2))
        for name in ("teacher", "small", "smaller")
    ]
    recipe = FitRecipe(teacher=plans[0], students=tuple(plans[1:]))
    assert for_device(recipe, torch.device("cpu")) == recipe
    moved = for_device(recipe, torch.device("cuda"))
    for plan in (moved.teacher, *moved.students):
        assert (plan.training.arithmetic, plan.training.threads) == ("bf16", 1)


@pytest.mark.parametrize(("jobs", "threads"), [(1, 6), (2, 4), (3, 2), (8, 1), (20, 1)])
def test_students_that_are_trained_at_once_share_the_processor(
    machine: Machine, jobs: int, threads: int
) -> None:
    network = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
    plans = [
        ModelPlan(name=name, network=network, training=TrainingRecipe(threads=6))
        for name in ("teacher", "small")
    ]
    recipe = FitRecipe(teacher=plans[0], students=tuple(plans[1:]))
    shared = for_jobs(recipe, jobs, replace(machine, cores=8))
    assert shared.teacher == recipe.teacher
    assert shared.students[0].training.threads == threads


@pytest.mark.parametrize(
    ("asked", "flags", "device", "followed"),
    [
        ("bf16", ("avx2",), "cpu", "fp32"),
        ("bf16", ("avx2", "avx512_bf16"), "cpu", "bf16"),
        ("fp16", ("avx2", "avx512_bf16"), "cpu", "bf16"),
        ("fp16", ("avx2",), "cpu", "fp32"),
        ("fp32", ("avx2", "avx512_bf16"), "cpu", "fp32"),
        ("fp16", ("avx2",), "cuda", "fp16"),
        ("bf16", (), "cpu", "bf16"),
        ("bf16", ("asimd", "bf16"), "cpu", "bf16"),
    ],
)
def test_a_recipe_of_half_precision_is_followed_in_what_the_processor_has(
    machine: Machine, asked: str, flags: tuple[str, ...], device: str, followed: str
) -> None:
    network = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
    training = TrainingRecipe(arithmetic=asked)  # type: ignore[arg-type]
    teacher, small, smaller = (
        ModelPlan(name=name, network=network, training=training, quantized=training)
        for name in ("teacher", "small", "smaller")
    )
    recipe, told = FitRecipe(teacher=teacher, students=(small,), cheaper=(smaller,)), list[Step]()
    here = replace(machine, flags=flags)
    found = for_processor(recipe, here, torch.device(device), told.append)
    plans = (found.teacher, *found.students, *found.cheaper)
    trainings = [each for plan in plans for each in (plan.training, plan.quantized)]
    assert [each and each.arithmetic for each in trainings] == [followed] * 6
    assert [step.note for step in told] == (
        [f"this processor does not compute in {asked}: {followed} instead, to other weights"]
        if asked != followed
        else []
    )
