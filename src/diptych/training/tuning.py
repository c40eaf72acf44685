"""How this machine computes a network fastest: tried out on a copy, with compiling counted.

What is chosen changes how numbers are rounded, so the weights depend on it: it is written into the
recipe, and a run from that recipe tries nothing.
"""

import copy
import time
from collections.abc import Callable
from itertools import count

import torch
from msgspec.structs import replace
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from diptych.core.errors import TrainingError
from diptych.core.manifest import Machine
from diptych.measure.machine import describe, lacks_bf16
from diptych.training.feed import Feed
from diptych.training.objectives import Objective
from diptych.training.recipe import TrainingRecipe
from diptych.training.stepper import Stepper
from diptych.training.team import Team
from diptych.training.variation import TextVariation

ROUNDS, STEPS, WARM = 4, 3, 2
LEAST_GAIN = 0.05
LEAST_COMPILING_S = 10.0
RATE, MOMENTUM = 1e-4, 0.9


class Tuning:
    """Tries ways of computing the same steps.

    Args:
        network: About to be trained; it stays as it is.
        objective: The loss.
        feed: The run's batches.
        clock: Gives seconds.
        machine: This one; a processor without bfloat16 would emulate it, far slower.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        feed: Feed,
        clock: Callable[[], float] = time.perf_counter,
        machine: Machine | None = None,
    ) -> None:
        self.network, self.objective, self.feed, self.clock = network, objective, feed, clock
        self.machine = machine or describe()

    def tuned(self, recipe: TrainingRecipe, steps: int) -> TrainingRecipe:
        """Choose arithmetic, layout, threads and compiling, one after the other.

        Args:
            recipe: With a learning rate.
            steps: How many the run will take.

        Returns:
            The recipe with what was fastest here over the whole run.
        """
        before, threads = torch.get_rng_state(), torch.get_num_threads()
        best = self._faster(recipe, [replace(recipe, arithmetic=a) for a in self._arithmetics()])
        if any(p.dim() == 4 for p in self.network.parameters()):
            best = self._faster(best, [replace(best, channels_last=on) for on in (True, False)])
        best = self._faster(best, [replace(best, threads=n) for n in halves(best.threads)])
        best = self._compiled(best, steps)
        torch.set_num_threads(threads)
        torch.set_rng_state(before)
        return best

    def _arithmetics(self) -> tuple[str, ...]:
        if self.feed.device.type == "cuda":
            return ("fp32", "bf16", "fp16")
        return ("fp32",) if lacks_bf16(self.machine) else ("fp32", "bf16")

    def _faster(self, recipe: TrainingRecipe, others: list[TrainingRecipe]) -> TrainingRecipe:
        """Return the recipe, or another one that is faster by more than noise."""
        ways = [recipe, *(other for other in others if other != recipe)]
        if len(ways) == 1:
            return recipe
        times = self._timed([self._stepper(way) for way in ways])
        best = min(range(len(ways)), key=times.__getitem__)
        return ways[best] if times[best] < (1 - LEAST_GAIN) * times[0] else recipe

    def _compiled(self, recipe: TrainingRecipe, steps: int) -> TrainingRecipe:
        """Return the recipe, compiled where that saves more time than it takes."""
        if why_not_compiled(self.network, recipe, self.feed.team):
            return recipe
        plain = self._stepper(recipe)
        if self._timed([plain])[0] * steps < LEAST_COMPILING_S:
            return recipe
        started = self.clock()
        try:
            compiled = self._stepper(replace(recipe, compiled=True))
            self._seconds(compiled, WARM)
        except TrainingError:  # no compiler, or a network that it does not take
            return recipe
        compile_s = self.clock() - started
        before_s, after_s = self._timed([plain, compiled])
        pays = (before_s - after_s) * steps > compile_s + LEAST_GAIN * before_s * steps
        return replace(recipe, compiled=True) if pays else recipe

    def _stepper(self, recipe: TrainingRecipe) -> Stepper:
        network = copy.deepcopy(self.network).train()
        return Stepper(network, recipe, self.objective, self.feed.team)

    def _timed(self, steppers: list[Stepper]) -> list[float]:
        """Return the seconds of a step of each, in turn, the best of some rounds."""
        for stepper in steppers:
            self._seconds(stepper, WARM)
        rounds = [[self._seconds(stepper, STEPS) for stepper in steppers] for _ in range(ROUNDS)]
        return [min(column) / STEPS for column in zip(*rounds, strict=True)]

    def _seconds(self, stepper: Stepper, steps: int) -> float:
        torch.set_num_threads(stepper.recipe.threads)
        numbers = count()
        batches = [self.feed.batch(next(numbers)) for _ in range(steps)]
        started = self.clock()
        for batch in batches:
            stepper.take(batch, RATE, MOMENTUM).item()
        return self.clock() - started


def why_not_compiled(network: nn.Module, recipe: TrainingRecipe, team: Team) -> str:
    """Say why compiling cannot pay, where that is known beforehand.

    Args:
        network: About to be trained.
        recipe: How.
        team: With whom.

    Returns:
        The reason; empty where it may pay.
    """
    if isinstance(recipe.variation, TextVariation):
        return "batches of texts differ in length, and each length would be compiled anew"
    if team.size > 1 and any(isinstance(module, _BatchNorm) for module in network.modules()):
        return "processes put the statistics of batch norms together within the network"
    return ""


def compilable(
    network: nn.Module, recipe: TrainingRecipe, team: Team, say: Callable[[str], None]
) -> TrainingRecipe:
    """Leave compiling out where it cannot pay.

    Args:
        network: About to be trained.
        recipe: As given.
        team: With whom.
        say: Told why, in words.

    Returns:
        The recipe to follow.
    """
    why = why_not_compiled(network, recipe, team) if recipe.compiled else ""
    if not why:
        return recipe
    say(f"not compiled, against the recipe: {why}")
    return replace(recipe, compiled=False)


def halves(threads: int) -> list[int]:
    """List fewer threads to try: networks of small items gain nothing from many.

    Args:
        threads: Those of the recipe.

    Returns:
        Half of them, half of that, down to one.
    """
    return [threads >> shift for shift in range(1, threads.bit_length())]
