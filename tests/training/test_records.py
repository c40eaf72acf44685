"""Records of a run: whole lines whatever happens, the same numbers for TensorBoard."""

import json
import math
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import StorageError
from diptych.training.records import Record, RunRecords, note_of

KEYS = [
    "step",
    "epoch",
    "samples",
    "seconds",
    "loss",
    "rate",
    "samples_per_second",
    "waiting_share",
    "score",
    "energy_j",
    "energy_label",
    "gpu_energy_j",
    "gpu_energy_label",
]


def record(step: int, **other: Any) -> Record:
    values: dict[str, Any] = {
        "samples": 10 * step,
        "seconds": step / 8,
        "loss": 1 / (1 + step),
        "rate": 0.5,
        "samples_per_second": 80.0,
        "waiting_share": 0.25,
    }
    return Record(step=step, epoch=1 + step // 100, **(values | other))


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_record_is_on_the_disk_as_one_line_once_it_is_written(tmp_path: Path) -> None:
    with closing(RunRecords(tmp_path)) as records:
        for step in (20, 40):
            records.write(record(step))
            assert lines(tmp_path)[-1] == msgspec.to_builtins(record(step))


def test_the_keys_stay_as_they_are_documented(tmp_path: Path) -> None:
    with closing(RunRecords(tmp_path)) as records:
        records.write(record(20, score=0.5))
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    told = re.findall(r"^\| `(\w+)` \|", page.partition("## The keys")[2], re.MULTILINE)
    assert list(lines(tmp_path)[0]) == KEYS == told


def test_a_loss_that_is_no_number_is_null(tmp_path: Path) -> None:
    with closing(RunRecords(tmp_path)) as records:
        records.write(record(20, loss=math.nan))
        records.write(record(40, loss=math.inf))
    assert [line["loss"] for line in lines(tmp_path)] == [None, None]


@given(
    steps=st.lists(st.integers(0, 10**9), unique=True, max_size=8).map(sorted),
    cut_bytes=st.integers(0, 400),
    back=st.integers(0, 10**9),
    rewound=st.booleans(),
)
def test_after_a_kill_at_any_byte_the_file_has_the_records_that_hold(
    steps: list[int],
    cut_bytes: int,
    back: int,
    rewound: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("run")
    with closing(RunRecords(folder)) as records:
        for step in steps:
            records.write(record(step))
    path = folder / "metrics.jsonl"
    data = path.read_bytes()
    left = data[: max(0, len(data) - cut_bytes)]
    path.write_bytes(left)
    with closing(RunRecords(folder)) as records:
        if rewound:
            records.rewind(back)
        records.write(record(10**9 + 1))
    whole = steps[: left.count(b"\n")]
    kept = [step for step in whole if step <= back or not rewound]
    assert [line["step"] for line in lines(folder)] == [*kept, 10**9 + 1]


def test_a_full_disk_is_said_and_the_records_before_it_stay_whole(tmp_path: Path) -> None:
    with closing(RunRecords(tmp_path)) as records:
        records.write(record(20))
        size_bytes = (tmp_path / "metrics.jsonl").stat().st_size
        with (
            largest_file(size_bytes + 9),
            pytest.raises(StorageError, match=r"^cannot write .*metrics\.jsonl: file too large$"),
        ):
            records.write(record(40))
        assert [line["step"] for line in lines(tmp_path)] == [20]
        records.write(record(60))
    assert [line["step"] for line in lines(tmp_path)] == [20, 60]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*metrics\.jsonl"):
        RunRecords(tmp_path)


def test_without_the_library_the_run_is_written_and_one_note_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with closing(RunRecords(tmp_path)) as records:
        for step in (20, 40):
            records.write(record(step))
        records.rewind(20)
    assert [line["step"] for line in lines(tmp_path)] == [20]
    assert [entry.message for entry in caplog.records] == [
        "no TensorBoard files; pip install 'diptych[tensorboard]'"
    ]
    assert not (tmp_path / "tensorboard").exists()


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (record(9, loss=0.41234), "loss 0.412, 80/s"),
        (
            record(9, loss=0.41234, score=0.9131, samples_per_second=1401.2, energy_j=35.02),
            "loss 0.412, 91.3 %, 1,401/s, 35 J modelled",
        ),
        (record(9, loss=2.0, score=1.0, samples_per_second=25_310.0), "loss 2, 100.0 %, 25.3k/s"),
        (record(9, loss=2.0, samples_per_second=999_999.0), "loss 2, 1,000k/s"),
        (record(9, loss=2.0, samples_per_second=1.84e6), "loss 2, 1.84M/s"),
        (record(9, loss=2.0, energy_j=12_345.0), "loss 2, 80/s, 12.3 kJ modelled"),
        (
            msgspec.structs.replace(record(9, loss=2.0, energy_j=1.0), energy_label="counter"),
            "loss 2, 80/s, 1 J counter",
        ),
        (
            record(9, loss=2.0, energy_j=1.0, gpu_energy_j=2e4, gpu_energy_label="counter"),
            "loss 2, 80/s, 20 kJ GPU counter",
        ),
        (record(9, loss=math.nan), "loss nan, 80/s"),
    ],
)
def test_a_note_says_the_loss_first_and_energy_with_its_label_last(
    seen: Record, words: str
) -> None:
    assert note_of(seen) == words


@given(
    loss=st.floats(1e-4, 1e4),
    score=st.floats(0.0, 1.0),
    speed=st.floats(1.0, 1e8),
    energy_j=st.floats(0.1, 1e6),
)
def test_a_note_fits_beside_a_bar(loss: float, score: float, speed: float, energy_j: float) -> None:
    seen = record(9, loss=loss, score=score, samples_per_second=speed, energy_j=energy_j)
    assert len(note_of(seen)) <= 46
