import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from diptych.core.errors import TrainingError
from diptych.training import feed as feeding
from diptych.training.feed import MOST_AT_ONCE, TRIAL_STEPS, Batch, Feed, Feeder
from diptych.training.memory import Cut
from diptych.training.recipe import TrainingRecipe
from diptych.training.team import Team
from diptych.training.variation import PictureVariation

CPU = torch.device("cpu")
ITEMS = np.random.default_rng(0).integers(0, 256, (50, 6, 6, 1), dtype=np.uint8)
RECIPE = TrainingRecipe(batch_size=12, variation=PictureVariation(translate=1, cutout=2, flip=True))


def feed(recipe: TrainingRecipe = RECIPE, seed: int = 0, team: Team | None = None) -> Feed:
    return Feed(ITEMS, recipe, seed, CPU, team or Team())


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one.inputs, other.inputs) and torch.equal(one.chosen, other.chosen)


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    straight = [feed().batch(step) for step in range(9)]
    jumping = feed()
    for step in (8, 0, 5, 3):
        assert same(jumping.batch(step), straight[step])
    assert not same(feed(seed=1).batch(0), straight[0])
    assert not same(straight[0], straight[4])


def test_a_feed_beside_another_gives_the_same_batches_and_disturbs_nothing() -> None:
    made = feed(replace(RECIPE, mixup=0.3))
    expected = [feed(replace(RECIPE, mixup=0.3)).batch(step) for step in range(9)]
    made.batch(0)
    made.epoch = 1  # as while another thread is about to draw its order
    state, order = made.generator.get_state(), made.order
    beside = made.beside(parts=1)
    for step in (5, 8, 0):
        assert same(beside.batch(step), expected[step])
    assert torch.equal(made.generator.get_state(), state)
    assert made.order is order


def test_a_feed_beside_another_shares_batches_in_its_own_number_of_parts() -> None:
    second = Team()
    second.rank, second.size = 1, 2
    made = feed(replace(RECIPE, cuts=(Cut(step=3, parts=2),)), team=second)
    beside = made.beside(parts=2)
    assert same(beside.batch(0), feed(replace(RECIPE, accumulation=2), team=second).batch(0))
    assert same(beside.batch(3), made.batch(3))
    assert not same(beside.batch(2), made.batch(2))


def test_batches_come_again_after_as_many_epochs_as_there_are_views() -> None:
    made = feed(replace(RECIPE, views=2, mixup=0.3))
    cycle = [made.batch(step) for step in range(8)]
    for step in (8, 15, 21, 16):
        assert same(made.batch(step), cycle[step % 8])
    assert not any(same(cycle[step], cycle[step + 4]) for step in range(4))


def test_an_odd_number_of_views_comes_as_mirror_images_first() -> None:
    made = feed(replace(RECIPE, views=3))
    first, mirrored, again = (
        [made.batch(cycle + step) for step in range(12)] for cycle in (0, 12, 24)
    )
    for once, turned, last in zip(first, mirrored, again, strict=True):
        assert torch.equal(once.inputs, turned.inputs.flip(2))
        assert torch.equal(once.chosen, turned.chosen)
        assert same(once, last)
        assert not torch.equal(once.inputs, turned.inputs)


def test_an_epoch_shows_each_item_at_most_once_and_the_next_in_another_order() -> None:
    made = feed()
    assert made.steps_per_epoch == 4
    epochs = [
        torch.cat([made.batch(step).chosen for step in range(4 * epoch, 4 * epoch + 4)])
        for epoch in range(2)
    ]
    assert all(len(set(chosen.tolist())) == 48 for chosen in epochs)
    assert not torch.equal(*epochs)


@pytest.mark.parametrize("changes", [{}, {"mixup": 0.4, "cutmix": 1.0}])
def test_the_parts_of_a_team_are_the_batch_of_one_process(changes: dict[str, float]) -> None:
    recipe = replace(RECIPE, **changes)
    for step in range(6):
        whole = feed(recipe).batch(step)
        parts = []
        for rank in range(3):
            team = Team()
            team.rank, team.size = rank, 3
            parts.append(feed(recipe, team=team).batch(step))
        assert torch.equal(torch.cat([part.inputs for part in parts]), whole.inputs)
        assert torch.equal(torch.cat([part.chosen for part in parts]), whole.chosen)
        if whole.partners is not None:
            joined = [part.partners for part in parts if part.partners is not None]
            assert torch.equal(torch.cat(joined), whole.partners)
            assert {part.share for part in parts} == {whole.share}


