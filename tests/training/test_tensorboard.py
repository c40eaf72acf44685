"""Event files, read back by a decoder of its own: the records' frames, and the messages in them."""

import resource
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import StorageError
from diptych.training.records import Record, RunRecords
from diptych.training.tensorboard import EventFile

POLYNOMIAL = 0x82F63B78
START = 1


def masked_crc(data: bytes) -> int:
    """CRC-32C one bit at a time, then masked as the format of these files says."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (POLYNOMIAL if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frames(data: bytes) -> Iterator[bytes]:
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        header_crc, content, rest = data[8:12], data[12 : 12 + size], data[12 + size :]
        assert struct.pack("<I", masked_crc(data[:8])) == header_crc
        assert struct.pack("<I", masked_crc(content)) == rest[:4]
        yield content
        data = rest[4:]


def varint(data: bytes) -> tuple[int, bytes]:
    value, shift = 0, 0
    for i, byte in enumerate(data):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, data[i + 1 :]
    raise ValueError("the number does not end")


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    while data:
        key, data = varint(data)
        match key & 7:
            case 0:
                value, data = varint(data)
            case 1:
                value, data = struct.unpack("<d", data[:8])[0], data[8:]
            case 5:
                value, data = struct.unpack("<f", data[:4])[0], data[4:]
            case 2:
                size, data = varint(data)
                value, data = data[:size], data[size:]
        yield key >> 3, value


def events(path: Path) -> list[dict[str, Any]]:
    """Read the fields of an `Event` that are used: wall_time, step, version, summary, session."""
    read = []
    for frame in frames(path.read_bytes()):
        event = dict(fields(frame))
        values = [dict(fields(value)) for _, value in fields(event.get(5, b""))]
        session = dict(fields(event[7])) if 7 in event else {}
        read.append(
            {
                "time": event.get(1, 0.0),
                "step": event.get(2, 0),
                "version": event.get(3, b"").decode(),
                "values": {value[1].decode(): value[2] for value in values},
                "status": session.get(1),
            }
        )
    return read


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Do as TensorBoard does: a start drops what earlier files say of its step and later ones."""
    points: list[tuple[int, float]] = []
    for path in sorted(folder.iterdir()):
        for event in events(path):
            if event["status"] == START:
                points = [point for point in points if point[0] < event["step"]]
            points += [(event["step"], v) for t, v in event["values"].items() if t == tag]
    return points


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_checksum_of_this_decoder_is_that_of_the_standard() -> None:
    crc = masked_crc(b"123456789")
    unmasked = (crc - 0xA282EAD8) & 0xFFFFFFFF
    assert (unmasked >> 17 | unmasked << 15) & 0xFFFFFFFF == 0xE3069283


def test_a_file_says_its_version_then_its_start_then_the_values(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "tensorboard", clock=lambda: 1.5)
    assert not (tmp_path / "tensorboard").exists()
    file.write(20, {"loss": 0.5, "rate": 0.125})
    about = {"time": 1.5, "step": 0, "version": "", "values": {}, "status": None}
    assert events(file.path) == [
        about | {"version": "brain.Event:2"},
        about | {"status": START},
        about | {"step": 20, "values": {"loss": 0.5, "rate": 0.125}},
    ]
    file.close()


@given(
    points=st.lists(
        st.tuples(st.integers(0, 2**62), st.floats(width=32, allow_nan=False)), max_size=6
    )
)
def test_what_was_written_is_read(
    points: list[tuple[int, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tensorboard")
    file = EventFile(folder)
    for step, value in points:
        file.write(step, {"loss": value})
    file.close()
    assert curve(folder, "loss") == points


def test_the_disk_is_waited_for_every_five_seconds_only(tmp_path: Path) -> None:
    now = [0.0]
    file, seen = EventFile(tmp_path, clock=lambda: now[0]), []
    for step in range(12):
        file.write(step, {"loss": 0.5})
        seen.append(len(curve(tmp_path, "loss")))
        now[0] += 1.0
    file.close()
    assert seen == [1] * 5 + [6] * 5 + [11] * 2
    assert len(curve(tmp_path, "loss")) == 12


def test_of_a_resumed_run_only_the_steps_that_hold_are_shown(tmp_path: Path) -> None:
    for after_step, steps in ((-1, (20, 40, 60)), (40, (60, 80)), (80, (100,))):
        file = EventFile(tmp_path, after_step)
        for step in steps:
            file.write(step, {"loss": float(after_step)})
        file.close()
    assert len(list(tmp_path.iterdir())) == 3
    assert curve(tmp_path, "loss") == [(20, -1), (40, -1), (60, 40), (80, 40), (100, 80)]


def record(step: int, score: float | None) -> Record:
    return Record(
        step=step,
        epoch=1,
        samples=step,
        seconds=float(step),
        loss=float(step),
        rate=0.5,
        samples_per_second=1.0,
        waiting_share=0.0,
        score=score,
    )


def test_a_score_within_an_epoch_is_not_shown_once_the_epoch_goes_on(tmp_path: Path) -> None:
    with closing(RunRecords(tmp_path)) as records:
        for step, score in ((1, None), (2, 0.25), (3, None), (3, 0.125)):
            records.write(record(step, score))
    with closing(RunRecords(tmp_path)) as records:
        records.rewind(3, within_epoch=True)
        records.write(record(4, 0.5))
    folder = tmp_path / "tensorboard"
    assert curve(folder, "score") == [(2, 0.25), (4, 0.5)]
    assert curve(folder, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]


def test_a_new_file_never_takes_the_name_of_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.000007").write_bytes(b"")
    (tmp_path / "events.out.tfevents.1234567890.elsewhere").write_bytes(b"")
    assert EventFile(tmp_path).path.name == "events.out.tfevents.000008"


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    with largest_file(20), pytest.raises(StorageError, match=r"^cannot write .*tfevents.000000: "):
        file.write(20, {"loss": 0.5})
    file.close()


def test_without_the_library_the_extra_is_named() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nsys.modules['tensorboardX'] = None\n"
        "from diptych.core.errors import MissingExtraError\n"
        "from diptych.training.tensorboard import EventFile\n"
        "try:\n    EventFile(Path())\nexcept MissingExtraError as error:\n    print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "pip install 'diptych[tensorboard]'\n"
