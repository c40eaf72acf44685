"""What one model lost against another on the same items: the damage that compression did.

The first model is the reference, a teacher as a rule; the second is what came of it. An item is
lost where more of what is told of it is wrong than before (a class: it was right and is not), and
gained where less is.
"""

from typing import Annotated

from msgspec import Meta

from diptych.core.specs import Value
from diptych.core.values import Estimate, Goal

Count = Annotated[int, Meta(ge=0)]
Items = Annotated[int, Meta(ge=1)]
Told = tuple[str, ...] | float
"""Labels, or a number."""


class Flips(Value):
    """How many of `n` items were lost and gained, and for how many the answer differs at all.

    `p_value` is that of the exact sign test, two-sided.
    """

    n: Items
    lost: Count
    gained: Count
    differing: Count
    lost_share: Estimate
    gained_share: Estimate
    p_value: float


class ClassDamage(Value):
    """One class: of its `n` items the reference finds `right`; then `lost` less and `gained` more.

    `low` and `high` bound the loss of recall at 95 %. `p_value` is that it bears no more than its
    share, corrected for the number of classes; where it `pays`, that is told to be so.
    """

    label: str
    n: Items
    right: Count
    lost: Count
    gained: Count
    low: float
    high: float
    p_value: float
    pays: bool

    @property
    def loss(self) -> float:
        """By how much recall fell."""
        return (self.lost - self.gained) / self.n


class Calibration(Value):
    """How honest a model's probabilities are.

    `floor` is the error that a calibrated model would show on as many items, by chance;
    `temperature` what its logits would have to be divided by.
    """

    error: Estimate
    floor: float
    temperature: Estimate


class CalibrationChange(Value):
    """Calibration before and after."""

    reference: Calibration
    model: Calibration


class ErrorQuantile(Value):
    """How large an error a share `q` of the items does not exceed, before and after."""

    q: float
    reference: Estimate
    model: Estimate


class ErrorChange(Value):
    """How absolute errors changed: `mean` is by how much, item by item; `grew` and `shrank` count.

    `p_value` is that of the exact sign test, two-sided. The unit is the target's, or steps.
    """

    n: Items
    mean: Estimate
    grew: Count
    shrank: Count
    p_value: float
    quantiles: tuple[ErrorQuantile, ...] = ()


class WorstItem(Value):
    """An item that the reference told surely and well, and the model does not.

    `index` is its place among the items. The shares are the probabilities that the two models give
    to what they tell: of a class, or of the label where the reference was surest; None of numbers.
    """

    item: str
    index: Count
    truth: Told
    reference: Told
    model: Told
    reference_share: float | None = None
    model_share: float | None = None


class Damage(Value):
    """The whole report; what a goal does not have is None or empty.

    `classes` are all of them, or of very many those that lost most; `items` are the worst, the
    worst first.
    """

    goal: Goal
    reference: str
    model: str
    flips: Flips | None = None
    num_classes: Count = 0
    classes: tuple[ClassDamage, ...] = ()
    calibration: CalibrationChange | None = None
    errors: ErrorChange | None = None
    items: tuple[WorstItem, ...] = ()

    @property
    def paying(self) -> tuple[ClassDamage, ...]:
        """The classes that bear more than their share, the largest loss first."""
        found = (one for one in self.classes if one.pays)
        return tuple(sorted(found, key=lambda one: -one.loss))
