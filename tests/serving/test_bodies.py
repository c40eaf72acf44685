"""Bodies of each kind of input, with models whose answers are known."""

import io
import json
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.special import expit, softmax

from diptych.core.errors import DataError
from diptych.core.specs import AudioSpec, ImageSpec
from diptych.inference.bundle import load
from diptych.serving.app import Application
from diptych.serving.bodies import (
    BODIES,
    check_items,
    check_picture,
    check_sound,
    check_values,
    is_batch,
    parse_pictures,
    parse_rows,
    parse_sounds,
    parse_texts,
)
from diptych.serving.body import Limits
from diptych.tasks import PREPARERS

JSON = "application/json"
ROW = {"age": 2.0, "color": "green", "day": "2000-01-02"}


@pytest.fixture(scope="module")
def apps(kind_bundle):
    opened, made = [], {}

    def make(kind: str, goal: str = "classification") -> Application:
        if (kind, goal) not in made:
            opened.append(load(kind_bundle(kind, goal).path))
            made[kind, goal] = Application({kind: opened[-1]}, Limits(max_body_bytes=200_000))
        return made[kind, goal]

    yield make
    for bundle in opened:
        bundle.close()


def wav(samples: np.ndarray, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setparams((1, 2, rate, 0, "NONE", ""))
        recording.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def shares(answer: dict, kind) -> list[float]:
    return [answer["scores"][label] for label in kind.labels]


@pytest.mark.parametrize("media", ["audio/wav", "audio/flac", "application/octet-stream"])
def test_a_sound_is_answered_as_the_oracle_says(apps, ask, kind_bundle, media):
    kind = kind_bundle("audio")
    reply = ask(apps("audio"), "POST", "/predict", wav(kind.inputs[0]), content_type=media)
    assert list(reply.json) == ["label", "score", "scores"]
    expected = softmax(kind.outputs(kind.inputs[:1]))[0]
    assert shares(reply.json, kind) == pytest.approx(list(expected), rel=1e-3)
    assert reply.json["label"] == kind.labels[expected.argmax()]


def test_samples_in_json_are_answered_like_the_sound(apps, ask, kind_bundle):
    kind = kind_bundle("audio")
    alone = ask(apps("audio"), "POST", "/predict", wav(kind.inputs[1])).json
    for samples in (kind.inputs[1], kind.inputs[1] / 32768):
        body = json.dumps(samples.tolist()).encode()
        assert ask(apps("audio"), "POST", "/predict", body, content_type=JSON).json == alone
    several = [kind.inputs[1][:50].tolist(), kind.inputs[1].tolist(), [0.5]]
    reply = ask(apps("audio"), "POST", "/predict", json.dumps(several).encode(), content_type=JSON)
    assert reply.json[1] == alone
    assert len(reply.json) == 3


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("text/plain; charset=utf-8", b"so good, \xc3\xa9"),
        ("", b"so good, \xc3\xa9"),
        (JSON, b'"so good, \\u00e9"'),
        (JSON, b' {"text": "so good, \xc3\xa9"}'),
    ],
)
def test_a_text_is_answered_however_it_is_sent(apps, ask, kind_bundle, media, body):
    kind = kind_bundle("text")
    tokens = PREPARERS[type(kind.spec)](kind.spec, kind.assets)("so good, é")
    headers = {"content_type": media} if media else {}
    reply = ask(apps("text"), "POST", "/predict", body, **headers)
    expected = softmax(kind.outputs(tokens[None]))[0]
    assert shares(reply.json, kind) == pytest.approx(list(expected), rel=1e-3, abs=1e-6)


def test_a_row_is_answered_as_the_oracle_says(apps, ask, kind_bundle):
    kind = kind_bundle("table")
    row = ask(apps("table"), "POST", "/predict", json.dumps(ROW).encode(), content_type=JSON)
    expected = softmax(kind.outputs(np.array([[2.0, 2.0, 1.0]])))[0]
    assert shares(row.json, kind) == pytest.approx(list(expected), rel=1e-3)
    written = {"age": " 2 ", "color": "green", "day": "2000-01-02", "price": 7}
    again = ask(apps("table"), "POST", "/predict", json.dumps(written).encode())
    assert again.json == row.json
    blank = ask(apps("table"), "POST", "/predict", b'{"age": null}', content_type=JSON)
    assert shares(blank.json, kind) == pytest.approx([1 / 3] * 3)


