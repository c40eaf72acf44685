"""A team whose processes each hold a share of the weights, for networks larger than one device.

Weights, their gradients and what the optimizer keeps of them are spread over the team; a layer's
weights come together for the time in which it computes. Results are those of one process.

Source: torch's fully_shard (FSDP2).
"""

import copy
import gc
from collections.abc import Iterable
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from diptych.training.draws import share_draws
from diptych.training.global_norm import globalize
from diptych.training.meeting import Meeting
from diptych.training.process_team import ProcessTeam

TOGETHER = 1 << 20
"""Weights that come together at once, at least: fewer are not worth a round of messages."""
HOLDERS = (nn.ModuleList, nn.ModuleDict)


class ShardedTeam(ProcessTeam):
    """The processes that have met, each with its share of the weights.

    Args:
        meeting: Who this process is.
        device: Where it computes.
    """

    is_sharded = True

    def __init__(self, meeting: Meeting, device: torch.device) -> None:
        super().__init__(meeting, device)
        self.mesh = init_device_mesh(device.type, (meeting.size,))
        self._plain: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Spread a network's weights over the team, in place.

        Args:
            network: The same in each process, on the processor: only one layer at a time is whole
                on the device. One that was wrapped before stays as it is.

        Returns:
            It.
        """
        if network in self._plain:
            return network
        self._plain[network] = _without_weights(network)
        for weight in network.parameters():  # of channels-last, fully_shard cannot take a share
            weight.data = weight.data.contiguous()
        globalize(network, self.gathered)
        share_draws(network, self.rank, self.size)
        for block in (*_blocks(network), network):
            # An average may take the place of weights after any forward pass: none stay together.
            fully_shard(block, mesh=self.mesh, reshard_after_forward=True)
        return network

    def share_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Do nothing: the backward pass gives each process the mean of its share.

        Args:
            parameters: Not looked at.
        """

    def restored(self, network: nn.Module) -> nn.Module:
        """Bring a network's weights together, in every process, out of a GPU's memory.

        Args:
            network: What `wrapped` was given.

        Returns:
            A network that computes on its own.
        """
        plain = self._plain.pop(network)
        state = {
            name: (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu()
            for name, tensor in network.state_dict().items()
        }
        plain.load_state_dict(state, assign=True)
        return plain

    def close(self) -> None:
        """Let go of what is shared with the others, and of the group that the mesh keeps alive.

        torch's caches keep every mesh for good. The threads of a group that outlives its team may
        still hold a tensor when the interpreter ends, and abort the process by letting go of it.
        """
        super().close()
        self.mesh._pg_registry.clear()
        gc.collect()  # networks that were spread hold it too, in cycles


def _without_weights(network: nn.Module) -> nn.Module:
    """Copy all of a network but its weights."""
    weights = {
        id(weight): nn.Parameter(weight.to("meta"), requires_grad=weight.requires_grad)
        for weight in network.parameters()
    }
    return copy.deepcopy(network, dict(weights))


def _blocks(network: nn.Module) -> list[nn.Module]:
    """Find the layers to bring together one after the other: items of lists, and large enough."""
    lists = (nn.Sequential, nn.ModuleList)
    found = [
        child
        for parent in network.modules()
        if isinstance(parent, lists)
        for child in parent.children()
        if not isinstance(child, HOLDERS)  # which are no layers
        and sum(weight.numel() for weight in child.parameters()) >= TOGETHER
    ]
    return list(dict.fromkeys(reversed(found)))  # those within others first, for fully_shard
