"""The processes that train one network together; a process on its own is a team of one."""

from torch import nn


class Team:
    """A team of one; `training.distributed` has larger ones, with the same methods."""

    rank = 0
    size = 1

    def part(self, count: int) -> slice:
        """Say which items of a batch are this process's.

        Args:
            count: The size of the whole batch; a multiple of the team's size.

        Returns:
            A range of places.
        """
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Make a network whose gradients are the team's mean.

        Args:
            network: The network, which holds the weights.

        Returns:
            What to call in training.
        """
        return network

    def agreed(self, number: int) -> int:
        """Decide as the first process does.

        Args:
            number: What this process would decide.

        Returns:
            What the first one says.
        """
        return number


SOLO = Team()
