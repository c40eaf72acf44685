"""Networks; each takes raw inputs and gives outputs, so that nothing is prepared twice."""

from typing import Any

from diptych.training.models.conformer import Conformer, ConformerConfig
from diptych.training.models.dscnn import DepthwiseNet, DepthwiseNetConfig
from diptych.training.models.own import OwnConfig
from diptych.training.models.resnet import ResidualNet, ResidualNetConfig

__all__ = [
    "NETWORKS",
    "ConformerConfig",
    "DepthwiseNetConfig",
    "NetworkConfig",
    "OwnConfig",
    "ResidualNet",
    "ResidualNetConfig",
]

NetworkConfig = ResidualNetConfig | DepthwiseNetConfig | ConformerConfig | OwnConfig
NETWORKS: dict[type, Any] = {
    ResidualNetConfig: ResidualNet,
    DepthwiseNetConfig: DepthwiseNet,
    ConformerConfig: Conformer,
}
"""The class of each config, made from the config, an input's spec and the number of outputs.

The networks of a user's own task are built by the task.
"""
