"""Heads that are too large, or never end, over a real connection."""

import asyncio
from collections.abc import Awaitable, Callable

import uvicorn
from uvicorn.server import ServerState

from diptych.serving.connection import MAX_HEAD_BYTES, BoundedConnection

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Impatient(BoundedConnection):
    head_timeout_s = 0.02


async def hello(scope, receive, send) -> None:
    body = b""
    more = scope["method"] == "POST"
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    length = str(len(body)).encode()
    start = {"type": "http.response.start", "status": 200}
    await send({**start, "headers": [(b"content-length", length)]})
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
