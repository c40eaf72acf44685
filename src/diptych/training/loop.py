"""The training loop: steps over varied batches until the plan, the time or a person ends it.

Shapes: N items, B batch, K outputs.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from diptych.core.errors import TrainingError
from diptych.core.progress import Reporter, Step, StopRequest, silent
from diptych.core.seeds import derive
from diptych.core.values import CurvePoint, Dataset
from diptych.tasks.goals import kind_of
from diptych.training.objectives import Objective
from diptych.training.optimizer import WeightAverage, optimizer_of
from diptych.training.recipe import Replan, TrainingRecipe
from diptych.training.schedule import Progress, rate_factor
from diptych.training.variation import batches_of

CHECK_EVERY_STEPS = 20
CHECK_EVERY_S = 2.0
LOOKS = 25
SLACK = 0.03
EVALUATION_BATCH = 500

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class RunControl:
    """What may end a run early, and who is told how it goes; times are in seconds of `clock`."""

    name: str = "training"
    seed: int = 0
    deadline: float | None = None
    clock: Callable[[], float] = time.monotonic
    report: Reporter = silent
    stop: StopRequest = field(default_factory=StopRequest)


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """A trained network, the recipe as it was really run, and what the run used."""

    network: nn.Module
    recipe: TrainingRecipe
    curve: tuple[CurvePoint, ...]
    samples: int
    seconds: float
    cpu_seconds: float


def train_network(
    network: nn.Module,
    dataset: Dataset,
    recipe: TrainingRecipe,
    objective: Objective,
    control: RunControl,
) -> TrainedNetwork:
    """Train a network on the training split; its weights are changed in place.

    Args:
        network: Takes raw inputs (B, ...) and gives outputs (B, K), or (B, M, K) of M members of an
            ensemble while it is trained.
        dataset: Its `train` split is learned, its `validation` split scored after each epoch.
        recipe: The settings; recorded `replans` are followed, as long as there is no deadline.
        objective: The loss.
        control: Name, seed, deadline, progress and stop request.

    Returns:
        The network in evaluation mode with its record.

    Raises:
        TrainingError: If the loss is not finite.
    """
    started, cpu_started = control.clock(), time.process_time()
    with compute_threads(recipe.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(control.seed, control.name, "network"))
        run = _Run(network, dataset, recipe, objective, control)
        points = tuple(run.epochs())
        run.average.keep()
    network.eval()
    return TrainedNetwork(
        network=network,
        recipe=replace(recipe, replans=tuple(run.replans)),
        curve=points,
        samples=run.progress.step * run.batch_size,
        seconds=control.clock() - started,
        cpu_seconds=time.process_time() - cpu_started,
    )


def initialize(build: Callable[[], Network], seed: int, *names: str) -> Network:
    """Build a network with weights that depend on the seed alone.

    Args:
        build: Makes the network.
        seed: The root seed.
        names: The name of the stream of randomness.

    Returns:
        The network; torch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, *names, "weights"))
        return build()


def compute_outputs(network: nn.Module, inputs: np.ndarray, recipe: TrainingRecipe) -> np.ndarray:
    """Compute outputs in float32, whatever the run's own precision.

    Args:
        network: A network; used in evaluation mode.
        inputs: Raw inputs (N, ...).
        recipe: Gives the number of threads.

    Returns:
        float32 (N, K).
    """
    network.eval()
    batches = range(0, len(inputs), EVALUATION_BATCH)
    with compute_threads(recipe.threads), torch.inference_mode():
        parts = [
            network(torch.from_numpy(inputs[i : i + EVALUATION_BATCH])).float().numpy()
            for i in batches
        ]
    return np.concatenate(parts)


