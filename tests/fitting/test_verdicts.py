import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from diptych.core.values import Energy, Goal, Verdict
from diptych.fitting.budget import MAIN_SCORE, TERMS, Budget
from diptych.fitting.verdicts import (
    ESTIMATES,
    Evidence,
    cold,
    give_verdicts,
    memory,
    millijoules,
    overall,
    scores,
)
from diptych.measure.quantiles import samples_for_bounds
from diptych.tasks.goals import GOALS

ENERGY = Energy(value_j=2e-3, low_j=1e-3, high_j=4e-3, label="modelled", method="CPU seconds x 6 W")


def answers(right: np.ndarray) -> np.ndarray:
    """Give the outputs of two classes for items of the first."""
    return np.stack([right, ~right], axis=1).astype(np.float32)


def evidence(
    *, both: int = 900, lost: int = 0, gained: int = 0, neither: int = 100, **other: object
) -> Evidence:
    """Make evidence from counts of items: both right, only teacher, only student, neither."""
    counts = (both, lost, gained, neither)
    figures: dict[str, object] = {
        "kind": GOALS["classification"],
        "targets": np.zeros(sum(counts), np.int64),
        "teacher_outputs": answers(np.repeat([True, True, False, False], counts)),
        "outputs": answers(np.repeat([True, False, True, False], counts)),
        "latencies_ms": np.linspace(0.5, 1.5, 1001),
        "size_bytes": 1000,
        "energy": ENERGY,
        "cost_usd_per_million": 0.5,
    }
    return Evidence(**(figures | other))  # type: ignore[arg-type]


def decide(budget: str, seen: Evidence) -> Verdict:
    (verdict,) = give_verdicts(Budget.parse(budget), seen)
    return verdict


