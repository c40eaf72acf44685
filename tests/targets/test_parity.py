import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import TargetError
from diptych.targets.parity import check, compare, is_faithful, tolerance

LOGITS = np.float32([[0, 10, -10], [3, 2, 1]])


def test_equal_logits_differ_by_nothing():
    parity = compare(LOGITS, LOGITS.copy())
    assert (parity.max_difference, parity.flips, parity.n) == (0, 0, 2)


@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 1000))
def test_differences_and_flips_are_counted_one_by_one(items, classes, seed):
    rng = np.random.default_rng(seed)
    reference, candidate = rng.normal(size=(2, items, classes)).astype(np.float32)
    parity = compare(reference, candidate)
    pairs = list(zip(reference.tolist(), candidate.tolist(), strict=True))
    assert parity.flips == sum(a.index(max(a)) != b.index(max(b)) for a, b in pairs)
    largest = max(abs(x - y) for a, b in pairs for x, y in zip(a, b, strict=True))
    assert parity.max_difference == pytest.approx(largest, rel=1e-5)


def test_fp32_may_differ_by_a_thousandth_of_the_range():
    assert check(LOGITS, LOGITS + 0.019, "fp32").flips == 0
    with pytest.raises(TargetError, match="computes something else"):
        check(LOGITS, LOGITS + 0.021, "fp32")


@pytest.mark.parametrize(("precision", "share"), [("fp16", 0.01), ("bf16", 0.1)])
def test_other_floats_may_differ_by_more_but_not_by_any_amount(precision, share):
    assert check(LOGITS, LOGITS + 0.99 * share * 20, precision).flips == 0
    with pytest.raises(TargetError, match="computes something else"):
        check(LOGITS, LOGITS + 1.01 * share * 20, precision)


@pytest.mark.parametrize("precision", ["int8", "int8-weights", "int4-weights"])
def test_rounded_weights_may_differ_by_any_amount(precision):
    parity = check(LOGITS, LOGITS[:, ::-1], precision)
    assert (parity.flips, parity.max_difference) == (1, 10)


@pytest.mark.parametrize("candidate", [LOGITS[:1], LOGITS[:, :2], LOGITS[0]])
def test_logits_of_another_shape_are_refused(candidate):
    with pytest.raises(TargetError, match="shape"):
        compare(LOGITS, candidate)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(value):
    with pytest.raises(TargetError, match="not a finite number"):
        compare(LOGITS, np.where(LOGITS == 10, value, LOGITS))
    with pytest.raises(TargetError, match="not a finite number"):
        check(np.where(LOGITS == 10, value, LOGITS), LOGITS, "int8")


def test_the_tolerance_is_a_share_of_the_range_and_larger_for_int8():
    assert tolerance(LOGITS, "fp32") == pytest.approx(0.02)
    assert tolerance(LOGITS, "int8") == pytest.approx(0.4)
    assert tolerance(100 * LOGITS + 7, "int8") == pytest.approx(40)


def test_a_program_is_faithful_up_to_a_tenth_of_the_range_in_every_logit():
    assert is_faithful(LOGITS, LOGITS + 1.9)
    assert not is_faithful(LOGITS, LOGITS + 2.1)
    assert not is_faithful(LOGITS, LOGITS * [1, 1, 0.7])


def test_answers_that_hardly_differ_beside_their_size_may_be_rounded_another_way():
    years = np.float32([[250_000], [250_001]])
    rounded = np.nextafter(years, np.float32(np.inf))
    assert check(years, rounded, "fp32").max_difference <= tolerance(years, "fp32") < 0.1
    assert check(years[:1], rounded[:1], "fp32").n == 1
    with pytest.raises(TargetError, match="computes something else"):
        check(years, years + 1, "fp32")
