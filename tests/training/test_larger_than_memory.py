"""Training on a data set three times larger than the memory that the process is allowed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and read as on Linux"),
]
ALLOWED_BYTES = 384 << 20
SIDE = 256
PROGRAM_BYTES = 400 << 20
"""What torch's own code takes; it is mapped from files and does not count as data."""
TRAINER = """
import json, resource, sys
from pathlib import Path
import torch
from torch import nn
import diptych.data as data
from diptych.training.control import RunControl
from diptych.training.loop import train_network
from diptych.training.objectives import learn_labels
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation

torch.set_num_threads(1)
allowed = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
dataset = data.read(sys.argv[1], data.Options(cache=sys.argv[3] == "cache"))
class Coarse(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)
    def forward(self, pixels):
        return self.head(pixels[:, ::32, ::32, 0].flatten(1).float() / 128 - 1)
targets = torch.from_numpy(dataset.train.targets)
recipe = TrainingRecipe(epochs=1.5, batch_size=32, learning_rate=0.01, variation=PictureVariation())
trained = train_network(
    Coarse(), dataset, recipe, learn_labels("classification", targets, label_smoothing=0.0),
    RunControl(),
)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({
    "data": sum(s.inputs.nbytes for s in (dataset.train, dataset.validation, dataset.test)),
    "peak": int(status["VmHWM"].split()[0]) << 10,
    "samples": trained.samples,
    "losses": [point.loss for point in trained.curve],
}))
"""


def test_memory_stays_bounded_while_training(tmp_path: Path) -> None:
    count = 3 * ALLOWED_BYTES // SIDE**2 + 1
    source = tmp_path / "set"
    source.mkdir()
    labels = np.arange(count, dtype=np.uint8) % 10
    write_idx(source / "train-labels-idx1-ubyte", (count,), [labels.tobytes()])
    rows = (bytes([25 * (number % 10)]) * SIDE**2 for number in range(count))
    write_idx(source / "train-images-idx3-ubyte", (count, SIDE, SIDE), rows)
    for cache in ("none", "cache"):
        run = subprocess.run(
            [sys.executable, "-c", TRAINER, str(source), str(ALLOWED_BYTES), cache],
            env={"DIPTYCH_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1", "PATH": ""},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr[-2000:]
        seen = json.loads(run.stdout)
        assert seen["data"] > 3 * ALLOWED_BYTES
        assert seen["samples"] > 3000
        assert seen["losses"][-1] < seen["losses"][0]
        assert seen["peak"] < ALLOWED_BYTES + PROGRAM_BYTES


def write_idx(file: Path, shape: tuple[int, ...], rows: object) -> None:
    with file.open("wb") as stream:
        stream.write(np.array([0x800 + len(shape), *shape], ">u4").tobytes())
        stream.writelines(rows)  # type: ignore[arg-type]
