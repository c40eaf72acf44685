import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.training.schedule import WARMUP_START, Progress, rate_factor


def test_the_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    assert rate_factor(0.0, 0.2) == WARMUP_START
    assert rate_factor(0.2, 0.2) == 1.0
    assert rate_factor(0.6, 0.2) == pytest.approx(0.5)
    assert rate_factor(1.0, 0.2) == 0.0


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
