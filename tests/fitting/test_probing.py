from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from torch import nn

from diptych.core.errors import BundleError, TargetError
from diptych.core.progress import silent
from diptych.core.values import Dataset, Energy, Estimate
from diptych.fitting import probing
from diptych.fitting.budget import Budget
from diptych.fitting.probing import ProgramCost, affordable, can_keep, prober
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import ModelPlan
from diptych.targets import Choice
from diptych.targets.lower import LoweredProgram
from diptych.training.models import GivenConfig, PrunedConfig, ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

MakeDataset = Callable[..., Dataset]
PROGRAMS = (
    ProgramPlan(runtime="onnxruntime", precision="fp32"),
    ProgramPlan(runtime="onnxruntime", precision="int8"),
)


def plans(count: int) -> list[ModelPlan]:
    """Make plans whose widths fall, the widest first."""
    return [
        ModelPlan(
            name=f"student-{width}",
            network=ResidualNetConfig(stem=8, widths=(width,), blocks=(0,)),
            training=TrainingRecipe(),
        )
        for width in range(16 * count, 0, -16)
    ]


def cost(p99_ms: float, size_bytes: int = 1000, spread: float = 0.0) -> ProgramCost:
    latency = Estimate(
        value=p99_ms, low=p99_ms - spread, high=p99_ms + spread, n=100, method="made up"
    )
    energy = Energy(value_j=1e-3, low_j=1e-3, high_j=1e-3, label="modelled", method="made up")
    return ProgramCost(
        runtime="onnxruntime",
        precision="int8",
        p50_ms=latency,
        p99_ms=latency,
        size_bytes=size_bytes,
        energy=energy,
        cost_usd_per_million=1.0,
    )


class Counted:
    """A probe by which a network's latency in ms is its width, that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, plan: ModelPlan) -> Sequence[ProgramCost]:
        self.asked.append(plan.name)
        width = float(plan.name.removeprefix("student-"))
        return [cost(2 * width), cost(width)]


@given(st.integers(1, 12), st.integers(1, 3), st.integers(1, 250))
def test_the_widest_that_can_keep_the_budget_are_found_as_by_trying_all(
    count: int, most: int, limit: int
) -> None:
    probe, students = Counted(), plans(count)
    found = affordable(students, most, Budget.parse(f"drop<=1%, p99<={limit}ms"), probe)
    able = [p for p in students if float(p.name.removeprefix("student-")) <= limit]
    assert list(found) == (able or students[-1:])[:most]
    assert len(probe.asked) <= 4
    assert len(set(probe.asked)) == len(probe.asked)


@pytest.mark.parametrize("text", ["", "drop<=1%", "accuracy>=90%, cold<=1s"])
def test_nothing_is_probed_for_a_budget_of_scores(text: str) -> None:
    probe, students = Counted(), plans(3)
    assert affordable(students, 2, Budget.parse(text), probe) == tuple(students[:2])
    assert probe.asked == []


def test_without_time_what_is_not_known_counts_as_affordable() -> None:
    probe, students = Counted(), plans(5)
    budget = Budget.parse("p99<=1ms")
    assert affordable(students, 1, budget, probe, lambda: False) == (students[0],)
    assert probe.asked == []
    once = iter([True, False])
    assert affordable(students, 1, budget, probe, lambda: next(once)) == (students[3],)


def test_what_cannot_be_told_is_not_given_up() -> None:
    budget = Budget.parse("p99<=1ms, size<=2KB")
    assert can_keep(cost(1.1, spread=0.2), budget)
    assert not can_keep(cost(1.1, spread=0.05), budget)
    assert not can_keep(cost(0.5, size_bytes=2001), budget)


@pytest.mark.slow
def test_a_probe_lowers_and_times_a_network_that_nobody_trained(make_dataset: MakeDataset) -> None:
    data = make_dataset(height=16, width=16)
    probe = prober(data, PROGRAMS, data.train.inputs, 0, silent)
    wide, narrow = (probe(plan) for plan in (plans(8)[0], plans(1)[0]))
    assert [c.precision for c in wide] == ["fp32", "int8"]
    for large, small in zip(wide, narrow, strict=True):
        assert large.size_bytes > small.size_bytes
    for probed in (*wide, *narrow):
        assert 0 < probed.p50_ms.value <= probed.p99_ms.value
    assert wide[1].size_bytes < wide[0].size_bytes / 2
    assert np.isfinite(wide[0].p99_ms.high)


class Odd:
    """A session that cannot run its program, or can."""

    def __init__(self, *, runs: bool) -> None:
        self.runs = runs

    def run(self, batch: np.ndarray) -> np.ndarray:
        if not self.runs:
            raise BundleError("no kernel")
        return np.zeros((len(batch), 2), np.float32)


def lowered(_: nn.Module, spec: object, choices: Sequence[Choice], **_more: object) -> list:
    """Lower to programs that are alike."""
    return [
        LoweredProgram(
            name="-".join(choice),
            runtime=choice[0],
            precision=choice[1],
            contents={"a.onnx": b"12345"},
            input=spec,
            output=spec,
        )
        for choice in choices
    ]


@pytest.mark.parametrize("opens", [True, False])
def test_the_programs_of_a_users_module_are_judged_one_by_one(
    make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    def opened(program: LoweredProgram) -> Odd:
        if program.precision == "int8" and not opens:
            raise TargetError("no kernel")
        return Odd(runs=program.precision == "fp32")

    monkeypatch.setattr(probing, "lower_all", lowered)
    monkeypatch.setattr(probing, "open_lowered", opened)
    data, (ours,) = make_dataset(), plans(1)
    module = GivenConfig(source="net.py:make", sha256="0" * 64)
    theirs = replace(ours, network=PrunedConfig(network=module, widths={}))
    probe = prober(data, PROGRAMS, data.train.inputs, 0, silent)
    (found,) = probe(theirs, nn.Identity())
    assert (found.precision, found.size_bytes) == ("fp32", 5)
    assert np.isfinite(found.p99_ms.high)
    with pytest.raises(TargetError, match="no kernel"):
        probe(ours, nn.Identity())
    neither = prober(data, PROGRAMS[1:], data.train.inputs, 0, silent)
    assert list(neither(theirs, nn.Identity())) == []
