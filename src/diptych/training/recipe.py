"""How one network is trained; what was decided while it ran is written back into it."""

from typing import Annotated

from msgspec import Meta

from diptych.core.specs import Value

Share = Annotated[float, Meta(ge=0.0, lt=1.0)]
Positive = Annotated[float, Meta(gt=0.0, le=1e9)]


class Replan(Value):
    """At this step the run was given so many more steps (0: it ended here)."""

    step: Annotated[int, Meta(ge=0)]
    remaining: Annotated[int, Meta(ge=0)]


class TrainingRecipe(Value):
    """The settings of one training run.

    `epochs` is the planned number; `replans` are the times the plan was changed to keep a time
    limit. The same recipe, seed, data, versions and `threads` give the same weights. `translate`
    and `cutout` are in pixels; `bf16` computes in bfloat16 where that was measured faster.
    """

    epochs: Positive = 12.0
    batch_size: Annotated[int, Meta(ge=1)] = 128
    learning_rate: Positive = 0.15
    momentum: Share = 0.9
    weight_decay: Annotated[float, Meta(ge=0.0)] = 5e-4
    warmup_share: Share = 0.2
    label_smoothing: Share = 0.1
    translate: Annotated[int, Meta(ge=0)] = 2
    cutout: Annotated[int, Meta(ge=0)] = 7
    flip: bool = False
    bf16: bool = False
    threads: Annotated[int, Meta(ge=1)] = 1
    temperature: Positive = 2.0
    replans: tuple[Replan, ...] = ()
