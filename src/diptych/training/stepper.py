"""One step of training: outputs, loss, gradients, and what the optimizer makes of them.

Shapes: b items of a batch, K outputs.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from diptych.core.errors import TrainingError
from diptych.training.checkpoint import Checkpoint, flatten, unflatten
from diptych.training.compute import autocast, device_of
from diptych.training.feed import Batch
from diptych.training.memory import Cut, NoMemoryError, more_parts, parts_at
from diptych.training.objectives import Objective
from diptych.training.optimizers import average_of, optimizer_of, set_rate, shares_by_depth
from diptych.training.recipe import TrainingRecipe
from diptych.training.team import SOLO, Team

COMPILERS = ("torch._dynamo", "torch._inductor")


class Stepper:
    """Takes the steps of a run; it holds the network, its optimizer and its average.

    Args:
        network: Where it is to be trained; its weights are changed in place.
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
        self.device = device_of(network)
        if recipe.channels_last is not None:
            layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
            network.to(memory_format=layout)  # type: ignore[call-overload]  # torch allows it
        self.team = team
        self.forward = self._forward()
        shares = shares_by_depth(network, recipe.layer_decay) if recipe.layer_decay < 1 else None
        self.optimizer = optimizer_of(network, recipe, shares, team)
        self.average = average_of(network, self.optimizer, recipe)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.arithmetic == "fp16")
        self.parts, self.cuts = recipe.accumulation, list(recipe.cuts)

    def wrap(self) -> None:
        """Wrap the network for its team anew, after parts of it were frozen or unfrozen."""
        self.forward = self._forward()

    def take(self, batch: Batch, rate: float, momentum: float, step: int = 0) -> Tensor:
        """Take one step; where the memory does not hold it, in more parts.

        Args:
            batch: What is learned.
            rate: The learning rate.
            momentum: The optimizer's, where it has one.
            step: Counts from 0.

        Returns:
            The mean loss of the batch, a scalar where the network is.

        Raises:
            NoMemoryError: If the memory of one process of a team does not hold its share.
            TrainingError: If the memory does not hold a single item, or torch cannot compile.
            RuntimeError: If the network cannot compute with the batch.
        """
        self.parts = parts_at(step, self.recipe.accumulation, self.cuts)
        while True:
            try:
                loss = self._gradients(batch)
                break
            except torch.cuda.OutOfMemoryError as error:
                self._check_divisible(len(batch.chosen), step, error)
            except RuntimeError as error:
                _check_compiled(error)
                raise
            self.parts = min(2 * self.parts, len(batch.chosen))
            self.cuts.append(Cut(step=step, parts=self.parts))
            self.say(f"out of memory: each batch is computed in {self.parts} parts now")
            torch.cuda.empty_cache()
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
