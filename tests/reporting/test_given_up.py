from msgspec.structs import replace

from diptych.core.values import Estimate, GivenUp
from diptych.reporting.given_up import lines, told

EXPECTED = Estimate(value=0.912, low=0.9081, high=0.9163, n=5000, method="made up")
ONE = GivenUp(model="least", epochs=3, planned_epochs=20, expected=EXPECTED, needed=0.92)


def test_how_far_it_got_and_what_was_missing() -> None:
    said = "3 of 20 epochs, 90.8 to 91.6 % expected, 92.0 % needed"
    assert told(ONE, "accuracy") == said


def test_a_line_for_each(sound) -> None:
    assert lines(sound.manifest) == ()
    both = replace(sound.manifest, given_up=(ONE, replace(ONE, model="less")))
    assert [line.partition(":")[0] for line in lines(both)] == ["least", "less"]
