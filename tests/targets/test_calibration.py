import numpy as np
import pytest

from diptych.core.errors import TargetError
from diptych.targets.calibration import MIN_ITEMS, check_calibration


def test_enough_items_pass():
    check_calibration(np.zeros((MIN_ITEMS, 8, 8, 1), np.uint8))


@pytest.mark.parametrize("count", [0, 1, MIN_ITEMS - 1])
def test_too_few_items_are_refused_with_their_number_and_a_hint(count):
    with pytest.raises(TargetError, match=f"^{count} calibration items") as caught:
        check_calibration(np.zeros((count, 8, 8, 1), np.uint8))
    assert "training split" in caught.value.hint
