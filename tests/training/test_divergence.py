"""Ends of a run before its plan: on series with known answers, simulated noise, and an oracle."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError, TrainingError
from diptych.core.values import CurvePoint
from diptych.training.divergence import Baseline, Plateau, Watch

LOSSES = st.floats(-100.0, 100.0)


def ended_at(losses: Sequence[float], resumed_at: int = -1) -> int | None:
    """Return the look at which the run was ended."""
    watch = Watch("student-1")
    for i, loss in enumerate(losses):
        if i == resumed_at:
            kept = msgspec.json.encode(watch.baseline)
            watch = Watch("student-1")
            watch.baseline = msgspec.json.decode(kept, type=Baseline | None)
        try:
            watch.look(20 * i, float(loss))
        except TrainingError:
            return i
    return None


def point(epoch: int, score: float | None) -> CurvePoint:
    return CurvePoint(model="student-1", epoch=epoch, seconds=epoch, loss=1.0, score=score)


def curve(*scores: float | None) -> list[CurvePoint]:
    return [point(i + 1, score) for i, score in enumerate(scores)]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_the_run_at_once(loss: float) -> None:
    with pytest.raises(TrainingError) as caught:
        Watch("student-1").look(40, loss)
    assert caught.value.message == f"student-1 diverged: the loss of step 40 is {loss}"
    assert all(word in caught.value.hint for word in ("learning_rate", "clip", "arithmetic"))


def test_an_explosion_is_said_with_what_was_seen() -> None:
    watch = Watch("student-1")
    for step, loss in enumerate((2.3, 1.9, 40.0, 300.0, 900.0, 2e3)):
        watch.look(step, loss)
    with pytest.raises(TrainingError, match=r"the loss of step 6 is 12,346 and was 2\.3 at first$"):
        watch.look(6, 12345.6)


@given(st.lists(LOSSES, min_size=1, max_size=20), st.integers(0, 30))
def test_a_run_that_is_resumed_ends_where_it_would_have(losses: list[float], where: int) -> None:
    series = [*losses, *[1e5] * 10]
    assert ended_at(series) is not None
    assert ended_at(series, resumed_at=where) == ended_at(series)


@given(
    first=st.floats(1e-3, 1e3),
    growth=st.floats(1.3, 100.0),
    falling=st.integers(0, 50),
)
def test_exponential_growth_is_seen_before_it_overflows(
    first: float, growth: float, falling: int
) -> None:
    fall = [first * 0.9**i for i in range(falling + 1)]
    rise = [math.exp(min(700.0, math.log(fall[-1]) + i * math.log(growth))) for i in range(1, 200)]
    look = ended_at([*fall, *rise])
    assert look is not None
    assert rise[look - len(fall)] < 100 * max(first, 1.0) * growth**6


@given(st.lists(st.floats(0.0, 10.9), min_size=1, max_size=100), st.floats(1e-6, 1e6))
def test_a_loss_below_eleven_times_its_first_never_ends_a_run(
    factors: list[float], first: float
) -> None:
    assert ended_at([first, *(first * factor for factor in factors)]) is None


@given(st.lists(LOSSES, min_size=1, max_size=60), st.integers(0, 1 << 60))
def test_spikes_of_any_size_that_pass_do_not_end_a_run(losses: list[float], where: int) -> None:
    assume(ended_at(losses) is None)
    calm = [loss for loss in losses if loss <= losses[0]] or losses[:1]
    series = [losses[0]]
    for i, loss in enumerate(calm):
        series += [1e30] * (4 if where >> i & 1 else 0) + [loss]
    assert ended_at(series) is None


@pytest.mark.parametrize("seed", range(20))
def test_the_noise_of_real_losses_does_not_end_a_run(seed: int) -> None:
    random = np.random.default_rng(seed)
    looks = np.arange(2000)
    fall = 0.002 + np.exp(-looks / 150)
    lognormal = fall * random.lognormal(0.0, 0.5, len(looks))
    heavy_tails = fall * np.abs(random.standard_t(2, (len(looks), 20))).mean(axis=1)
    nearly_zero = random.normal(0.0, 0.01, len(looks)) - 3 * (1 - fall)
    at_warm_up = fall * (1 + 6 * np.exp(-(((looks - 12) / 5) ** 2)))
    for losses in (lognormal, heavy_tails, nearly_zero, at_warm_up):
        assert ended_at(list(losses)) is None


@pytest.mark.parametrize("first", [0.0, 1e-9, 0.01])
def test_a_loss_that_begins_at_all_but_nothing_may_rise(first: float) -> None:
    assert ended_at([first, *[0.5] * 20, *[9.0] * 20]) is None
    assert ended_at([first, *[0.5] * 20, *[11.0] * 20]) == 25


@given(
    st.lists(st.none() | st.integers(0, 5).map(float) | st.just(math.nan), max_size=12),
    st.integers(0, 4),
)
def test_a_plateau_is_as_long_as_the_patience(scores: list[float | None], patience: int) -> None:
    told = [s for s in scores if s is not None]
    best, since = -math.inf, 0
    for i, score in enumerate(told):
        if i == 0 or (not math.isnan(score) and score > best):
            best, since = -math.inf if math.isnan(score) else score, 0
        else:
            since += 1
    ends = bool(patience and told and since >= patience)
    assert bool(Plateau(patience).reason(curve(*scores))) == ends


def test_the_reason_of_an_end_is_said() -> None:
    assert Plateau(2).reason(curve(0.5, 0.75, 0.75, 0.5)) == "no better score in 2 epochs"
    assert Plateau(2).reason(curve(0.5, 0.75, 0.75)) == ""
    reached = Plateau(2, target_score=0.9).reason(curve(0.5, 0.9125))
    assert reached == "the score is 91.25 %, the target was reached"
    assert Plateau(0, target_score=0.9).reason(curve(0.95, 0.875)) == ""
    assert Plateau(0).reason(curve(*[0.5] * 99)) == ""


def test_a_patience_below_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="-1"):
        Plateau(-1)
