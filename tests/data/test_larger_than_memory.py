"""A data set three times larger than the memory that the process is allowed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and read as on Linux"),
]
ALLOWED_BYTES = 192 << 20
ITEM = (256, 256)
READER = """
import resource, sys
from pathlib import Path
import diptych.data as data
from diptych.core import arrays
allowed = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
dataset = data.read(sys.argv[1], data.Options(cache=sys.argv[3] == "cache", image_size=256))
total = sum(int(part[:, ::16].sum()) for split in (dataset.train, dataset.validation, dataset.test)
            for part in arrays.parts(split.inputs))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
num_bytes = sum(split.inputs.nbytes for split in (dataset.train, dataset.validation, dataset.test))
print(total, num_bytes, int(status["VmHWM"].split()[0]) << 10)
"""


def read(source: Path, folder: Path, cache: str) -> tuple[int, int, int]:
    """Read under the limit; give the sum of some values, the size, and the peak of memory."""
    run = subprocess.run(
        [sys.executable, "-c", READER, str(source), str(ALLOWED_BYTES), cache],
        env={"DIPTYCH_CACHE": str(folder), "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    total, num_bytes, peak_bytes = map(int, run.stdout.split())
    return total, num_bytes, peak_bytes


def test_idx_files_larger_than_memory_are_read(tmp_path: Path) -> None:
    count = 3 * ALLOWED_BYTES // np.prod(ITEM) + 1
    (tmp_path / "set").mkdir()
    labels = np.arange(count, dtype=np.uint8) % 10
    write_idx(tmp_path / "set" / "train-labels-idx1-ubyte", (count,), iter([labels]))
    pictures = (np.full(ITEM, number % 251, np.uint8) for number in range(count))
    write_idx(tmp_path / "set" / "train-images-idx3-ubyte", (count, *ITEM), pictures)
    expected = sum(number % 251 for number in range(count)) * ITEM[0] // 16 * ITEM[1]
    for cache in ("none", "cache"):
        total, num_bytes, peak_bytes = read(tmp_path / "set", tmp_path / "cache", cache)
        assert total == expected
        assert num_bytes > 3 * ALLOWED_BYTES
        assert peak_bytes < ALLOWED_BYTES
    assert len(list((tmp_path / "cache" / "sets").iterdir())) == 1


def write_idx(file: Path, shape: tuple[int, ...], rows: object) -> None:
    with file.open("wb") as stream:
        stream.write(np.array([0x800 + len(shape), *shape], ">u4").tobytes())
        stream.writelines(rows)


def test_pictures_larger_than_memory_are_read(tmp_path: Path) -> None:
    count = 3 * ALLOWED_BYTES // (3 * np.prod(ITEM)) + 1
    for number in range(count):
        place = tmp_path / "set" / f"class {number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        color = (number % 251, number % 7, 9)
        Image.new("RGB", ITEM, color).save(place / f"{number}.png", compress_level=1)
    total, num_bytes, peak_bytes = read(tmp_path / "set", tmp_path / "cache", "cache")
    assert total == sum(n % 251 + n % 7 + 9 for n in range(count)) * ITEM[0] // 16 * ITEM[1]
    assert num_bytes > 3 * ALLOWED_BYTES
    assert peak_bytes < ALLOWED_BYTES
