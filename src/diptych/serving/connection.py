"""A connection that gives up on clients that never end a head, a body, or the reading of an answer.

uvicorn bounds none of these with its fast parser: without this, one client could fill the memory
with headers, trailers or requests sent at once, or hold connections for ever with half a line, or
with the rest of a body that was refused.
"""

import asyncio
from typing import ClassVar

from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from diptych.serving.messages import CROWDED
from diptych.serving.parser import Parser

MAX_HEAD_BYTES = 65_536
MAX_WAITING = 100
MAX_CONNECTIONS = 512
HEAD_TIMEOUT_S = 15.0
ANSWER_TIMEOUT_S = 60.0


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection, with bounds on what comes at once and the time between two requests.

    `_head_bytes` counts what has come since the last end of a head or part of a body.
    `head_timeout_s` bounds a head; after an answer, also what comes before the next head, such as
    the rest of a body that nobody reads. `answer_timeout_s` bounds how long an answer that has
    filled the buffers may wait to be read.
    """

    head_timeout_s: ClassVar[float] = HEAD_TIMEOUT_S
    answer_timeout_s: ClassVar[float] = ANSWER_TIMEOUT_S
    parser: Parser
    _head_bytes = 0
    _head_open = True
    _moved_on = False
    _head_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first head.

        Args:
            transport: The connection.
        """
        super().connection_made(transport)
        self.parser = Parser(self)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks.

        Args:
            exc: Why the connection ended.
        """
        self._stop_head_timer()
        self._stop_answer_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse a part of a request.

        Args:
            data: What has arrived.
        """
        self._moved_on = False
        super().data_received(data)
        self._head_bytes = 0 if self._moved_on else self._head_bytes + len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head or the trailer of the request is too large.")

    def on_message_begin(self) -> None:
        """Begin a head: what follows is counted."""
        super().on_message_begin()
        if not self._head_open:
            self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of a head; those of a trailer are dropped, not kept among them.

        Args:
            name: Its name.
            value: Its value.
        """
        if self._head_open:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End a head: a body is bounded elsewhere.

        Raises:
            HttpParserError: If 100 requests wait for the answer to another: the rest is not parsed.
        """
        if self.parser.is_offer:
            return
        if len(self.pipeline) >= MAX_WAITING:
            raise HttpParserError("too many requests at once")
        self._head_open, self._moved_on = False, True
        self._stop_head_timer()
        self.scope["state"][CROWDED] = len(self.connections) > MAX_CONNECTIONS
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body.

        Args:
            body: What has come of it.
        """
        self._moved_on = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request, but for one whose head is parsed again."""
        if not self._head_open:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the clock until the next head: uvicorn's own stops at any byte that comes."""
        super().on_response_complete()
        if self.cycle.response_complete and not self._head_open:
            self._start_head_timer()

    def pause_writing(self) -> None:
        """Start the clock of a client that does not read."""
        super().pause_writing()
        self._answer_timer = self.loop.call_later(self.answer_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the clock: the client has read."""
        self._stop_answer_timer()
        super().resume_writing()

    def _await_head(self) -> None:
        self._head_open, self._head_bytes = True, 0
        self._start_head_timer()

    def _start_head_timer(self) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._close_or_abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_answer_timer(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _close_or_abort(self) -> None:
        """Close; where answers still wait to be read, for a bounded time only."""
        self.transport.close()
        self._head_timer = self.loop.call_later(self.answer_timeout_s, self.transport.abort)
