"""Reading and writing bundle.json."""

import json
from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from diptych.core.errors import BundleError, ConfigError
from diptych.core.manifest import FORMAT_VERSION
from diptych.core.specs import DateColumn, ImageSpec, TableSpec, TensorSpec
from diptych.inference.manifest import (
    LONGEST_MODEL_NAME,
    LOOKS_AGAIN,
    MAX_BYTES,
    check_model_name,
    encode,
    listed_files,
    parse,
    seal,
)
from diptych.tasks.dates import FORMS


def edited(tiny, *path, value) -> bytes:
    """Encode the tiny manifest with one place changed."""
    tree = json.loads(encode(tiny.manifest))
    place = tree
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    del tree["sha256"]
    return seal(json.dumps(tree, indent=1).encode())


def test_what_is_written_is_read_back_unchanged_with_infinite_bounds(tiny):
    assert tiny.manifest.candidates[0].p99_ms.high == float("inf")
    assert parse(encode(tiny.manifest)) == tiny.manifest


def test_a_bundle_from_before_the_damage_report_is_read_without_one(tiny):
    tree = json.loads(encode(tiny.manifest))
    assert tree.pop("damage") is None
    del tree["sha256"]
    old = parse(seal(json.dumps(tree, indent=1).encode()))
    assert old == tiny.manifest
    assert old.damage is None


def test_the_text_is_plain_json(tiny):
    def refuse(word):
        raise AssertionError(word)

    tree = json.loads(encode(tiny.manifest), parse_constant=refuse)
    assert tree["labels"] == ["ant", "bee", "cat"]


def test_a_newer_format_is_refused_with_both_versions_whatever_else_it_holds():
    data = json.dumps({"format_version": 7, "unknown": [1, {"new": "things"}]}).encode()
    with pytest.raises(
        BundleError, match=f"version 7, this Diptych reads {FORMAT_VERSION}"
    ) as seen:
        parse(data)
    assert "upgrade" in seen.value.hint


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"{}", "format_version"),
        (b'{"format_version": "1"}', "format_version"),
        (b'{"format_version": %d}' % FORMAT_VERSION, "its hash differs"),
        (seal(b'{\n "format_version": %d\n}' % FORMAT_VERSION), "missing"),
        (b'{"format_version": 1, "x": ' + b"[" * 50_000, "nested too deeply"),
        (b'{"format_version": 1, "x": ' + b'{"a":' * 50_000, "nested too deeply"),
        (b'{"format_version": 1, "x": [' + b"{}," * 500_000 + b"{}]}", "more than 100000 parts"),
        (b" " * (MAX_BYTES + 1), "larger than"),
        (b"\x80\x04\x95.", "cannot be read"),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_line(data, message):
    with pytest.raises(BundleError, match=message) as seen:
        parse(data)
    assert "\n" not in seen.value.message
    assert len(seen.value.message) < 300


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("goal",), "mind-reading", "mind-reading"),
        (("task",), "image-classification", "unknown field"),
        (("assets",), ["tokenizer.json"], "'tokenizer.json' is needed to prepare inputs"),
        (("assets",), ["bundle.json"], "'bundle.json' is needed to prepare inputs"),
        (("input", "extra"), 3, "unknown field"),
        (("model", "scores"), {}, "scores"),
        (("labels",), ["a", "a", "b"], "labels"),
        (("labels",), ["a"], "labels"),
        (("labels",), ["a", "b"], "one for each label"),
        (("input", "height"), 10**9, "height"),
        (("input", "height"), 0, "height"),
        (("input", "channels"), 4, "channels"),
        (("input", "type"), "video", "video"),
        (("programs",), [], "0 programs"),
        (("programs", 0, "name"), "../x", "program name"),
        (("programs", 0, "name"), "inputs", "program name"),
        (("programs", 0, "name"), "fp32-openvino", "2 programs"),
        (("programs", 0, "files"), [], "no files"),
        (("programs", 0, "input", "shape"), [None, 8, 8, 1 << 40], "another input"),
        (("programs", 0, "output", "shape"), [None, 1 << 60], "one for each label"),
        (("programs", 0, "output", "dtype"), "int64", "float32 logits"),
        (("programs", 0, "tolerance"), -1.0, "tolerance"),
        (("programs", 0, "tolerance"), 1.7976931348623157e308, "tolerance"),
        (("programs", 0, "threads"), 10**6, "threads"),
        (("programs", 0, "command"), "rm", "unknown field"),
    ],
)
def test_an_absurd_value_is_refused_and_named(tiny, path, value, message):
    with pytest.raises(BundleError, match=message):
        parse(edited(tiny, *path, value=value))


