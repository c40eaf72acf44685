import pytest
from msgspec.structs import replace

from diptych.core.values import Energy
from diptych.measure.energy import modelled
from diptych.measure.means import unknown
from diptych.reporting.scores import title
from diptych.reporting.sides import TAKEN, breakeven, comparable, energy, estimate, rows


def row(manifest, what):
    return next(one for one in rows(manifest) if one.what == what)


def test_every_thing_that_was_asked_for_is_compared(manifest) -> None:
    asked = {"Purpose", "Compute", "Time", "Data handled", "Hardware", "Energy", "Cost", "Example",
             "Throughput"}  # fmt: skip
    assert asked <= {one.what for one in rows(manifest)}
    assert all(line for one in rows(manifest) for line in (*one.training, *one.inference))


def test_compute_is_the_total_beside_one_prediction(manifest) -> None:
    compute = row(manifest, "Compute")
    assert compute.training == ("890 TFLOP", "in total")
    assert compute.inference == ("9.9 MFLOP", "per prediction")


def test_a_request_is_as_large_as_its_pixels(manifest) -> None:
    assert row(manifest, "Data handled").inference[0] == f"{28 * 28} B per request"


def test_throughput_of_one_stream_is_what_p50_allows(manifest) -> None:
    assert row(manifest, "Throughput").inference[0] == "6,800 per second"
    assert round(1000 / manifest.model.p50_ms.value, -2) == 6800


def test_every_estimate_carries_its_interval_and_n(manifest) -> None:
    assert estimate(manifest.teacher.score, "fraction") == (
        "93.5 %",
        "93.0 to 94.0 %, n = 10,000",
    )


def test_what_was_not_measured_is_said(manifest) -> None:
    nothing = {"p50_ms": None, "p99_ms": None, "cold_ms": None, "energy": None}
    bare = replace(manifest, model=replace(manifest.model, cost_usd_per_million=None, **nothing))
    for what in ("Time", "Throughput", "Energy", "Cost"):
        assert row(bare, what).inference == ("not measured",)


def test_energy_carries_its_label_and_bounds(manifest) -> None:
    assert energy(manifest.model.energy) == ("1.2 mJ", "modelled, 620 µJ to 2.4 mJ")


def test_energies_of_different_labels_are_never_compared(manifest) -> None:
    counted = Energy(value_j=1e-3, low_j=1e-3, high_j=1e-3, label="counter", method="made up")
    mixed = replace(manifest, model=replace(manifest.model, energy=counted))
    assert comparable(manifest)
    assert not comparable(mixed)
    assert "no break-even" in breakeven(mixed)


def test_what_gpus_counted_stands_beside_and_is_not_added(manifest) -> None:
    counted = Energy(value_j=2e4, low_j=2e4, high_j=2e4, label="counter", method="made up")
    mixed = replace(manifest, training=replace(manifest.training, gpu_energy=counted))
    assert row(mixed, "Energy").training == (
        *row(manifest, "Energy").training,
        "and 20 kJ of the GPU (counter)",
    )
    assert row(mixed, "Cost").training == (*row(manifest, "Cost").training, "of the processor only")
    assert not comparable(mixed)


def test_a_prediction_whose_gpu_was_not_measured_is_not_compared_with_training(manifest) -> None:
    model = replace(manifest.model, runtime="onnxruntime-cuda")
    on_gpu = replace(manifest, model=model)
    assert "of the processor only" in row(on_gpu, "Energy").inference
    assert not comparable(on_gpu)
    assert breakeven(on_gpu) == (
        "The energy of a prediction is that of the processor only, so no break-even."
    )


def test_the_break_even_is_written_with_two_digits(manifest) -> None:
    assert round(manifest.breakeven_predictions / 1e6, 1) == 14.4
    assert "about 14 million predictions" in breakeven(manifest)


def test_every_score_of_teacher_and_model_is_there_with_its_interval(case) -> None:
    scores = row(case.manifest, f"{title(case.manifest.score_name)} on the test split")
    others = list(case.manifest.model.scores)[1:]
    for lines in (scores.training, scores.inference):
        assert all(
            line.startswith(title(name)) for name, line in zip(others, lines[2:], strict=False)
        )
        assert all(" to " in line for line in lines[1 : 2 + len(others)])


def test_an_example_is_told_in_the_words_of_its_kind(sound, written, tabled) -> None:
    lines = [row(one.manifest, "Example").inference for one in (sound, written, tabled)]
    assert lines == [
        ("1 s of sound in", "one of 3 labels out: one, two, three"),
        ("a text of up to 8 tokens in", "one of 2 labels out: negative, positive"),
        ("a row of 3 columns in", "one number out: price"),
    ]
    handled = [row(one.manifest, "Data handled").inference for one in (sound, written, tabled)]
    assert [first for first, _ in handled] == [
        "16 KB per request", "32 B per request", "12 B per request",
    ]  # fmt: skip


def test_where_nothing_was_trained_there_is_no_break_even_and_no_column_of_zeros(manifest) -> None:
    nothing = {"seconds": 0.0, "cpu_seconds": 0.0, "samples": 0, "flops": 0, "cost_usd": 0.0}
    training = replace(manifest.training, energy=modelled(0.0), **nothing)
    found = replace(manifest, training=training, breakeven_predictions=0.0)
    assert breakeven(found) == "Nothing was trained here, so no break-even."
    pairs = list(zip(rows(found), rows(manifest), strict=True))
    assert {one.what for one, _ in pairs} > TAKEN
    for one, trained in pairs:
        wanted = ("none was needed",) if one.what in TAKEN else trained.training
        assert (one.training, one.inference) == (wanted, trained.inference)


@pytest.mark.parametrize(
    ("value_j", "label", "words"),
    [
        (None, "", "The energy of a prediction was not measured"),
        (0.0, "modelled", "too little energy to be measured"),
        (1e-3, "counter", "not had in the same way"),
        (0.0, "counter", "not had in the same way"),
    ],
)
def test_why_there_is_no_break_even_is_told(manifest, value_j, label: str, words: str) -> None:
    used = None
    if value_j is not None:
        used = Energy(value_j=value_j, low_j=0.0, high_j=1.0, label=label, method="made up")
    model = replace(manifest.model, energy=used)
    said = breakeven(replace(manifest, model=model, breakeven_predictions=None))
    assert words in said
    assert said.endswith(", so no break-even.")


def test_a_time_whose_bounds_coincide_is_not_exact(manifest) -> None:
    coarse = replace(manifest.model.p50_ms, low=0.147, high=0.147)
    assert estimate(coarse, "ms") == ("0.147 ms", "0.147 to 0.147 ms, n = 5,000")


def test_a_drop_that_could_not_be_had_is_unknown(manifest) -> None:
    model = replace(manifest.model, drop=unknown("undefined: a value is not finite"))
    scores = row(replace(manifest, model=model), "Accuracy on the test split")
    assert scores.inference[-1] == "drop unknown (undefined: a value is not finite)"


@pytest.mark.parametrize("what", ["Energy", "Cost"])
def test_what_leaves_out_the_gpu_says_so(manifest, what: str) -> None:
    on_gpu = replace(manifest, model=replace(manifest.model, runtime="onnxruntime-cuda"))
    usual = row(manifest, what).inference
    assert "of the processor only" not in usual
    assert row(on_gpu, what).inference == (*usual, "of the processor only")
