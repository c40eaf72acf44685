"""A training to run in several processes; the tests start it, alone, by hand or by a supervisor.

Its argument is a JSON object, or one with several of them as `runs`: `recipe` holds changes,
`dropout` a share, `width` that of the network, `out` the file of the weights, `folder` the run's;
`mischief` is what goes wrong, and process `hungry_rank` has memory for few items only, as `hungry`
says.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from diptych.core.errors import DataError
from diptych.core.progress import Step
from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.training.compute import initialize
from diptych.training.control import RunControl, TrainedNetwork
from diptych.training.loop import train_network
from diptych.training.meeting import meeting_of
from diptych.training.models import ResidualNet, ResidualNetConfig
from diptych.training.objectives import learn_labels
from diptych.training.process_team import ProcessTeam, join
from diptych.training.recipe import TrainingRecipe
from diptych.training.run_folder import RunFolder
from diptych.training.sharded_team import ShardedTeam
from diptych.training.team import SOLO, Team
from diptych.training.variation import PictureVariation
from diptych.training.worker import Worker, work

SPEC = ImageSpec(height=8, width=8, channels=1)
RECIPE = TrainingRecipe(
    epochs=3,
    batch_size=12,
    learning_rate=0.05,
    variation=PictureVariation(translate=1, cutout=2),
)


class Network(nn.Module):
    """A residual network that may forget at random, or have memory for few items only, later on."""

    def __init__(self, dropout: float, width: int, hungry: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.net = ResidualNet(ResidualNetConfig(stem=8, widths=(width,), blocks=(1,)), SPEC, 2)
        self.dropout = nn.Dropout(dropout)
        self.hungry, self.passes = hungry, 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.passes += self.training
        starves = self.hungry and self._is_starved(len(inputs), **self.hungry)
        if starves == "forward":
            raise torch.OutOfMemoryError("CUDA out of memory")
        hidden: torch.Tensor = self.net(inputs)
        if starves:
            hidden.register_hook(_starve)
        logits: torch.Tensor = self.dropout(hidden)
        return logits

    def _is_starved(self, count: int, most: int, after: int, where: str) -> str:
        return where if self.training and self.passes > after and count > most else ""


def _starve(gradient: torch.Tensor) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def dataset() -> Dataset:
    def split(count: int, seed: int) -> Split:
        draw = np.random.default_rng(seed)
        pixels = draw.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
        targets = (pixels.mean((1, 2, 3)) > 127).astype(np.int64)
        return Split(inputs=pixels, targets=targets, items=("",) * count)

    record = DataRecord(name="bright", sha256="c" * 64, counts={}, split_method="", seed=0)
    return Dataset(
        goal="classification",
        spec=SPEC,
        labels=("dark", "bright"),
        train=split(120, 0),
        validation=split(21, 1),
        test=split(20, 2),
        record=record,
    )


def train(asked: dict[str, Any], team: Team, **control: Any) -> TrainedNetwork:
    """Train as a process of a team; the first one keeps checkpoints and writes the weights."""
    data, first = dataset(), team.rank == 0
    plain = msgspec.to_builtins(RECIPE) | asked.get("recipe", {})
    recipe = msgspec.convert(plain, TrainingRecipe)
    hungry = asked.get("hungry") if asked.get("hungry_rank") == team.rank else None
    shape = asked.get("dropout", 0.0), asked.get("width", 16)
    network = initialize(lambda: Network(*shape, hungry), 0, "test")
    objective = learn_labels(
        "classification", torch.from_numpy(data.train.targets), label_smoothing=0.1
    )
    with kept(asked, first) as folder:
        given = RunControl(
            seed=5, folder=folder, checkpoint_s=asked.get("every_s", 60.0), team=team, **control
        )
        trained = train_network(network, data, recipe, objective, given)
    if first and "out" in asked:
        state = trained.network.state_dict()
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, asked["out"])
    return trained


@contextmanager
def kept(asked: dict[str, Any], first: bool) -> Iterator[RunFolder | None]:
    folder = (
        RunFolder(Path(asked["folder"]), lambda text: None) if first and "folder" in asked else None
    )
    try:
        yield folder
    finally:
        if folder:
            folder.close()


def kind_of(asked: dict[str, Any]) -> type[ProcessTeam]:
    return ShardedTeam if asked.get("sharded") else ProcessTeam


def supervised(asked: dict[str, Any]) -> Callable[[Worker], object]:
    """Make the task of a worker."""

    def task(worker: Worker) -> object:
        rank = worker.meeting.rank
        mischief = Mischief(asked, rank, worker)
        with join(worker.meeting, "cpu", kind_of(asked)) as team:
            control = {"report": mischief.report, "stop": worker.stop}
            trained = train(asked, team, **control)
            return {"samples": trained.samples, "score": trained.curve[-1].score, "size": team.size}

    return task


class Mischief:
    """What goes wrong in this process: each of the `events` once, for which there is a file then.

    An event has a `rank`, the `step` it waits for, a `kind` and the time `after_s` that. From the
    first one on, process `late_rank` starts `late_s` later than the others.
    """

    def __init__(self, asked: dict[str, Any], rank: int, worker: Worker) -> None:
        self.asked, self.worker, self.rank = asked.get("mischief", {}), worker, rank
        self.pending = [
            (event, Path(f"{self.asked['marker']}-{number}"))
            for number, event in enumerate(self.asked.get("events", []))
        ]
        began = any(marker.exists() for _, marker in self.pending)
        time.sleep(self.asked["late_s"] if began and rank == self.asked.get("late_rank") else 0.0)

    def report(self, step: Step) -> None:
        self.worker.report(step)
        event, marker = next((e for e in self.pending if not e[1].exists()), ({}, Path()))
        if event.get("rank") == self.rank and step.done >= event["step"]:
            after_s = event.get("after_s", 0.0)
            if after_s:
                threading.Timer(after_s, self._happen, (event["kind"], marker)).start()
                self.pending = []
            else:
                self._happen(event["kind"], marker)

    def _happen(self, kind: str, marker: Path) -> None:
        marker.touch()
        if kind == "data":
            raise DataError("the file 7.png is empty", "remove it")
        os.kill(os.getpid(), {"kill": signal.SIGKILL, "hang": signal.SIGSTOP}[kind])


def each(asked: dict[str, Any], team: Team) -> None:
    for run in asked.get("runs", [asked]):
        train(run, team)


def main() -> int:
    asked = json.loads(sys.argv[1])
    if asked.get("supervised"):
        return work(supervised(asked))
    meeting = meeting_of(os.environ)
    if meeting is None:
        each(asked, SOLO)
        return 0
    with join(meeting, "cpu", kind_of(asked)) as team:
        each(asked, team)
    return 0


if __name__ == "__main__":
    sys.exit(main())
