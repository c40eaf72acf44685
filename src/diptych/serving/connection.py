"""A connection that gives up on requests whose head is too large, or takes too long to arrive.

uvicorn bounds neither with its fast parser: without this, one client could fill the memory with
headers, or hold a connection for ever with half a line.
"""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
HEAD_TIMEOUT_S = 15.0


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection, with a bound on the size and on the time of a request's head."""

    head_timeout_s: ClassVar[float] = HEAD_TIMEOUT_S
    _head_bytes = 0
    _head_open = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first head.

        Args:
            transport: The connection.
        """
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock.

        Args:
            exc: Why the connection ended.
        """
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse a part of a request.

        Args:
            data: What has arrived.
        """
        super().data_received(data)
        if self._head_open and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """Begin a head: what follows is counted."""
        super().on_message_begin()
        if not self._head_open:
            self._await_head()

    def on_headers_complete(self) -> None:
        """End a head: a body is bounded elsewhere."""
        self._head_arrived()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_open, self._head_bytes = True, 0
        self._head_timer = self.loop.call_later(self.head_timeout_s, self.transport.close)

    def _head_arrived(self) -> None:
        self._head_open = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
