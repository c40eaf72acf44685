"""Bodies that are too large, too slow, or never end."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.serving.body import Limits, read_body
from diptych.serving.messages import (
    DisconnectedError,
    MediaTypeError,
    SlowBodyError,
    TooLargeError,
)

LIMITS = Limits(max_body_bytes=100, body_timeout_s=60.0)


class Channel:
    """Gives the messages one by one, and counts how many were taken."""

    def __init__(self, messages: Iterator[dict]) -> None:
        self.messages = messages
        self.taken = 0

    async def __call__(self) -> dict:
        self.taken += 1
        return next(self.messages)


def parts(*bodies: bytes) -> Iterator[dict]:
    last = len(bodies) - 1
    for index, body in enumerate(bodies):
        yield {"type": "http.request", "body": body, "more_body": index < last}


def read(channel: Channel, limits: Limits = LIMITS, **headers: str) -> bytes:
    pairs = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return asyncio.run(read_body(pairs, channel, limits))


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=8))
def test_the_parts_are_joined(bodies):
    assert read(Channel(parts(*bodies))) == b"".join(bodies)


def test_an_announced_length_over_the_limit_is_refused_unread():
    for length in ("101", "9" * 40):
        channel = Channel(parts(b""))
        with pytest.raises(TooLargeError, match="larger than 100 B"):
            read(channel, content_length=length)
        assert channel.taken == 0
    assert read(Channel(parts(b"x" * 100)), content_length="100") == b"x" * 100


def test_a_stream_without_end_is_refused_at_the_limit():
    endless = ({"type": "http.request", "body": b"x" * 10, "more_body": True} for _ in iter(int, 1))
    channel = Channel(endless)
    with pytest.raises(TooLargeError):
        read(channel)
    assert channel.taken == 11


def test_a_body_that_does_not_come_is_given_up():
    async def never() -> dict:
        await asyncio.Event().wait()
        raise AssertionError

    limits = Limits(body_timeout_s=0.01)
    with pytest.raises(SlowBodyError, match="did not arrive") as caught:
        asyncio.run(read_body({}, never, limits))
    assert (b"connection", b"close") in caught.value.headers


def test_a_client_that_leaves_is_noticed():
    gone = iter(
        [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]
    )
    with pytest.raises(DisconnectedError):
        read(Channel(gone))


def test_a_compressed_body_is_refused_unread():
    channel = Channel(parts(b""))
    with pytest.raises(MediaTypeError, match="compressed"):
        read(channel, content_encoding="gzip")
    assert channel.taken == 0


def test_limits_are_positive():
    for wrong in ({"max_body_bytes": 0}, {"body_timeout_s": 0.0}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Limits)
