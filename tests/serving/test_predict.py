"""The simple protocol, with a model whose answers are known."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from diptych.serving.app import Application
from diptych.serving.body import Limits

EMPTY = np.zeros((4, 6, 3), np.uint8)


def encoded(pixels: np.ndarray, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)


def check_answer(answer: dict, pixels: np.ndarray, bundle, oracle) -> None:
    expected = softmax(oracle(pixels[None]))[0]
    assert list(answer) == ["label", "score", "scores"]
    assert answer["label"] == bundle.labels[expected.argmax()]
    assert answer["score"] == pytest.approx(expected.max(), rel=1e-4)
    assert list(answer["scores"]) == list(bundle.labels)
    assert list(answer["scores"].values()) == pytest.approx(list(expected), rel=1e-3)


@pytest.mark.parametrize("media", ["image/png", "IMAGE/PNG; x=y", "application/octet-stream"])
def test_a_picture_is_answered_as_the_oracle_says(app, ask, bundle, oracle, media):
    reply = ask(app, "POST", "/predict", encoded(picture(1)), content_type=media)
    assert reply.status == 200
    check_answer(reply.json, picture(1), bundle, oracle)


def test_a_picture_without_a_content_type_is_still_a_picture(app, ask, bundle, oracle):
    reply = ask(app, "POST", "/v1/colors/predict", encoded(picture(2)))
    check_answer(reply.json, picture(2), bundle, oracle)


def test_pixels_in_json_are_answered_like_the_picture(app, ask, bundle, oracle):
    body = json.dumps(picture(3).tolist()).encode()
    reply = ask(app, "POST", "/predict", body, content_type="application/json; charset=utf-8")
    check_answer(reply.json, picture(3), bundle, oracle)


def test_a_batch_in_json_is_answered_in_order(app, ask, bundle, oracle):
    pictures = [picture(seed) for seed in range(40)]
    body = json.dumps([pixels.tolist() for pixels in pictures]).encode()
    reply = ask(app, "POST", "/predict", body, content_type="application/json")
    assert len(reply.json) == 40
    for answer, pixels in zip(reply.json, pictures, strict=True):
        check_answer(answer, pixels, bundle, oracle)


def test_json_gives_what_the_python_interface_gives(app, ask, bundle):
    grey = np.arange(24).reshape(4, 6) * 10
    for array in (grey, grey / 255, np.stack([grey] * 3)):
        body = json.dumps(array.tolist()).encode()
        found = ask(app, "POST", "/predict", body, content_type="application/json").json
        expected = bundle.predict(list(array) if array.ndim == 3 else [array])
        found = found if isinstance(found, list) else [found]
        assert [answer["scores"] for answer in found] == [item.scores for item in expected]


def test_a_large_picture_is_answered_as_the_python_interface_answers_it(app, ask, bundle):
    body = encoded(picture(4).repeat(150, axis=0).repeat(100, axis=1))
    reply = ask(app, "POST", "/predict", body, content_type="image/png")
    assert reply.json["scores"] == bundle.predict(body).scores
    broken = ask(app, "POST", "/predict", body[: len(body) // 2], content_type="image/png")
    assert broken.status == 422
    assert "damaged" in broken.json["error"]


def test_a_batch_of_more_scores_than_one_answer_may_hold_is_refused(bundle, ask):
    labels = tuple(map(str, range(100_000)))
    many = SimpleNamespace(
        manifest=bundle.manifest, program=bundle.program, labels=labels, assets=dict
    )
    app = Application({"many": many}, Limits())
    body = json.dumps([[[[7, 7, 7]]]] * 21).encode()
    reply = ask(app, "POST", "/predict", body, content_type="application/json")
    assert reply.status == 422
    assert "2,100,000 values, at most 2,000,000" in reply.json["error"]
    assert reply.json["hint"] == "send fewer items per request"


BOMB = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x01\x00\x00\x00\x01\x00\x00\x08\x02\x00\x00\x00"


@pytest.mark.parametrize(
    ("media", "body", "status"),
    [
        ("image/png", b"", 422),
        ("image/png", b"this is a text", 422),
        ("image/png", encoded(EMPTY)[:40], 422),
        ("image/png", BOMB + b"\x00" * 64, 422),
        ("application/json", b"", 400),
        ("application/json", b"[[1,2],[3,", 400),
        ("application/json", b"[[NaN]]", 400),
        ("application/json", b"\xff\xfe", 400),
        ("application/json", b"[" * 90_000, 400),
        ("application/json", b'{"a":' * 9_000, 400),
        ("application/json", b"[[[[[" + b"]]]]]", 422),
        ("application/json", b'{"instances": [[1]]}', 422),
        ("application/json", b"[[1],[2,3]]", 422),
        ("application/json", b"[[300]]", 422),
        ("application/json", b"[[1.5]]", 422),
        ("application/json", b'[["1"]]', 422),
        ("application/json", b"[[[[1,2,3,4,5]]]]", 422),
        ("application/json", b"[" + b"[[1,1,1,1,1]]," * 1024 + b"[[1,1,1,1,1]]]", 422),
        ("application/x-www-form-urlencoded", b"a=b", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("text/plain", b"hello", 415),
    ],
)
def test_a_wrong_body_is_one_line_and_a_hint(app, ask, media, body, status):
    reply = ask(app, "POST", "/predict", body, content_type=media)
    assert reply.status == status
    assert set(reply.json) == {"error", "hint"}
    assert "\n" not in reply.json["error"]
    assert "Traceback" not in reply.json["error"]
    assert reply.json["hint"]
