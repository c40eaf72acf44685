"""What goes into a graph: one tensor of raw values for each kind of input.

Decoding a user's item into this tensor is in `tasks`; everything after it (scaling, log-mel,
embeddings) is inside the graph.

Shapes: N batch, H height, W width, C channels or columns, T samples of sound, L tokens.
"""

import math
from typing import Annotated, Literal, dataclass_transform

import numpy as np
from msgspec import Meta, Struct, field

Side = Annotated[int, Meta(ge=1, le=4096)]
Dtype = Literal["uint8", "int16", "int32", "int64", "float32"]
Name = Annotated[str, Meta(min_length=1, max_length=512)]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Value(Struct, frozen=True, forbid_unknown_fields=True):
    """A frozen record, made by keywords, that rejects unknown fields when it is read."""


class TensorSpec(Value):
    """One input or output of a program; `None` in the shape is the free batch axis."""

    name: str
    dtype: Dtype
    shape: tuple[int | None, ...]

    @property
    def item_bytes(self) -> int:
        """The size of one item."""
        return np.dtype(self.dtype).itemsize * math.prod(side or 1 for side in self.shape)

    @property
    def item(self) -> str:
        """One item in words, such as ``28 × 28 × 1 values of uint8``."""
        sides = " × ".join(str(side) for side in self.shape[1:])
        return f"{sides} values of {self.dtype}"


COLUMNS = 2
"""The axis of pictures (N, H, W, C) that a mirror turns around."""


class ImageSpec(Value, tag="image"):
    """What a picture is turned into before the graph: uint8 (H, W, C), C = 1 (grey) or 3 (RGB)."""

    height: Side
    width: Side
    channels: Literal[1, 3]

    def tensor(self) -> TensorSpec:
        """Give the graph's input.

        Returns:
            uint8 (N, H, W, C) named ``pixels``.
        """
        shape = (None, self.height, self.width, self.channels)
        return TensorSpec(name="pixels", dtype="uint8", shape=shape)


class AudioSpec(Value, tag="audio"):
    """What sound is turned into: int16 (T,), one channel at `sample_rate` samples per second."""

    sample_rate: Annotated[int, Meta(ge=1000, le=192_000)]
    samples: Annotated[int, Meta(ge=256, le=30_000_000)]

    def tensor(self) -> TensorSpec:
        """Give the graph's input.

        Returns:
            int16 (N, T) named ``samples``.
        """
        return TensorSpec(name="samples", dtype="int16", shape=(None, self.samples))


class TextSpec(Value, tag="text"):
    """What text is turned into: int32 (L,) token numbers below `vocabulary`, then zeros.

    The tokenizer is the bundle's file ``tokenizer.json``; 0 is padding, 1 an unknown token. One
    that was made elsewhere, with an encoder, has other numbers for these, `padding` and `unknown`;
    they change places with 0 and 1.
    """

    tokens: Annotated[int, Meta(ge=1, le=4096)]
    vocabulary: Annotated[int, Meta(ge=2, le=1 << 20)]
    padding: Annotated[int, Meta(ge=0)] | None = None
    unknown: Annotated[int, Meta(ge=0)] | None = None

    def renumbered(self) -> dict[int, int]:
        """Say which tokens have another number than in the tokenizer's file.

        Returns:
            Their numbers by those of the file.
        """
        if self.padding is None:
            return {}
        numbers = {each: each for each in (0, 1, self.padding, self.unknown) if each is not None}
        numbers[0], numbers[self.padding] = self.padding, 0
        if self.unknown is not None and self.unknown != self.padding:
            first = next(each for each, number in numbers.items() if number == 1)
            numbers[first], numbers[self.unknown] = numbers[self.unknown], 1
        return {each: number for each, number in numbers.items() if each != number}

    def tensor(self) -> TensorSpec:
        """Give the graph's input.

        Returns:
            int32 (N, L) named ``tokens``.
        """
        return TensorSpec(name="tokens", dtype="int32", shape=(None, self.tokens))


Notation = Literal["1234.5", "1,234.5", "1.234,5", "1234,5"]
"""How the numbers of a file are written, by one of them."""


class NumberColumn(Value, tag="number"):
    """A column of numbers, in CSV in a `notation`; NaN where missing."""

    name: Name
    notation: Notation = "1234.5"


class CategoryColumn(Value, tag="category"):
    """A column of words: `values[k]` becomes k + 1; missing and unseen ones become 0."""

    name: Name
    values: Annotated[tuple[str, ...], Meta(max_length=100_000)]


class DateColumn(Value, tag="date"):
    """A column of dates in one `format` of `strptime` or ``iso``: days since 2000, NaN missing."""

    name: Name
    format: Name


Column = NumberColumn | CategoryColumn | DateColumn


class TableSpec(Value, tag="table"):
    """What a row is turned into: float32 (C,), one value per column.

    `ignored` are columns that a row may have and that are not used, such as the label's.
    """

    columns: Annotated[tuple[Column, ...], Meta(min_length=1, max_length=10_000)]
    ignored: Annotated[tuple[str, ...], Meta(max_length=10_000)] = ()

    def notations(self) -> dict[str, Notation]:
        """Tell how files write the numbers of each column that holds some.

        Returns:
            The notation by the column's name.
        """
        numbers = [column for column in self.columns if isinstance(column, NumberColumn)]
        return {column.name: column.notation for column in numbers}

    def tensor(self) -> TensorSpec:
        """Give the graph's input.

        Returns:
            float32 (N, C) named ``columns``.
        """
        return TensorSpec(name="columns", dtype="float32", shape=(None, len(self.columns)))


class OwnSpec(Value, tag="own"):
    """What an item of a user's own task is turned into; the task of that name decodes it."""

    task: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*\Z", max_length=64)]
    dtype: Dtype
    shape: Annotated[tuple[Annotated[int, Meta(ge=1)], ...], Meta(min_length=1, max_length=8)]

    def tensor(self) -> TensorSpec:
        """Give the graph's input.

        Returns:
            (N, ...) named ``values``.
        """
        return TensorSpec(name="values", dtype=self.dtype, shape=(None, *self.shape))


InputSpec = ImageSpec | AudioSpec | TextSpec | TableSpec | OwnSpec
