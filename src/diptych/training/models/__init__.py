"""Networks by name; each takes raw inputs and gives logits, so that nothing is prepared twice."""

from diptych.training.models.resnet import ResidualNet, ResidualNetConfig

NETWORKS: dict[str, type[ResidualNet]] = {"residual": ResidualNet}

__all__ = ["NETWORKS", "ResidualNet", "ResidualNetConfig"]
