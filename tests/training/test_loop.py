import dataclasses
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from diptych.core.errors import TrainingError
from diptych.core.progress import Step, StopRequest
from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset, Goal, Split
from diptych.tasks.goals import GOALS
from diptych.training.compute import compute_outputs, initialize
from diptych.training.control import RunControl
from diptych.training.loop import train_network
from diptych.training.models import ResidualNet, ResidualNetConfig
from diptych.training.models.rescaled import Rescaled
from diptych.training.objectives import Objective, learn_labels
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation

SPEC = ImageSpec(height=8, width=8, channels=1)
RECIPE = TrainingRecipe(
    epochs=4, batch_size=16, variation=PictureVariation(translate=1, cutout=2), threads=1
)


def stripes(count: int, seed: int) -> Split:
    """Pictures of horizontal (0) or vertical (1) stripes in noise."""
    random = np.random.default_rng(seed)
    targets = np.arange(count) % 2
    pixels = random.integers(0, 100, (count, 8, 8, 1)).astype(np.uint8)
    pixels[targets == 0, ::2] += 120
    pixels[targets == 1, :, ::2] += 120
    return Split(inputs=pixels, targets=targets.astype(np.int64), items=("",) * count)


def dataset() -> Dataset:
    record = DataRecord(name="stripes", sha256="", counts={}, split_method="", seed=0)
    return Dataset(
        goal="classification",
        spec=SPEC,
        labels=("lying", "standing"),
        train=stripes(160, 0),
        validation=stripes(40, 1),
        test=stripes(40, 2),
        record=record,
    )


def network(seed: int = 0) -> ResidualNet:
    config = ResidualNetConfig(stem=8, widths=(8,), blocks=(1,))
    return initialize(lambda: ResidualNet(config, SPEC, 2), seed, "test")


def labels(label_smoothing: float = 0.1) -> Objective:
    targets = torch.from_numpy(dataset().train.targets)
    return learn_labels("classification", targets, label_smoothing=label_smoothing)