@contextmanager
def compute_threads(threads: int) -> Iterator[None]:
    """Compute with a fixed number of threads and denormals flushed, then restore both.

    Args:
        threads: At least 1.

    Yields:
        Nothing.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


class _Run:
    """The state of one run; `epochs` drives it."""

    def __init__(
        self,
        network: nn.Module,
        dataset: Dataset,
        recipe: TrainingRecipe,
        objective: Objective,
        control: RunControl,
    ) -> None:
        self.network, self.recipe, self.objective, self.control = (
            network,
            recipe,
            objective,
            control,
        )
        self.generator = torch.Generator().manual_seed(
            derive(control.seed, control.name, "batches")
        )
        inputs = torch.from_numpy(dataset.train.inputs)
        self.batches = batches_of(inputs, recipe.variation, self.generator)
        self.dataset, self.num_items = dataset, len(inputs)
        self.batch_size = min(recipe.batch_size, len(inputs))
        self.steps_per_epoch = len(inputs) // self.batch_size
        self.progress = Progress(max(1, round(recipe.epochs * self.steps_per_epoch)))
        self.replans: list[Replan] = []
        self.started = control.clock()
        self.planned_steps = self.progress.remaining
        self.looks: deque[tuple[float, int]] = deque(maxlen=LOOKS)
        self.optimizer = optimizer_of(network, recipe)
        self.average = WeightAverage(network, recipe.averaging)

    def epochs(self) -> Iterator[CurvePoint]:
        epoch = 0
        while self.progress.remaining:
            self.network.train()
            losses = [self._step(chosen, epoch) for chosen in self._shuffled(epoch)]
            epoch += 1
            if losses:
                yield self._point(epoch, torch.stack(losses).mean().item())

    def _shuffled(self, epoch: int) -> Iterator[Tensor]:
        order = torch.randperm(self.num_items, generator=self.generator)
        for start in range(0, self.steps_per_epoch * self.batch_size, self.batch_size):
            self._follow_plan()
            if not self.progress.remaining:
                return
            yield order[start : start + self.batch_size]

    def _step(self, chosen: Tensor, epoch: int) -> Tensor:
        factor = rate_factor(self.progress.share, self.recipe.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * factor
        inputs = self.batches.draw(chosen, epoch)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bf16):
            outputs = self.network(inputs)
        loss = self.objective(inputs, outputs.float(), chosen)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.average.update()
        self.progress.advance()
        return loss.detach()

    def _follow_plan(self) -> None:
        step = self.progress.step
        if self.control.stop and step:
            self._replan(0)
        elif self.control.deadline is None:
            self._replay(step)
        elif step:
            self._keep_deadline(self.control.deadline)
        if step % CHECK_EVERY_STEPS == 0 and self.progress.remaining:
            self._report()

    def _replay(self, step: int) -> None:
        for plan in self.recipe.replans:
            if plan.step == step:
                self._replan(plan.remaining)

    def _keep_deadline(self, deadline: float) -> None:
        now, step = self.control.clock(), self.progress.step
        seen, step_seen = self.looks[-1] if self.looks else (-math.inf, 0)
        if step - step_seen < CHECK_EVERY_STEPS and now - seen < CHECK_EVERY_S:
            return
        self.looks.append((now, step))
        then, step_then = self.looks[0]
        if now <= then:
            return
        affordable = max(0, int((deadline - now) * (step - step_then) / (now - then)))
        wanted = min(affordable, self.planned_steps - step)
        if abs(wanted - self.progress.remaining) > SLACK * self.progress.remaining:
            self._replan(wanted)

    def _replan(self, remaining: int) -> None:
        self.replans.append(Replan(step=self.progress.step, remaining=remaining))
        self.progress.replan(remaining)

    def _report(self) -> None:
        elapsed = self.control.clock() - self.started
        rate = self.progress.step * self.batch_size / elapsed if elapsed else 0.0
        total = self.progress.step + self.progress.remaining
        note = f"{rate:.0f} samples/s"
        self.control.report(
            Step(stage=self.control.name, done=self.progress.step, total=total, note=note)
        )

    def _point(self, epoch: int, loss: float) -> CurvePoint:
        if not np.isfinite(loss):
            raise TrainingError(
                f"{self.control.name} diverged: the loss of epoch {epoch} is {loss}",
                "try a lower learning_rate in the recipe",
            )
        with self.average.applied():
            score = _score(self.network, self.dataset, self.recipe)
        self._report()
        seconds = self.control.clock() - self.started
        return CurvePoint(
            model=self.control.name, epoch=epoch, seconds=seconds, loss=loss, score=score
        )


def _score(network: nn.Module, dataset: Dataset, recipe: TrainingRecipe) -> float | None:
    split = dataset.validation
    if not len(split):
        return None
    outputs = compute_outputs(network, split.inputs, recipe)
    return float(kind_of(dataset).item_scores(outputs, split.targets).mean())