def test_partners_are_of_the_same_batch() -> None:
    batch = feed(replace(RECIPE, mixup=0.4)).batch(0)
    assert batch.partners is not None
    assert sorted(batch.partners.tolist()) == sorted(batch.chosen.tolist())


class SlowFeed(Feed):
    """A feed that takes a while, as from a slow disk; it notes who asks."""

    def batch(self, step: int) -> Batch:
        threads.add(threading.current_thread().name)
        until = time.perf_counter() + 0.003
        while time.perf_counter() < until:
            pass
        return super().batch(step)


threads: set[str] = set()


def test_a_slow_feed_is_asked_ahead_in_a_thread_for_the_same_batches() -> None:
    threads.clear()
    feeder = Feeder(SlowFeed(ITEMS, RECIPE, 0, CPU), 2)
    taken = [feeder.take() for _ in range(TRIAL_STEPS + 4 * MOST_AT_ONCE)]
    feeder.close()
    assert len(threads) == 2
    assert feeder.waited > 0.02
    expected = feed()
    assert all(same(batch, expected.batch(2 + at)) for at, batch in enumerate(taken))


class ColdFeed(Feed):
    """A feed in a time of its own: a batch takes longer where something else was done before."""

    now, last = 0.0, -1.0
    first = following = 0.0

    def batch(self, step: int) -> Batch:
        self.now += self.following if self.now == self.last else self.first
        self.last = self.now
        return super().batch(step)


@pytest.mark.parametrize(
    ("step_s", "first", "following", "at_once", "in_thread"),
    [
        (0.003, 0.00001, 0.00001, 1, False),
        (0.003, 0.0002, 0.00005, MOST_AT_ONCE, False),
        (0.010, 0.0005, 0.00005, 5, False),
        (0.003, 0.0002, 0.0002, MOST_AT_ONCE, True),
        (0.100, 0.0050, 0.0050, 1, True),
    ],
)
def test_batches_are_made_several_at_once_and_in_a_thread_only_where_that_is_not_enough(
    step_s: float, first: float, following: float, at_once: int, in_thread: bool, monkeypatch
) -> None:
    cold = ColdFeed(ITEMS, RECIPE, 0, CPU)
    cold.first, cold.following = first, following
    monkeypatch.setattr(feeding, "time", SimpleNamespace(perf_counter=lambda: cold.now))
    feeder = Feeder(cold, 3)
    for step in range(3, 3 + TRIAL_STEPS + 4 * MOST_AT_ONCE):
        assert same(feeder.take(), feed().batch(step))
        cold.now += step_s
    feeder.close()
    assert feeder.at_once == at_once
    assert (feeder.pool is not None) == in_thread


class CrampedFeed(ColdFeed):
    """One of a device whose memory holds no other batch while a step is computed."""

    first = following = 0.005
    tries = 0

    def batch(self, step: int) -> Batch:
        made = super().batch(step)
        if threading.current_thread().name.startswith("feed"):
            self.tries += 1
            raise torch.cuda.OutOfMemoryError("no")
        return made


def test_where_memory_is_short_batches_are_made_one_by_one_and_none_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cramped, expected = CrampedFeed(ITEMS, RECIPE, 0, CPU), feed()
    monkeypatch.setattr(feeding, "time", SimpleNamespace(perf_counter=lambda: cramped.now))
    feeder = Feeder(cramped, 3)
    for step in range(3, 3 + 3 * TRIAL_STEPS):
        assert same(feeder.take(), expected.batch(step))
        cramped.now += 0.1
    assert cramped.tries == 1
    assert (feeder.pool, feeder.next, feeder.at_once) == (None, None, 1)


class FullFeed(Feed):
    """One of a device whose memory holds no batch at all."""

    def batch(self, step: int) -> Batch:
        raise torch.cuda.OutOfMemoryError("no")


def test_a_batch_that_memory_does_not_hold_is_told_in_one_line() -> None:
    with pytest.raises(TrainingError, match="cpu has no memory for a batch of 12 items") as caught:
        Feeder(FullFeed(ITEMS, RECIPE, 0, CPU), 0).take()
    assert caught.value.hint == "choose a smaller batch_size"
