import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diptych.training.schedule import (
    SCHEDULES,
    WARMUP_START,
    Progress,
    momentum_factor,
    rate_factor,
    schedule_for,
)

NAMES = sorted(SCHEDULES)
shares = st.floats(0, 1)
warmups = st.floats(0, 0.9)


def test_linear_rises_to_its_peak_and_falls_to_zero() -> None:
    assert rate_factor(0.0, 0.2, "linear") == WARMUP_START
    assert rate_factor(0.2, 0.2, "linear") == 1.0
    assert rate_factor(0.6, 0.2, "linear") == pytest.approx(0.5)
    assert rate_factor(1.0, 0.2, "linear") == 0.0


@given(shares, warmups)
def test_linear_is_a_triangle_number_for_number(progress: float, warmup: float) -> None:
    if progress < warmup:
        expected = WARMUP_START + (1 - WARMUP_START) * progress / warmup
    else:
        expected = (1 - progress) / (1 - warmup)
    assert rate_factor(progress, warmup, "linear") == expected


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        ("cosine", {0.0: 0.2, 0.1: 0.6, 0.2: 1.0, 0.6: 0.5, 0.4: 0.853553, 1.0: 0.0}),
        ("one-cycle", {0.0: 0.04, 0.1: 0.52, 0.2: 1.0, 0.6: 0.500005, 1.0: 1e-5}),
        ("warmup-decay", {0.0: 0.2, 0.1: 0.6, 0.2: 1.0, 0.8: 1.0, 0.9: 0.5, 1.0: 0.0}),
        ("constant", {0.0: 0.2, 0.1: 0.6, 0.2: 1.0, 0.6: 1.0, 1.0: 1.0}),
    ],
)
def test_each_schedule_goes_through_its_points(schedule: str, points: dict[float, float]) -> None:
    for progress, factor in points.items():
        assert rate_factor(progress, 0.2, schedule) == pytest.approx(factor, abs=1e-6)


@given(st.sampled_from(NAMES), shares, shares, warmups)
def test_a_rate_rises_in_the_warm_up_and_never_after(
    schedule: str, first: float, second: float, warmup: float
) -> None:
    early, late = sorted((first, second))
    factors = [rate_factor(progress, warmup, schedule) for progress in (early, late)]
    assert all(0.0 <= factor <= 1.0 for factor in factors)
    if late < warmup:
        assert factors[0] <= factors[1]
    if early >= warmup:
        assert factors[0] >= factors[1]


def test_one_cycle_is_that_of_torch() -> None:
    peak, steps, warmup = 0.5, 100, 0.3
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=peak,
        total_steps=steps + 1,
        pct_start=(warmup * steps + 1) / (steps + 1),
        final_div_factor=4000,
    )
    for step in range(steps):
        progress, group = step / steps, optimizer.param_groups[0]
        factor = rate_factor(progress, warmup, "one-cycle")
        momentum = 0.95 * momentum_factor(progress, warmup, "one-cycle")
        assert factor == pytest.approx(group["lr"] / peak, abs=1e-6)
        assert momentum == pytest.approx(group["momentum"], abs=1e-6)
        optimizer.step()
        scheduler.step()


@given(st.sampled_from([name for name in NAMES if name != "one-cycle"]), shares, warmups)
def test_only_one_cycle_changes_the_momentum(schedule: str, progress: float, warmup: float) -> None:
    assert momentum_factor(progress, warmup, schedule) == 1.0


@given(shares, warmups)
def test_without_a_warm_up_a_rate_starts_at_its_peak(progress: float, warmup: float) -> None:
    assert all(rate_factor(0.0, 0.0, name) == 1.0 for name in NAMES)
    assert all(math.isfinite(rate_factor(progress, warmup, name)) for name in NAMES)


def test_schedule_free_keeps_its_rate_and_others_follow_the_recipe() -> None:
    assert schedule_for("schedule-free", "linear") == "constant"
    assert schedule_for("muon", "cosine") == "cosine"


@given(st.integers(1, 400))
def test_without_replanning_every_step_is_an_equal_share(steps: int) -> None:
    progress = Progress(steps)
    for step in range(steps):
        assert progress.share == pytest.approx(step / steps)
        progress.advance()
    assert progress.share == pytest.approx(1.0)
    assert progress.remaining == 0


@given(
    st.integers(2, 300),
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 300)), max_size=5),
)
def test_however_it_is_replanned_progress_never_falls_and_ends_at_one(
    steps: int, replans: list[tuple[int, int]]
) -> None:
    progress = Progress(steps)
    plans = dict(replans)
    seen = [0.0]
    while progress.remaining:
        if progress.step in plans:
            progress.replan(plans.pop(progress.step))
        progress.advance()
        seen.append(progress.share)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