def with_dates(tiny, form):
    """Give the tiny manifest another input: rows of one date in some form."""
    spec = TableSpec(columns=(DateColumn(name="day", format=form),))
    programs = [structs.replace(each, input=spec.tensor()) for each in tiny.manifest.programs]
    return structs.replace(tiny.manifest, input=spec, programs=tuple(programs))


def test_dates_of_any_form_that_training_finds_are_read(tiny):
    for form in FORMS:
        manifest = with_dates(tiny, form)
        assert parse(encode(manifest)) == manifest


@pytest.mark.parametrize("form", ["%d%d", "%", "%999999999d", "%Y-%m", "ISO", "iso\n"])
def test_dates_of_another_form_are_refused_when_the_bundle_is_read(tiny, form):
    with pytest.raises(BundleError) as seen:
        encode(with_dates(tiny, form))
    said = f"bundle.json: column 'day' has dates of an unknown form, {form!r}"
    assert seen.value.message == said


def test_a_manifest_that_could_not_be_read_is_not_written(tiny):
    summary = structs.replace(tiny.manifest.training, seconds=float("nan"))
    with pytest.raises(BundleError, match="NaN"):
        encode(structs.replace(tiny.manifest, training=summary))
    with pytest.raises(BundleError, match="labels"):
        encode(structs.replace(tiny.manifest, labels=("one",)))
    with pytest.raises(BundleError, match="cannot hold"):
        encode(structs.replace(tiny.manifest, name="\udcff"))


def test_a_file_listed_twice_must_be_the_same(tiny):
    record = tiny.manifest.files[0]
    assert listed_files(structs.replace(tiny.manifest, files=(record, record)))
    other = structs.replace(record, size_bytes=1)
    with pytest.raises(BundleError, match="twice"):
        listed_files(structs.replace(tiny.manifest, files=(record, other)))


def test_the_programs_input_is_that_of_the_specification(tiny):
    spec = ImageSpec(height=8, width=8, channels=3)
    assert tiny.manifest.input == spec
    assert spec.tensor() == TensorSpec(name="pixels", dtype="uint8", shape=(None, 8, 8, 3))


@settings(max_examples=200)
@given(data=st.data())
def test_any_changed_byte_is_refused(tiny, data):
    text = bytearray(encode(tiny.manifest))
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] ^= data.draw(st.integers(1, 255))
    assume(bytes(text) != encode(tiny.manifest))
    with pytest.raises(BundleError):
        parse(bytes(text))


@settings(max_examples=200)
@given(data=st.data())
def test_damaged_text_under_a_right_hash_is_read_or_refused_and_never_breaks(tiny, data):
    tree = json.loads(encode(tiny.manifest))
    del tree["sha256"]
    text = bytearray(json.dumps(tree, indent=1).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 3))] = data.draw(st.integers(0, 255))
    with suppress(BundleError):
        assert encode(parse(seal(bytes(text))))


def test_a_model_may_have_a_long_name_or_look_again_once():
    name = "x" * LONGEST_MODEL_NAME
    for good in ("a", name, name + LOOKS_AGAIN):
        check_model_name(good)
    for long in (name + "x", name + 2 * LOOKS_AGAIN):
        with pytest.raises(ConfigError, match=f"{long}' has {len(long)} letters, of at most 30"):
            check_model_name(long)
