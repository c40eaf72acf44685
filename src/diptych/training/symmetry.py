"""Whether mirroring keeps labels: measured on the data, not asked.

Class means are fitted on one half of the items; if mirrored items of the other half are assigned
to their classes about as well as the items themselves, mirroring is a harmless variation.

Shapes: N items, D pixels of a picture, K classes.
"""

import numpy as np

MAX_ITEMS = 4000
TOLERATED_LOSS = 0.25


def mirroring_keeps_labels(pixels: np.ndarray, targets: np.ndarray, seed_order: np.ndarray) -> bool:
    """Decide whether pictures may be mirrored left to right in training.

    Args:
        pixels: uint8 (N, H, W, C).
        targets: int64 (N,).
        seed_order: A permutation of N that chooses the items looked at.

    Returns:
        True if the mirrored items keep at least three quarters of what the nearest class mean
        gets right beyond chance.
    """
    chosen = seed_order[:MAX_ITEMS]
    half = len(chosen) // 2
    fit, probe = chosen[:half], chosen[half:]
    classes = np.unique(targets[fit])
    flat = pixels[fit].reshape(len(fit), -1).astype(np.float32)
    means = np.stack([flat[targets[fit] == k].mean(0) for k in classes])
    upright = _accuracy(pixels[probe], targets[probe], means, classes)
    mirrored = _accuracy(pixels[probe][:, :, ::-1], targets[probe], means, classes)
    chance = 1 / len(classes)
    return bool(mirrored - chance >= (1 - TOLERATED_LOSS) * (upright - chance))


def _accuracy(
    pixels: np.ndarray, targets: np.ndarray, means: np.ndarray, classes: np.ndarray
) -> float:
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)
    distances = (means**2).sum(1) - 2 * flat @ means.T
    return float((classes[distances.argmin(1)] == targets).mean())
