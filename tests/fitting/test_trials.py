import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diptych.core.errors import BundleError, TargetError
from diptych.core.progress import Step, silent
from diptych.core.specs import ImageSpec, TensorSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.fitting import trials
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import Trainee
from diptych.fitting.trials import (
    BATCH,
    THREADS,
    Trial,
    as_candidate,
    in_turns,
    open_lowered,
    run_all,
    run_singly,
    time_trials,
    try_programs,
)
from diptych.measure.cost import usd_per_million
from diptych.measure.energy import modelled
from diptych.measure.proportions import paired_drop, proportion
from diptych.measure.timing import Timing
from diptych.targets.lower import LoweredProgram
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

SPEC = ImageSpec(height=8, width=8, channels=3)
WEIGHTS = (10 * np.random.default_rng(0).normal(size=(3, 3))).astype(np.float32)
PIXELS = np.random.default_rng(1).integers(0, 256, (BATCH + 6, 8, 8, 3), dtype=np.uint8)


def naive(pixels: np.ndarray) -> np.ndarray:
    return (pixels / 255).mean(axis=(1, 2)) @ WEIGHTS


class MeanColor(nn.Module):
    """The network that the tiny ONNX model was lowered from, if `sign` is 1."""

    def __init__(self, sign: float = 1.0) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, pixels: Tensor) -> Tensor:
        weights = torch.from_numpy(WEIGHTS)
        return self.sign * (pixels.float() / 255).mean((1, 2)) @ weights


