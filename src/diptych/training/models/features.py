"""Networks that show their last features: what a student may learn beside a teacher's outputs.

Shapes: N batch, C channels, K outputs.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from diptych.training.models.rescaled import Rescaled


@runtime_checkable
class Featured(Protocol):
    """A network whose outputs are made of its last features, as it is trained."""

    def last_features(self, inputs: Tensor) -> Tensor:
        """Map raw inputs (N, ...) to features (N, C, ...), of places or of whole items."""
        ...

    def outputs_of(self, features: Tensor) -> Tensor:
        """Map features to outputs (N, K)."""
        ...


def features_of(network: nn.Module) -> Featured | None:
    """Find the part of a network that shows its features.

    Args:
        network: Any network.

    Returns:
        The network, or that within one of values in their own unit; None where there is none.
    """
    inner = network.network if isinstance(network, Rescaled) else network
    return inner if isinstance(inner, Featured) else None


def look(network: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Compute outputs and show the last features.

    Args:
        network: One that shows them.
        inputs: Raw inputs (N, ...).

    Returns:
        Outputs as the network gives them, and features (N, C, ...).

    Raises:
        TypeError: If it does not show them.
    """
    featured = features_of(network)
    if featured is None:
        raise TypeError(f"a {type(network).__name__} does not show its features")
    features = featured.last_features(inputs)
    outputs = featured.outputs_of(features)
    return (network.rescaled(outputs) if isinstance(network, Rescaled) else outputs), features
