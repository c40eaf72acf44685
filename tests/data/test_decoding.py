import numpy as np
import pytest

from diptych.core.errors import DataError
from diptych.core.progress import Step
from diptych.core.specs import TensorSpec
from diptych.data.decoding import decode_each, each
from diptych.data.raw import Content, RawSplit

TENSOR = TensorSpec(name="x", dtype="int16", shape=(None, 2))


def split(count: int, batch: int) -> RawSplit:
    contents = [bytes([number]) for number in range(count)]
    return RawSplit(
        items=[f"item {number}" for number in range(count)],
        labels=range(count),
        contents=lambda: iter(contents[at : at + batch] for at in range(0, count, batch)),
    )


def double(content: Content, item: str) -> np.ndarray:
    assert isinstance(content, bytes)
    if content[0] % 3 == 2:
        raise DataError(f"{item} is odd")
    return np.array([content[0], 2 * content[0]])


def ignore(step: Step) -> None:
    pass


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_results_and_errors_come_in_order(batch: int) -> None:
    results = list(each(split(100, batch), double, "work", ignore))
    assert [isinstance(result, DataError) for result in results] == [n % 3 == 2 for n in range(100)]
    assert [result[1] for result in results if isinstance(result, np.ndarray)] == [
        2 * n for n in range(100) if n % 3 != 2
    ]


def test_progress_counts_items_batch_by_batch() -> None:
    steps: list[Step] = []
    list(each(split(10, 4), double, "work", steps.append))
    assert [(step.done, step.total) for step in steps] == [(4, 10), (8, 10), (10, 10)]


def test_what_is_readable_is_kept_with_its_number() -> None:
    inputs, rows, skipped = decode_each(split(5, 2), TENSOR, double, "work", ignore)
    assert inputs.dtype == np.int16
    np.testing.assert_array_equal(inputs, [[0, 0], [1, 2], [3, 6], [4, 8]])
    assert rows.tolist() == [0, 1, 3, 4]
    assert [(each.item, each.reason) for each in skipped] == [("item 2", "is odd")]


def test_another_error_is_not_kept() -> None:
    def fail(content: Content, item: str) -> np.ndarray:
        raise RuntimeError(item)

    with pytest.raises(RuntimeError, match="item 0"):
        list(each(split(1, 1), fail, "work", ignore))
