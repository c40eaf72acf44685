import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from diptych.core.errors import TrainingError
from diptych.core.progress import Step, StopRequest
from diptych.core.seeds import derive
from diptych.core.specs import ImageSpec, TextSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.measure.gpu_energy import GpuMeter
from diptych.measure.processor_energy import Counter, ProcessorMeter
from diptych.training.control import RunControl, TrainedNetwork
from diptych.training.feed import Feed
from diptych.training.loop import train_network
from diptych.training.meeting import Meeting
from diptych.training.memory import Cut
from diptych.training.objectives import Objective, learn_labels
from diptych.training.process_team import join
from diptych.training.recipe import Replan, TrainingRecipe
from diptych.training.run_folder import RunFolder
from diptych.training.sharded_team import ShardedTeam
from diptych.training.team import Team
from diptych.training.tuning import Tuning
from diptych.training.variation import TextVariation

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


def labels(data: Dataset) -> Objective:
    targets = torch.from_numpy(data.train.targets)
    return learn_labels("classification", targets, label_smoothing=0.0)


def train(data: Dataset, recipe: TrainingRecipe = RECIPE, **control: object) -> TrainedNetwork:
    torch.manual_seed(0)
    return train_network(Bright(), data, recipe, labels(data), RunControl(**control))


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


class Starved(Bright):
    """One that forgets at random, and in training has memory for so many items at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.dropout, self.most = nn.Dropout(0.5), most

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.dropout(super().forward(inputs))
        if self.training and len(inputs) > self.most:
            raise torch.cuda.OutOfMemoryError("no")
        return logits


def test_a_run_that_was_short_of_memory_is_replayed_from_its_record(data: Dataset) -> None:
    targets = torch.from_numpy(data.train.targets)
    objective = learn_labels("classification", targets, label_smoothing=0.0)
    recipe, weights = RECIPE, list[dict[str, torch.Tensor]]()
    for most in (5, 10):
        torch.manual_seed(0)
        trained = train_network(Starved(most), data, recipe, objective, RunControl())
        recipe = trained.recipe
        weights.append(trained.network.state_dict())
        assert recipe.cuts == (Cut(step=0, parts=2),)
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


class Words(nn.Module):
    """A network that adds up what each word stands for."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.embedding(tokens.long()).sum(1)
        return logits


def test_a_recipe_that_compiles_texts_is_followed_without_and_that_is_said(data: Dataset) -> None:
    def told(split: Split) -> Split:
        words = split.inputs[:, 0, 0] // 32 + 1  # (N, 1), how bright, in words 1 to 8
        return dataclasses.replace(split, inputs=words.astype(np.int32))

    spec, splits = TextSpec(tokens=1, vocabulary=9), (told(data.train), told(data.validation))
    texts = dataclasses.replace(data, spec=spec, train=splits[0], validation=splits[1])
    recipe = replace(RECIPE, epochs=1, compiled=True, variation=TextVariation())
    objective = learn_labels(
        "classification", torch.from_numpy(data.train.targets), label_smoothing=0.0
    )
    said = list[Step]()
    trained = train_network(Words(), texts, recipe, objective, RunControl(report=said.append))
    assert trained.recipe == replace(recipe, compiled=False)
    assert said[0].note.startswith("not compiled, against the recipe: batches of texts differ")
    assert said[0].done == said[0].total, "a note on a stage that goes on is overwritten"
    assert said[0].stage not in {step.stage for step in said[1:]}


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


@pytest.fixture
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShardedTeam]:
    """Give a team of one process that has its share of the weights, which is all."""
    address = (tmp_path_factory.mktemp("team") / "meeting").as_uri()
    meeting = Meeting(address=address, rank=0, size=1, local_rank=0, local_size=1)
    with join(meeting, "cpu", ShardedTeam) as team:
        assert isinstance(team, ShardedTeam)
        yield team


