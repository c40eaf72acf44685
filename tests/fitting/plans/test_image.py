import dataclasses
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from torch.utils.flop_counter import FlopCounterMode

from diptych.core.manifest import Machine
from diptych.core.specs import AudioSpec, ImageSpec
from diptych.core.values import Dataset, Goal
from diptych.fitting.budget import Budget
from diptych.fitting.plans.image import (
    estimated_int8_bytes,
    estimated_operations,
    pictures_of,
    plan,
    student_networks,
    student_shapes,
    teacher_network,
    training_recipe,
)
from diptych.training.models import ResidualNet, ResidualNetConfig

MakeDataset = Callable[..., Dataset]
NO_BUDGET = Budget()
SIZES = [*range(1, 18), 28, 31, 32, 47, 48, 49, 63, 64, 96, 97, 100, 127, 128]


def flips(dataset: Dataset, machine: Machine) -> bool:
    variation = training_recipe(dataset, machine, 0, 12).variation
    assert variation is not None
    return variation.flip


def runs(config: ResidualNetConfig, spec: ImageSpec, num_classes: int) -> None:
    network = ResidualNet(config, spec, num_classes).eval()
    pixels = torch.zeros(1, spec.height, spec.width, spec.channels, dtype=torch.uint8)
    with torch.inference_mode():
        assert network(pixels).shape == (1, num_classes)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_networks_of_every_square_run_on_it(channels: int) -> None:
    for side in SIZES:
        spec = ImageSpec(height=side, width=side, channels=1 if channels == 1 else 3)
        for config in list(student_shapes(spec).values())[-6:]:
            runs(config, spec, 3)
        if side < 64:
            runs(teacher_network(spec), spec, 3)


@settings(max_examples=25)
@given(st.integers(1, 128), st.integers(1, 128), st.sampled_from([1, 3]), st.integers(2, 40))
def test_the_networks_of_every_rectangle_run_on_it(
    height: int, width: int, channels: int, classes: int
) -> None:
    spec = ImageSpec(height=height, width=width, channels=1 if channels == 1 else 3)
    for config in list(student_shapes(spec).values())[-2:]:
        runs(config, spec, classes)


@settings(max_examples=300)
@given(
    st.integers(1, 4096),
    st.sampled_from([1, 3]),
    st.integers(2, 1000),
    st.integers(1000, 2_000_000),
)
def test_students_keep_the_size_limit_by_estimate_and_the_costliest_comes_first(
    side: int, channels: int, classes: int, limit: int
) -> None:
    spec = ImageSpec(height=side, width=side, channels=1 if channels == 1 else 3)
    every = student_networks(spec, classes, NO_BUDGET)
    some = student_networks(spec, classes, Budget.parse(f"size<={limit}B"))
    costs = [estimated_operations(config, spec) for config in every.values()]
    assert costs == sorted(costs, reverse=True)
    sizes = {name: estimated_int8_bytes(each, spec, classes) for name, each in every.items()}
    fitting = [name for name in every if sizes[name] <= limit]
    assert list(some) == (fitting or [min(sizes, key=sizes.__getitem__)])
    assert all(some[name] == every[name] for name in some)


def test_students_differ_in_width_in_depth_and_in_the_resolution_of_large_pictures() -> None:
    usual = ResidualNetConfig(stem=16, widths=(32, 64, 96), blocks=(1, 1, 0))
    small, large = (
        student_shapes(ImageSpec(height=side, width=side + 9, channels=3)) for side in (32, 96)
    )
    assert len(small) == 18
    assert small["96"] == usual
    assert small["96-deep"] == replace(usual, blocks=(1, 1, 1))
    assert small["48-flat"] == replace(usual.scaled(0.5), blocks=(0, 0, 0))
    assert len(large) == 54
    assert large["96-half"] == replace(usual, downsample=2)
    assert large["144-flat-quarter"] == replace(usual.scaled(1.5), blocks=(0, 0, 0), downsample=4)
    assert large["96"] == replace(usual, widths=(16, 32, 64, 96), blocks=(0, 1, 1, 0))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (28, 28), (32, 50), (97, 96)])
def test_the_estimate_of_operations_is_what_torch_counts_in_convolutions(
    height: int, width: int
) -> None:
    spec = ImageSpec(height=height, width=width, channels=3)
    pixels = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    for config in list(student_shapes(spec).values())[::5]:
        network = ResidualNet(config, spec, 10).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(pixels)
        head = 2 * 10 * config.widths[-1]
        assert counter.get_total_flops() == 2 * estimated_operations(config, spec) + head


