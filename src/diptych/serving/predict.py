"""The simple protocol: a picture or an array of pixels in, a label and its scores out.

The model runs inside the event loop, a few items at a time: for the small models that bundles hold
this was as fast as any queue of batches, and other requests get their turn between the parts.
Shapes: N batch, H height, W width, C channels, K classes.
"""

import asyncio

import numpy as np
from msgspec import Struct

from diptych.core.errors import DataError
from diptych.inference.bundle import Bundle
from diptych.serving.arrays import PICTURES, parse_array
from diptych.serving.messages import (
    BINARY,
    JSON,
    ContentError,
    MediaTypeError,
    Request,
    RequestError,
    Response,
    json_response,
)
from diptych.tasks.prediction import Prediction

PART_ITEMS = 16
MAX_ITEMS = 1024
CHANNELS = (1, 2, 3, 4)
EXPECTED = (
    "send a picture with its content-type, such as image/png, or pixels as application/json: an "
    "array (H, W), (H, W, C) or (N, H, W, C) of integers 0 to 255 or floats 0 to 1"
)


class Answer(Struct, frozen=True):
    """One prediction as it goes over the wire."""

    label: str
    score: float
    scores: dict[str, float]


async def predict(request: Request, bundle: Bundle) -> Response:
    """Answer one request.

    Args:
        request: The whole request.
        bundle: The model.

    Returns:
        ``{"label", "score", "scores"}``, or a list of these for a batch.

    Raises:
        RequestError: If the body cannot be read.
        MediaTypeError: If it is neither a picture nor JSON.
        ContentError: If it can be read, but is not an input of the model.
    """
    media = request.headers.get(b"content-type", BINARY).split(b";")[0].strip().lower()
    try:
        if media == JSON:
            return json_response(await _predict_array(request.body, bundle))
        if media == BINARY or media.startswith(b"image/"):
            return json_response(_answer(bundle.predict(request.body)))
    except RequestError:
        raise
    except DataError as error:
        raise ContentError(error.message, error.hint or EXPECTED) from error
    raise MediaTypeError(f"the content-type is {media[:80].decode('latin-1')!r}", EXPECTED)


def is_batch(shape: tuple[int, ...]) -> bool:
    """Tell a batch from one picture.

    Args:
        shape: (H, W), (H, W, C), (N, H, W) or (N, H, W, C).

    Returns:
        True for (N, H, W, C), and for (N, H, W) unless its last axis is 1 to 4: that is C.
    """
    return len(shape) == 4 or (len(shape) == 3 and shape[-1] not in CHANNELS)


def check_items(num_items: int) -> None:
    """Check that a batch is not too long for one request.

    Args:
        num_items: The number of items.

    Raises:
        DataError: If there are more than 1,024.
    """
    if num_items > MAX_ITEMS:
        raise DataError(
            f"{num_items} items in one request, at most {MAX_ITEMS} are allowed",
            "send several requests",
        )


async def _predict_array(body: bytes, bundle: Bundle) -> Answer | list[Answer]:
    pixels = parse_array(body, PICTURES)
    if not is_batch(pixels.shape):
        return _answer(bundle.predict([pixels])[0])
    check_items(len(pixels))
    return await _predict_batch(pixels, bundle)


async def _predict_batch(pixels: np.ndarray, bundle: Bundle) -> list[Answer]:
    answers: list[Answer] = []
    for start in range(0, len(pixels), PART_ITEMS):
        part = bundle.predict(list(pixels[start : start + PART_ITEMS]))
        answers += [_answer(prediction) for prediction in part]
        await asyncio.sleep(0)
    return answers


def _answer(prediction: Prediction) -> Answer:
    return Answer(prediction.label, prediction.score, prediction.scores)
