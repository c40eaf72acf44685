"""Networks; each takes raw inputs and gives outputs, so that nothing is prepared twice."""

from typing import Any

from diptych.training.models.resnet import ResidualNet, ResidualNetConfig

__all__ = ["NETWORKS", "NetworkConfig", "ResidualNet", "ResidualNetConfig"]

NetworkConfig = ResidualNetConfig
NETWORKS: dict[type, Any] = {ResidualNetConfig: ResidualNet}
"""The class of each config, made from the config, an input's spec and the number of outputs."""
