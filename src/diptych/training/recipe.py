"""How one network is trained; what was decided while it ran is written back into it."""

from typing import Annotated, Literal

from msgspec import Meta

from diptych.core.specs import Value
from diptych.training.memory import Cut
from diptych.training.variation import Variation

MOST_THREADS = 4096
"""More than any machine has; a system that cannot start so many may end the process."""

Share = Annotated[float, Meta(ge=0.0, lt=1.0)]
Positive = Annotated[float, Meta(gt=0.0, le=1e9)]
AtLeast0 = Annotated[float, Meta(ge=0.0, le=1e9)]
Arithmetic = Literal["fp32", "bf16", "fp16"]
OptimizerName = Literal["sgd", "adamw", "muon", "schedule-free"]
Schedule = Literal["linear", "cosine", "one-cycle", "warmup-decay"]


class Replan(Value):
    """At this step the run was given so many more steps (0: it ended here)."""

    step: Annotated[int, Meta(ge=0)]
    remaining: Annotated[int, Meta(ge=0)]


class TrainingRecipe(Value):
    """The settings of one training run.

    The same recipe, seed, data, versions and `threads` give the same weights.

    How long: `epochs` is the planned number; a run ends earlier once the score of validation is
    `target_score` or has not risen for `patience` epochs (0: never). `replans` are the times the
    plan was changed, to keep a time limit or for these reasons.

    With Muon and `fixed_norms` hidden matrices keep their first norms: they are turned, at the full
    learning rate by four times that rate as a share of the norm, and do not decay.

    Each step: `batch_size` items, computed in `accumulation` parts, in `arithmetic`; `cuts` say
    from which steps on there were more parts, for memory; `compiled` by torch;
    `channels_last` in memory or not, by default as the network was built. `variation` is how items
    are changed on the way; after `views` epochs the same batches come again, changed as they were
    (0: never; an odd number of views of pictures that are mirrored come as mirror images first),
    and a teacher need not answer them again; `mixup` and `cutmix` are how strongly pairs are mixed
    (0: not). `clip` bounds the norm of gradients (0: not); weights are averaged with `averaging` as
    decay per step where it is above 0. Without a `learning_rate` one is looked for, and the recipe
    that is recorded holds it.

    A network that starts from other weights: all but its head, and what it did not find there,
    waits for `freeze_share` of the run; the rate of the first layers is `layer_decay` of that of
    the last, and those between are a geometric series.

    The aim: `balance` weights classes so that each counts as much as the others. A student adds
    `label_share` of the loss on labels to that of imitation, at a `temperature`. Beside a teacher
    that is a network and shows its features, `similarity` times the difference of what is alike for
    it in a batch is added, and `features` times that of a projection of the last features.
    """

    epochs: Positive = 12.0
    batch_size: Annotated[int, Meta(ge=1)] = 128
    accumulation: Annotated[int, Meta(ge=1)] = 1
    optimizer: OptimizerName = "sgd"
    schedule: Schedule = "linear"
    learning_rate: Positive | None = 0.15
    momentum: Share = 0.9
    weight_decay: AtLeast0 = 5e-4
    fixed_norms: bool = False
    warmup_share: Share = 0.2
    label_smoothing: Share = 0.1
    clip: AtLeast0 = 0.0
    averaging: Share = 0.0
    freeze_share: Share = 0.0
    layer_decay: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    balance: bool = False
    label_share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    variation: Variation | None = None
    views: Annotated[int, Meta(ge=0)] = 0
    mixup: AtLeast0 = 0.0
    cutmix: AtLeast0 = 0.0
    arithmetic: Arithmetic = "fp32"
    compiled: bool = False
    channels_last: bool | None = None
    threads: Annotated[int, Meta(ge=1, le=MOST_THREADS)] = 1
    temperature: Positive = 2.0
    similarity: AtLeast0 = 0.0
    features: AtLeast0 = 0.0
    target_score: Annotated[float, Meta(le=1)] | None = None
    patience: Annotated[int, Meta(ge=0)] = 0
    replans: tuple[Replan, ...] = ()
    cuts: tuple[Cut, ...] = ()
