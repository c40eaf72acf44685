"""A run that was interrupted anywhere ends with the weights of one that was not."""

import dataclasses
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from diptych.core.errors import TrainingError
from diptych.core.progress import Step, StopRequest
from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.training.compute import initialize
from diptych.training.control import RunControl, TrainedNetwork
from diptych.training.loop import train_network
from diptych.training.memory import Cut
from diptych.training.models import ResidualNet, ResidualNetConfig
from diptych.training.objectives import learn_labels
from diptych.training.recipe import TrainingRecipe
from diptych.training.resume import is_sound, with_cuts
from diptych.training.run_folder import RunFolder
from diptych.training.team import SOLO, Team
from diptych.training.variation import PictureVariation

SPEC = ImageSpec(height=8, width=8, channels=1)
RECIPE = TrainingRecipe(
    epochs=6, batch_size=8, learning_rate=0.05, variation=PictureVariation(translate=1, cutout=2)
)


class KilledError(Exception):
    """What stands for the end of the process."""


class Dropping(nn.Module):
    """A residual network that forgets at random while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ResidualNet(ResidualNetConfig(stem=8, widths=(16,), blocks=(1,)), SPEC, 2)
        self.dropout = nn.Dropout(0.2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.dropout(self.net(inputs))
        return logits


@pytest.fixture(scope="module")
def data() -> Dataset:
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
        train=split(90, 0),
        validation=split(20, 1),
        test=split(20, 2),
        record=record,
    )


def train(
    data: Dataset, recipe: TrainingRecipe, folder: Path | None = None, **control: Any
) -> TrainedNetwork:
    """Train from the start, or from the folder's last checkpoint."""
    network = initialize(Dropping, 0, "test")
    objective = learn_labels(
        "classification", torch.from_numpy(data.train.targets), label_smoothing=0.1
    )
    opened = RunFolder(folder, print) if folder else None
    try:
        given = RunControl(seed=5, folder=opened, checkpoint_s=0.0, **control)
        return train_network(network, data, recipe, objective, given)
    finally:
        if opened:
            opened.close()


def interrupted_at(steps: list[int]) -> Any:
    """Make a reporter that ends the process at the first looks after these steps."""
    left: Iterator[int] = iter(steps)
    wanted = next(left, None)

    def report(step: Step) -> None:
        nonlocal wanted
        if wanted is not None and step.done >= wanted:
            wanted = next(left, None)
            raise KilledError

    return report


def state(model: nn.Module) -> list[torch.Tensor]:
    return list(model.state_dict().values())


def assert_same(first: TrainedNetwork, second: TrainedNetwork) -> None:
    pairs = zip(state(first.network), state(second.network), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    curves = [[(p.epoch, p.loss, p.score) for p in each.curve] for each in (first, second)]
    assert curves[0] == curves[1]
    assert first.samples == second.samples
    assert first.recipe == second.recipe


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adamw", "learning_rate": 0.01, "averaging": 0.9},
        {"optimizer": "muon", "schedule": "cosine", "learning_rate": None},
        {"optimizer": "schedule-free", "learning_rate": 0.01},
        {"arithmetic": "bf16", "accumulation": 2, "schedule": "one-cycle", "mixup": 0.3},
        {"freeze_share": 0.4, "layer_decay": 0.1, "averaging": 0.9},
    ],
    ids=["sgd", "adamw", "muon", "schedule-free", "bf16", "freezing"],
)
def test_a_run_killed_at_random_points_ends_bit_for_bit_as_one_that_was_not(
    data: Dataset, tmp_path: Path, changes: dict[str, Any]
) -> None:
    recipe = replace(RECIPE, **changes)
    whole = train(data, recipe)
    draw = random.Random(len(changes))
    report = interrupted_at(sorted(draw.sample(range(1, 66), 3)))
    for _ in range(3):
        with pytest.raises(KilledError):
            train(data, recipe, tmp_path, report=report)
    assert_same(train(data, recipe, tmp_path, report=report), whole)


