import pytest

from diptych.core.errors import MissingExtraError
from diptych.core.extras import installed
from diptych.training.timm_library import timm_library


def test_it_is_opened_or_it_is_said_what_to_install() -> None:
    if installed("timm"):
        assert timm_library().is_model("resnet18")
        return
    with pytest.raises(MissingExtraError, match="needs 'timm'") as told:
        timm_library()
    assert told.value.hint == "pip install 'diptych[timm]'"
