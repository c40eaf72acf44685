"""The optimizer of a run and the running average of weights, under their former name."""

from diptych.training.optimizers import WeightAverage, optimizer_of

__all__ = ["WeightAverage", "optimizer_of"]