def test_a_run_that_a_person_stopped_goes_on_as_planned(data: Dataset, tmp_path: Path) -> None:
    stop = StopRequest()

    def stop_later(step: Step) -> None:
        stop.requested = step.done >= 30

    stopped = train(data, RECIPE, tmp_path, report=stop_later, stop=stop)
    assert stopped.samples < 66 * 8
    assert_same(train(data, RECIPE, tmp_path), train(data, RECIPE))


@pytest.mark.parametrize("changes", [{}, {"optimizer": "schedule-free", "learning_rate": 0.01}])
def test_a_finished_run_has_nothing_left_to_do(
    data: Dataset, tmp_path: Path, changes: dict[str, Any]
) -> None:
    recipe = replace(RECIPE, **changes)
    first = train(data, recipe, tmp_path)
    steps: list[Step] = []
    assert_same(train(data, recipe, tmp_path, report=steps.append), first)
    assert not steps


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"record": "f" * 64}, "other data: it began with cccccccccccc, and this is ffffffffffff"),
        ({"seed": 6}, "other seed: it began with 5, and this is 6"),
        ({"name": "student"}, "other model: it began with training, and this is student"),
        ({"epochs": 7.0}, "other recipe: epochs was 6.0, and is 7.0"),
    ],
)
def test_a_folder_of_another_run_is_refused_with_the_difference(
    data: Dataset, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(KilledError):
        train(data, RECIPE, tmp_path, report=interrupted_at([25]))
    folder = RunFolder(tmp_path, print)
    record = replace(data.record, sha256=change.pop("record", data.record.sha256))
    recipe = replace(RECIPE, epochs=change.pop("epochs", 6.0))
    objective = learn_labels(
        "classification", torch.from_numpy(data.train.targets), label_smoothing=0.1
    )
    control = RunControl(**({"seed": 5, "folder": folder} | change))
    other = dataclasses.replace(data, record=record)
    with pytest.raises(TrainingError) as caught:
        train_network(initialize(Dropping, 0, "test"), other, recipe, objective, control)
    folder.close()
    assert said in caught.value.message


def test_a_run_that_pauses_goes_on_where_it_was(data: Dataset, tmp_path: Path) -> None:
    for epochs in (1, 1, 4):
        paused = train(data, RECIPE, tmp_path, pause_after=epochs)
        assert len(paused.curve) == epochs
        assert paused.samples == epochs * 11 * 8
    assert_same(train(data, RECIPE, tmp_path, pause_after=6), train(data, RECIPE))
    assert_same(train(data, RECIPE, tmp_path), train(data, RECIPE))


class Sharing(Team):
    """A team that shares weights, whose other process has such that are not finite, or not."""

    is_sharded = True

    def __init__(self, broken: bool) -> None:
        self.broken = broken

    def summed(self, numbers: Sequence[float]) -> list[float]:
        return [numbers[0] + self.broken]


class Alone(Team):
    """One process of those that each have all weights: nobody else looks at them with it."""

    def summed(self, numbers: Sequence[float]) -> list[float]:
        raise AssertionError("the others are elsewhere")


@pytest.mark.parametrize(
    ("team", "weight", "rate", "sound"),
    [
        (Sharing(broken=False), 1.0, 0.1, True),
        (Sharing(broken=True), 1.0, 0.1, False),
        (Sharing(broken=False), float("nan"), 0.1, False),
        (Alone(), 1.0, 0.1, True),
        (Alone(), float("inf"), 0.1, False),
        (Alone(), 1.0, None, False),
    ],
)
def test_a_state_is_kept_where_all_weights_are_finite_and_there_is_a_rate(
    team: Team, weight: float, rate: float | None, sound: bool
) -> None:
    network = nn.Linear(2, 2)
    nn.init.constant_(network.weight, weight)
    run: Any = SimpleNamespace(
        network=network, team=team, recipe=replace(RECIPE, learning_rate=rate)
    )
    assert is_sound(run) == sound


def test_all_of_a_team_keep_to_the_cuts_that_its_first_process_was_told_of() -> None:
    class Second(Team):
        cuts = (Cut(step=0, parts=8),)

        def shared(self, data: bytes) -> bytes:
            return msgspec.json.encode((Cut(step=0, parts=2),))

    assert with_cuts(RECIPE, None, Second()).cuts == (Cut(step=0, parts=2),)
    assert with_cuts(RECIPE, None, SOLO) == RECIPE