def assert_kept_until_weights_are_not_finite(data: Dataset, path: Path, team: Team) -> None:
    sound, calls = labels(data), iter(range(1000))

    def objective(
        inputs: torch.Tensor, outputs: torch.Tensor, chosen: torch.Tensor
    ) -> torch.Tensor:
        loss: torch.Tensor = sound(inputs, outputs, chosen)
        return loss + (0 * outputs.sum()).sqrt() if next(calls) == 20 else loss

    with closing(RunFolder(path, print)) as folder:
        given = RunControl(folder=folder, checkpoint_s=0.0, clock=clock(3.0), team=team)
        with pytest.raises(TrainingError, match="diverged"):
            train_network(Bright(), data, RECIPE, objective, given)
        latest = folder.latest()
    assert latest is not None
    assert latest.position.step == 20
    assert all(tensor.isfinite().all() for tensor in latest.under("network").values())


def test_weights_that_are_not_finite_are_not_kept(data: Dataset, tmp_path: Path) -> None:
    assert_kept_until_weights_are_not_finite(data, tmp_path, Team())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_nor_are_those_of_a_team_that_shares_them(
    data: Dataset, sharing: ShardedTeam, tmp_path: Path
) -> None:
    assert_kept_until_weights_are_not_finite(data, tmp_path, sharing)


