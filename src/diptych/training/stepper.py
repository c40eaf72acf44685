"""One step of training: outputs, loss, gradients, and what the optimizer makes of them.

Shapes: b items of a batch, K outputs.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from diptych.core.errors import TrainingError
from diptych.training.checkpoint import Checkpoint, flatten, unflatten
from diptych.training.compute import autocast, device_of
from diptych.training.feed import Batch
from diptych.training.objectives import Objective
from diptych.training.optimizers import average_of, optimizer_of, set_rate
from diptych.training.recipe import TrainingRecipe
from diptych.training.team import SOLO, Team


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
        forward = team.wrapped(network)
        self.forward: Callable[[Tensor], Tensor] = (
            torch.compile(forward, dynamic=False) if recipe.compiled else forward
        )
        self.optimizer = optimizer_of(network, recipe)
        self.average = average_of(network, self.optimizer, recipe)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.arithmetic == "fp16")
        self.parts = recipe.accumulation

    def take(self, batch: Batch, rate: float, momentum: float) -> Tensor:
        """Take one step; where the memory does not hold it, in more parts.

        Args:
            batch: What is learned.
            rate: The learning rate.
            momentum: The optimizer's, where it has one.

        Returns:
            The mean loss of the batch, a scalar where the network is.

        Raises:
            TrainingError: If the memory does not hold a single item.
        """
        while True:
            try:
                return self._take(batch, rate, momentum)
            except torch.cuda.OutOfMemoryError as error:
                if self.parts >= len(batch.chosen):
                    raise TrainingError(
                        f"{self.device} has no memory for a single item of this network",
                        "use a smaller network",
                    ) from error
            self.parts = min(2 * self.parts, len(batch.chosen))
            self.say(f"out of memory: each batch is computed in {self.parts} parts now")
            torch.cuda.empty_cache()

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

    def _take(self, batch: Batch, rate: float, momentum: float) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        count = len(batch.chosen)
        total = torch.zeros((), device=self.device)
        for places in torch.arange(count, device=batch.chosen.device).chunk(self.parts):
            part = batch if len(places) == count else _part(batch, places)
            loss = self._loss(part) * (len(places) / count)
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        set_rate(self.optimizer, rate, momentum)
        if self.recipe.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update()
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


def _part(batch: Batch, places: Tensor) -> Batch:
    return Batch(
        inputs=batch.inputs[places],
        chosen=batch.chosen[places],
        partners=None if batch.partners is None else batch.partners[places],
        share=batch.share,
    )