def classes_of(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    targets = rng.integers(0, 3, 200)
    return targets, np.eye(3, dtype=np.float32)[targets]


def labels_of(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    targets = (rng.random((200, 3)) < 0.5).astype(np.float32)
    return targets, targets - np.float32(0.5)


def numbers_of(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    targets = rng.normal(20, 2, 200).astype(np.float32)
    return targets, targets[:, None]


MAKERS = {"multi-label": labels_of, "regression": numbers_of}


def told(goal: Goal, noise: float = 0.5) -> Evidence:
    """Make evidence of 200 items of a goal; the teacher is always right, the answers are noisy."""
    rng = np.random.default_rng(0)
    targets, sure = MAKERS.get(goal, classes_of)(rng)
    outputs = sure + noise * rng.normal(size=sure.shape)
    return evidence(
        kind=GOALS[goal],
        targets=targets,
        teacher_outputs=sure,
        outputs=outputs.astype(np.float32),
    )


COLD = {"cold_ms": np.arange(300.0, 310.0), "memory_bytes": np.arange(50, 60) * 10**6}


@pytest.mark.parametrize(
    ("budget", "seen", "outcome"),
    [
        ("drop<=1%", {"both": 9000, "neither": 1000}, "PASS"),
        ("drop<=1%", {"both": 8000, "lost": 1000, "neither": 1000}, "FAIL"),
        ("drop<=1%", {"both": 889, "lost": 11}, "CANNOT TELL"),
        ("drop<=1%", {"both": 800, "gained": 100}, "PASS"),
        ("drop<=0", {"both": 900}, "CANNOT TELL"),
        ("accuracy>=85%", {}, "PASS"),
        ("accuracy>=95%", {}, "FAIL"),
        ("accuracy>=90%", {}, "CANNOT TELL"),
        ("p50<=2ms", {}, "PASS"),
        ("p50<=900us", {}, "FAIL"),
        ("p50<=1ms", {}, "CANNOT TELL"),
        ("p99<=1.6ms", {}, "PASS"),
        ("p99<=1ms", {}, "FAIL"),
        ("p99<=1.6ms", {"latencies_ms": np.linspace(0.5, 1.5, 100)}, "CANNOT TELL"),
        ("size<=1KB", {}, "PASS"),
        ("size<=999B", {}, "FAIL"),
        ("energy<=5mJ", {}, "PASS"),
        ("energy<=900uJ", {}, "FAIL"),
        ("energy<=3mJ", {}, "CANNOT TELL"),
        ("cost<=0.5$/1M", {}, "PASS"),
        ("cost<=0.4$/1M", {}, "FAIL"),
        ("cold<=400ms", COLD, "PASS"),
        ("cold<=200ms", COLD, "FAIL"),
        ("cold<=305ms", COLD, "CANNOT TELL"),
        ("cold<=1s", {}, "CANNOT TELL"),
        ("memory<=60MB", COLD, "PASS"),
        ("memory<=49MB", COLD, "FAIL"),
        ("memory<=55MB", COLD, "CANNOT TELL"),
        ("memory<=1GB", {}, "CANNOT TELL"),
        ("memory<=1GB", {"memory_bytes": np.array([50, 60])}, "CANNOT TELL"),
        ("memory<=1B", {"memory_bytes": np.array([50, 60])}, "CANNOT TELL"),
        ("memory<=60B", {"memory_bytes": np.arange(55, 61)}, "PASS"),
    ],
)
def test_a_term_is_decided_as_the_evidence_says(
    budget: str, seen: dict[str, object], outcome: str
) -> None:
    verdict = decide(budget, evidence(**seen))
    term = Budget.parse(budget).terms[0]
    assert verdict.verdict == outcome
    assert (verdict.name, verdict.limit, verdict.unit) == (term.name, term.limit, term.unit)
    assert verdict.relation == term.relation
    assert verdict.low <= verdict.value <= verdict.high
    assert verdict.method


def test_a_term_that_was_not_measured_says_so() -> None:
    verdict = decide("memory<=1MB", evidence())
    assert (verdict.n, verdict.method, verdict.samples_needed) == (0, "not measured", None)
    assert (verdict.low, verdict.high) == (-math.inf, math.inf)


def test_a_verdict_is_given_for_each_term_in_the_budgets_order() -> None:
    budget = Budget.parse("size<=1KB, drop<=1%, cost<=1, cold<=1s")
    verdicts = give_verdicts(budget, evidence(**COLD))
    assert [v.name for v in verdicts] == ["size", "drop", "cost", "cold"]
    assert give_verdicts(Budget(), evidence()) == ()


def test_every_term_of_the_grammar_can_be_estimated() -> None:
    scores_of_any = {name for kind in GOALS.values() for name in kind.metrics}
    assert set(ESTIMATES) | scores_of_any | {MAIN_SCORE} == set(TERMS)
    for estimate in ESTIMATES.values():
        assert estimate(evidence(**COLD)).n > 0
    for goal in get_args(Goal):
        for name in {MAIN_SCORE, *GOALS[goal].metrics}:
            term = f"{name}{TERMS[name].relation}0.5"
            assert decide(term, told(goal)).n == 200


def test_energy_and_cost_carry_the_label_of_how_they_were_had() -> None:
    seen = evidence()
    labels = {t: decide(f"{t}<={b}", seen).label for t, b in {"energy": "5mJ", "cost": "1"}.items()}
    assert labels == {"energy": "modelled", "cost": "declared"}
    assert decide("size<=1KB", seen).label is None


@pytest.mark.parametrize("term", ["energy<={}mJ", "cost<={}"])
def test_beside_a_gpu_the_processors_part_can_break_a_limit_but_not_keep_it(term: str) -> None:
    seen = evidence(on_gpu=True)
    assert decide(term.format(1000), evidence()).verdict == "PASS"
    loose = decide(term.format(1000), seen)
    assert (loose.verdict, loose.high, loose.samples_needed) == ("CANNOT TELL", math.inf, None)
    assert loose.method.endswith("of the processor only")
    assert decide(term.format(0.0001), seen).verdict == "FAIL"
    assert decide("p50<=2ms", seen) == decide("p50<=2ms", evidence())


def replicated(seen: Evidence, items: int, calls: int) -> Evidence:
    """Make larger evidence with the same shares: each array is sampled evenly."""

    def stretch(values: np.ndarray, n: int) -> np.ndarray:
        return np.sort(values)[np.arange(n) * len(values) // n]

    pairs = stretch(2 * seen.teacher_scores.astype(int) + seen.item_scores, items)
    return Evidence(
        kind=seen.kind,
        targets=np.zeros(items, np.int64),
        teacher_outputs=answers(pairs >= 2),
        outputs=answers(pairs % 2 == 1),
        latencies_ms=stretch(seen.latencies_ms, calls),
        size_bytes=seen.size_bytes,
        energy=seen.energy,
        cost_usd_per_million=seen.cost_usd_per_million,
    )


@given(
    st.tuples(*[st.integers(0, 30)] * 3),
    st.integers(20, 300),
    st.sampled_from(["drop<=1%", "drop<=5%", "accuracy>=80%", "accuracy>=95%"]),
)
def test_as_many_items_as_are_said_to_be_needed_decide(
    counts: tuple[int, int, int], both: int, budget: str
) -> None:
    lost, gained, neither = counts
    seen = evidence(both=both, lost=lost, gained=gained, neither=neither)
    verdict = decide(budget, seen)
    if verdict.verdict != "CANNOT TELL":
        assert verdict.samples_needed is None
        return
    needed = verdict.samples_needed
    assume(needed is not None and needed < 1_000_000)
    assert needed > verdict.n
    whole = math.ceil(needed / verdict.n) * verdict.n
    assert decide(budget, replicated(seen, whole, 10)).verdict != "CANNOT TELL"


@given(st.integers(50, 2000), st.floats(0.9, 0.9999), st.sampled_from(["p99", "p50"]))
def test_as_many_calls_as_are_said_to_be_needed_decide(n: int, share: float, term: str) -> None:
    slow = max(1, round((1 - share) * n)) if term == "p99" else round(n * (share - 0.45))
    seen = evidence(latencies_ms=np.repeat([1.0, 3.0], [n - slow, slow]))
    verdict = decide(f"{term}<=2ms", seen)
    if verdict.verdict != "CANNOT TELL":
        assert verdict.samples_needed is None
        return
    needed = verdict.samples_needed
    assume(needed is not None and needed < 100_000)
    assert needed > n
    whole = math.ceil(needed / n) * n
    assert decide(f"{term}<=2ms", replicated(seen, 1000, whole)).verdict != "CANNOT TELL"


def test_no_number_of_samples_decides_a_drop_that_is_the_limit() -> None:
    verdict = decide("drop<=1%", evidence(both=890, lost=10))
    assert (verdict.verdict, verdict.samples_needed) == ("CANNOT TELL", None)


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        ((), "PASS"),
        (("PASS", "PASS"), "PASS"),
        (("PASS", "CANNOT TELL"), "CANNOT TELL"),
        (("FAIL", "CANNOT TELL", "PASS"), "FAIL"),
    ],
)
def test_the_whole_is_as_bad_as_its_worst_term(seen: tuple[str, ...], outcome: str) -> None:
    one = decide("size<=1KB", evidence())
    verdicts = tuple(
        Verdict(**{f: getattr(one, f) for f in one.__struct_fields__} | {"verdict": v})
        for v in seen
    )
    assert overall(verdicts) == outcome


def test_figures_of_new_processes_are_medians_of_which_few_tell_nothing() -> None:
    seen = evidence(cold_ms=np.array([5.0, 1.0, 9.0]), memory_bytes=np.array([30, 10, 20]))
    assert cold(seen).value == 5.0
    peak = memory(seen)
    assert (peak.value, peak.low, peak.high, peak.n) == (20.0, -math.inf, math.inf, 3)
    assert "peak resident memory" in peak.method
    assert "3 samples are too few" in peak.method
    assert decide("memory<=1MB", seen).samples_needed == samples_for_bounds(0.5)
    six = memory(evidence(memory_bytes=np.array([30, 10, 20, 60, 50, 40])))
    assert (six.low, six.high, six.n) == (10.0, 60.0, 6)


def test_joules_become_millijoules_with_their_bounds() -> None:
    energy = millijoules(ENERGY, 7)
    assert (energy.value, energy.low, energy.high, energy.n) == (2.0, 1.0, 4.0, 7)


def by_hand(goal: Goal, seen: Evidence) -> dict[str, float]:
    """Compute scores with scikit-learn."""
    metrics = pytest.importorskip("sklearn.metrics")
    outputs, targets = seen.outputs, seen.targets
    if goal == "regression":
        return {
            "r2": metrics.r2_score(targets, outputs[:, 0]),
            "mae": metrics.mean_absolute_error(targets, outputs[:, 0]),
            "rmse": metrics.root_mean_squared_error(targets, outputs[:, 0]),
        }
    if goal == "multi-label":
        given = outputs >= 0
        return {
            "f1": metrics.f1_score(targets, given, average="samples", zero_division=1.0),
            "accuracy": metrics.accuracy_score(targets, given),
            "auroc": metrics.roc_auc_score(targets, outputs),
        }
    given = outputs.argmax(1)
    return {
        "accuracy": metrics.accuracy_score(targets, given),
        "f1": metrics.f1_score(targets, given, average="macro"),
        "mae": metrics.mean_absolute_error(targets, given),
    }


@pytest.mark.parametrize("goal", get_args(Goal))
def test_scores_of_every_goal_are_those_of_scikit_learn(goal: Goal) -> None:
    seen = told(goal)
    found = scores(seen.kind, seen.outputs, seen.targets)
    assert next(iter(found)) == seen.kind.score
    for name, value in by_hand(goal, seen).items():
        if name in found:
            assert found[name].value == pytest.approx(value, rel=1e-5), name
            assert found[name].low <= value <= found[name].high


@pytest.mark.parametrize("goal", get_args(Goal))
@pytest.mark.parametrize("margin", [-0.5, 0.5])
def test_a_term_on_any_score_is_decided_by_its_interval(goal: Goal, margin: float) -> None:
    seen = told(goal)
    for name, value in by_hand(goal, seen).items():
        if name not in seen.kind.metrics:
            continue
        relation = TERMS[name].relation
        limit = value * (1 + margin) if relation == "<=" else min(1.0, value * (1 - margin))
        verdict = decide(f"{name}{relation}{limit:.6f}", seen)
        if relation == ">=" and limit == 1.0:
            assert verdict.verdict in {"FAIL", "CANNOT TELL"}
        else:
            assert verdict.verdict == ("PASS" if margin > 0 else "FAIL")
        assert verdict.unit == TERMS[name].unit
        main = decide(f"score>={min(limit, 1):.6f}", seen) if name == seen.kind.score else None
        assert main is None or (main.value, main.verdict) == (verdict.value, verdict.verdict)


@pytest.mark.parametrize("goal", ["multi-label", "regression"])
def test_as_many_items_as_are_said_to_be_needed_decide_a_mean(goal: Goal) -> None:
    seen = told(goal)
    limit = seen.item_scores.mean() - 1e-3
    verdict = decide(f"score>={limit:.6f}", seen)
    assert verdict.verdict == "CANNOT TELL"
    assert verdict.samples_needed is not None
    copies = math.ceil(1.05 * verdict.samples_needed / verdict.n)
    many = {
        name: np.concatenate([getattr(seen, name)] * copies)
        for name in ("targets", "teacher_outputs", "outputs")
    }
    more = evidence(kind=seen.kind, **many)
    assert decide(f"score>={limit:.6f}", more).verdict == "PASS"


@pytest.mark.parametrize("goal", get_args(Goal))
def test_a_drop_is_the_loss_of_the_main_score_on_the_same_items(goal: Goal) -> None:
    seen = told(goal)
    verdict = decide("drop<=100%", seen)
    lost = seen.teacher_scores.mean() - by_hand(goal, seen)[seen.kind.score]
    assert verdict.value == pytest.approx(lost, abs=1e-6)
    assert decide("drop<=0.00001%", seen).verdict in {"FAIL", "CANNOT TELL"}
    same = evidence(
        kind=seen.kind,
        targets=seen.targets,
        teacher_outputs=seen.teacher_outputs,
        outputs=seen.teacher_outputs,
    )
    assert decide("drop<=0", same).value == 0.0
