"""The batches of a run: each is a function of the seed and its step alone, made ahead of need.

So a run that goes on from a checkpoint, and every process of a team, sees the batches that one
uninterrupted process would.

Shapes: N items, B batch, b this process's share of it.
"""

import copy
import gc
import math
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor

from diptych.core.arrays import release
from diptych.core.errors import TrainingError
from diptych.core.seeds import derive
from diptych.measure.memory import total_bytes
from diptych.training.compute import tensor_of
from diptych.training.memory import parts_at
from diptych.training.recipe import TrainingRecipe
from diptych.training.sending import sent
from diptych.training.team import SOLO, Team
from diptych.training.variation import batches_of
from diptych.training.variation.mixing import mix

LARGE_SHARE = 1 / 8
RELEASE_BYTES = 128 << 20
MOST_PAGE_BYTES = 2 << 20
"""What the system may map around a single item."""
TRIAL_STEPS = 20
BUSY_SHARE = 0.03
AT_ONCE_S, MOST_AT_ONCE = 0.05, 16
DEVICE_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Inputs (b, ...) and the numbers of their items `chosen` (b,).

    Where items are mixed with others, `partners` (b,) are these; `share` of each is its own.
    """

    inputs: Tensor
    chosen: Tensor
    partners: Tensor | None = None
    share: float = 1.0


class Feed:
    """Makes the batches of a run.

    Args:
        inputs: The training items, raw (N, ...); larger than memory where they are mapped.
        recipe: Batch size, variation and mixing.
        seed: The seed of the run's batches.
        device: Where they are wanted.
        team: Who shares each batch.
    """

    def __init__(
        self,
        inputs: np.ndarray,
        recipe: TrainingRecipe,
        seed: int,
        device: torch.device,
        team: Team = SOLO,
    ) -> None:
        self.source, self.recipe, self.seed, self.team = inputs, recipe, seed, team
        self.device = device
        self.num_items = len(inputs)
        self.batch_size = min(recipe.batch_size, len(inputs))
        team.check(self.batch_size, self._parts(math.inf))
        self.steps_per_epoch = len(inputs) // self.batch_size
        items = tensor_of(inputs)
        needed = team.is_sharded  # by a network that is too large for one device
        self.on_device = device.type == "cpu" or (not needed and _fits(items, device))
        once = torch.Generator().manual_seed(derive(seed, "once"))
        self.batches = batches_of(
            items.to(device) if self.on_device else items, recipe.variation, once
        )
        self.epoch, self.order = -1, torch.empty(0, dtype=torch.int64)
        self.generator = torch.Generator()
        self.is_large = inputs.nbytes > LARGE_SHARE * total_bytes()
        self.touched = 0

    def batch(self, step: int) -> Batch:
        """Make one batch.

        Args:
            step: Counts from 0.

        Returns:
            This process's share of it.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        view = epoch % self.recipe.views if self.recipe.views else epoch
        shown = view * self.steps_per_epoch + place
        chosen = self._order(view)[place * self.batch_size : (place + 1) * self.batch_size]
        generator = self.generator.manual_seed(derive(self.seed, "batch", str(shown)))
        if self.on_device:
            chosen = sent(chosen, self.device)
        inputs = self.batches.draw(chosen, epoch, generator)
        self._release(len(chosen))
        part = self.team.part(len(chosen), self._parts(step))
        return self._placed(self._mixed(inputs, chosen, part, generator))

    def beside(self, parts: int) -> "Feed":
        """Make one that gives the same batches, and may be asked while this one is, in a thread.

        Args:
            parts: In how many every batch is computed.

        Returns:
            A feed of the same items.
        """
        other = copy.copy(self)
        other.recipe = replace(self.recipe, accumulation=parts, cuts=())
        other.epoch, other.generator = -1, torch.Generator()  # this one's may be in use
        return other

    def _order(self, epoch: int) -> Tensor:
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed(derive(self.seed, "order", str(epoch)))
            self.epoch, self.order = epoch, torch.randperm(self.num_items, generator=generator)
        return self.order

    def _parts(self, step: float) -> int:
        return parts_at(step, self.recipe.accumulation, self.recipe.cuts)

    def _mixed(
        self, inputs: Tensor, chosen: Tensor, part: slice | Tensor, generator: torch.Generator
    ) -> Batch:
        if not (self.recipe.mixup or self.recipe.cutmix):
            return Batch(inputs=inputs[part], chosen=chosen[part])
        mixed = mix(inputs, generator, self.recipe.mixup, self.recipe.cutmix)
        return Batch(
            inputs=mixed.inputs[part],
            chosen=chosen[part],
            partners=chosen[mixed.partner][part],
            share=mixed.share,
        )

    def _placed(self, batch: Batch) -> Batch:
        if self.on_device:
            return batch

        return Batch(
            inputs=sent(batch.inputs, self.device),
            chosen=sent(batch.chosen, self.device),
            partners=None if batch.partners is None else sent(batch.partners, self.device),
            share=batch.share,
        )

    def _release(self, count: int) -> None:
        """Let go of what was read of a large map, every once in a while."""
        if not self.is_large:
            return
        self.touched += count * max(self.source[0].nbytes, MOST_PAGE_BYTES)
        if self.touched >= RELEASE_BYTES:
            release(self.source)
            self.touched = 0


