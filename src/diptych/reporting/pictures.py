"""Pictures as addresses that hold them.

Shapes: H height, W width, C channels (1 or 3).
"""

import base64
import io

import numpy as np
from PIL import Image

MOST_PIXELS = 160


def data_address(pixels: np.ndarray) -> str:
    """Write a picture as an address that holds it.

    Args:
        pixels: uint8 (H, W, C).

    Returns:
        ``data:image/png;base64,...``, at most 160 pixels a side.
    """
    shaped = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(shaped))
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    return address_of(image)


def address_of(image: Image.Image) -> str:
    """Write an image as it is.

    Args:
        image: Any image.

    Returns:
        ``data:image/png;base64,...``.
    """
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
