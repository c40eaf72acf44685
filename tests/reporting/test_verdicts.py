import math

from msgspec.structs import replace

from diptych.core.values import Relaxation
from diptych.reporting.verdicts import TERMS_HEADER, relaxation_lines, sentence, term_rows


def test_a_met_budget_is_said_in_one_sentence(manifest) -> None:
    assert sentence(manifest) == (
        "student-s is right on 92.9 % of 10,000 test items, answers within 0.182 ms (p99) and "
        "takes 150 KB; every term of the budget holds."
    )


def test_the_sentence_names_the_terms_that_fail(failed) -> None:
    assert sentence(failed).endswith("the budget is not met: p99.")


def test_the_sentence_names_the_terms_that_cannot_be_told(failed) -> None:
    drop, _, size = failed.terms
    unsure = replace(failed, terms=(drop, size), verdict="CANNOT TELL")
    assert sentence(unsure).endswith("too few samples to tell whether the budget holds: drop.")


def test_a_latency_of_which_nothing_is_sure_is_not_told(manifest) -> None:
    unsure = replace(manifest.model.p99_ms, high=math.inf)
    model = replace(manifest.model, p99_ms=unsure)
    assert sentence(replace(manifest, model=model)).startswith(
        "student-s is right on 92.9 % of 10,000 test items and takes 150 KB;"
    )


def test_without_a_budget_nothing_is_claimed(manifest) -> None:
    assert sentence(replace(manifest, terms=())).endswith("no budget was set.")


def test_every_row_has_a_cell_for_every_column(failed) -> None:
    assert all(len(row.cells()) == len(TERMS_HEADER) for row in term_rows(failed))


def test_samples_that_would_decide_are_shown_where_it_is_open(failed) -> None:
    drop, p99, size = term_rows(failed)
    assert drop.decides == "41,300 samples"
    assert (p99.decides, size.decides) == ("", "")


def test_a_bound_beyond_the_limit_is_not_rounded_onto_it(failed) -> None:
    drop = term_rows(failed)[0]
    assert drop.limit == "≤ 1 %"
    assert drop.bounds.endswith("1.004 %")


def test_an_energy_that_leaves_out_a_gpu_says_so(manifest) -> None:
    drop, p99, _ = manifest.terms
    energy = replace(p99, name="energy", unit="mJ", label="modelled")
    unmeasured = replace(energy, n=0, label=None)
    told = replace(manifest, terms=(drop, energy, unmeasured))
    assert [row.label for row in term_rows(told)] == ["made up", "modelled", "made up"]
    on_gpu = replace(told, model=replace(told.model, runtime="onnxruntime-cuda"))
    assert [row.label for row in term_rows(on_gpu)] == [
        "made up", "modelled, of the processor only", "made up",
    ]  # fmt: skip


def test_limits_are_written_as_they_were_given(failed) -> None:
    drop, _, size = failed.terms
    cost = replace(
        size, name="cost", unit="usd_per_million", limit=1.25, value=1.27, low=1.27, high=1.27
    )
    accuracy = replace(drop, name="accuracy", relation=">=", limit=0.9995)
    told = replace(failed, terms=(cost, accuracy), relaxations=(
        Relaxation(term="cost", limit=1.25, needed=1.27, candidate="a", factor=1.02),
    ))  # fmt: skip
    dear, right = term_rows(told)
    assert (dear.limit, dear.value) == ("≤ $1.25/1M", "$1.3/1M")
    assert right.limit == "≥ 99.95 %"
    assert relaxation_lines(told) == (
        "With cost ≤ $1.3/1M instead of $1.25/1M, a would meet the budget.",
    )


def test_relaxations_are_rounded_outward_and_keep_their_order(failed, manifest) -> None:
    first, second = relaxation_lines(failed)
    assert first.startswith("With p99 ≤ 0.189 ms instead of 0.15 ms, student-s-int8-openvino")
    assert second.startswith("With drop ≤ 2.9 % instead of 1 %")
    assert relaxation_lines(manifest) == ()


def test_a_time_whose_bounds_coincide_keeps_them_and_its_n(failed) -> None:
    drop, p99, size = failed.terms
    coarse = replace(p99, low=p99.value, high=p99.value)
    _, time, files = term_rows(replace(failed, terms=(drop, coarse, size)))
    assert (time.bounds, time.n) == ("0.182 to 0.182 ms", "10,000")
    assert (files.bounds, files.n) == ("exact", "")
