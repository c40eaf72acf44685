from dataclasses import FrozenInstanceError

import pytest

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec
from diptych.data.reading import LEAST_SIDE, MOST_SIDE, Learned, Options

SPEC = ImageSpec(height=8, width=8, channels=1)


@pytest.mark.parametrize("side", [LEAST_SIDE, 28, MOST_SIDE, None])
def test_a_size_within_the_limits_is_taken(side: int | None) -> None:
    assert Options(image_size=side).image_size == side


@pytest.mark.parametrize("side", [LEAST_SIDE - 1, 0, -8, MOST_SIDE + 1])
def test_a_size_out_of_the_limits_is_named_with_what_is_possible(side: int) -> None:
    with pytest.raises(ConfigError, match=f"image size {side} is out of range") as raised:
        Options(image_size=side)
    assert raised.value.hint == "choose 4 to 1024 pixels"


def test_by_default_everything_is_learned_from_the_data() -> None:
    options = Options()
    assert options == Options(seed=0, target=None, goal=None, order=None, spec=None, assets={})
    assert not options.skip_unreadable


def test_options_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Options().seed = 3  # type: ignore[misc]


def test_two_that_are_learned_share_no_files() -> None:
    one, other = Learned(spec=SPEC), Learned(spec=SPEC)
    assert one.assets == {}
    assert one.assets is not other.assets