class Feeder:
    """Gives the batches of a feed in order; where making them takes long, several at once or ahead.

    Batches of short steps are made several at once, which costs each of them less: code and tables
    are still in the processor's cache. Where that is not enough, they are made in a thread, ahead.
    Where memory does not hold that, each is made when it is needed, from then on.

    Args:
        feed: Makes them.
        step: The first one.
    """

    def __init__(self, feed: Feed, step: int) -> None:
        self.feed, self.step = feed, step
        self.waited = 0.0
        self.pool: ThreadPoolExecutor | None = None
        self.next: Future[list[Batch]] | None = None
        self.made: deque[Batch] = deque()
        self.at_once, self.is_short = 1, False
        self.judged = (step, self.waited, time.perf_counter())

    def take(self) -> Batch:
        """Give the next batch.

        Returns:
            The batch; the time until it is there counts as waited.

        Raises:
            TrainingError: If the memory does not hold it.
        """
        if not self.made:
            began = time.perf_counter()
            self._judge(began)
            self._make()
            self.waited += time.perf_counter() - began
        self.step += 1
        return self.made.popleft()

    def _make(self) -> None:
        try:
            made = self._planned()
        except torch.cuda.OutOfMemoryError:
            self.close()
        else:
            self.made.extend(made)
            return
        self.pool = self.next = None  # out here the error is gone, which held tensors
        self.at_once, self.is_short = 1, True
        torch.cuda.empty_cache()
        self.made.append(self._alone())

    def _planned(self) -> list[Batch]:
        if self.pool is None:
            return self._several(self.step, self.at_once)
        made = self.next.result() if self.next else self._several(self.step, 1)
        self.next = self.pool.submit(self._several, self.step + len(made), self.at_once)
        return made

    def _alone(self) -> Batch:
        try:
            return self.feed.batch(self.step)
        except torch.cuda.OutOfMemoryError as error:
            raise TrainingError(
                f"{self.feed.device} has no memory for a batch of {self.feed.batch_size:,} items",
                "choose a smaller batch_size",
            ) from error

    def _several(self, start: int, count: int) -> list[Batch]:
        return [self.feed.batch(step) for step in range(start, start + count)]

    def _judge(self, now: float) -> None:
        """Decide by the last steps whether batches are made several at once, or in a thread."""
        step, waited, then = self.judged
        steps, seconds = self.step - step, now - then
        if self.pool or self.is_short or steps < TRIAL_STEPS:
            return
        self.judged = (self.step, self.waited, now)
        if self.waited - waited <= BUSY_SHARE * seconds:
            return
        before, wanted = self.at_once, round(AT_ONCE_S * steps / seconds)
        self.at_once = max(before, min(wanted, MOST_AT_ONCE))
        if self.at_once == before:
            self.pool = ThreadPoolExecutor(1, thread_name_prefix="feed")

    def close(self) -> None:
        """Stop making batches."""
        if self.pool:
            self.pool.shutdown(cancel_futures=True)


def _fits(items: Tensor, device: torch.device) -> bool:
    """Say whether the items can stay on a graphics processor beside a network."""
    gc.collect()  # a run that is over lies in cycles, and holds its data
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return items.nbytes < DEVICE_SHARE * free