def test_each_goal_has_its_answer(apps, ask, kind_bundle):
    body = json.dumps([ROW] * 40).encode()
    outputs = kind_bundle("table", "multi-label").outputs(np.array([[2.0, 2.0, 1.0]]))[0]
    for answer in ask(apps("table", "multi-label"), "POST", "/predict", body).json:
        assert list(answer) == ["labels", "scores"]
        assert answer["labels"] == [
            label for label, one in zip(answer["scores"], outputs, strict=True) if one >= 0
        ]
        assert list(answer["scores"].values()) == pytest.approx(list(expit(outputs)), rel=1e-3)
    reply = ask(apps("table", "regression"), "POST", "/predict", json.dumps(ROW).encode())
    value = kind_bundle("table", "regression").outputs(np.array([[2.0, 2.0, 1.0]]))[0, 0]
    assert reply.json == {"value": pytest.approx(value, rel=1e-4)}
    ordinal = ask(apps("table", "ordinal"), "POST", "/predict", json.dumps(ROW).encode())
    assert list(ordinal.json) == ["label", "score", "scores"]


@pytest.mark.parametrize(
    ("kind", "media", "body", "expected"),
    [
        ("audio", "audio/wav", b"RIFF", (422, "not a WAV")),
        ("audio", "audio/wav", b"", (422, "0 bytes")),
        ("audio", "audio/wav", wav(np.zeros(0)), (422, "0 samples")),
        ("audio", "audio/wav", wav(np.ones(900))[:-9], (422, "cut off")),
        ("audio", "audio/wav", wav(np.ones(9), 15_999), (422, "15,999 samples per second")),
        ("audio", "text/plain", b"hello", (415, "audio/wav")),
        ("audio", JSON, b"[[[1]]]", (422, "1 to 2 levels")),
        ("audio", JSON, b"[40000]", (422, "32767")),
        ("audio", JSON, b"[99.5]", (422, "not -1 to 1")),
        ("audio", JSON, b"[]", (422, "length >= 1")),
        ("audio", JSON, b"[[0.5], [9.5]]", (422, "item 1: ")),
        ("text", "text/plain", b"\xff\xfe\x00", (422, "UTF-8")),
        ("text", "image/png", b"hello", (415, "text/plain")),
        ("text", JSON, b'"half', (400, "JSON")),
        ("text", JSON, b"[]", (422, "empty")),
        ("text", JSON, b"7", (422, "got `int`")),
        ("text", JSON, b'{"texts": "a"}', (422, "texts")),
        ("text", JSON, json.dumps(["a"] * 1025).encode(), (422, "1025 items")),
        ("table", JSON, b'{"agee": 3}', (422, "did you mean 'age'?")),
        ("table", JSON, b'[{"age": 3}, {"age": "old"}]', (422, "item 1: column 'age'")),
        ("table", JSON, b'{"age": [3]}', (422, "got `array`")),
        ("table", JSON, b'{"day": "1/1/2000"}', (422, "2000-01-31")),
        ("table", JSON, b"[" * 50_000, (422, "got `array`")),
        ("table", JSON, b"[[1, 2, 3]]", (422, "got `array`")),
        ("table", "text/csv", b"age\n3", (415, "application/json")),
    ],
)
def test_a_wrong_body_is_one_line_and_a_hint(apps, ask, kind, media, body, expected):
    reply = ask(apps(kind), "POST", "/predict", body, content_type=media)
    status, words = expected
    assert reply.status == status
    assert set(reply.json) == {"error", "hint"}
    assert words in reply.json["error"] + reply.json["hint"]
    assert "\n" not in reply.json["error"]
    assert reply.json["hint"]


def test_a_small_file_of_a_large_picture_is_refused_before_it_is_decoded(app, ask):
    spec = ImageSpec(height=4, width=6, channels=3)
    large, files = Image.new("1", (4001, 4000)), {}
    for form in ("PNG", "JPEG"):
        file = io.BytesIO()
        large.save(file, form)
        files[form] = file.getvalue()
    check_picture(files["JPEG"], spec)
    assert len(files["PNG"]) < 100_000
    reply = ask(app, "POST", "/predict", files["PNG"], content_type="image/png")
    assert reply.status == 422
    assert reply.json["error"] == "the picture has 16,004,000 pixels, more than 16,000,000"


@pytest.mark.parametrize(
    ("side", "form", "is_large"),
    [(64, "PNG", False), (600, "PNG", True), (64, "JPEG", False), (900, "JPEG", False)],
)
def test_a_picture_of_which_much_is_decoded_is_large(side, form, is_large):
    file, shape = io.BytesIO(), (side, side, 3)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).save(file, form)
    assert check_picture(file.getvalue(), ImageSpec(height=4, width=6, channels=3)) is is_large


