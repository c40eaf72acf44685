from hypothesis import given
from hypothesis import strategies as st

from diptych.training.pace import Pace


def simulated(planned: int, step_s: float, limit_s: float) -> tuple[int, float]:
    """Run under a deadline at a steady pace; give the steps taken and the time used."""
    pace, step, remaining, now = Pace(planned), 0, planned, 0.0
    while remaining:
        if step:
            remaining = pace.affordable(step, remaining, now, limit_s)
            if not remaining:
                break
        now += step_s
        step, remaining = step + 1, remaining - 1
    return step, now


@given(st.integers(1, 3000), st.floats(0.001, 5.0), st.floats(10.0, 500.0))
def test_a_deadline_is_kept_and_its_time_is_used(
    planned: int, step_s: float, limit_s: float
) -> None:
    steps, used_s = simulated(planned, step_s, limit_s)
    assert steps <= planned
    assert used_s <= 1.04 * limit_s + 22 * step_s
    if steps < planned:
        assert used_s >= 0.9 * limit_s - 22 * step_s


def test_time_enough_changes_no_plan() -> None:
    assert simulated(500, 0.01, 100.0)[0] == 500


def test_after_the_deadline_no_step_is_taken_though_there_was_no_look_before() -> None:
    assert Pace(1000).affordable(1, 999, 10.0, 10.0) == 0


def test_between_looks_the_plan_stays() -> None:
    pace = Pace(1000)
    assert pace.affordable(1, 999, 0.0, 10.0) == 999
    assert pace.affordable(2, 998, 1.0, 10.0) == 998
    assert pace.affordable(3, 997, 2.1, 10.0) == 7
