import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.fitting.timetable import (
    FINAL_TIMING_S,
    FINISHING_S,
    LEAST_TRAINING_S,
    REFINING_SHARE,
    SAFETY,
    TEACHER_SHARE,
    Timetable,
)

NOW = 100.0


def timetable(limit_s: float | None, students: int = 1, *, refined: bool = False) -> Timetable:
    """Make one whose clock stands still."""
    deadline = None if limit_s is None else NOW + limit_s
    return Timetable(deadline, lambda: NOW, students=students, refined=refined)


def test_without_a_deadline_there_is_no_end_of_time() -> None:
    table = timetable(None, refined=True)
    assert table.training_s(3) == table.teacher_s(2) == table.student_s(2) == math.inf
    assert table.may_probe()
    assert table.refining_s == 0.0


@given(st.floats(60, 1e5), st.integers(1, 4))
def test_models_and_what_follows_them_fit_into_the_limit(limit_s: float, models: int) -> None:
    table = timetable(limit_s, models, refined=True)
    after = models * (SAFETY * table.lowering_s + table.refining_s)
    used = table.training_s(models) + after + 2 * table.final_timing_s + FINISHING_S
    assert used == pytest.approx(limit_s) or table.training_s(models) == 1.0


def test_what_training_in_8_bits_may_take_is_put_aside() -> None:
    assert timetable(1000.0, refined=True).refining_s == 30.0
    assert timetable(1000.0, 2, refined=True).refining_s == 15.0
    assert timetable(1000.0).refining_s == 0.0
    assert timetable(30.0, refined=True).refining_s == 0.0
    aside = timetable(1000.0).training_s(1) - timetable(1000.0, refined=True).training_s(1)
    assert aside == pytest.approx(1000 * REFINING_SHARE)


def test_a_teacher_leaves_its_students_more_than_half() -> None:
    table = timetable(1000.0)
    assert table.teacher_s(1) == pytest.approx(TEACHER_SHARE * table.training_s(2, 1))
    assert table.teacher_s(0) == table.training_s(1)
    assert timetable(20.0).teacher_s(5) == timetable(20.0).training_s(1)  # too little for all


def test_where_time_is_too_short_for_all_students_the_first_has_it() -> None:
    assert timetable(1000.0).student_s(2) == pytest.approx(timetable(1000.0).training_s(2) / 2)
    short = timetable(40.0)
    assert short.training_s(3) / 3 < LEAST_TRAINING_S
    assert short.student_s(3) == short.training_s(1)


def test_probing_takes_a_small_share_of_long_limits_only() -> None:
    assert timetable(1000.0).may_probe()
    assert not timetable(100.0).may_probe()


@pytest.mark.parametrize(
    ("left", "together", "jobs", "turns"), [(3, 3, 1, 3), (3, 3, 2, 2), (5, 3, 2, 4), (4, 4, 9, 1)]
)
def test_students_that_are_trained_at_once_share_the_time_by_turns(
    left: int, together: int, jobs: int, turns: int
) -> None:
    table = timetable(1000.0)
    each_s = table.together_s(left, together, jobs)
    assert turns * each_s == pytest.approx(table.training_s(left))


def test_slow_programs_are_timed_for_longer_as_far_as_there_is_time_to_spare() -> None:
    assert timetable(None).spare_s(last=False) == timetable(None).spare_s(last=True) == math.inf
    assert timetable(1000.0).spare_s(last=False) == FINAL_TIMING_S
    left_s = 1000 - 2 * FINAL_TIMING_S - FINISHING_S
    assert timetable(1000.0).spare_s(last=True) == pytest.approx(left_s / 2)
    assert timetable(10.0).spare_s(last=False) == 0.0
    assert timetable(5.0).spare_s(last=True) == 0.0


def test_what_the_last_timing_needs_is_put_aside_up_to_its_share() -> None:
    table = timetable(1000.0)
    before_s = table.training_s(1)
    for needed_s, final_s in ((25.0, 25.0), (90.0, 40.0), (0.0, FINAL_TIMING_S)):
        table.put_aside(needed_s)
        assert table.final_timing_s == pytest.approx(final_s)
        assert before_s - table.training_s(1) == pytest.approx(2 * (final_s - FINAL_TIMING_S))
    endless = timetable(None)
    endless.put_aside(900.0)
    assert endless.final_timing_s == FINAL_TIMING_S
