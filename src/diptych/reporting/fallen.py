"""The worst items as people know them: what each is, what the teacher told of it, and the model.

Shapes: W items.
"""

from dataclasses import dataclass

import numpy as np

from diptych.core.damage import Told, WorstItem
from diptych.core.manifest import Manifest
from diptych.core.values import Assets
from diptych.reporting.answers import NONE
from diptych.reporting.examples import MOST, Shown, kind_of, shower
from diptych.reporting.numbers import significant


@dataclass(frozen=True, kw_only=True)
class Fallen:
    """An item, its truth, and what was and is told of it; `shown` is None where it was not kept."""

    shown: Shown | None
    name: str
    truth: str
    before: str
    after: str


def fallen(manifest: Manifest, inputs: np.ndarray, assets: Assets) -> tuple[Fallen, ...]:
    """Write the worst items of a bundle.

    Args:
        manifest: The bundle.
        inputs: Prepared inputs (W, ...) of the first of them; W may be 0.
        assets: The files that preparation needs; without a tokenizer no texts are shown.

    Returns:
        The items, the worst first; none where nothing is known.
    """
    if manifest.damage is None:
        return ()
    show = shower(manifest, assets)
    items = manifest.damage.items[: MOST.get(kind_of(manifest.input))]
    return tuple(
        _fallen(one, show(inputs[place]) if show and place < len(inputs) else None)
        for place, one in enumerate(items)
    )


def _fallen(one: WorstItem, shown: Shown | None) -> Fallen:
    return Fallen(
        shown=shown,
        name=one.item,
        truth=told(one.truth),
        before=_before(one),
        after=_with_share(one.model, one.model_share),
    )


def told(answer: Told) -> str:
    """Write what is told of an item.

    Args:
        answer: Labels, or a number.

    Returns:
        The labels with commas between, or the number.
    """
    if isinstance(answer, float):
        return significant(answer, 4)
    return ", ".join(answer) or NONE


def _before(one: WorstItem) -> str:
    if one.reference == one.truth and one.reference_share is not None:
        return f"{one.reference_share:.2f}"
    return _with_share(one.reference, one.reference_share)


def _with_share(answer: Told, share: float | None) -> str:
    return told(answer) if share is None else f"{told(answer)} {share:.2f}"
