"""Offers of another protocol: what is parsed is the same as without them."""

import httptools
import pytest

from diptych.serving.parser import Parser

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
HEAD = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n"
NEXT = b"GET /next HTTP/1.1\r\n\r\n"


class Listener:
    """Notes what is parsed, as a connection does: a head that is an offer is left out."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, bytes, bytes]] = []
        self.parser = Parser(self)

    def on_message_begin(self) -> None:
        self.url, self.headers, self.body = b"", [], b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_offer = self.parser.is_offer

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if not self.is_offer:
            self.requests.append((self.parser.get_method(), self.url, self.body))


def parsed(content: bytes, part: int) -> list[tuple[bytes, bytes, bytes]]:
    listener = Listener()
    for start in range(0, len(content), part):
        listener.parser.feed_data(content[start : start + part])
    return listener.requests


@pytest.mark.parametrize("part", [1, 7, 1000])
@pytest.mark.parametrize(
    "rest",
    [
        b"\r\n",
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_a_request_with_an_offer_is_parsed_as_without(rest, part):
    plain = parsed((HEAD + rest) * 2 + NEXT, part)
    assert len(plain) == 3
    assert parsed((HEAD + OFFER + rest) * 2 + NEXT, part) == plain


def test_a_request_for_a_tunnel_is_told():
    with pytest.raises(httptools.HttpParserUpgrade):
        parsed(b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 1000)
