"""The chart of the damage per class: how much recall each lost, with its interval."""

import json

from diptych.core.damage import ClassDamage
from diptych.core.extras import require
from diptych.core.manifest import Manifest
from diptych.reporting.drawing import EXTRA, Chart, Palette, short

MOST_SHOWN = 24
ROW_HEIGHT = 21
LABEL_LIMIT = {"wide": 200, "narrow": 105}
LETTER_WIDTH = 7
USUAL_ROOM = 40  # what an axis of numbers takes beside a plot
NARROW = 500


def losses(manifest: Manifest, palette: Palette, width: int) -> Chart | None:
    """Chart the loss of recall of the classes that lost most; those that pay are marked.

    Args:
        manifest: The bundle.
        palette: The colors.
        width: Points of the plot itself.

    Returns:
        The chart, or None where no class changed or no classes are known.
    """
    damage = manifest.damage
    if damage is None or not any(one.lost or one.gained for one in damage.classes):
        return None
    alt = require("altair", EXTRA)
    shown = sorted(damage.classes, key=lambda one: (-one.loss, one.p_value))[:MOST_SHOWN]
    rows = [_row(one, place) for place, one in enumerate(shown)]
    names = json.dumps([row["label"] for row in rows])
    limit = LABEL_LIMIT["narrow" if width < NARROW else "wide"]
    room = min(limit, LETTER_WIDTH * max(len(str(row["label"])) for row in rows))
    y = alt.Y(
        "place:O", title=None,
        axis=alt.Axis(labelExpr=f"{names}[datum.value]", labelLimit=limit, ticks=False,
                      domain=False, labelPadding=8, labelOverlap=False, minExtent=room + 8),
    )  # fmt: skip
    title = "loss of recall, percentage points"
    x = alt.X("loss:Q", title=title, axis=alt.Axis(tickCount=5 if width < NARROW else 8))
    color = alt.condition("datum.pays", alt.value(palette.left), alt.value(palette.right))
    base = alt.Chart(alt.Data(values=rows))
    zero = alt.Chart(alt.Data(values=[{"loss": 0}])).mark_rule(color=palette.muted, opacity=0.7)
    return alt.layer(
        zero.encode(x="loss:Q"),
        base.mark_rule(strokeWidth=1.6, opacity=0.55).encode(
            y=y, x="low:Q", x2="high:Q", color=color
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=y, x=x, color=color),
    ).properties(width=width - max(0, room - USUAL_ROOM), height=ROW_HEIGHT * len(rows))


def _row(one: ClassDamage, place: int) -> dict[str, object]:
    return {
        "place": place,
        "label": short(" ".join(one.label.split())),
        "loss": 100 * one.loss,
        "low": 100 * one.low,
        "high": 100 * one.high,
        "pays": one.pays,
    }
