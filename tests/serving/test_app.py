"""Every path, every kind of failure: always JSON, never a traceback."""

import asyncio
import io
import itertools
import json
import logging
import zlib

import pytest
from PIL import Image

from diptych.core.errors import BundleError, ConfigError, MissingExtraError, StorageError
from diptych.serving.app import Application
from diptych.serving.body import Limits
from diptych.serving.messages import CROWDED

SCOPE = {"type": "http", "method": "POST", "path": "/predict", "headers": []}


class BrokenBundle:
    """A bundle that has a defect, or lacks what it needs."""

    def assets(self) -> dict[str, bytes]:
        return {}

    def __init__(self, bundle, error: Exception) -> None:
        self.manifest, self.program, self.labels = bundle.manifest, bundle.program, bundle.labels
        self.error = error

    def predict(self, x: bytes) -> None:
        raise self.error


def encoded_pixel() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, "PNG")
    return file.getvalue()


async def run(app: Application, receive, scope: dict | None = None) -> list[dict]:
    sent = []

    async def send(message: dict) -> None:
        sent.append(message)

    await app(scope or SCOPE, receive, send)
    return sent


def test_health_and_metadata_are_answered(app, ask):
    for path in ("/v2/health/live", "/v2/health/ready", "/v2", "/v2/models/colors"):
        reply = ask(app, "GET", path)
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/json"
        assert ask(app, "GET", path + "/").json == reply.json


def test_an_unknown_path_is_404_with_the_nearest(app, ask):
    reply = ask(app, "POST", "/v2/models/color/infer")
    assert reply.status == 404
    assert reply.json == {
        "error": "nothing is at '/v2/models/color/infer'",
        "hint": "did you mean '/v2/models/colors/infer'?",
    }
    assert ask(app, "GET", "/" + "x" * 9000).status == 404
    assert ask(app, "GET", "/v2/models/colors/versions/2").status == 404


def test_a_wrong_method_is_405_and_says_the_right_one(app, ask):
    reply = ask(app, "GET", "/predict")
    assert reply.status == 405
    assert reply.headers["allow"] == "POST"
    reply = ask(app, "DELETE", "/v2/health/live")
    assert reply.headers["allow"] == "GET, HEAD"
    assert ask(app, "HEAD", "/v2/health/live").status == 200


def test_a_body_over_the_limit_is_413(app, ask):
    reply = ask(app, "POST", "/predict", b"x" * 100_001, content_type="image/png")
    assert reply.status == 413
    assert "100 KB" in reply.json["error"]


def test_a_wrong_tensor_is_400(app, ask):
    reply = ask(app, "POST", "/v2/models/colors/infer", b'{"inputs": []}')
    assert reply.status == 400
    assert "0 inputs" in reply.json["error"]


@pytest.mark.parametrize("kind", [ZeroDivisionError, BundleError, ConfigError, StorageError])
def test_a_defect_is_500_told_to_the_log_and_not_to_the_client(bundle, ask, caplog, kind):
    app = Application({"broken": BrokenBundle(bundle, kind("secret detail"))}, Limits())
    with caplog.at_level(logging.ERROR):
        reply = ask(app, "POST", "/predict", encoded_pixel())
    assert reply.status == 500
    assert reply.json["error"] == "a defect of the server"
    assert "secret" not in reply.body.decode()
    assert f"{kind.__name__}: secret detail" in caplog.text
    assert ask(app, "GET", "/v2/health/live").status == 200


def test_what_the_server_has_no_library_for_is_415_and_says_so(bundle, ask, caplog):
    missing = MissingExtraError("FLAC needs soundfile", "pip install 'diptych[audio]'")
    app = Application({"deaf": BrokenBundle(bundle, missing)}, Limits())
    reply = ask(app, "POST", "/predict", encoded_pixel())
    assert (reply.status, reply.json["error"]) == (415, "FLAC needs soundfile")
    assert not caplog.text


def test_a_client_that_leaves_gets_nothing(app):
    async def leave() -> dict:
        return {"type": "http.disconnect"}

    assert asyncio.run(run(app, leave)) == []


