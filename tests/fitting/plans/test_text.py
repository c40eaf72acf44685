import math

import numpy as np
import pytest
from msgspec.structs import replace

from diptych.core.specs import ImageSpec, TextSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.fitting.budget import Budget
from diptych.fitting.plans import plan_fit
from diptych.fitting.plans.text import estimated_bytes, texts_of
from diptych.measure.machine import describe
from diptych.training.models import (
    NETWORKS,
    NgramsConfig,
    TextConvolutionConfig,
    TextMixtureConfig,
)

SPEC = TextSpec(tokens=16, vocabulary=5_000)


def dataset(
    count: int, spec: TextSpec | ImageSpec = SPEC, labels: int = 2, asset: bytes = b""
) -> Dataset:
    split = Split(
        inputs=np.zeros((count, 1), np.int32),
        targets=np.arange(count) % labels,
        items=("",) * count,
    )
    record = DataRecord(name="texts", sha256="", counts={}, split_method="", seed=0)
    return Dataset(
        goal="classification",
        spec=spec,
        labels=tuple(f"class {number}" for number in range(labels)),
        train=split,
        validation=split,
        test=split,
        record=record,
        assets={"tokenizer.json": asset},
    )


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("count", [2, 100, 2_000, 100_000])
def test_a_bag_teaches_a_mixture(count: int, timed: bool) -> None:
    plan = plan_fit(dataset(count), Budget(), describe(), 3, timed=timed)
    assert plan.seed == 3
    assert isinstance(plan.teacher.network, NgramsConfig)
    (student,) = plan.students
    assert isinstance(student.network, TextMixtureConfig)
    assert student.network.bag == plan.teacher.network
    assert student.training.label_share == 0.5
    for model in (plan.teacher, student):
        assert model.training.variation is not None
        assert 2 <= model.training.epochs <= 60


def test_few_texts_are_learned_by_letters_too() -> None:
    def letters(count: int) -> int:
        plan = plan_fit(dataset(count), Budget(), describe(), 0, timed=False)
        assert isinstance(plan.teacher.network, NgramsConfig)
        return plan.teacher.network.letters

    assert letters(5_000) > 3
    assert letters(50_000) == 0


def test_a_limited_size_bounds_the_students_and_counts_the_tokenizer() -> None:
    for size_kb, asset in ((180, b""), (250, b""), (600, b" " * 400_000)):
        budget = Budget.parse(f"size<={size_kb}KB")
        plan = plan_fit(dataset(100, asset=asset), budget, describe(), 0, timed=False)
        assert [type(student.network) for student in plan.students] == [
            TextMixtureConfig,
            NgramsConfig,
        ]
        for student in plan.students:
            assert estimated_bytes(student.network, SPEC, 2) + len(asset) <= 1000 * size_kb


def test_the_narrowest_are_tried_where_none_can_keep_the_size_limit() -> None:
    plan = plan_fit(dataset(100), Budget.parse("size<=1KB"), describe(), 0, timed=False)
    assert plan.students[0].network.convolution.width == 16
    assert plan.students[1].network.buckets == math.floor(131_071 / 8) | 1


@pytest.mark.parametrize(
    "config",
    [
        NgramsConfig(buckets=9_001),
        TextMixtureConfig(
            bag=NgramsConfig(buckets=9_001),
            convolution=TextConvolutionConfig(width=32, channels=48),
        ),
    ],
)
@pytest.mark.parametrize("outputs", [2, 40])
def test_the_estimate_counts_a_byte_for_each_number(
    config: NgramsConfig | TextMixtureConfig, outputs: int
) -> None:
    network = NETWORKS[type(config)](config, SPEC, outputs)
    matrices = sum(p.numel() for p in network.parameters() if p.dim() > 1)
    assert estimated_bytes(config, SPEC, outputs) - 30_000 == matrices


def test_other_data_is_refused() -> None:
    with pytest.raises(TypeError, match="not about texts"):
        texts_of(dataset(10, ImageSpec(height=8, width=8, channels=1)))


def test_f1_makes_classes_count_alike() -> None:
    plan = plan_fit(dataset(100), Budget.parse("f1>=80%"), describe(), 0, timed=False)
    assert plan.teacher == replace(
        plan.teacher, training=replace(plan.teacher.training, balance=True)
    )