@pytest.mark.parametrize(("num_values", "is_large"), [(1_000_000, False), (1_000_001, True)])
def test_a_long_sound_is_large(num_values, is_large):
    body = wav(np.zeros(num_values, np.int16))
    assert check_sound(body, AudioSpec(sample_rate=8000, samples=8192)) is is_large


def test_a_picture_of_many_scans_is_refused_before_it_is_decoded(app, ask):
    file = io.BytesIO()
    Image.new("L", (64, 64)).save(file, "JPEG", progressive=True)
    body = file.getvalue()
    assert ask(app, "POST", "/predict", body, content_type="image/jpeg").status == 200
    last = body[body.rindex(b"\xff\xda") : -2]
    many = body[:-2] + 100 * last + body[-2:]
    reply = ask(app, "POST", "/predict", many, content_type="image/jpeg")
    assert reply.status == 422
    num_scans = 100 + body.count(b"\xff\xda")
    assert reply.json["error"] == f"the picture has {num_scans} scans, more than 100"


def test_a_picture_of_many_blocks_of_exif_is_refused_before_they_are_joined(app, ask):
    file, block = io.BytesIO(), b"\xff\xe1\0\x09Exif\0\0x"
    Image.new("L", (64, 64)).save(file, "JPEG")
    start, rest = file.getvalue()[:2], file.getvalue()[2:]
    for count, status in ((64, 200), (65, 422)):
        body = start + count * block + rest
        reply = ask(app, "POST", "/predict", body, content_type="image/jpeg")
        assert reply.status == status
    assert "more than 64 blocks of Exif" in reply.json["error"]


@pytest.mark.parametrize("wanted", [8000, 16_000, 22_050, 44_100])
def test_a_sound_of_a_usual_rate_is_taken(wanted):
    spec = AudioSpec(sample_rate=wanted, samples=256)
    for rate in (8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000):
        check_sound(wav(np.ones(9), rate), spec)


def test_a_sound_at_the_models_own_odd_rate_is_taken():
    check_sound(wav(np.ones(9), 15_999), AudioSpec(sample_rate=15_999, samples=256))


@pytest.mark.parametrize(
    ("parse", "item", "unlike"),
    [(parse_sounds, b"[0.5]", b"[1]"), (parse_pictures, b"[[[7,7,7]]]", b"[[[7]]]")],
)
def test_items_are_counted_before_arrays_are_made_of_them(parse, item, unlike):
    assert len(parse(b"[" + b",".join([item] * 1024) + b"]")[0]) == 1024
    with pytest.raises(DataError, match="1025 items"):
        parse(b"[" + b",".join([item] * 1024) + b"," + unlike + b"]")


def test_a_batch_has_a_largest_length():
    check_items(1024)
    with pytest.raises(DataError, match="1025 items"):
        check_items(1025)


def test_an_answer_has_a_largest_number_of_values():
    check_values(20, 100_000)
    with pytest.raises(DataError, match="21 items of 100,000 labels make 2,100,000 values"):
        check_values(21, 100_000)


@pytest.mark.slow
def test_a_small_file_of_a_long_sound_is_refused_before_it_is_decoded(apps, ask):
    sound = pytest.importorskip("soundfile")
    for seconds, status in ((1, 200), (60, 422)):
        file = io.BytesIO()
        sound.write(file, np.zeros(192_000 * seconds, np.int16), 192_000, format="FLAC")
        reply = ask(apps("audio"), "POST", "/predict", file.getvalue(), content_type="audio/flac")
        assert len(file.getvalue()) < 200_000
        assert reply.status == status
    assert reply.json == {"error": "the sound lasts 60 s", "hint": "send at most 52 s of this kind"}


@given(st.binary(max_size=60), st.sampled_from([parse_sounds, parse_texts, parse_rows]))
def test_any_bytes_give_items_or_a_data_error(body, parse):
    try:
        items, many = parse(body)
    except DataError:
        return
    assert len(items) >= 1
    assert many or len(items) == 1


@given(st.lists(st.text(), min_size=1) | st.text())
def test_texts_are_read_as_pythons_parser_reads_them(texts):
    items, many = parse_texts(json.dumps(texts).encode())
    assert (items if many else items[0]) == texts


def test_a_stack_of_pixels_is_a_batch_unless_its_last_axis_can_be_channels():
    assert is_batch((7, 28, 28))
    assert is_batch((1, 28, 28, 1))
    assert not is_batch((28, 28))
    assert not is_batch((28, 28, 3))


def test_every_kind_that_can_be_prepared_can_be_sent():
    assert set(PREPARERS) <= set(BODIES)
