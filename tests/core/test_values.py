import numpy as np
import pytest
from msgspec import ValidationError, convert, json, structs, to_builtins

from diptych.core import values
from diptych.core.specs import ImageSpec, TensorSpec, Value
from diptych.core.values import Candidate, Estimate, FileRecord, Program, Split

KINDS = [
    kind for kind in vars(values).values() if isinstance(kind, type) and issubclass(kind, Value)
]
SPEC = ImageSpec(height=28, width=20, channels=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_is_frozen_strict_and_has_the_same_names_in_files(kind: type[Value]) -> None:
    settings = kind.__struct_config__
    assert settings.frozen
    assert settings.forbid_unknown_fields
    assert all(field.encode_name == field.name for field in structs.fields(kind))


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        SPEC.height = 3  # type: ignore[misc]


def test_an_unknown_field_is_named_with_its_place() -> None:
    with pytest.raises(ValidationError, match=r"unknown field `heigth` - at `\$\[0\]`"):
        convert([to_builtins(SPEC) | {"heigth": 3}], tuple[ImageSpec])


@pytest.mark.parametrize(
    "change", [{"height": 0}, {"width": 4097}, {"channels": 2}, {"height": "28"}, {"height": 1.5}]
)
def test_pictures_of_absurd_shape_are_refused_when_read(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        convert(to_builtins(SPEC) | change, ImageSpec)


def test_a_picture_enters_the_graph_as_raw_pixels_with_a_free_batch() -> None:
    expected = TensorSpec(name="pixels", dtype="uint8", shape=(None, 28, 20, 1))
    assert SPEC.tensor() == expected


def test_a_split_is_as_long_as_its_labels() -> None:
    split = Split(
        inputs=np.zeros((3, 8, 8, 1), np.uint8), targets=np.arange(3), items=("a", "b", "c")
    )
    assert len(split) == 3


def test_a_program_is_as_large_as_all_its_files() -> None:
    files = [FileRecord(path=str(n), sha256="0" * 64, size_bytes=n) for n in (300, 41)]
    program = Program(
        name="fp32",
        runtime="onnxruntime",
        precision="fp32",
        files=tuple(files),
        input=SPEC.tensor(),
        output=TensorSpec(name="logits", dtype="float32", shape=(None, 10)),
        tolerance=1e-3,
    )
    assert program.size_bytes == 341
    assert json.decode(json.encode(program), type=Program) == program


def test_a_row_of_the_leaderboard_comes_back_from_json_as_it_was() -> None:
    number = Estimate(value=0.5, low=0.4, high=0.6, n=10, method="made up")
    row = Candidate(
        name="student",
        model="student",
        runtime="openvino",
        precision="int8",
        threads=1,
        scores={"accuracy": number},
        drop=number,
        p50_ms=number,
        p99_ms=number,
        size_bytes=3,
        energy=values.Energy(value_j=1, low_j=0, high_j=2, label="counter", method="made up"),
        cost_usd_per_million=0.1,
        parameters=1,
        flops=2,
    )
    assert json.decode(json.encode(row), type=Candidate) == row
