"""What comes in and what goes out: a request that is read, a response, and errors as JSON."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from diptych.core.errors import DataError

JSON = b"application/json"
BINARY = b"application/octet-stream"
CROWDED = "is_crowded"
"""What the state of a scope says where the server has too many connections."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class RequestError(DataError):
    """A request that cannot be answered.

    Args:
        message: What was wrong, with the value seen; one line.
        hint: What to do next; one line.
        headers: Headers that the answer must carry, such as ``Allow``.
    """

    status: ClassVar[int] = 400

    def __init__(
        self, message: str, hint: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message, hint)
        self.headers = headers


class NotFoundError(RequestError):
    """Nothing is at this path."""

    status = 404


class MethodError(RequestError):
    """The path exists, but not for this method."""

    status = 405


class SlowBodyError(RequestError):
    """The body did not arrive in time."""

    status = 408


class TooLargeError(RequestError):
    """The request asks for more than the limits allow."""

    status = 413


class MediaTypeError(RequestError):
    """The body is of a kind that is not understood here."""

    status = 415


class ContentError(RequestError):
    """The body is well-formed, but is not an input of this model."""

    status = 422


class CrowdedError(RequestError):
    """The server has too many connections."""

    status = 503


class DisconnectedError(RequestError):
    """The client went away; there is nobody to answer."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A whole request; header names are in lower case.

    `client` is the address it came from. `receive` tells when that client has gone away.
    """

    headers: Mapping[bytes, bytes]
    body: bytes
    client: str
    receive: Receive


@dataclass(frozen=True, kw_only=True)
class Response:
    """A whole response."""

    body: bytes
    status: int = 200
    media: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


def json_response(document: object, status: int = 200) -> Response:
    """Answer with JSON.

    Args:
        document: Anything msgspec can encode.
        status: The HTTP status.

    Returns:
        The response.
    """
    return Response(body=msgspec.json.encode(document), status=status)


def failure(error: DataError) -> Response:
    """Answer with an error, as ``{"error": ..., "hint": ...}``.

    Args:
        error: What the client did wrong; its kind decides the status.

    Returns:
        The response; 400 where the kind has no status of its own.
    """
    status = error.status if isinstance(error, RequestError) else RequestError.status
    document = {"error": " ".join(error.message.split()), "hint": error.hint}
    headers = error.headers if isinstance(error, RequestError) else ()
    return Response(body=msgspec.json.encode(document), status=status, headers=headers)


async def respond(send: Send, response: Response) -> None:
    """Send a response.

    Args:
        send: The ASGI channel.
        response: What to send.
    """
    headers = [
        (b"content-type", response.media),
        (b"content-length", str(len(response.body)).encode()),
        *response.headers,
    ]
    start = {"type": "http.response.start", "status": response.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": response.body})
