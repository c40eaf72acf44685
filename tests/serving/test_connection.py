"""Heads, bodies and answers that never end, over a real connection."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import uvicorn
from uvicorn.server import ServerState

from diptych.serving.connection import MAX_HEAD_BYTES, MAX_WAITING, BoundedConnection

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Impatient(BoundedConnection):
    head_timeout_s = 0.02


class Unread(BoundedConnection):
    answer_timeout_s = 0.02


async def hello(scope, receive, send) -> None:
    body = b""
    more = scope["method"] == "POST"
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    headers = [(b"content-length", b"%d" % len(body)), (b"x-fields", b"%d" % len(scope["headers"]))]
    start = {"type": "http.response.start", "status": 200}
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def talk(kind: type[BoundedConnection], conversation: Talk) -> bytes:
    async def both() -> bytes:
        config = uvicorn.Config(hello, log_config=None, ws="none", lifespan="off")
        config.load()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: kind(config, ServerState(), {}, loop), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await asyncio.wait_for(conversation(reader, writer), 20)
        finally:
            writer.close()
            server.close()

    return asyncio.run(both())


def test_a_head_without_end_is_refused_at_the_limit():
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\n")
        for index in range(MAX_HEAD_BYTES // 1000 + 1):
            writer.write(b"x-%d: " % index + b"y" * 1000 + b"\r\n")
        return await reader.readline()

    assert b" 400 " in talk(BoundedConnection, flood)


def test_a_head_that_does_not_come_closes_the_connection():
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        return await reader.read()

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(GET[:20])
        return await reader.read()

    assert talk(Impatient, silent) == b""
    assert talk(Impatient, half) == b""


def test_the_head_of_a_second_request_is_bounded_too():
    async def second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(GET)
        assert b" 200 " in await reader.readline()
        writer.write(GET[:20])
        return await reader.read()

    assert b"HTTP/1.1" not in talk(Impatient, second)


def test_a_large_body_is_not_a_large_head():
    async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        size = 10 * MAX_HEAD_BYTES
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size)
        writer.write(b"z" * size)
        status = await reader.readline()
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(size) == b"z" * size
        return status

    assert b" 200 " in talk(BoundedConnection, post)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (b"content-length: 1000000\r\n", b"x"),
        (b"transfer-encoding: chunked\r\n", b"1\r\nx\r\n"),
        (b"", b"\n"),
    ],
)
def test_what_follows_an_answer_without_being_a_request_ends_the_connection(header, part):
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(GET[:-2] + header + b"\r\n")
        answer = await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.001)
        return answer

    assert b" 200 " in talk(Impatient, trickle)


@pytest.mark.parametrize(
    ("begin", "part"),
    [(b"0\r\n", b"a:b\r\n"), (b"0\r\na: ", b"b"), (b"0\r\n", b"b"), (b"1;", b"b")],
)
def test_a_trailer_without_end_is_refused_at_the_limit(begin, part):
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(GET[:-2] + b"transfer-encoding: chunked\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        writer.write((begin + part * MAX_HEAD_BYTES)[: MAX_HEAD_BYTES + 1])
        return await reader.read()

    assert b"too large" in talk(BoundedConnection, flood)


def test_the_fields_of_a_trailer_do_not_become_headers():
    async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"1\r\nz\r\n0\r\nx-late: y\r\n\r\n" + GET)
        answer = await reader.readuntil(b"\r\n\r\nz")
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        return answer

    assert b"x-fields: 2\r\n" in talk(BoundedConnection, post)


def test_a_request_after_the_rest_of_an_unread_body_is_answered():
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        size = 2 * MAX_HEAD_BYTES
        writer.write(GET[:-2] + b"content-length: %d\r\n\r\n" % size)
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"z" * size + GET)
        return await reader.readuntil(b"\r\n\r\n")

    assert b" 200 " in talk(BoundedConnection, late)


@pytest.mark.parametrize("extra", [b"", b"connection: close\r\n"])
def test_an_answer_that_nobody_reads_is_given_up(extra):
    size = 16_000_000

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        head = b"POST / HTTP/1.1\r\nhost: x\r\n" + extra
        writer.write(head + b"content-length: %d\r\n\r\n" % size)
        writer.write(b"z" * size)
        await writer.drain()
        await asyncio.sleep(0.4)
        with suppress(ConnectionError):
            return await reader.read()
        return b""

    assert len(talk(Unread, deaf)) < size


def test_a_long_answer_that_is_read_in_time_arrives_whole():
    size = 8_000_000

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size)
        writer.write(b"z" * size)
        await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(size)

    assert talk(Impatient, slow) == b"z" * size


def test_requests_sent_at_once_are_answered_up_to_a_limit():
    async def all_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(GET * (1 + MAX_WAITING))
        return b"".join([await reader.readuntil(b"\r\n\r\n") for _ in range(1 + MAX_WAITING)])

    async def too_many(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(GET * 10 * MAX_WAITING)
        return await reader.readline()

    assert talk(BoundedConnection, all_at_once).count(b" 200 ") == 1 + MAX_WAITING
    assert b" 400 " in talk(BoundedConnection, too_many)


@pytest.mark.parametrize("pause_s", [0.0, 0.05])
def test_a_request_that_offers_another_protocol_is_answered_with_its_body(pause_s):
    offer = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"

    async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        for _ in range(2):
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\n" + offer + b"content-length: 3\r\n\r\n")
            await asyncio.sleep(pause_s)
            writer.write(b"abc")
            answer = await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(3) == b"abc"
        return answer

    assert b" 200 " in talk(BoundedConnection, post)
