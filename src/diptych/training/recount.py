"""What batch norms remember of a schedule-free run, counted anew where its weights are used.

Such a run is scored and kept at the average x of its steps, which no batch went through: what its
batch norms remember is of y, where gradients are computed.

Source: A. Defazio et al., "The road less scheduled", 2024, and its authors' code: before a network
is evaluated, about 50 batches go through it at x, in training mode and without gradients. Changed:
their mean takes the place of what was remembered, of which nothing is left.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from diptych.core.seeds import StepSeeds
from diptych.training.compute import autocast
from diptych.training.draws import seed_draws
from diptych.training.feed import Feed
from diptych.training.memory import parts_at
from diptych.training.optimizers import AveragedPoint
from diptych.training.stepper import Stepper

MOST_BATCHES = 50
Kept = list[tuple[Tensor, Tensor]]
"""Tensors, each with what it held."""


class Recount:
    """Lets batches go through a network at other weights than those of its last step.

    They are the last ones up to that step, 50 or an epoch of them, computed in as many parts as it
    was, and what the network draws is seeded; so the same comes out whenever that is done. Norms
    that remember nothing of the run, such as those of frozen layers, stay as they are. So do all of
    a run that another optimizer steps.

    Args:
        stepper: Of a run that is about to begin, or to go on.
        feed: The run's batches.
        seeds: Of what the network draws.
        tell: Called after each batch.
    """

    def __init__(
        self, stepper: Stepper, feed: Feed, seeds: StepSeeds, tell: Callable[[], None]
    ) -> None:
        self.stepper, self.feed, self.seeds, self.tell = stepper, feed, seeds, tell
        self.begun = {norm: _seen(norm) for norm in _norms(stepper)}
        self.known_at, self.known = -1, Kept()

    @contextmanager
    def applied(self, step: int) -> Iterator[None]:
        """Remember batches at the weights as they are for a while.

        Args:
            step: How many steps were taken.

        Yields:
            Nothing.
        """
        before = _copies(self.stepper.network.buffers()) if self.begun else []
        self.keep(step)
        try:
            yield
        finally:
            _put_back(before)

    def keep(self, step: int) -> None:
        """Remember batches at the weights as they are; what is known of a step is not done again.

        Args:
            step: How many steps were taken.
        """
        if step != self.known_at:
            norms = [norm for norm, begun in self.begun.items() if _seen(norm) != begun]
            self.known_at, self.known = step, self._counted(norms, step) if norms else []
        _put_back(self.known)

    def _counted(self, norms: Collection[_BatchNorm], step: int) -> Kept:
        """Return what these norms remember then, and leave all buffers as they were."""
        network = self.stepper.network
        before = _copies(network.buffers())
        network.train()
        for norm in self.begun.keys() - norms:
            norm.eval()
        with _cumulative(norms):
            self._pass(step)
        counted = _copies(buffer for norm in norms for buffer in norm.buffers(recurse=False))
        _put_back(before)
        return counted

    def _pass(self, step: int) -> None:
        recipe, device = self.stepper.recipe, self.stepper.device
        parts = parts_at(step - 1, recipe.accumulation, self.stepper.cuts)
        feed, count = self.feed.beside(parts), min(MOST_BATCHES, self.feed.steps_per_epoch)
        first = max(0, step - count)
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            for each in range(first, first + count):
                seed_draws(self.seeds.at(each), device)
                for inputs in feed.batch(each).inputs.chunk(parts):
                    with autocast(device, recipe.arithmetic):
                        self.stepper.network(inputs)
                self.tell()


def _norms(stepper: Stepper) -> list[_BatchNorm]:
    """Return the batch norms that remember batches, of a run that is kept at an average point."""
    if not isinstance(stepper.average, AveragedPoint):
        return []
    norms = [module for module in stepper.network.modules() if isinstance(module, _BatchNorm)]
    return [norm for norm in norms if norm.num_batches_tracked is not None]


def _seen(norm: _BatchNorm) -> int:
    """Return how many batches a norm has remembered."""
    return 0 if norm.num_batches_tracked is None else int(norm.num_batches_tracked)


@contextmanager
def _cumulative(norms: Collection[_BatchNorm]) -> Iterator[None]:
    """Let norms forget what they know, and then remember the mean of what they see."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _copies(tensors: Iterable[Tensor]) -> Kept:
    return [(tensor, tensor.clone()) for tensor in tensors]


def _put_back(kept: Kept) -> None:
    for tensor, held in kept:
        tensor.copy_(held)
