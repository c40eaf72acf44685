import math
from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import ValidationError, json

from diptych.core import specs
from diptych.core.specs import (
    AudioSpec,
    CategoryColumn,
    DateColumn,
    Dtype,
    ImageSpec,
    InputSpec,
    NumberColumn,
    OwnSpec,
    TableSpec,
    TensorSpec,
    TextSpec,
    Value,
)

KINDS = [kind for kind in vars(specs).values() if isinstance(kind, type)]
VALUES = [kind for kind in KINDS if issubclass(kind, Value)]
NAMES = st.text(min_size=1, max_size=20)
COLUMNS = st.one_of(
    st.builds(NumberColumn, name=NAMES),
    st.builds(CategoryColumn, name=NAMES, values=st.lists(st.text(), max_size=3).map(tuple)),
    st.builds(DateColumn, name=NAMES, format=NAMES),
)
SIDES = st.integers(1, 4096)
SPECS = st.one_of(
    st.builds(ImageSpec, height=SIDES, width=SIDES, channels=st.sampled_from([1, 3])),
    st.builds(
        AudioSpec, sample_rate=st.integers(1000, 192_000), samples=st.integers(256, 30_000_000)
    ),
    st.builds(TextSpec, tokens=SIDES, vocabulary=st.integers(2, 32_768)),
    st.builds(
        TableSpec,
        columns=st.lists(COLUMNS, min_size=1, max_size=4).map(tuple),
        ignored=st.lists(NAMES, max_size=2).map(tuple),
    ),
    st.builds(
        OwnSpec,
        task=st.just("rotation"),
        dtype=st.sampled_from(get_args(Dtype)),
        shape=st.lists(st.integers(1, 99), min_size=1, max_size=8).map(tuple),
    ),
)
IMAGE = ImageSpec(height=28, width=20, channels=1)
AUDIO = AudioSpec(sample_rate=8000, samples=8000)
TEXT = TextSpec(tokens=64, vocabulary=4000)
COLOR = CategoryColumn(name="color", values=("red", "green"))
DAY = DateColumn(name="day", format="%d.%m.%Y")
TABLE = TableSpec(columns=(NumberColumn(name="age"), COLOR, DAY), ignored=("id",))
OWN = OwnSpec(task="rotation", dtype="int64", shape=(3, 4))


@pytest.mark.parametrize("kind", VALUES)
def test_every_kind_of_input_and_column_is_frozen_and_strict(kind: type[Value]) -> None:
    settings = kind.__struct_config__
    assert settings.frozen
    assert settings.forbid_unknown_fields


@given(spec=SPECS)
def test_a_spec_comes_back_from_json_as_it_was_and_of_its_kind(spec: InputSpec) -> None:
    found = json.decode(json.encode(spec), type=InputSpec)  # type: ignore[arg-type]
    assert type(found) is type(spec)
    assert found == spec


@given(spec=SPECS)
def test_an_item_is_as_large_as_numpy_makes_it(spec: InputSpec) -> None:
    tensor = spec.tensor()
    batch, *sides = tensor.shape
    assert batch is None
    assert tensor.item_bytes == np.dtype(tensor.dtype).itemsize * math.prod(map(int, sides))


@pytest.mark.parametrize("dtype", get_args(Dtype))
def test_an_item_of_every_type_is_measured_in_bytes(dtype: Dtype) -> None:
    tensor = TensorSpec(name="x", dtype=dtype, shape=(None, 5, 2))
    assert tensor.item_bytes == np.zeros((5, 2), dtype).nbytes


@pytest.mark.parametrize(
    ("spec", "tensor", "item"),
    [
        (IMAGE, ("pixels", "uint8", (None, 28, 20, 1)), "28 × 20 × 1 values of uint8"),
        (AUDIO, ("samples", "int16", (None, 8000)), "8000 values of int16"),
        (TEXT, ("tokens", "int32", (None, 64)), "64 values of int32"),
        (TABLE, ("columns", "float32", (None, 3)), "3 values of float32"),
        (OWN, ("values", "int64", (None, 3, 4)), "3 × 4 values of int64"),
    ],
)
def test_the_input_of_a_graph_is_raw_values_with_a_free_batch(
    spec: InputSpec, tensor: tuple[str, Dtype, tuple[int | None, ...]], item: str
) -> None:
    name, dtype, shape = tensor
    assert spec.tensor() == TensorSpec(name=name, dtype=dtype, shape=shape)
    assert spec.tensor().item == item


@pytest.mark.parametrize(
    ("spec", "change"),
    [
        (IMAGE, {"height": 0}),
        (IMAGE, {"height": 4097}),
        (IMAGE, {"channels": 4}),
        (AUDIO, {"sample_rate": 999}),
        (AUDIO, {"sample_rate": 192_001}),
        (AUDIO, {"samples": 255}),
        (AUDIO, {"samples": 30_000_001}),
        (TEXT, {"tokens": 0}),
        (TEXT, {"tokens": 4097}),
        (TEXT, {"vocabulary": 1}),
        (TEXT, {"vocabulary": (1 << 20) + 1}),
        (TABLE, {"columns": []}),
        (TABLE, {"columns": [{"type": "number", "name": ""}]}),
        (TABLE, {"columns": [{"type": "number", "name": "x" * 513}]}),
        (TABLE, {"columns": [{"type": "list", "name": "x"}]}),
        (TABLE, {"columns": [{"type": "number", "name": "x"}] * 10_001}),
        (TABLE, {"columns": [{"type": "category", "name": "x", "values": ["a"] * 100_001}]}),
        (TABLE, {"ignored": ["x"] * 10_001}),
        (OWN, {"shape": []}),
        (OWN, {"shape": [0]}),
        (OWN, {"shape": [1] * 9}),
        (OWN, {"dtype": "float64"}),
        (OWN, {"task": "../x"}),
        (OWN, {"task": "x\n"}),
        (OWN, {"type": "video"}),
        (IMAGE, {"more": 1}),
    ],
)
def test_a_spec_out_of_its_limits_is_refused_when_read(
    spec: InputSpec, change: dict[str, object]
) -> None:
    plain = msgspec.to_builtins(spec)
    assert msgspec.convert(plain, InputSpec) == spec  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        msgspec.convert(plain | change, InputSpec)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("padding", "unknown", "numbers"),
    [
        (None, None, {}),
        (0, 1, {}),
        (0, 100, {1: 100, 100: 1}),
        (1, 3, {0: 3, 1: 0, 3: 1}),
        (5, None, {0: 5, 5: 0}),
        (5, 5, {0: 5, 5: 0}),
    ],
)
def test_padding_and_the_unknown_token_become_0_and_1(
    padding: int | None, unknown: int | None, numbers: dict[int, int]
) -> None:
    spec = TextSpec(tokens=8, vocabulary=200, padding=padding, unknown=unknown)
    assert spec.renumbered() == numbers
