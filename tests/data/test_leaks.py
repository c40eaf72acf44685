import numpy as np
import pytest

from diptych.core.specs import CategoryColumn, NumberColumn, TableSpec
from diptych.data.leaks import find_leaks

ROWS = 400
SPEC = TableSpec(
    columns=(
        NumberColumn(name="noise"),
        NumberColumn(name="n"),
        CategoryColumn(name="w", values=("a",)),
    )
)


def table(n: np.ndarray, w: np.ndarray | None = None) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=ROWS)
    words = np.zeros(ROWS) if w is None else w
    return np.stack([noise, n, words], 1).astype(np.float32)


def test_a_number_that_tells_the_class_is_found() -> None:
    n = np.random.default_rng(1).normal(size=ROWS)
    warnings = find_leaks(SPEC, table(n), ["yes" if value > 0.3 else "no" for value in n])
    assert len(warnings) == 1
    assert warnings[0].startswith("column 'n' alone tells")


def test_a_word_that_tells_the_class_is_found() -> None:
    words = np.random.default_rng(1).integers(0, 2, ROWS)
    warnings = find_leaks(SPEC, table(np.zeros(ROWS), words), words.tolist())
    assert [warning.split("'")[1] for warning in warnings] == ["w"]


def test_a_number_that_tells_the_value_is_found() -> None:
    n = np.random.default_rng(1).normal(size=ROWS)
    warnings = find_leaks(SPEC, table(n), (3 * n + 1).tolist())
    assert "'n' alone tells" in warnings[0]
    assert "% of the values" in warnings[0]


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_a_good_column_is_no_leak(noise: float) -> None:
    random = np.random.default_rng(1)
    n = random.normal(size=ROWS)
    told = n + noise * random.normal(size=ROWS)
    assert find_leaks(SPEC, table(n), (told > 0).tolist()) == []
    assert find_leaks(SPEC, table(n), told.tolist()) == []


def test_a_rare_class_that_nothing_tells_is_no_leak() -> None:
    n = np.random.default_rng(1).normal(size=ROWS)
    assert find_leaks(SPEC, table(n), [row == 7 for row in range(ROWS)]) == []


def test_values_that_were_seen_once_say_nothing_of_others() -> None:
    assert find_leaks(SPEC, table(np.arange(ROWS)), [row % 2 for row in range(ROWS)]) == []


def test_missing_cells_and_few_rows_are_borne() -> None:
    n = np.where(np.arange(ROWS) % 2, np.nan, 1.0)
    assert "'n'" in find_leaks(SPEC, table(n), [row % 2 for row in range(ROWS)])[0]
    assert find_leaks(SPEC, table(n)[:20], [row % 2 for row in range(20)]) == []
