from types import SimpleNamespace

import numpy as np
import pytest

from diptych.fitting.allowance import Allowance, excess, rounding_costs_too_much
from diptych.fitting.budget import Budget


def logits(targets: np.ndarray, wrong: int) -> np.ndarray:
    """Answer as the targets say, but for the first few of two classes."""
    answers = targets.copy()
    answers[:wrong] = 1 - answers[:wrong]
    return np.eye(2, dtype=np.float32)[answers]


def trial(precision: str, outputs: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(program=SimpleNamespace(precision=precision), outputs=outputs)


@pytest.fixture
def allow(make_dataset):
    """Make what a budget allows beside a teacher that is always right."""
    dataset = make_dataset()
    teacher = logits(dataset.validation.targets, 0)

    def make(budget: str) -> Allowance:
        return Allowance(budget=Budget.parse(budget), dataset=dataset, teacher_outputs=teacher)

    return make


@pytest.mark.parametrize(
    ("budget", "in_float", "rounded", "too_much"),
    [
        ("drop<=10%", 0, 1, False),
        ("drop<=10%", 0, 3, True),
        ("drop<=10%", 3, 3, False),
        ("drop<=10%", 4, 3, False),
        ("drop<=10%", 3, 4, False),
        ("accuracy>=90%", 0, 3, True),
        ("score>=90%", 0, 3, True),
        ("score>=90%", 0, 2, False),
        ("p99<=1ms, size<=1KB", 0, 9, False),
        ("", 0, 9, False),
    ],
)
def test_it_is_too_much_where_a_limit_is_missed_that_is_kept_in_float(
    allow, budget: str, in_float: int, rounded: int, too_much: bool
) -> None:
    allowance = allow(budget)
    targets = allowance.dataset.validation.targets
    trials = [trial("fp32", logits(targets, in_float)), trial("int8", logits(targets, rounded))]
    assert rounding_costs_too_much(allowance, trials) is too_much


def test_without_a_program_in_either_precision_nothing_was_lost(allow) -> None:
    allowance = allow("drop<=1%")
    for precision in ("fp32", "int8"):
        bad = trial(precision, logits(allowance.dataset.validation.targets, 5))
        assert not rounding_costs_too_much(allowance, [bad])


def test_the_excess_is_that_of_the_worst_term(allow) -> None:
    allowance = allow("drop<=5%, accuracy>=70%, size<=1KB")
    outputs = logits(allowance.dataset.validation.targets, 8)  # 40 % wrong
    assert excess(allowance, outputs) == pytest.approx(0.35)
    assert excess(allow("accuracy>=70%"), outputs) == pytest.approx(0.10)
    assert excess(allow("accuracy>=50%"), outputs) == pytest.approx(-0.10)
    assert excess(allow(""), outputs) == 0.0


def test_numbers_have_an_excess_in_their_own_unit(make_dataset) -> None:
    dataset = make_dataset(goal="regression")
    targets = dataset.validation.targets[:, None]
    limits = Budget.parse("mae<=2")
    allowance = Allowance(budget=limits, dataset=dataset, teacher_outputs=targets)
    assert excess(allowance, targets + 5) == pytest.approx(3)