class Recorder:
    """A session that answers what NumPy computes and remembers the sizes of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(len(batch))
        return naive(batch).astype(np.float32)

    def close(self) -> None:
        self.batches.clear()


class Seen:
    """A session that remembers which items it was asked about; each is its own number."""

    def __init__(self) -> None:
        self.items: list[int] = []

    def run(self, batch: np.ndarray) -> np.ndarray:
        self.items += batch[:, 0].tolist()
        return batch.astype(np.float32)

    def close(self) -> None:
        self.items.clear()


class Refusing(Recorder):
    """A session that cannot run its program."""

    def run(self, batch: np.ndarray) -> np.ndarray:
        raise BundleError(f"no kernel for\n{len(batch)} items")


def trainee(network: nn.Module) -> Trainee:
    shape = ResidualNetConfig(stem=8, widths=(), blocks=())
    plan = ModelPlan(name="tiny", network=shape, training=TrainingRecipe())
    return Trainee(
        plan=plan,
        network=network,
        seconds=1.0,
        cpu_seconds=1.0,
        samples=1,
        parameters=9,
        flops=600,
        training_flops=1,
    )


@pytest.fixture(scope="module")
def program(tiny_onnx: Callable[..., object]) -> LoweredProgram:
    content: bytes = tiny_onnx(WEIGHTS).SerializeToString()  # type: ignore[attr-defined]
    return LoweredProgram(
        name="tiny-onnxruntime-fp32",
        runtime="onnxruntime",
        precision="fp32",
        contents={"tiny.onnx": content, "notes.txt": b"123"},
        input=SPEC.tensor(),
        output=TensorSpec(name="logits", dtype="float32", shape=(None, 3)),
    )


@pytest.fixture
def data() -> Dataset:
    """Give data whose validation split alone has items, told rightly by the tiny model."""
    targets = naive(PIXELS).argmax(1).astype(np.int64)
    names = tuple(map(str, range(len(PIXELS))))
    empty = Split(inputs=PIXELS[:0], targets=targets[:0], items=())
    return Dataset(
        goal="classification",
        spec=SPEC,
        labels=("ant", "bee", "cat"),
        train=empty,
        validation=Split(inputs=PIXELS, targets=targets, items=names),
        test=empty,
        record=DataRecord(name="made", sha256="0" * 64, counts={}, split_method="made", seed=0),
    )


def trial(program: LoweredProgram, outputs: np.ndarray | None = None) -> Trial:
    shown = naive(PIXELS) if outputs is None else outputs
    return Trial(model=trainee(MeanColor()), program=program, session=Recorder(), outputs=shown)


def test_a_lowered_program_opens_without_being_kept_on_disk(program: LoweredProgram) -> None:
    before = set(Path(tempfile.gettempdir()).glob("diptych-*/tiny.onnx"))
    session = open_lowered(program)
    assert set(Path(tempfile.gettempdir()).glob("diptych-*/tiny.onnx")) == before
    assert session.run(PIXELS[:5]) == pytest.approx(naive(PIXELS[:5]), abs=1e-4)


@pytest.mark.parametrize("count", [1, BATCH, BATCH + 1, BATCH + 6])
def test_many_items_are_run_in_batches_or_singly_with_the_same_answers(count: int) -> None:
    batched, single = Recorder(), Recorder()
    answers = run_all(batched, PIXELS[:count])
    assert answers == pytest.approx(naive(PIXELS[:count]), abs=1e-4)
    assert run_singly(single, PIXELS[:count]) == pytest.approx(answers)
    assert sum(batched.batches) == count
    assert max(batched.batches) <= BATCH
    assert single.batches == [1] * count


def test_programs_are_tried_on_the_whole_split_and_reported(
    program: LoweredProgram, data: Dataset
) -> None:
    steps: list[Step] = []
    (tried,) = try_programs(trainee(MeanColor()), iter([program]), data, steps.append)
    assert tried.outputs == pytest.approx(naive(PIXELS), abs=1e-4)
    assert tried.name == "tiny onnxruntime fp32"
    guarded = dataclasses.replace(program, precision="int8", method="guarded", in_float=("a",))
    named = dataclasses.replace(tried, program=guarded)
    assert named.name == "tiny onnxruntime int8 (guarded)"
    assert tried.size_bytes == len(program.contents["tiny.onnx"]) + 3
    assert [(s.stage, s.done, s.total, s.note) for s in steps] == [
        ("try tiny", 1, 1, "tiny-onnxruntime-fp32")
    ]
    assert try_programs(trainee(MeanColor()), [], data, silent) == []


def test_files_that_preparation_needs_count_in_the_size(
    program: LoweredProgram, data: Dataset
) -> None:
    files = {"tokenizer.json": b"12345", "more.json": b"67"}
    with_files = dataclasses.replace(data, assets=files)
    (tried,) = try_programs(trainee(MeanColor()), [program], with_files, silent)
    assert tried.size_bytes == len(program.contents["tiny.onnx"]) + 3 + 7


def test_a_program_that_computes_something_else_than_its_network_is_refused(
    program: LoweredProgram, data: Dataset
) -> None:
    with pytest.raises(TargetError, match="something else"):
        try_programs(trainee(MeanColor(sign=-1.0)), [program], data, silent)


def test_a_program_that_a_runtime_refuses_is_one_that_cannot_be_lowered(
    program: LoweredProgram,
    data: Dataset,
    tiny_onnx: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_onnx(WEIGHTS)
    model.graph.node[0].op_type = "Wobble"  # type: ignore[attr-defined]
    content: bytes = model.SerializeToString()  # type: ignore[attr-defined]
    odd = dataclasses.replace(program, contents={"tiny.onnx": content})
    with pytest.raises(TargetError, match=r"ONNX Runtime cannot load tiny\.onnx.*Wobble") as told:
        try_programs(trainee(MeanColor()), [odd], data, silent)
    assert "bundle" not in told.value.hint
    monkeypatch.setattr(trials, "open_lowered", lambda _: Refusing())
    with pytest.raises(TargetError, match=r"^tiny-onnxruntime-fp32: no kernel for 64 items$"):
        try_programs(trainee(MeanColor()), [program], data, silent)


def test_where_items_take_turns_all_do_if_some_take_far_longer() -> None:
    inputs = np.arange(1000)[:, None]
    for every, different in ((False, 334), (True, 1000)):
        session = Seen()
        run = in_turns(session, inputs, every=every)
        for _ in range(1000):
            run()
        assert len(set(session.items)) == different
        assert (session.items[:334] == sorted(session.items[:334])) is not every


@pytest.mark.parametrize("share", ["passed_on", "second_looks"])
def test_a_call_for_an_item_that_was_seen_tells_nothing_new_of_a_cascade(
    program: LoweredProgram, data: Dataset, share: str
) -> None:
    varied = dataclasses.replace(program, **{share: 0.1})
    timing = Timing(latencies_ms=np.linspace(1, 2, 500), cpu_seconds_per_call=1e-3)
    teacher = np.zeros((len(PIXELS), 3), np.float32)
    rows = [as_candidate(trial(each), timing, data, teacher) for each in (program, varied)]
    assert [row.p99_ms.n for row in rows] == [500, len(PIXELS)]
    assert rows[1].p99_ms.high == float("inf")
    assert rows[1].cost_usd_per_million == rows[0].cost_usd_per_million
    session = Seen()
    varied_trial = dataclasses.replace(trial(varied), session=session)
    items = np.arange(1000)[:, None]
    time_trials([varied_trial], items, seed=0, time_limit_s=5.0, report=silent)
    assert len(set(session.items)) > 900


def test_all_trials_are_timed_side_by_side_on_single_items(program: LoweredProgram) -> None:
    one = trial(program)
    timings = time_trials([one], PIXELS, seed=0, time_limit_s=0.05, report=silent)
    assert set(timings) == {"tiny onnxruntime fp32"}
    assert set(one.session.batches) == {1}  # type: ignore[attr-defined]
    timed = timings[one.name].latencies_ms
    assert 0 < len(timed) <= len(one.session.batches)  # type: ignore[attr-defined]
    assert (timed > 0).all()


def test_a_row_of_the_leaderboard_holds_what_the_trial_showed(
    program: LoweredProgram, data: Dataset
) -> None:
    logits = naive(PIXELS).astype(np.float32)
    logits[:7] = -logits[:7]
    shown = trial(program, logits)
    timing = Timing(latencies_ms=np.linspace(1, 2, 500), cpu_seconds_per_call=1e-3)
    targets = data.validation.targets
    teacher_right = np.arange(len(PIXELS)) != 3
    teacher = np.eye(3, dtype=np.float32)[np.where(teacher_right, targets, (targets + 1) % 3)]
    row = as_candidate(shown, timing, data, teacher)
    right = logits.argmax(1) == targets
    assert list(row.scores) == ["accuracy", "f1", "auroc"]
    assert row.score is row.scores["accuracy"]
    assert row.score == proportion(int(right.sum()), len(right))
    assert row.score.value == pytest.approx(1 - 7 / len(right))
    assert row.drop == paired_drop(teacher_right, right)
    assert row.drop.value == pytest.approx(6 / len(right))
    assert (row.name, row.model, row.runtime, row.precision) == (
        "tiny onnxruntime fp32",
        "tiny",
        "onnxruntime",
        "fp32",
    )
    assert row.p50_ms.value == pytest.approx(np.median(timing.latencies_ms), abs=0.01)
    assert row.p99_ms.value == pytest.approx(np.quantile(timing.latencies_ms, 0.99), abs=0.01)
    assert row.size_bytes == shown.size_bytes
    assert row.energy == modelled(1e-3)
    assert row.cost_usd_per_million == usd_per_million(1e-3)
    assert (row.parameters, row.flops, row.threads) == (9, 600, THREADS)
    assert not row.chosen
    assert not row.meets_budget
