"""The simple protocol: an item or a list of items in, an answer or a list of answers out.

The model runs inside the event loop, a few items at a time: for the small models that bundles hold
this was as fast as any queue of batches, and other requests get their turn between the parts. Large
pictures and sounds are decoded beside it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from diptych.core.errors import DataError
from diptych.core.specs import InputSpec
from diptych.core.values import Goal
from diptych.inference.bundle import Bundle
from diptych.inference.inputs import Named
from diptych.serving.bodies import BODIES, Bodies, check_items, check_values
from diptych.serving.decoding import Decoder
from diptych.serving.messages import (
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
LARGE_BODY_BYTES = 62_500
"""More takes some 10 ms: all of it may have to be read, however little is decoded."""
Answer = dict[str, object]


def _class(given: Prediction) -> Answer:
    return {"label": given.label, "score": given.score, "scores": given.scores}


ANSWERS: Mapping[Goal, Callable[[Prediction], Answer]] = {
    "classification": _class,
    "ordinal": _class,
    "multi-label": lambda given: {"labels": given.labels, "scores": given.scores},
    "regression": lambda given: {"value": given.value},
}


async def predict(request: Request, bundle: Bundle, decoder: Decoder) -> Response:
    """Answer one request.

    Args:
        request: The whole request.
        bundle: The model.
        decoder: Decodes what is large.

    Returns:
        ``{"label", "score", "scores"}``, ``{"labels", "scores"}`` or ``{"value"}``, or a list of
        these for a list.

    Raises:
        RequestError: If the body cannot be read.
        MediaTypeError: If it is of a kind that the model does not take.
        ContentError: If it can be read, but is not an input of the model.
    """
    kind = BODIES[type(bundle.manifest.input)]
    media = request.headers.get(b"content-type", kind.default).split(b";")[0].strip().lower()
    answer = ANSWERS[bundle.manifest.goal]
    try:
        if media == JSON and kind.parse is not None:
            items, many = kind.parse(request.body)
            if many:
                return json_response(await _predict_each(items, bundle))
            return json_response(answer(bundle.predict(items[0])))
        if media.startswith(kind.media):
            item = await _item(request, kind, bundle.manifest.input, decoder)
            return json_response(answer(bundle.predict(item)))
    except RequestError:
        raise
    except DataError as error:
        raise ContentError(error.message, error.hint or kind.expected) from error
    raise MediaTypeError(f"the content-type is {media[:80].decode('latin-1')!r}", kind.expected)


async def _item(request: Request, kind: Bodies, spec: InputSpec, decoder: Decoder) -> Any:  # noqa: ANN401
    """Check an item; give it as it is, or, where it is large, prepared."""
    body, check, decode = request.body, kind.check, kind.decode
    if check is None or decode is None:
        return body
    if len(body) <= LARGE_BODY_BYTES and not check(body, spec):
        return body

    def checked() -> np.ndarray:
        check(body, spec)
        return decode(body, spec)

    return await decoder.run(checked, request)


async def _predict_each(items: list[Any], bundle: Bundle) -> list[Answer]:
    check_items(len(items))
    check_values(len(items), len(bundle.labels))
    answer = ANSWERS[bundle.manifest.goal]
    answers: list[Answer] = []
    for start in range(0, len(items), PART_ITEMS):
        part = items[start : start + PART_ITEMS]
        named = [Named(f"item {place}", item) for place, item in enumerate(part, start)]
        answers += map(answer, bundle.predict_each(named, _refuse))
        await asyncio.sleep(0)
    return answers


def _refuse(name: str, error: DataError) -> NoReturn:
    raise DataError(f"{name}: {error.message}", error.hint)
