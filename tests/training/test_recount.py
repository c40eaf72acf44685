"""Oracle: means and variances of the batches, computed one by one."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from diptych.core.seeds import StepSeeds
from diptych.training.feed import Feed
from diptych.training.memory import Cut
from diptych.training.objectives import learn_labels
from diptych.training.recipe import TrainingRecipe
from diptych.training.recount import Recount
from diptych.training.stepper import Stepper

ITEMS = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
TARGETS = torch.from_numpy((ITEMS[:, 0] > 0).astype(np.int64))
OBJECTIVE = learn_labels("classification", TARGETS, label_smoothing=0.0)
RECIPE = TrainingRecipe(batch_size=24, optimizer="schedule-free", learning_rate=0.05)


class Normed(nn.Module):
    """Two batch norms, dropout before the second, and a number that counts passes in training."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
        self.forgetting, self.norm_of_forgotten = nn.Dropout(0.5), nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 2)
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))
        self.seen: list[int] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen.append(len(inputs))
        self.passes += self.training
        hidden = self.norm_of_forgotten(self.forgetting(self.norm(self.body(inputs))))
        logits: Tensor = self.head(hidden)
        return logits


class Trained:
    """A network after some steps, about to be counted anew."""

    def __init__(self, recipe: TrainingRecipe = RECIPE, steps: int = 7) -> None:
        self.network = Normed().train()
        self.feed = Feed(ITEMS, recipe, 0, torch.device("cpu"))
        self.stepper = Stepper(self.network, recipe, OBJECTIVE)
        self.told = 0
        seeds = StepSeeds(0, "training", "recount")
        self.recount = Recount(self.stepper, self.feed, seeds, self.tell)
        self.steps(range(steps))
        self.network.seen.clear()

    def tell(self) -> None:
        self.told += 1

    def steps(self, steps: range) -> None:
        for step in steps:
            self.stepper.take(self.feed.batch(step), 0.05, 0.9, step, seed=step)

    def state(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    def counted(self, step: int = 7) -> dict[str, Tensor]:
        with self.stepper.average.applied(), self.recount.applied(step):
            return self.state()


def same(one: dict[str, Tensor], other: dict[str, Tensor], beginning: str = "") -> bool:
    return all(torch.equal(one[k], other[k]) for k in one if k.startswith(beginning))


def test_norms_remember_the_mean_of_the_last_batches_at_the_average_of_the_weights() -> None:
    trained = Trained()
    before = trained.state()
    with trained.stepper.average.applied(), trained.recount.applied(7):
        seen = [trained.network.body(trained.feed.batch(step).inputs) for step in range(2, 7)]
        found = trained.state()
    means, variances = (torch.stack(each).mean(0) for each in zip(*map(moments, seen), strict=True))
    torch.testing.assert_close(found["norm.running_mean"], means)
    torch.testing.assert_close(found["norm.running_var"], variances)
    assert not torch.allclose(found["norm.running_mean"], before["norm.running_mean"], rtol=0.01)
    assert trained.told == 5


def moments(hidden: Tensor) -> tuple[Tensor, Tensor]:
    return hidden.mean(0), hidden.var(0)


def test_all_is_as_it_was_once_the_score_is_known() -> None:
    trained = Trained()
    before, drawn = trained.state(), torch.get_rng_state()
    counted = trained.counted()
    assert not same(before, counted, "norm.running")
    assert same(before, trained.state())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert trained.network.norm.momentum == 0.1


def test_what_is_kept_is_what_was_scored_and_is_not_counted_again() -> None:
    trained = Trained()
    counted = trained.counted()
    trained.stepper.average.keep()
    trained.recount.keep(7)
    assert trained.told == 5
    assert same(counted, trained.state())


def test_it_comes_out_the_same_whenever_it_is_done_whatever_else_was_drawn_and_made() -> None:
    once, again = Trained(), Trained()
    torch.rand(3)
    again.feed.batch(20)
    again.counted(step=5)
    assert same(once.counted(), again.counted())


def test_what_the_network_draws_is_another_draw_for_each_batch() -> None:
    trained = Trained()
    drawn: list[Tensor] = []
    trained.network.forgetting.register_forward_hook(
        lambda module, given, found: drawn.append(found == 0)
    )
    trained.counted()
    assert not torch.equal(drawn[0], drawn[1])


def test_other_numbers_that_change_in_training_do_not_by_this() -> None:
    trained = Trained()
    trained.stepper.average.keep()
    trained.recount.keep(7)
    assert trained.network.passes == 7


def test_no_more_than_fifty_batches_go_through() -> None:
    trained = Trained(replace(RECIPE, batch_size=2), steps=3)
    trained.counted(step=3)
    assert trained.feed.steps_per_epoch == 60
    assert trained.told == 50


def test_a_norm_that_learned_nothing_stays_as_it_came() -> None:
    trained = Trained(steps=0)
    trained.network.norm.eval()
    trained.steps(range(7))
    trained.network.train()  # as after a score
    before = trained.state()
    counted = trained.counted()
    assert same(before, counted, "norm.running")
    assert not same(before, counted, "norm_of_forgotten.running")


def test_nothing_goes_through_before_the_first_step() -> None:
    trained = Trained(steps=0)
    before = trained.state()
    assert same(before, trained.counted(step=0))
    assert trained.told == 0


@pytest.mark.parametrize("changes", [{"optimizer": "sgd"}, {"averaging": 0.9, "optimizer": "muon"}])
def test_other_optimizers_keep_what_their_norms_remember(changes: dict[str, object]) -> None:
    trained = Trained(replace(RECIPE, **changes))
    before = trained.state()
    with trained.recount.applied(7):
        assert same(before, trained.state())
    trained.recount.keep(7)
    assert same(before, trained.state())
    assert trained.told == 0


def cut(trained: Trained) -> None:
    trained.stepper.cuts += [Cut(step=6, parts=4), Cut(step=7, parts=8)]


@pytest.mark.parametrize(
    ("accumulation", "change", "sizes"),
    [(1, lambda trained: None, {24}), (2, lambda trained: None, {12}), (2, cut, {6})],
)
def test_batches_are_computed_in_as_many_parts_as_those_of_the_last_step(
    accumulation: int, change: Callable[[Trained], None], sizes: set[int]
) -> None:
    trained = Trained(replace(RECIPE, accumulation=accumulation))
    change(trained)
    trained.counted()
    assert set(trained.network.seen) == sizes
    assert sum(trained.network.seen) == 120
