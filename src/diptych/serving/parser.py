"""A parser of requests that stays with HTTP/1.1 where a client offers another protocol.

Clients written in Java offer HTTP/2 with every request, unless they are told not to. httptools ends
such a request with its head, and takes the body for the next one. So the head is parsed again
without the offer, as a server that does not accept it may.
"""

from typing import Protocol

from httptools import HttpParserUpgrade, HttpRequestParser

OFFER = b"upgrade"
TUNNEL = b"CONNECT"


class Parsed(Protocol):
    """Takes what is parsed: httptools calls its methods, those whose names begin with `on_`."""

    url: bytes
    headers: list[tuple[bytes, bytes]]


class Parser(HttpRequestParser):
    """Parses the requests of one connection.

    Args:
        parsed: Takes what is parsed; it leaves out a head that ends while there `is_offer`.
    """

    def __init__(self, parsed: Parsed) -> None:
        super().__init__(parsed)
        self.set_dangerous_leniencies(lenient_data_after_close=True)
        self._parsed = parsed

    @property
    def is_offer(self) -> bool:
        """Whether the head offers another protocol, so that it is parsed again without."""
        return self.should_upgrade() and self.get_method() != TUNNEL

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # uvicorn has bytes
        """Parse a part of a request.

        Args:
            data: What has arrived.

        Raises:
            HttpParserUpgrade: If the request is for a tunnel.
        """
        while data:
            try:
                super().feed_data(data)
            except HttpParserUpgrade as end:
                if self.get_method() == TUNNEL:
                    raise
                data = self._head() + data[end.args[0] :]
            else:
                return

    def _head(self) -> bytes:
        """Write the head that has ended, without the offer."""
        fields = [(name, value) for name, value in self._parsed.headers if name != OFFER]
        lines = [b"%s: %s\r\n" % field for field in fields]
        version = self.get_http_version().encode()
        start = b"%s %s HTTP/%s\r\n" % (self.get_method(), self._parsed.url, version)
        return b"".join([start, *lines, b"\r\n"])
