import dataclasses
import itertools
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from diptych.core.errors import TrainingError
from diptych.core.progress import Step, StopRequest
from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.measure.gpu_energy import GpuMeter
from diptych.measure.processor_energy import Counter, ProcessorMeter
from diptych.training.control import RunControl, TrainedNetwork
from diptych.training.loop import train_network
from diptych.training.objectives import learn_labels
from diptych.training.recipe import TrainingRecipe
from diptych.training.run_folder import RunFolder
from diptych.training.team import Team
from diptych.training.tuning import Tuning

RECIPE = TrainingRecipe(epochs=8, batch_size=10, learning_rate=0.05)


class Bright(nn.Module):
    """A network of one number: how bright a picture is."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(inputs.float().mean((1, 2, 3))[:, None] / 128 - 1)
        return logits


@pytest.fixture
def data() -> Dataset:
    def split(count: int, seed: int) -> Split:
        levels = np.random.default_rng(seed).integers(0, 256, (count, 1, 1, 1))
        pixels = np.broadcast_to(levels, (count, 4, 4, 1)).astype(np.uint8)
        targets = (levels[:, 0, 0, 0] > 127).astype(np.int64)
        return Split(inputs=pixels, targets=targets, items=("",) * count)

    return Dataset(
        goal="classification",
        spec=ImageSpec(height=4, width=4, channels=1),
        labels=("dark", "bright"),
        train=split(80, 0),
        validation=split(40, 1),
        test=split(10, 2),
        record=DataRecord(name="bright", sha256="", counts={}, split_method="", seed=0),
    )


def train(data: Dataset, recipe: TrainingRecipe = RECIPE, **control: object) -> TrainedNetwork:
    torch.manual_seed(0)
    targets = torch.from_numpy(data.train.targets)
    objective = learn_labels("classification", targets, label_smoothing=0.0)
    return train_network(Bright(), data, recipe, objective, RunControl(**control))


def clock(step_s: float = 0.6) -> Callable[[], float]:
    """Make a clock that goes by at every look."""
    now = -step_s

    def read() -> float:
        nonlocal now
        now += step_s
        return now

    return read


def test_it_computes_with_the_threads_that_were_fastest_here_also_when_it_goes_on(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tuning, "tuned", lambda self, recipe, steps: replace(recipe, threads=2))
    recipe, seen = replace(RECIPE, threads=3), list[int]()

    def look(step: Step) -> None:
        seen.extend([torch.get_num_threads()] if step.done else [])

    for pause_after, tune in ((4, True), (None, False)):
        with closing(RunFolder(tmp_path, print)) as folder:
            settings = {"folder": folder, "tune": tune, "pause_after": pause_after}
            trained = train(data, recipe, report=look, clock=clock(), **settings)
        assert trained.recipe.threads == 2
        assert set(seen) == {2}
        seen.clear()


def test_it_says_that_it_tries_how_the_machine_computes_fastest_and_trains(data: Dataset) -> None:
    said = list[Step]()
    trained = train(data, replace(RECIPE, threads=2), tune=True, report=said.append)
    assert "fastest" in said[0].note
    assert trained.curve[-1].score > 0.8


def test_the_records_of_a_run_tell_it_from_the_first_step_to_the_last(
    data: Dataset, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path, print)
    trained = train(data, folder=folder, clock=clock())
    folder.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines]
    assert steps == sorted(steps)
    assert steps[-1] == 64
    scored = [line for line in lines if line["score"] is not None]
    assert [line["score"] for line in scored] == [point.score for point in trained.curve]
    assert [line["epoch"] for line in scored] == list(range(1, 9))
    assert all(0 <= line["waiting_share"] <= 1 for line in lines)
    joules = [line["energy_j"] for line in lines]
    assert joules == sorted(joules)


def test_a_run_that_is_stopped_within_an_epoch_tells_the_loss_of_its_part(
    data: Dataset, tmp_path: Path
) -> None:
    stop = StopRequest()

    def stop_later(step: Step) -> None:
        stop.requested = step.done >= 11

    folder = RunFolder(tmp_path, print)
    trained = train(data, folder=folder, clock=clock(3.0), report=stop_later, stop=stop)
    folder.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 11
    assert lines[-1]["loss"] == trained.curve[-1].loss


def test_it_is_done_once_the_last_epoch_is_scored(data: Dataset) -> None:
    said = list[Step]()
    train(data, clock=clock(3.0), report=said.append)
    assert "scoring" in {step.note for step in said if step.done == 64}
    assert [step for step in said if step.done >= step.total] == said[-1:]


def test_a_run_that_was_stopped_within_an_epoch_has_one_score_of_it_in_the_end(
    data: Dataset, tmp_path: Path
) -> None:
    stop = StopRequest()

    def stop_later(step: Step) -> None:
        stop.requested |= step.done >= 11

    for report, asked in ((stop_later, stop), (print, StopRequest())):
        with closing(RunFolder(tmp_path, print)) as folder:
            train(data, folder=folder, clock=clock(3.0), report=report, stop=asked)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if line["score"] is not None] == list(range(1, 9))


def test_weights_that_are_not_finite_are_not_kept(data: Dataset, tmp_path: Path) -> None:
    sound = learn_labels(
        "classification", torch.from_numpy(data.train.targets), label_smoothing=0.0
    )
    calls = iter(range(1000))

    def objective(
        inputs: torch.Tensor, outputs: torch.Tensor, chosen: torch.Tensor
    ) -> torch.Tensor:
        loss: torch.Tensor = sound(inputs, outputs, chosen)
        return loss + (0 * outputs.sum()).sqrt() if next(calls) == 20 else loss

    with closing(RunFolder(tmp_path, print)) as folder:
        given = RunControl(folder=folder, checkpoint_s=0.0, clock=clock(3.0))
        with pytest.raises(TrainingError):
            train_network(Bright(), data, RECIPE, objective, given)
        latest = folder.latest()
    assert latest is not None
    assert latest.position.step == 20
    assert all(tensor.isfinite().all() for tensor in latest.under("network").values())


def test_a_stop_after_the_last_step_leaves_a_finished_run(data: Dataset, tmp_path: Path) -> None:
    """No step is left to take, so what is kept is the end and not an earlier state."""
    stop = StopRequest()

    def report(step: Step) -> None:
        stop.requested |= step.done == step.total

    with closing(RunFolder(tmp_path, print)) as folder:
        first = train(data, report=report, stop=stop, folder=folder, checkpoint_s=1e6)
        assert stop.requested
        assert folder.checkpoints()
        again = train(data, folder=folder)
    assert (again.samples, len(again.curve)) == (first.samples, RECIPE.epochs)
    for one, other in zip(first.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_gpus_count_is_told_apart_from_what_the_processor_used(
    data: Dataset, tmp_path: Path, nvml: Any
) -> None:
    said: list[Step] = []

    def report(step: Step) -> None:
        said.append(step)
        nvml.counted_mj["GPU-a"] += 1000

    folder = RunFolder(tmp_path, print)
    trained = train(
        data,
        folder=folder,
        clock=clock(),
        report=report,
        gpu_meter=lambda device, team: GpuMeter(["GPU-a"], nvml),
        processor_meter=lambda team: None,
    )
    kept = folder.latest()
    folder.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    joules = [line["gpu_energy_j"] for line in lines]
    assert joules == sorted(joules)
    assert joules[-1] > joules[0]
    assert {line["gpu_energy_label"] for line in lines} == {"counter"}
    assert {line["energy_label"] for line in lines} == {"modelled"}
    assert trained.gpu_energy is not None
    assert trained.gpu_energy.value_j == len(said)
    assert said[-1].note.endswith(" J GPU counter")
    assert kept is not None
    assert kept.position.gpu_energy is not None
    assert kept.position.gpu_energy.value_j == len(said)


@pytest.mark.parametrize("alone", [True, False])
def test_what_processors_count_is_of_a_run_that_has_them_for_itself(
    data: Dataset, tmp_path: Path, alone: bool
) -> None:
    read = itertools.count(1)

    class Package(Counter):
        def read_uj(self) -> int:
            return next(read) * 1_000_000

    def meter(team: Team) -> ProcessorMeter:
        return ProcessorMeter([Package(path=Path("unused"), range_uj=10**9)])

    folder = RunFolder(tmp_path, print)
    trained = train(data, folder=folder, clock=clock(), processor_meter=meter, alone=alone)
    kept = folder.latest()
    folder.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert kept is not None
    if not alone:
        assert {line["energy_label"] for line in lines} == {"modelled"}
        assert (trained.cpu_energy, kept.position.cpu_energy) == (None, None)
        return
    assert {line["energy_label"] for line in lines} == {"counter"}
    joules = [line["energy_j"] for line in lines]
    assert joules == sorted(set(joules))
    assert trained.cpu_energy is not None
    assert kept.position.cpu_energy is not None
    assert trained.cpu_energy.value_j == kept.position.cpu_energy.value_j + 1 == next(read) - 2


def test_a_run_ends_at_its_target_and_the_record_of_it_replays_it(data: Dataset) -> None:
    recipe = replace(RECIPE, epochs=50, target_score=0.9)
    said: list[Step] = []
    short = train(data, recipe, report=said.append)
    assert short.curve[-1].score >= 0.9
    assert all(point.score < 0.9 for point in short.curve[:-1])
    assert short.samples == 80 * len(short.curve) < 80 * 50
    assert "target" in said[-1].note
    assert said[-1].done == said[-1].total
    again = train(data, short.recipe)
    assert (again.recipe, again.samples) == (short.recipe, short.samples)


def test_a_run_ends_when_its_score_stands_still(data: Dataset) -> None:
    still = dataclasses.replace(data, validation=dataclasses.replace(data.validation))
    still.validation.targets[:] = 0
    trained = train(still, replace(RECIPE, epochs=50, learning_rate=1e-9, patience=3))
    assert len(trained.curve) == 4


def test_the_seconds_of_waiting_are_part_of_the_seconds(data: Dataset) -> None:
    trained = train(data)
    assert 0 < trained.waited_seconds < trained.seconds


def test_a_loss_that_explodes_ends_the_run_and_its_last_sound_state_is_kept(
    data: Dataset, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path, print)
    sound = 45

    def objective(
        inputs: torch.Tensor, outputs: torch.Tensor, chosen: torch.Tensor
    ) -> torch.Tensor:
        nonlocal sound
        sound -= 1
        return outputs.square().mean() * (1.0 if sound >= 0 else float("nan"))

    control = RunControl(name="student", folder=folder, checkpoint_s=0.0)
    with pytest.raises(TrainingError, match="student diverged: the loss of step") as caught:
        train_network(Bright(), data, RECIPE, objective, control)
    assert "learning_rate" in caught.value.hint
    kept = folder.latest()
    folder.close()
    assert kept is not None
    assert kept.position.step == 40
    assert all(torch.isfinite(tensor).all() for tensor in kept.under("network").values())
