"""One answer of a model, whatever it was asked for."""

from msgspec import Struct, field


class Prediction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer for one input; what the goal does not have is left out of its JSON.

    A class: `label`, its probability `score`, and all of them in `scores`. Several labels:
    `labels` are those with a probability of 0.5 or more, `scores` has all. A number: `value`.
    """

    input: str
    label: str = ""
    score: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None
    value: float | None = None