def test_a_request_to_a_crowded_server_is_503_and_is_counted(bundle, ask):
    app = Application({"colors": bundle}, Limits())

    async def receive() -> dict:
        raise AssertionError

    start, end = asyncio.run(run(app, receive, {**SCOPE, "state": {CROWDED: True}}))
    assert start["status"] == 503
    assert (b"connection", b"close") in start["headers"]
    assert "too many connections" in json.loads(end["body"])["error"]
    text = ask(app, "GET", "/metrics").body.decode()
    assert 'diptych_requests_total{route="/predict",status="503"} 1' in text
    live = {**SCOPE, "method": "GET", "path": "/v2/health/live", "state": {CROWDED: True}}
    start, end = asyncio.run(run(app, receive, live))
    assert (start["status"], json.loads(end["body"])) == (200, {"live": True})
    assert (b"connection", b"close") in start["headers"]


def test_a_request_that_is_cut_off_by_the_stop_is_503(app):
    async def stop_while_waiting() -> list[dict]:
        waiting = asyncio.Event()

        async def receive() -> dict:
            waiting.set()
            await asyncio.Event().wait()
            raise AssertionError

        task = asyncio.create_task(run(app, receive))
        await waiting.wait()
        task.cancel()
        return await task

    start, _ = asyncio.run(stop_while_waiting())
    assert start["status"] == 503


def test_health_is_answered_between_the_parts_of_a_batch(app, bundle):
    order = []
    body = b"[" + b",".join([b"[[[1,2,3]]]"] * 64) + b"]"
    headers = [(b"content-type", b"application/json")]

    async def receive() -> dict:
        return {"type": "http.request", "body": body, "more_body": False}

    async def batch() -> None:
        await run(app, receive, {**SCOPE, "headers": headers})
        order.append("batch")

    async def health() -> None:
        await run(app, receive, {**SCOPE, "method": "GET", "path": "/v2/health/live"})
        order.append("health")

    async def both() -> None:
        await asyncio.gather(batch(), health())

    asyncio.run(both())
    assert order == ["health", "batch"]


def large_picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (600, 600)).save(file, "PNG")
    return file.getvalue()


def picture_of_many_pieces() -> bytes:
    chunk = bytes(4) + b"teSt" + zlib.crc32(b"teSt").to_bytes(4, "big")
    content = encoded_pixel()
    return content[:33] + chunk * 6_000 + content[33:]


@pytest.mark.parametrize("make", [large_picture, picture_of_many_pieces])
def test_health_is_answered_while_a_picture_that_takes_long_is_decoded(app, make):
    order = []
    body, headers = make(), [(b"content-type", b"image/png")]

    async def receive() -> dict:
        return {"type": "http.request", "body": body, "more_body": False}

    async def ask_for(name: str, scope: dict) -> None:
        start, _ = await run(app, receive, {**SCOPE, **scope})
        order.append((name, start["status"]))

    async def both() -> None:
        health = {"method": "GET", "path": "/v2/health/live"}
        await asyncio.gather(ask_for("picture", {"headers": headers}), ask_for("health", health))

    asyncio.run(both())
    assert order == [("health", 200), ("picture", 200)]


@pytest.fixture
def clocked(bundle) -> Application:
    return Application({"colors": bundle}, Limits(), itertools.count(0, 0.2).__next__)


def test_requests_are_counted_by_route_and_status(clocked, ask):
    ask(clocked, "POST", "/predict", b"no picture")
    ask(clocked, "GET", "/nowhere")
    ask(clocked, "GET", "/elsewhere")
    text = ask(clocked, "GET", "/metrics").body.decode()
    assert 'diptych_requests_total{route="/predict",status="422"} 1' in text
    assert 'diptych_requests_total{route="other",status="404"} 2' in text
    assert 'diptych_request_seconds_bucket{route="/predict",le="0.1"} 0' in text
    assert 'diptych_request_seconds_bucket{route="/predict",le="0.25"} 1' in text
