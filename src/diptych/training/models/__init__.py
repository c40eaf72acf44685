"""Networks; each takes raw inputs and gives outputs, so that nothing is prepared twice."""

from typing import Any

from diptych.training.models.conformer import Conformer, ConformerConfig
from diptych.training.models.dscnn import DepthwiseNet, DepthwiseNetConfig
from diptych.training.models.own import OwnConfig
from diptych.training.models.resnet import ResidualNet, ResidualNetConfig
from diptych.training.models.tabular import Tabular, TabularConfig

__all__ = [
    "NETWORKS",
    "ConformerConfig",
    "DepthwiseNetConfig",
    "NetworkConfig",
    "OwnConfig",
    "ResidualNet",
    "ResidualNetConfig",
    "TabularConfig",
]

NetworkConfig = ResidualNetConfig | DepthwiseNetConfig | ConformerConfig | TabularConfig | OwnConfig
NETWORKS: dict[type, Any] = {
    ResidualNetConfig: ResidualNet,
    DepthwiseNetConfig: DepthwiseNet,
    ConformerConfig: Conformer,
    TabularConfig: Tabular,
}
"""The class of each config, made from the config, an input's spec and the number of outputs.

The networks of a user's own task are built by the task.
"""
