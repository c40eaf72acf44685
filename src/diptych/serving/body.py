"""The body of a request, read under a limit on its size and on its time, before any decoding."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from diptych.core.specs import Value
from diptych.core.text import duration, size
from diptych.serving.messages import (
    DisconnectedError,
    MediaTypeError,
    Receive,
    SlowBodyError,
    TooLargeError,
)

CLOSE = ((b"connection", b"close"),)


class Limits(Value, frozen=True, kw_only=True):
    """What one request may take.

    `max_body_bytes` bounds the memory of a body (8 MB holds a telephone's photo);
    `body_timeout_s` bounds how long a slow client can hold a connection with half a body.
    """

    max_body_bytes: Annotated[int, Meta(ge=1)] = 8_000_000
    body_timeout_s: Annotated[float, Meta(gt=0)] = 30.0


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limits: Limits) -> bytes:
    """Read a whole body.

    Args:
        headers: The request's headers, names in lower case.
        receive: The ASGI channel.
        limits: How much and how long.

    Returns:
        The body.

    Raises:
        MediaTypeError: If the body is compressed.
        SlowBodyError: If it does not arrive in time.
    """
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise MediaTypeError("compressed bodies are not accepted", "send the body as it is")
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit():
        _check_size(int(announced[:20]), limits)
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            return await _receive_all(receive, limits)
    except TimeoutError as error:
        waited = duration(limits.body_timeout_s)
        raise SlowBodyError(f"the body did not arrive within {waited}", "", CLOSE) from error


async def _receive_all(receive: Receive, limits: Limits) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError("the client went away before the end of the body")
        body += message.get("body", b"")
        _check_size(len(body), limits)
        more = message.get("more_body", False)
    return bytes(body)


def _check_size(num_bytes: int, limits: Limits) -> None:
    if num_bytes > limits.max_body_bytes:
        allowed = size(limits.max_body_bytes)
        raise TooLargeError(
            f"the body is larger than {allowed}",
            "send a smaller input or fewer at once, or start the server with a larger --max-body",
        )
