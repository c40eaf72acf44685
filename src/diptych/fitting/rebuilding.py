"""The network of a finished bundle, built again from its shape and its weights.

Nothing of it is learned or drawn: what is not among the weights is refused.
"""

from collections.abc import Callable
from typing import cast

from torch import nn

from diptych.core.errors import ConfigError
from diptych.core.manifest import Manifest
from diptych.core.specs import OwnSpec
from diptych.tasks.own import Task, find
from diptych.training.models import NETWORKS, NetworkConfig, OwnConfig, PrunedConfig
from diptych.training.models.own import own_network
from diptych.training.models.pruned import cut
from diptych.training.models.rescaled import Rescaled
from diptych.training.start import Start

HINT = "fit or train it again, and export that"


def rebuild(start: Start, task: Task | None = None) -> nn.Module:
    """Build the network that a bundle holds.

    Args:
        start: What was read of the bundle.
        task: The user's own task that it is of; by default it is found among the entry points of
            installed packages.

    Returns:
        The network with its weights, in eval mode, on the CPU.

    Raises:
        ConfigError: If there is no bundle, or its weights are not those of its network.
    """
    config, manifest = start.alone().network(), start.manifest
    if config is None or manifest is None:
        raise ConfigError(f"{start.name} holds no network", "give a bundle")
    network = _maker(config, manifest, task)()
    if manifest.goal == "regression" and not isinstance(manifest.input, OwnSpec):
        network = Rescaled(network, 0.0, 1.0)
    try:
        network.load_state_dict(dict(start.tensors))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ConfigError(f"the weights of {start.name} do not fit: {reason}", HINT) from error
    return network.eval()


def _maker(config: NetworkConfig, manifest: Manifest, task: Task | None) -> Callable[[], nn.Module]:
    spec, outputs = manifest.input, len(manifest.labels)
    if isinstance(config, PrunedConfig):
        whole = _maker(config.network, manifest, task)
        return lambda: cut(whole(), config.widths)
    if not isinstance(config, OwnConfig):
        return lambda: cast(nn.Module, NETWORKS[type(config)](config, spec, outputs))
    own = task or find(manifest.task)
    return lambda: own_network(own, outputs, config.width)
