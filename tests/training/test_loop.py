from collections.abc import Iterator

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from diptych.core.errors import TrainingError
from diptych.core.progress import Step, StopRequest
from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.training.loop import RunControl, compute_outputs, initialize, train_network
from diptych.training.models import ResidualNet, ResidualNetConfig
from diptych.training.objectives import Objective, learn_labels
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation

SPEC = ImageSpec(height=8, width=8, channels=1)
RECIPE = TrainingRecipe(epochs=4, batch_size=16, variation=PictureVariation(translate=1, cutout=2), threads=1)


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


def test_a_loss_that_is_not_finite_stops_with_the_epoch_and_a_hint() -> None:
    def broken(inputs: torch.Tensor, logits: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        return logits.sum() * float("nan")

    with pytest.raises(TrainingError, match="epoch 1") as caught:
        train_network(network(), dataset(), RECIPE, broken, RunControl(name="student"))
    assert "learning_rate" in caught.value.hint


def test_building_a_network_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, second = network(3), network(3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(state(first), state(second), strict=True))
