from msgspec.structs import replace

from diptych.core.values import Estimate, GivenUp
from diptych.reporting import page
from diptych.reporting.given_up import lines, noise, told
from diptych.reporting.markdown import render

EXPECTED = Estimate(value=0.912, low=0.9081, high=0.9163, n=5000, method="made up")
ONE = GivenUp(model="least", epochs=3, planned_epochs=20, expected=EXPECTED, needed=0.92)


def test_how_far_it_got_and_what_was_missing() -> None:
    said = "3 of 20 epochs, 90.8 to 91.6 % expected, 92.0 % needed"
    assert told(ONE, "accuracy") == said


def test_a_line_for_each(sound) -> None:
    assert lines(sound.manifest) == ()
    both = replace(sound.manifest, given_up=(ONE, replace(ONE, model="less")))
    assert [line.partition(":")[0] for line in lines(both)] == ["least", "less"]


def test_students_without_time_are_named_too(sound) -> None:
    late = replace(sound.manifest, given_up=(ONE,), untrained=("least-of-all",))
    assert lines(late)[1:] == ("least-of-all: not begun, no time was left",)


def test_differences_below_the_noise_are_named(sound) -> None:
    assert noise(sound.manifest) == ""
    said = "Copies of one program differed by 2.3 % in cost: less than that is chance."
    assert noise(replace(sound.manifest, noise_floor=0.023)) == said


def test_the_page_and_the_text_tell_both(sound) -> None:
    manifest = replace(sound.manifest, given_up=(ONE,), noise_floor=0.023)
    for told_there in (render(manifest), page.render(manifest, ())):
        assert lines(manifest)[0] in told_there
        assert noise(manifest) in told_there


def test_what_was_expected_is_not_exact_where_its_bounds_coincide() -> None:
    narrow = replace(EXPECTED, low=0.912, high=0.912)
    said = "3 of 20 epochs, 91.20 to 91.20 % expected, 92 % needed"
    assert told(replace(ONE, expected=narrow), "accuracy") == said