def ticking(seconds_per_look: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += seconds_per_look


def state(model: torch.nn.Module) -> list[torch.Tensor]:
    return list(model.state_dict().values())


def test_a_network_learns_what_there_is_to_learn() -> None:
    data = dataset()
    result = train_network(network(), data, RECIPE, labels(0.0), RunControl())
    logits = compute_outputs(result.network, data.test.inputs, RECIPE)
    assert (logits.argmax(1) == data.test.targets).mean() > 0.9
    assert result.samples == 4 * 160
    assert [point.epoch for point in result.curve] == [1, 2, 3, 4]
    assert result.curve[-1].loss < result.curve[0].loss


def test_the_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    def run(seed: int) -> list[torch.Tensor]:
        control = RunControl(seed=seed)
        trained = train_network(network(seed), dataset(), RECIPE, labels(0.1), control)
        return state(trained.network)

    first, again, other = run(1), run(1), run(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_deadline_shortens_the_run_and_the_record_replays_it_bit_for_bit() -> None:
    ticks = ticking(1.0)
    control = RunControl(deadline=50.0, clock=lambda: next(ticks))
    recipe = replace(RECIPE, epochs=100)
    timed = train_network(network(), dataset(), recipe, labels(0.1), control)
    assert timed.recipe.replans
    assert timed.samples < 100 * 160
    replayed = train_network(network(), dataset(), timed.recipe, labels(0.1), RunControl())
    assert replayed.samples == timed.samples
    assert replayed.recipe == timed.recipe
    pairs = zip(state(timed.network), state(replayed.network), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_stop_request_ends_the_run_at_once_and_is_replayed() -> None:
    stop = StopRequest()

    def stop_later(step: Step) -> None:
        stop.requested = step.done >= 20

    control = RunControl(report=stop_later, stop=stop)
    recipe = replace(RECIPE, epochs=100)
    stopped = train_network(network(), dataset(), recipe, labels(0.1), control)
    assert stopped.samples == 20 * 16
    replayed = train_network(network(), dataset(), stopped.recipe, labels(0.1), RunControl())
    pairs = zip(state(stopped.network), state(replayed.network), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_loss_that_is_not_finite_stops_with_the_step_and_a_hint() -> None:
    def broken(inputs: torch.Tensor, logits: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        return logits.sum() * float("nan")

    with pytest.raises(TrainingError, match="step 1 is nan") as caught:
        train_network(network(), dataset(), RECIPE, broken, RunControl(name="student"))
    assert "learning_rate" in caught.value.hint


def test_building_a_network_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, second = network(3), network(3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(state(first), state(second), strict=True))


class Dropping(nn.Module):
    """A network of brightness and stripes with randomness of its own while it is trained."""

    def __init__(self, outputs: int = 2, share: float = 0.5) -> None:
        super().__init__()
        self.dropout = nn.Dropout(share)
        self.body = nn.Linear(64, 16)
        self.head = nn.Linear(16, outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = self.body(inputs.flatten(1).float() / 128 - 1).relu()
        logits: torch.Tensor = self.head(self.dropout(hidden))
        return logits


class Members(nn.Module):
    """Two networks that are trained side by side and answer with their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList([Dropping(share=0.0) for _ in range(2)])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        answers = torch.stack([member(inputs) for member in self.members], dim=1)
        return answers if self.training else answers.mean(1)


def dropping() -> Dropping:
    return initialize(Dropping, 0, "dropping")


def test_the_networks_own_randomness_follows_the_seed_and_leaves_the_global_one_alone() -> None:
    def run(seed: int, disturb: int) -> list[torch.Tensor]:
        torch.manual_seed(disturb)
        before = torch.random.get_rng_state()
        control = RunControl(seed=seed)
        trained = train_network(dropping(), dataset(), replace(RECIPE, epochs=1), labels(), control)
        assert torch.equal(before, torch.random.get_rng_state())
        return state(trained.network)

    first, again, other = run(1, 5), run(1, 6), run(2, 5)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_dropout_is_on_in_training_and_off_in_answers() -> None:
    net, data = dropping(), dataset()
    modes: list[bool] = []
    net.register_forward_hook(lambda module, inputs, output: modes.append(module.training))
    result = train_network(net, data, replace(RECIPE, epochs=1), labels(), RunControl())
    assert modes == [True] * 10 + [False]
    assert not result.network.training
    answers = [compute_outputs(net, data.test.inputs, RECIPE) for _ in range(2)]
    np.testing.assert_array_equal(*answers)


def test_an_ensemble_is_trained_and_scored_by_its_mean() -> None:
    data = dataset()
    net = initialize(Members, 0, "members")
    result = train_network(net, data, replace(RECIPE, learning_rate=0.02), labels(), RunControl())
    outputs = compute_outputs(net, data.validation.inputs, RECIPE)
    assert outputs.shape == (40, 2)
    assert result.curve[-1].score == np.mean(outputs.argmax(1) == data.validation.targets)
    assert result.curve[-1].loss < result.curve[0].loss


GOAL_RECIPE = replace(RECIPE, epochs=12, variation=None, learning_rate=0.02, label_smoothing=0.0)


def told(goal: Goal) -> Dataset:
    """Make pictures of which each goal tells something: kinds of stripes, or how many."""

    def split(count: int, seed: int) -> Split:
        random = np.random.default_rng(seed)
        lying, standing = random.integers(0, 2, (2, count))
        pixels = random.integers(0, 40, (count, 8, 8, 1))
        pixels[:, ::2] += 100 * lying[:, None, None, None]
        pixels[:, :, ::2] += 100 * standing[:, None, None, None]
        both = np.stack([lying, standing], axis=1)
        targets = {
            "multi-label": both.astype(np.float32),
            "ordinal": both.sum(1),
            "regression": (1000 + 300 * both.sum(1)).astype(np.float32),
        }[goal]
        return Split(inputs=pixels.astype(np.uint8), targets=targets, items=("",) * count)

    names = {"multi-label": ("lying", "standing"), "ordinal": ("none", "one", "both")}
    data = dataset()
    return dataclasses.replace(
        data,
        goal=goal,
        labels=names.get(goal, ("weight",)),
        train=split(160, 0),
        validation=split(40, 1),
        test=split(40, 2),
    )


@pytest.mark.parametrize("goal", ["multi-label", "ordinal", "regression"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_every_goal_is_learned_and_its_curve_is_the_main_score(goal: Goal, optimizer: str) -> None:
    data = told(goal)
    targets = torch.from_numpy(data.train.targets)
    recipe = replace(GOAL_RECIPE, optimizer=optimizer)  # type: ignore[arg-type]
    net = initialize(lambda: Dropping(len(data.labels), share=0.0), 0, "goal")
    scale = float(targets.float().std())
    whole = Rescaled(net, float(targets.mean()), scale) if goal == "regression" else net
    objective = learn_labels(goal, targets, label_smoothing=0.0, scale=scale)
    result = train_network(whole, data, recipe, objective, RunControl())
    outputs = compute_outputs(whole, data.validation.inputs, recipe)
    scores = GOALS[goal].item_scores(outputs, data.validation.targets)
    assert result.curve[-1].score == pytest.approx(scores.mean())
    assert result.curve[-1].score > 0.9


def test_the_average_of_the_weights_is_what_is_scored_and_kept() -> None:
    data, first = dataset(), dropping()
    before = [value.clone() for value in state(first)]
    recipe = replace(RECIPE, learning_rate=0.02, averaging=0.5)
    averaged = train_network(first, data, recipe, labels(), RunControl())
    plain = train_network(dropping(), data, replace(recipe, averaging=0.0), labels(), RunControl())
    outputs = compute_outputs(averaged.network, data.validation.inputs, recipe)
    score = np.mean(outputs.argmax(1) == data.validation.targets)
    assert averaged.curve[-1].score == pytest.approx(score)
    losses = [[point.loss for point in run.curve] for run in (averaged, plain)]
    assert losses[0] == losses[1]
    ends = list(zip(before, state(averaged.network), state(plain.network), strict=True))
    assert not any(torch.equal(kept, last) for _, kept, last in ends)


def test_gradients_are_clipped_to_the_norm_that_is_asked_for() -> None:
    """One step of plain descent is then as long as the rate times the norm."""
    recipe = replace(
        RECIPE, epochs=0.1, momentum=0.0, weight_decay=0.0, learning_rate=0.5, warmup_share=0.0
    )
    lengths = {}
    for clip in (0.0, 0.001):
        net = dropping()
        before = torch.cat([p.detach().clone().flatten() for p in net.parameters()])
        result = train_network(net, dataset(), replace(recipe, clip=clip), labels(), RunControl())
        assert result.samples == 16
        after = torch.cat([p.detach().flatten() for p in net.parameters()])
        lengths[clip] = (after - before).norm().item()
    assert lengths[0.001] == pytest.approx(0.5 * 0.001, rel=1e-2)
    assert lengths[0.0] > 10 * lengths[0.001]


def test_a_run_takes_its_own_device_for_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    at: list[torch.device] = []

    def begin(*given: object) -> None:
        raise KeyError(*at)

    monkeypatch.setattr("torch.cuda.device", lambda device: nullcontext(at.append(device)))
    monkeypatch.setattr("torch.random.fork_rng", lambda devices: nullcontext())
    monkeypatch.setattr("diptych.training.loop.Run", begin)
    control = RunControl(device=torch.device("cuda:1"))
    with pytest.raises(KeyError, match="type='cuda', index=1"):
        train_network(network(), dataset(), RECIPE, labels(), control)
