import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch.utils.flop_counter import FlopCounterMode

from diptych.core.specs import AudioSpec, ImageSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.fitting.budget import Budget
from diptych.fitting.plans import plan_fit
from diptych.fitting.plans.audio import (
    STUDENT,
    STUDENT_SCALES,
    estimated_int8_bytes,
    estimated_operations,
    sounds_of,
    student_networks,
    student_shapes,
)
from diptych.measure.machine import describe
from diptych.training.models import DepthwiseNet

SPEC = AudioSpec(sample_rate=8000, samples=8064)


def dataset(count: int, spec: AudioSpec | ImageSpec = SPEC) -> Dataset:
    split = Split(
        inputs=np.zeros((count, 1), np.int16), targets=np.arange(count) % 2, items=("",) * count
    )
    record = DataRecord(name="words", sha256="", counts={}, split_method="", seed=0)
    return Dataset(
        goal="classification",
        spec=spec,
        labels=("no", "yes"),
        train=split,
        validation=split,
        test=split,
        record=record,
    )


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("count", [2, 100, 2000, 100_000])
def test_a_plan_has_a_wide_teacher_and_a_narrower_student(count: int, timed: bool) -> None:
    plan = plan_fit(dataset(count), Budget(), describe(), 3, timed=timed)
    assert plan.seed == 3
    networks = [student.network for student in plan.students]
    assert networks == list(student_shapes(SPEC).values())
    assert plan.most_students == 1
    assert plan.teacher.network.widths[-1] > plan.students[0].network.widths[-1]
    for model in (plan.teacher, *plan.students):
        assert model.training.variation is not None
        assert model.training.epochs * count / model.training.batch_size >= min(799, 25 * count)


def test_a_limited_size_bounds_the_students() -> None:
    for size_kb in (85, 100, 150):
        shapes = student_networks(dataset(100), Budget.parse(f"size<={size_kb}KB"))
        assert all(estimated_int8_bytes(s, SPEC, 2) <= 1000 * size_kb for s in shapes.values())
    (least,) = student_networks(dataset(100), Budget.parse("size<=1KB")).values()
    sizes = [estimated_int8_bytes(shape, SPEC, 2) for shape in student_shapes(SPEC).values()]
    assert estimated_int8_bytes(least, SPEC, 2) == min(sizes)


def test_students_differ_in_width_in_depth_and_in_the_bands_that_they_hear() -> None:
    shapes = student_shapes(SPEC)
    assert len(shapes) == 4 * len(STUDENT_SCALES)
    assert shapes["128"] == STUDENT
    assert shapes["64-flat"].widths == (32, 64)
    assert shapes["128-half"] == replace(STUDENT, features=replace(STUDENT.features, bands=20))
    costs = [estimated_operations(shape, SPEC) for shape in shapes.values()]
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize("seconds", [1, 3])
def test_the_estimate_of_operations_is_what_torch_counts_in_convolutions(seconds: int) -> None:
    spec = AudioSpec(sample_rate=8000, samples=8000 * seconds // 128 * 128)
    sounds = torch.zeros(1, spec.samples, dtype=torch.int16)
    for config in list(student_shapes(spec).values())[::5]:
        network = DepthwiseNet(config, spec, 2).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(sounds)
        convolutions = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
        assert convolutions == 2 * estimated_operations(config, spec)


@pytest.mark.parametrize("scale", STUDENT_SCALES)
def test_the_estimate_counts_every_weight(scale: float) -> None:
    config = STUDENT.scaled(scale)
    network = DepthwiseNet(config, SPEC, 2)
    weights = sum(p.numel() for p in network.parameters() if p.dim() > 1)
    without = estimated_int8_bytes(config, SPEC, 2) - weights
    smallest = STUDENT.scaled(0.25)
    others = sum(p.numel() for p in DepthwiseNet(smallest, SPEC, 2).parameters() if p.dim() > 1)
    assert without == estimated_int8_bytes(smallest, SPEC, 2) - others


def test_features_of_a_higher_rate_take_more_bytes() -> None:
    low, high = (
        estimated_int8_bytes(STUDENT, replace(SPEC, sample_rate=rate), 2) for rate in (8000, 16_000)
    )
    features = [
        4 * sum(b.numel() for b in DepthwiseNet(STUDENT, s, 2).features.buffers())
        for s in (SPEC, AudioSpec(sample_rate=16_000, samples=16_128))
    ]
    assert high - low == pytest.approx(features[1] - features[0], rel=0.15)


def test_every_student_runs() -> None:
    sounds = torch.zeros(1, SPEC.samples, dtype=torch.int16)
    for config in student_shapes(SPEC).values():
        network = DepthwiseNet(config, SPEC, 2).eval()
        with torch.inference_mode():
            assert network(sounds).shape == (1, 2)


def test_other_data_are_refused() -> None:
    with pytest.raises(TypeError, match="image-classification is not about sounds"):
        sounds_of(dataset(4, ImageSpec(height=8, width=8, channels=1)))
