"""Layers that wait: while the head of a network is new, the rest stays as it was learned elsewhere.

A frozen layer has no gradients, and its batch norm uses the statistics that it came with; so the
first steps of a new head, which are large and at random, do not spoil what comes before it.

Source: A. Kumar et al., "Fine-tuning can distort pretrained features and underperform
out-of-distribution", 2022: the head first, then all. Changed: both in one run and one schedule.
"""

from collections.abc import Collection

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from diptych.training.models.rescaled import Rescaled
from diptych.training.optimizers.groups import HEADS


class Freezing:
    """Freezes all but the head of a network for the first share of a run.

    Args:
        network: All that it trains is trained after that share.
        share: Of the run, by its progress; 0 freezes nothing.
        fresh: Names of parameters that were learned nowhere yet: they are never frozen.
    """

    def __init__(self, network: nn.Module, share: float, fresh: Collection[str] = ()) -> None:
        self.share, self.frozen = share, False
        kept = head_of(network) | set(fresh)
        self.parameters = [
            parameter
            for name, parameter in network.named_parameters()
            if parameter.requires_grad and name not in kept
        ]
        self.norms = [
            module
            for name, module in network.named_modules()
            if isinstance(module, _BatchNorm) and f"{name}.weight" not in kept
        ]

    def at(self, progress: float) -> bool:
        """Freeze or unfreeze as it is due; to be called before each step.

        Args:
            progress: The share of the run that is done.

        Returns:
            Whether that changed anything.
        """
        frozen = progress < self.share
        changed = frozen != self.frozen
        if changed:
            self.frozen = frozen
            for parameter in self.parameters:
                parameter.requires_grad_(not frozen)
        if frozen or changed:
            for norm in self.norms:
                norm.train(not frozen)
        return changed


def head_of(network: nn.Module) -> frozenset[str]:
    """Find the tensors that tell features apart: they belong to the labels.

    Args:
        network: Any network.

    Returns:
        The names of the tensors of layers called a head, else those of the last layer; and those of
        the scale of values.
    """
    names = list(network.state_dict())
    found = {name for name in names if not HEADS.isdisjoint(name.split("."))}
    found |= {name for name in names if name.endswith("bias") and _beside(name, "heads") in found}
    if not found:
        trained = [name for name, _ in network.named_parameters()][-1:]
        owners = {name.rpartition(".")[0] for name in trained}
        found = {name for name in names if name.rpartition(".")[0] in owners}
    scale = {"mean", "deviation"} if isinstance(network, Rescaled) else set()
    return frozenset(found | scale)


def _beside(name: str, other: str) -> str:
    """Return the name of another tensor of the same module."""
    return f"{name.rpartition('.')[0]}.{other}".removeprefix(".")