def test_the_estimate_of_a_size_counts_every_weight_that_is_kept_in_8_bits() -> None:
    spec = ImageSpec(height=32, width=32, channels=3)
    for config in (*student_shapes(spec).values(), teacher_network(spec)):
        network = ResidualNet(config, spec, 10)
        weights = sum(p.numel() for p in network.parameters() if p.dim() > 1)
        estimate = estimated_int8_bytes(config, spec, 10)
        assert weights <= estimate <= 1.2 * weights + 50_000


def test_the_teacher_is_larger_than_its_students() -> None:
    for side in (8, 28, 32, 96):
        spec = ImageSpec(height=side, width=side, channels=3)
        teacher = teacher_network(spec)
        for student in student_shapes(spec).values():
            assert estimated_int8_bytes(teacher, spec, 10) > estimated_int8_bytes(student, spec, 10)


def test_the_same_data_budget_seed_and_machine_give_the_same_plan(
    make_dataset: MakeDataset, machine: Machine
) -> None:
    budget = Budget.parse("drop<=1%, size<=100KB")
    plans = [plan(make_dataset(), budget, machine, 3, timed=True) for _ in range(2)]
    assert plans[0] == plans[1]
    assert plans[0].seed == 3
    assert plans[0].programs == ()


def test_a_plan_with_a_time_limit_is_longer(make_dataset: MakeDataset, machine: Machine) -> None:
    data = make_dataset(items=4000)
    short, long = (plan(data, NO_BUDGET, machine, 0, timed=timed) for timed in (False, True))
    assert long.teacher.training.epochs >= short.teacher.training.epochs
    assert long.students[0].training.epochs > short.students[0].training.epochs


def test_one_student_is_trained_and_the_others_are_below_it(
    make_dataset: MakeDataset, machine: Machine
) -> None:
    one = plan(make_dataset(), NO_BUDGET, machine, 0, timed=False)
    assert one.most_students == 1
    assert len(one.students) > 2
    assert len({model.name for model in (one.teacher, *one.students)}) == 1 + len(one.students)


@pytest.mark.parametrize("items", [4, 9, 63, 64, 500, 5000])
def test_a_batch_is_a_power_of_two_and_few_items_are_seen_more_often(
    make_dataset: MakeDataset, machine: Machine, items: int
) -> None:
    recipe = training_recipe(make_dataset(items=items), machine, 0, 12)
    assert recipe.batch_size & (recipe.batch_size - 1) == 0
    assert 8 <= recipe.batch_size <= min(128, max(8, items / 8))
    assert 12 <= recipe.epochs <= 80
    assert recipe.threads == 1


def test_bfloat16_is_used_where_the_processor_has_it(
    make_dataset: MakeDataset, machine: Machine
) -> None:
    modern = replace(machine, flags=("avx2", "amx_bf16"))
    assert training_recipe(make_dataset(), machine, 0, 12).arithmetic == "fp32"
    assert training_recipe(make_dataset(), modern, 0, 12).arithmetic == "bf16"


@pytest.mark.parametrize("side", [1, 2, 8, 28, 128])
def test_variations_stay_within_the_picture(
    make_dataset: MakeDataset, machine: Machine, side: int
) -> None:
    recipe = training_recipe(make_dataset(height=side, width=2 * side), machine, 0, 12)
    assert recipe.variation is not None
    assert recipe.variation.translate <= max(1, side // 8)
    assert recipe.variation.cutout <= side // 4


def test_pictures_are_mirrored_where_that_keeps_their_class(
    make_dataset: MakeDataset, machine: Machine
) -> None:
    data = make_dataset(items=200)
    assert flips(data, machine)
    left = data.train.inputs.copy()
    left[:] = 0
    left[data.train.targets == 0, :, :4] = 255
    left[data.train.targets == 1, :, 4:] = 255
    data.train.inputs[:] = left
    assert not flips(data, machine)


@pytest.mark.parametrize("goal", ["multi-label", "regression"])
def test_pictures_without_classes_are_never_mirrored(
    make_dataset: MakeDataset, machine: Machine, goal: Goal
) -> None:
    assert flips(make_dataset(items=200, goal="ordinal"), machine)
    assert not flips(make_dataset(items=200, goal=goal), machine)


def test_a_plan_is_of_pictures_only(make_dataset: MakeDataset, machine: Machine) -> None:
    data = make_dataset()
    assert pictures_of(data) is data.spec
    sound = dataclasses.replace(data, spec=AudioSpec(sample_rate=8000, samples=8000))
    with pytest.raises(TypeError, match="audio-classification is not about pictures"):
        plan(sound, NO_BUDGET, machine, 0, timed=False)
