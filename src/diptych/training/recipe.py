"""How one network is trained; what was decided while it ran is written back into it."""

from typing import Annotated, Literal

from msgspec import Meta

from diptych.core.specs import Value
from diptych.training.variation import Variation

Share = Annotated[float, Meta(ge=0.0, lt=1.0)]
Positive = Annotated[float, Meta(gt=0.0, le=1e9)]


class Replan(Value):
    """At this step the run was given so many more steps (0: it ended here)."""

    step: Annotated[int, Meta(ge=0)]
    remaining: Annotated[int, Meta(ge=0)]


class TrainingRecipe(Value):
    """The settings of one training run.

    `epochs` is the planned number; `replans` are the times the plan was changed to keep a time
    limit. The same recipe, seed, data, versions and `threads` give the same weights. `variation`
    is how items are changed on the way; `bf16` computes in bfloat16 where that was measured
    faster. `balance` weights classes so that each counts as much as the others. A student adds
    `label_share` of the loss on labels to that of imitation. `clip` bounds the norm of gradients,
    0 does not; weights are averaged with `averaging` as decay per step where it is above 0.
    """

    epochs: Positive = 12.0
    batch_size: Annotated[int, Meta(ge=1)] = 128
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Positive = 0.15
    momentum: Share = 0.9
    weight_decay: Annotated[float, Meta(ge=0.0)] = 5e-4
    warmup_share: Share = 0.2
    label_smoothing: Share = 0.1
    clip: Annotated[float, Meta(ge=0.0)] = 0.0
    averaging: Share = 0.0
    balance: bool = False
    label_share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    variation: Variation | None = None
    bf16: bool = False
    threads: Annotated[int, Meta(ge=1)] = 1
    temperature: Positive = 2.0
    replans: tuple[Replan, ...] = ()
