from collections.abc import Callable

import pytest
from msgspec.structs import replace

from diptych.core.values import Candidate
from diptych.fitting.costs import COSTS, measured
from diptych.measure.decisions import decide

MakeCandidate = Callable[..., Candidate]


def test_a_candidate_is_known_by_its_scores_and_costs_but_not_by_what_a_bundle_shows(
    make_candidate: MakeCandidate,
) -> None:
    row = make_candidate(accuracy=0.8, drop=0.02, p50=3.0, p99=4.0, size=99, energy=5.0, cost=6.0)
    known = {name: measured(row, name) for name in ("score", "accuracy", "drop", *COSTS)}
    values = {name: round(found.value, 9) for name, found in known.items() if found}
    costs = {"p50": 3.0, "p99": 4.0, "size": 99, "energy": 5.0, "cost": 6.0}
    assert values == {"score": 0.8, "accuracy": 0.8, "drop": 0.02, **costs}
    assert measured(row, "cold") is None
    assert measured(row, "memory") is None


def test_of_one_that_could_not_run_only_its_files_are_known(make_candidate: MakeCandidate) -> None:
    row = replace(make_candidate(size=99), unverified="no GPU here")
    nothing = [name for name in COSTS if measured(row, name).n == 0]
    assert nothing == ["p50", "p99", "energy", "cost"]
    assert measured(row, "size").value == 99


@pytest.mark.parametrize("name", ["energy", "cost"])
def test_beside_a_gpu_the_processors_part_can_break_a_limit_but_not_keep_it(
    make_candidate: MakeCandidate, name: str
) -> None:
    row = make_candidate(energy=1.0, cost=1.0)
    assert decide(measured(row, name), "<=", 2.0) == "PASS"
    row = replace(row, runtime="onnxruntime-cuda")
    assert decide(measured(row, name), "<=", 2.0) == "CANNOT TELL"
    assert decide(measured(row, name), "<=", 0.5) == "FAIL"
    assert measured(row, name).method.endswith("of the processor only")
    assert measured(row, "p50") == measured(replace(row, runtime="onnxruntime"), "p50")
