"""The processes that train one network together; a process on its own is a team of one."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from diptych.core.errors import ConfigError
from diptych.training.memory import Cut


class Team:
    """A team of one; `training.process_team` has larger ones, with the same methods."""

    rank = 0
    size = 1
    local_size = 1
    is_sharded = False
    cuts: tuple[Cut, ...] = ()

    def check(self, batch_size: int, parts: int) -> None:
        """Check that each process gets as much of a batch as the others.

        Args:
            batch_size: The size of the whole batch.
            parts: In how many it is computed, one after the other.

        Raises:
            ConfigError: If it cannot be shared evenly.
        """
        each = self.size * parts
        if self.size > 1 and batch_size % each:
            shared = f"{self.size} processes"
            shared += f" with accumulation = {parts}" if parts > 1 else ""
            lower = batch_size // each * each
            hint = f"choose batch_size = {lower}, or " if lower else "choose batch_size = "
            hint += f"{lower + each} if there are as many training items"
            hint += "" if lower else ", or fewer processes"
            share, uneven = divmod(batch_size, self.size)
            if parts > 1 and not uneven:
                able = [part for part in range(1, share + 1) if share % part == 0]
                nearest = min(able, key=lambda part: (abs(part - parts), -part))
                hint += f", or accumulation = {nearest}"
            raise ConfigError(
                f"a batch of {batch_size:,} items cannot be shared evenly by {shared}", hint
            )

    def part(self, count: int, parts: int = 1) -> slice | Tensor:
        """Say which items of a batch are this process's.

        Args:
            count: The size of the whole batch, which can be shared evenly.
            parts: The batch is computed in so many; of each, every process has its share.

        Returns:
            A range of places, or int64 places.
        """
        each = count // self.size
        if self.size == 1 or parts == 1:
            return slice(self.rank * each, (self.rank + 1) * each)
        return torch.arange(count).view(parts, self.size, -1)[:, self.rank].flatten()

    def threads(self, threads: int) -> int:
        """Say with how many threads this process computes.

        Args:
            threads: Those of the whole run on this machine.

        Returns:
            At least 1.
        """
        return max(1, threads // self.local_size)

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Make a network whose gradients are the team's mean.

        Args:
            network: The network, which holds the weights.

        Returns:
            What to call in training.
        """
        return network

    def restored(self, network: nn.Module) -> nn.Module:
        """Make a network one that computes on its own.

        Args:
            network: What `wrapped` was given.

        Returns:
            It, or one with its weights.
        """
        return network

    def share_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give the gradients of all processes their mean, where backward passes have not done so.

        Args:
            parameters: The same in each process. One that has no gradient here, and one elsewhere,
                counts as zeros.
        """

    def apart(self) -> AbstractContextManager[None]:
        """Let gradients add up in each process for a while.

        Returns:
            A context; the first gradients after it are shared together with those in it.
        """
        return nullcontext()

    def agreed(self, number: int) -> int:
        """Decide as the first process does.

        Args:
            number: What this process would decide.

        Returns:
            What the first one says.
        """
        return number

    def summed(self, numbers: Sequence[float]) -> list[float]:
        """Add up numbers over the team.

        Args:
            numbers: As many in each process.

        Returns:
            The sums, the same in each process.
        """
        return list(numbers)

    def gathered(self, own: Tensor) -> Tensor:
        """Put the tensors of all processes side by side.

        Args:
            own: (K,), the same K for all.

        Returns:
            (R, K), of R processes in order.
        """
        return own[None]

    def shared(self, data: bytes) -> bytes:
        """Give all processes what the first one has.

        Args:
            data: Any bytes; those of other processes do not count.

        Returns:
            The first one's.
        """
        return data


SOLO = Team()
