"""Calibration items: real inputs from which quantization learns the range of each value."""

import numpy as np

from diptych.core.errors import TargetError

MIN_ITEMS = 16


def check_calibration(calibration: np.ndarray) -> None:
    """Check that there is enough to calibrate with.

    Args:
        calibration: Raw inputs (M, ...).

    Raises:
        TargetError: If M is below 16.
    """
    if len(calibration) < MIN_ITEMS:
        raise TargetError(
            f"{len(calibration)} calibration items are too few for int8",
            f"give at least {MIN_ITEMS}, better 256, from the training split",
        )
