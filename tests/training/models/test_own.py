import msgspec
import pytest

from diptych.training.models import NetworkConfig
from diptych.training.models.own import OwnConfig


def test_widths_multiply() -> None:
    assert OwnConfig().scaled(0.5).scaled(0.5) == OwnConfig(width=0.25)


def test_a_recipe_names_it_own() -> None:
    text = msgspec.json.encode(OwnConfig(width=0.5))
    assert msgspec.json.decode(text) == {"name": "own", "width": 0.5}
    assert msgspec.json.decode(text, type=NetworkConfig) == OwnConfig(width=0.5)


@pytest.mark.parametrize("width", [0, -1, 100])
def test_an_impossible_width_is_refused(width: float) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"name": "own", "width": {width}}}', type=NetworkConfig)
