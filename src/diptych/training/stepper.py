"""One step of training: outputs, loss, gradients, and what the optimizer makes of them.

Shapes: b items of a batch, K outputs.
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from diptych.core.errors import TrainingError
from diptych.training.checkpoint import Checkpoint, flatten, unflatten
from diptych.training.compute import autocast, device_of
from diptych.training.draws import seed_draws
from diptych.training.feed import Batch
from diptych.training.memory import Cut, NoMemoryError, more_parts, parts_at
from diptych.training.objectives import Objective
from diptych.training.optimizers import average_of, optimizer_of, set_rate, shares_by_depth
from diptych.training.recipe import TrainingRecipe
from diptych.training.team import SOLO, Team

COMPILERS = ("torch._dynamo", "torch._inductor")
ONE_VALUE = "Expected more than 1 value per channel when training"
"""How torch's error of a batch norm begins that sees one item, of one place, at once."""


class Statistics:
    """What batch norms remember of batches, so that a step that failed can leave it as it was.

    Args:
        modules: Those among them; their buffers stay where they are.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        norms = [module for module in modules if isinstance(module, _NormBase)]
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for buffer in (each for norm in norms for each in norm.buffers(recurse=False)):
            by_type.setdefault(buffer.dtype, []).append(buffer)
        self.groups = [(own, [torch.empty_like(each) for each in own]) for own in by_type.values()]

    def keep(self) -> None:
        """Remember them, by one operation for each type of numbers."""
        for own, kept in self.groups:
            torch._foreach_copy_(kept, own)

    def put_back(self) -> None:
        """Make them what they were when they were kept."""
        for own, kept in self.groups:
            torch._foreach_copy_(own, kept)


class Stepper:
    """Takes the steps of a run; it holds the network, its optimizer and its average.

    Args:
        network: Where it is to be trained, or from where the team takes it there; its weights are
            changed in place.
        recipe: How.
        objective: The loss.
        team: With whom.
        say: Told in words what was changed to go on.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: TrainingRecipe,
        objective: Objective,
        team: Team = SOLO,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.network, self.recipe, self.objective, self.say = network, recipe, objective, say
        if recipe.channels_last is not None:
            layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
            network.to(memory_format=layout)  # type: ignore[call-overload]  # torch allows it
        self.team = team
        self.forward = self._forward()
        self.device = device_of(network)  # where the team has put it
        shares = shares_by_depth(network, recipe.layer_decay) if recipe.layer_decay < 1 else None
        self.optimizer = optimizer_of(network, recipe, shares, team)
        self.average = average_of(network, self.optimizer, recipe)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.arithmetic == "fp16")
        self.parts, self.cuts = recipe.accumulation, list(recipe.cuts)
        may_fail = self.device.type == "cuda" and team.size == 1
        self.statistics = Statistics(network.modules() if may_fail else ())

    def wrap(self) -> None:
        """Wrap the network for its team anew, after parts of it were frozen or unfrozen."""
        self.forward = self._forward()

    def take(
        self,
        batch: Batch,
        rate: float,
        momentum: float,
        step: int = 0,
        seed: int | None = None,
    ) -> Tensor:
        """Take one step; where the memory does not hold it, in more parts.

        Then it is the step that would have been taken had it been planned in so many parts.

        Args:
            batch: What is learned.
            rate: The learning rate.
            momentum: The optimizer's, where it has one.
            step: Counts from 0.
            seed: Of what the network draws; None to go on with torch's generator.

        Returns:
            The mean loss of the batch, a scalar where the network is.

        Raises:
            NoMemoryError: If the memory of one process of a team does not hold its share.
            TrainingError: If the memory does not hold a single item, torch cannot compile, or a
                batch norm has nothing to compare an item with.
            RuntimeError: If the network cannot compute with the batch.
            ValueError: If the network refuses the batch.
        """
        self.parts = parts_at(step, self.recipe.accumulation, self.cuts)
        self.statistics.keep()
        while True:
            if seed is not None:
                seed_draws(seed, self.device)
            try:
                loss = self._gradients(batch)
                break
            except torch.cuda.OutOfMemoryError as error:
                self._check_divisible(len(batch.chosen), step, error)
            except RuntimeError as error:
                _check_compiled(error)
                raise
            except ValueError as error:
                self._check_compared(error)
                raise
            self._cut(step, len(batch.chosen))  # out here the error is gone, which held tensors
        self._step(rate, momentum)
        return loss

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all that changes from step to step.

        Returns:
            The tensors, named by part; and plain numbers.
        """
        average = self.average.state_dict()
        averages = average.pop("average", {})
        kept, numbers = flatten(self.optimizer.state_dict())
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"optimizer.{k}": v for k, v in kept.items()}
        tensors |= {f"average.{k}": v for k, v in averages.items()}
        return tensors, numbers | {"average": average, "scaler": self.scaler.state_dict()}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put all of it back.

        Args:
            checkpoint: One that fits the network.
        """
        numbers = checkpoint.position.numbers
        self.network.load_state_dict(checkpoint.under("network"))
        kept = checkpoint.under("optimizer")
        self.optimizer.load_state_dict(unflatten(self.optimizer.state_dict(), kept, numbers))
        average = numbers["average"] | {"average": checkpoint.under("average")}
        self.average.load_state_dict(average)
        self.scaler.load_state_dict(numbers["scaler"])

    def _forward(self) -> Callable[[Tensor], Tensor]:
        forward = self.team.wrapped(self.network)
        return torch.compile(forward, dynamic=False) if self.recipe.compiled else forward

    def _cut(self, step: int, count: int) -> None:
        """Compute batches of so many items in more parts from this step on, the step too.

        Gradients stay those of the whole batch, but batch norms see no more than a part of it.
        """
        self.parts = min(2 * self.parts, count)
        self.cuts.append(Cut(step=step, parts=self.parts))
        normed = any(isinstance(module, _BatchNorm) for module in self.network.modules())
        seen = f"; batch norms see {-(-count // self.parts)} items each" if normed else ""
        self.say(f"out of memory: each batch is computed in {self.parts} parts now{seen}")
        torch.cuda.empty_cache()
        self.statistics.put_back()

    def _check_divisible(self, count: int, step: int, error: Exception) -> None:
        """Check that this process can compute a batch of so many items in more parts, alone."""
        if self.parts >= count:
            raise TrainingError(
                f"{self.device} has no memory for a single item of this network",
                "use a smaller network",
            ) from error
        if self.team.size > 1:  # the others wait for what this one did not come to
            parts = more_parts(self.parts, count)
            raise NoMemoryError(
                f"{self.device} has no memory for {count // self.parts} items of this network",
                f"go on with --resume and --accumulation {parts}, or start again with it",
                Cut(step=step, parts=parts),
            ) from error

    def _check_compared(self, error: ValueError) -> None:
        """Check that an error is none of a batch norm that sees one item of one place at once."""
        if str(error).startswith(ONE_VALUE):
            fewer = "choose a larger batch_size, or a smaller accumulation"
            raise TrainingError(
                "a batch norm of this network cannot learn from one item at a time",
                "use a smaller network" if self.parts > self.recipe.accumulation else fewer,
            ) from error

    def _gradients(self, batch: Batch) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        total = self._learn(batch) if self.parts == 1 else self._learn_in_parts(batch)
        self.team.share_gradients(self.network.parameters())
        return total

    def _step(self, rate: float, momentum: float) -> None:
        """Go down the gradients; what was begun cannot be taken again in more parts."""
        set_rate(self.optimizer, rate, momentum)
        if self.recipe.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        try:
            self.scaler.step(self.optimizer)
        except torch.cuda.OutOfMemoryError as error:
            raise TrainingError(
                f"{self.device} has no memory for what {self.recipe.optimizer} keeps",
                'use a smaller network, or optimizer = "sgd", which keeps least',
            ) from error
        self.scaler.update()
        self.average.update()

    def _learn(self, batch: Batch, share: float = 1.0) -> Tensor:
        """Add the gradients of a batch, of which this is such a share; return the loss."""
        loss = self._loss(batch)
        if share != 1:
            loss = loss * share
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _learn_in_parts(self, batch: Batch) -> Tensor:
        count = len(batch.chosen)
        total = torch.zeros((), device=self.device)
        parts = torch.arange(count, device=batch.chosen.device).chunk(self.parts)
        for places in parts:
            with nullcontext() if places is parts[-1] else self.team.apart():
                total += self._learn(_part(batch, places), len(places) / count)
        return total

    def _loss(self, batch: Batch) -> Tensor:
        with autocast(self.device, self.recipe.arithmetic):
            outputs = self.forward(batch.inputs)
        outputs = outputs.float()
        loss = self.objective(batch.inputs, outputs, batch.chosen)
        if batch.partners is None:
            return loss
        other = self.objective(batch.inputs, outputs, batch.partners)
        return batch.share * loss + (1 - batch.share) * other


def _check_compiled(error: RuntimeError) -> None:
    """Check that an error is none of torch's compiler, such as that there is no g++."""
    if type(error).__module__.startswith(COMPILERS):
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise TrainingError(
            f"torch cannot compile this network here: {reason}",
            "install a C++ compiler such as g++, or set compiled = false in the recipe",
        ) from error


def _part(batch: Batch, places: Tensor) -> Batch:
    return Batch(
        inputs=batch.inputs[places],
        chosen=batch.chosen[places],
        partners=None if batch.partners is None else batch.partners[places],
        share=batch.share,
    )
