"""A real server in a process of its own: hostile clients, and a clean stop."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from diptych.core.errors import ConfigError
from diptych.serving.connection import MAX_CONNECTIONS
from diptych.serving.server import reserve, url

HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
PIXELS = b"[[[1,2,9]]]"


@pytest.fixture
def connected(running) -> Iterator[socket.socket]:
    with socket.create_connection((running.host, running.port), timeout=20) as opened:
        yield opened


def reply(opened: socket.socket) -> tuple[int, dict]:
    """Read one answer."""
    file = opened.makefile("rb")
    status = int(file.readline().split()[1])
    length = 0
    while (line := file.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    body = file.read(length)
    return status, json.loads(body) if body.startswith((b"{", b"[")) else {"text": body}


def is_up(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def test_a_taken_port_is_refused_with_a_hint():
    with reserve("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1 port {port} is taken") as caught:
            reserve("127.0.0.1", port)
        assert "--port" in caught.value.hint


def test_where_a_system_has_exclusive_addresses_no_other_server_may_take_this_one(monkeypatch):
    with reserve("127.0.0.1", 0) as opened:
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_KEEPALIVE, raising=False)
    with reserve("127.0.0.1", 0) as opened:
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not opened.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7", "x" * 300])
def test_a_host_that_is_not_here_is_refused(host):
    with pytest.raises(ConfigError) as caught:
        reserve(host, 0)
    assert caught.value.hint


def test_an_address_of_either_kind_is_written_as_a_url():
    with reserve("127.0.0.1", 0) as opened:
        assert url(opened) == f"http://127.0.0.1:{opened.getsockname()[1]}"


def test_a_body_in_pieces_is_read_whole(connected):
    connected.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(PIXELS))
    for index in range(len(PIXELS)):
        connected.sendall(PIXELS[index : index + 1])
    status, answer = reply(connected)
    assert (status, answer["label"]) == (200, "blue & <deep>")


def test_a_body_in_chunks_is_refused_at_the_limit_and_the_answer_arrives(connected):
    connected.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    chunk = b"%x\r\n" % 50_000 + b"1" * 50_000 + b"\r\n"
    for _ in range(3):
        connected.sendall(chunk)
    status, answer = reply(connected)
    assert status == 413
    assert "100 KB" in answer["error"]


def test_an_announced_body_over_the_limit_is_refused_before_it_is_sent(connected):
    connected.sendall(HEAD + b"expect: 100-continue\r\ncontent-length: 99999999\r\n\r\n")
    assert reply(connected)[0] == 413


def test_a_body_that_ends_early_hurts_nobody(running, connected):
    connected.sendall(HEAD + b"content-length: 50\r\n\r\n" + PIXELS)
    connected.shutdown(socket.SHUT_WR)
    assert connected.recv(1000) == b""
    with socket.create_connection((running.host, running.port), timeout=20) as other:
        other.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert reply(other) == (200, {"live": True})


@pytest.mark.parametrize(
    "wrong",
    [
        b"content-length: -1\r\n\r\n",
        b"content-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        b"no colon\r\n\r\n",
    ],
)
def test_a_malformed_head_is_400_and_the_connection_ends(connected, wrong):
    connected.sendall(HEAD + wrong)
    assert reply(connected)[0] == 400
    assert connected.recv(1000) == b""


@pytest.mark.slow
def test_a_connection_too_many_is_told_so_in_json_and_counted(start, tiny):
    running, ask = start(str(tiny)), b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
    predict = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
    with ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            idle = socket.create_connection((running.host, running.port), timeout=20)
            stack.enter_context(idle)
        with socket.create_connection((running.host, running.port), timeout=20) as other:
            other.sendall(predict)
            status, answer = reply(other)
            assert (status, answer["error"]) == (503, "the server has too many connections")
            assert other.recv(1000) == b""
        with socket.create_connection((running.host, running.port), timeout=20) as other:
            other.sendall(ask)
            assert reply(other)[0] == 200
            assert other.recv(1000) == b""
        idle.sendall(ask)
        status, answer = reply(idle)
    assert status == 200
    assert b'{route="/predict",status="503"} 1' in answer["text"]


@pytest.mark.slow
def test_a_connection_that_rests_for_a_while_is_kept(connected):
    for rest_s in (0, 6):
        time.sleep(rest_s)
        connected.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert reply(connected) == (200, {"live": True})


def test_two_requests_at_once_are_answered_in_order(connected):
    connected.sendall(
        HEAD
        + b"content-length: %d\r\n\r\n" % len(PIXELS)
        + PIXELS
        + b"GET /v2/health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    received = b""
    while data := connected.recv(65536):
        received += data
    assert received.index(b'"label"') < received.index(b'{"ready":true}')


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_request_in_flight_finish_and_exits_with_0(start, tiny, number):
    running = start(str(tiny))
    with socket.create_connection((running.host, running.port), timeout=20) as opened:
        opened.sendall(HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(PIXELS))
        assert b" 100 " in opened.recv(1000)
        running.process.send_signal(number)
        while is_up(running.host, running.port):
            pass
        opened.sendall(PIXELS)
        status, answer = reply(opened)
    assert (status, answer["label"]) == (200, "blue & <deep>")
    _, log = running.process.communicate(timeout=20)
    assert running.process.returncode == 0
    assert b"Traceback" not in log
    assert log.endswith(b"stopped\n")
