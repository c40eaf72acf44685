import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.specs import CategoryColumn, ImageSpec, NumberColumn, OwnSpec, TableSpec
from diptych.reporting.inputs import describe


def test_every_kind_has_its_own_words(sound, written, tabled, manifest) -> None:
    kinds = [describe(one) for one in (
        manifest.input, sound.manifest.input, written.manifest.input, tabled.manifest.input,
    )]  # fmt: skip
    assert [kind.item for kind in kinds] == [
        "a picture of 28 × 28 grey pixels",
        "1 s of sound",
        "a text of up to 8 tokens",
        "a row of 3 columns",
    ]
    assert kinds[1].form == "8,000 samples at 8,000 Hz"
    assert kinds[3].form == "1 number, 1 category, 1 date"
    assert kinds[3].code == '{"rooms": 1.5, "place": "inland", "sold": None}'


def test_color_pictures_and_own_tasks_have_words_too() -> None:
    assert "32 × 16 color" in describe(ImageSpec(height=16, width=32, channels=3)).item
    own = describe(OwnSpec(task="sensor", dtype="float32", shape=(3, 5)))
    assert (own.item, own.form) == ("an item of sensor", "3 × 5 values of float32")
    assert "not in the bundle" in own.limit


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=6))
def test_the_code_is_python_whatever_the_columns_are_called(names: list[str]) -> None:
    columns = [CategoryColumn(name=name, values=tuple(names)) for name in names]
    code = describe(TableSpec(columns=(*columns, NumberColumn(name="n")))).code
    row = ast.literal_eval(code)
    assert set(row) <= {*names, "n"}
    assert "`" not in code


def test_columns_and_their_words_may_have_any_name_that_fits_a_line() -> None:
    columns = (
        NumberColumn(name="sepal length (cm)"),
        NumberColumn(name="in `code`"),
        NumberColumn(name="two\nlines"),
        CategoryColumn(name="_花", values=("山鸢尾",)),
        CategoryColumn(name='"so" \\', values=("a\u202eb", "`", "it's")),
        NumberColumn(name="one too many"),
    )
    code = describe(TableSpec(columns=columns)).code
    assert code == r'{"sepal length (cm)": 1.5, "_花": "山鸢尾", "\"so\" \\": "it' + """'s"}"""
    row = {"sepal length (cm)": 1.5, "_花": "山鸢尾", '"so" \\': "it's"}
    assert ast.literal_eval(code) == row


@pytest.mark.parametrize(("count", "written"), [(1, "1 category"), (2, "2 categories")])
def test_categories_are_counted_in_english(count: int, written: str) -> None:
    columns = tuple(CategoryColumn(name=f"c{k}", values=()) for k in range(count))
    assert describe(TableSpec(columns=columns)).form == written