class Sudden(StopRequest):
    """A person who asks to stop once it was looked so many times whether somebody did."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def __bool__(self) -> bool:
        self.looks -= 1
        return self.looks < 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("control", "step"),
    [({"stop": Sudden(10)}, 11), ({"stop": Sudden(11)}, 12), ({"pause_after": 2}, 16)],
    ids=["a stop", "one a moment later", "a pause"],
)
def test_whenever_a_team_that_shares_weights_is_to_pause_all_that_it_learned_is_kept(
    data: Dataset, sharing: ShardedTeam, tmp_path: Path, control: dict[str, Any], step: int
) -> None:
    with closing(RunFolder(tmp_path, print)) as folder:
        paused = train(data, team=sharing, folder=folder, checkpoint_s=1e6, **control)
        latest = folder.latest()
    assert paused.samples == 10 * step
    assert latest is not None
    assert latest.position.step == step


def test_a_stop_while_a_rate_is_looked_for_keeps_nothing_and_the_run_begins_anew(
    data: Dataset, tmp_path: Path
) -> None:
    recipe, stop, said = replace(RECIPE, learning_rate=None), StopRequest(), list[str]()

    def report(step: Step) -> None:
        said.append(step.note)
        stop.requested |= len(said) == 5

    with closing(RunFolder(tmp_path, print)) as folder:
        given = {"folder": folder, "clock": clock(3.0), "checkpoint_s": 0.0}
        stopped = train(data, recipe, report=report, stop=stop, **given)
        assert not folder.checkpoints()
        again = train(data, recipe, **given)
    assert set(said[:5]) == {"looking for a learning rate"}
    assert said[5] == "no learning rate was found yet: nothing is learned"
    assert (stopped.samples, stopped.recipe.learning_rate) == (10, None)
    torch.manual_seed(0)
    assert same(stopped.network, Bright())
    whole = train(data, recipe)
    assert same(again.network, whole.network)
    assert again.recipe == whole.recipe
    assert_told_once(tmp_path)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def assert_told_once(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines]
    assert steps == sorted(steps)
    assert [line["epoch"] for line in lines if line["score"] is not None] == list(range(1, 9))


def test_a_rate_that_is_not_found_in_time_ends_the_run_in_time(
    data: Dataset, tmp_path: Path
) -> None:
    recipe, said = replace(RECIPE, learning_rate=None), list[Step]()
    with closing(RunFolder(tmp_path, print)) as folder:
        given = {"deadline": 15.0, "clock": clock(), "report": said.append, "folder": folder}
        trained = train(data, recipe, **given)
        assert not folder.checkpoints()
    assert "no learning rate was found yet: nothing is learned" in {step.note for step in said}
    assert trained.samples == 10
    assert trained.recipe == replace(recipe, replans=(Replan(step=1, remaining=0),))
    assert trained.curve[-1].score is not None


def test_what_a_run_told_that_never_came_to_a_checkpoint_is_dropped_when_it_begins_anew(
    data: Dataset, tmp_path: Path
) -> None:
    def end(step: Step) -> None:
        if step.done >= 20:
            raise TimeoutError

    for report in (end, print):
        with closing(RunFolder(tmp_path, print)) as folder, suppress(TimeoutError):
            train(data, report=report, folder=folder, clock=clock(), checkpoint_s=1e6)
    assert_told_once(tmp_path)


class Normed(Bright):
    """One with a batch norm, that knows with what it was scored last."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.scored_with = torch.zeros(2)

    def hidden(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self.training:
            self.scored_with = self.norm.running_mean.clone()
        logits: torch.Tensor = self.norm(self.hidden(inputs))
        return logits


SCHEDULE_FREE = replace(RECIPE, optimizer="schedule-free", epochs=2)


def test_a_schedule_free_run_is_scored_and_kept_with_what_norms_see_at_its_average(
    data: Dataset,
) -> None:
    said = list[Step]()
    control = RunControl(clock=clock(3.0), report=said.append)
    network = train_network(Normed(), data, SCHEDULE_FREE, labels(data), control).network
    seed = derive(0, control.name, "batches")
    feed = Feed(data.train.inputs, SCHEDULE_FREE, seed, torch.device("cpu"))
    with torch.no_grad():
        seen = [network.hidden(feed.batch(step).inputs) for step in range(8, 16)]
    torch.testing.assert_close(
        network.norm.running_mean, torch.stack([each.mean(0) for each in seen]).mean(0)
    )
    assert torch.equal(network.scored_with, network.norm.running_mean)
    notes = [step.note for step in said]
    assert notes.count("counting what batch norms see") == 16  # none of them a second time
    assert all(step.done < step.total for step in said[:-1])


def test_scoring_a_schedule_free_run_changes_nothing_that_it_goes_on_from(
    data: Dataset, tmp_path: Path
) -> None:
    part = data.validation
    none = Split(inputs=part.inputs[:0], targets=part.targets[:0], items=())
    kept = list[dict[str, torch.Tensor]]()
    for name, given in (("scored", data), ("not", dataclasses.replace(data, validation=none))):
        with closing(RunFolder(tmp_path / name, print)) as folder:
            control = RunControl(folder=folder)
            train_network(Normed(), given, SCHEDULE_FREE, labels(data), control)
            latest = folder.latest()
        assert latest is not None
        kept.append(dict(latest.tensors))
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


@pytest.mark.parametrize(("pause_after", "learns"), [(1, False), (None, True)])
def test_norms_of_a_schedule_free_run_that_are_frozen_keep_what_they_came_with(
    data: Dataset, pause_after: int | None, learns: bool
) -> None:
    recipe = replace(SCHEDULE_FREE, freeze_share=0.5)
    control = RunControl(pause_after=pause_after)
    network = train_network(Normed(), data, recipe, labels(data), control).network
    assert bool(network.norm.running_mean.any()) == learns
    assert bool((network.norm.running_var != 1).any()) == learns


def test_other_runs_are_kept_with_what_norms_remember_of_all_steps(
    data: Dataset, tmp_path: Path
) -> None:
    with closing(RunFolder(tmp_path, print)) as folder:
        control = RunControl(folder=folder)
        network = train_network(Normed(), data, RECIPE, labels(data), control).network
        latest = folder.latest()
    assert latest is not None
    assert torch.equal(network.norm.running_mean, latest.under("network")["norm.running_mean"])
    assert network.norm.num_batches_tracked == 64


def test_a_run_that_is_resumed_diverges_by_the_first_loss_of_all(
    data: Dataset, tmp_path: Path
) -> None:
    def always(level: float) -> Objective:
        return lambda inputs, outputs, chosen: 0 * outputs.sum() + level

    with closing(RunFolder(tmp_path, print)) as folder:
        calm = RunControl(folder=folder, pause_after=1)
        train_network(Bright(), data, RECIPE, always(1.0), calm)
        resumed = RunControl(folder=folder, clock=clock(3.0))
        with pytest.raises(TrainingError, match="the loss of step 13 is 1,000 and was 1 at first"):
            train_network(Bright(), data, RECIPE, always(1000.0), resumed)


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
