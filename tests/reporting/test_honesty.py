import pytest
from msgspec.structs import replace

from diptych.core.values import Estimate
from diptych.reporting.honesty import calibration_rows, trust


def needing(manifest, hurt, low: float, high: float, n: int = 9):
    """Give a damage report whose model needs a temperature between two ends."""
    damage = hurt(manifest).damage
    needed = Estimate(value=(low + high) / 2, low=low, high=high, n=n, method="by hand")
    change = damage.calibration
    return replace(
        damage,
        calibration=replace(change, model=replace(change.model, temperature=needed)),
    )


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (1.2, 1.4, "too sure: its logits want dividing by 1.3"),
        (0.6, 0.9, "surer: its logits want dividing by 0.75"),
        (0.9, 1.1, "neither"),
    ],
)
def test_trust_is_judged_by_the_whole_interval(manifest, hurt, low, high, words: str) -> None:
    assert words in trust(needing(manifest, hurt, low, high))


def test_a_temperature_that_is_not_known_is_not_judged(manifest, tabled, hurt) -> None:
    unknown = needing(manifest, hurt, 0.0, 0.0, n=0)
    assert trust(unknown) == trust(hurt(tabled.manifest).damage) == ""
    assert calibration_rows(unknown)[1][-1] == "none"
    assert calibration_rows(hurt(tabled.manifest).damage) == ()


def test_the_rows_are_the_teacher_and_the_model(manifest, hurt) -> None:
    damage = hurt(manifest).damage
    before, after = calibration_rows(damage)
    assert (before[0], after[0]) == (damage.reference, damage.model)
    assert before[1].endswith(" %")
    assert " to " in before[2]
