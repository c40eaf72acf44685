"""The latency lab."""

import math

import pytest

from diptych.core.errors import ConfigError
from diptych.inference.bundle import load
from diptych.inference.latency import Settings, measure

SHORT = Settings(seconds=0.05, batch=3, rates_per_s=(50.0, 200.0), cold_runs=1)


@pytest.fixture(scope="module")
def seen(tmp_path_factory, tiny):
    from diptych.inference import store

    folder = tmp_path_factory.mktemp("lab") / "tiny.dip"
    store.write(folder, tiny.manifest, tiny.contents)
    steps = []
    with load(folder, runtime="onnxruntime") as bundle:
        return measure(bundle, SHORT, steps.append), steps


def test_every_scenario_is_measured_for_the_program_and_end_to_end(seen):
    report, _ = seen
    names = ["single stream", "offline, batch 3", "server", "server"]
    parts = [(row.part, row.name) for row in report.scenarios]
    assert parts == [(part, name) for part in ("program", "end to end") for name in names]
    assert [row.offered_per_s for row in report.scenarios[2:4]] == [50.0, 200.0]
    assert (report.runtime, report.program, report.threads) == (
        "onnxruntime",
        "fp32-onnxruntime",
        1,
    )


def test_intervals_hold_their_values_and_units_agree(seen):
    report, _ = seen
    for row in report.scenarios:
        for estimate in (row.p50_ms, row.p99_ms):
            assert estimate.low <= estimate.value <= estimate.high
            assert estimate.n > 0
        assert row.p50_ms.value <= row.p99_ms.value
    single = report.scenarios[0]
    assert math.isclose(single.items_per_s * single.seconds, single.p50_ms.n)
    assert single.items_per_s <= 2.1 * 1000 / single.p50_ms.low  # half of all calls take the median
    assert report.cold_ms.value > 10 * single.p50_ms.value
    assert report.cold_memory_bytes > 10_000_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["audio", "text", "table"])
def test_every_kind_of_input_is_measured_end_to_end(kind_bundle, kind):
    short = Settings(seconds=0.02, batch=3, rates_per_s=(50.0,), cold_runs=1)
    with load(kind_bundle(kind).path) as bundle:
        report = measure(bundle, short)
    assert [row.part for row in report.scenarios] == ["program"] * 3 + ["end to end"] * 3
    assert all(row.items_per_s > 0 for row in report.scenarios)


def test_progress_ends_at_its_total(seen):
    _, steps = seen
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == steps[-1].total


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0.0},
        {"seconds": float("nan")},
        {"batch": 0},
        {"cold_runs": 0},
        {"rates_per_s": (0.0,)},
        {"rates_per_s": (float("inf"),)},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError):
        Settings(**wrong)
