"""The place to try a model: what is on the page can be sent, and nothing becomes markup."""

import json
import re
import shlex
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

from diptych.core.specs import CategoryColumn, DateColumn, NumberColumn, OwnSpec, TableSpec
from diptych.inference.bundle import load
from diptych.inference.golden import Golden
from diptych.serving.bodies import BODIES
from diptych.serving.page import page_response
from diptych.serving.trial import MOST_FIELDS, TRIALS, trial


class Fields(HTMLParser):
    """Collects what can be filled in."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.entries: dict[str, dict[str, str | None]] = {}
        self.options: list[str | None] = []
        self.tags: list[str] = []
        self.feed(form)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if tag in {"input", "textarea"}:
            self.entries[found.get("name") or found["type"]] = found
        if tag == "option":
            self.options.append(found["value"])


class Model:
    """What the page needs of a bundle of rows."""

    def __init__(self, spec: TableSpec, row: list[float]) -> None:
        self.manifest = type("Manifest", (), {"input": spec})
        self._row = row

    def golden(self) -> Golden:
        return Golden(inputs=np.array([self._row], np.float32), expected={})


def test_a_row_has_a_field_for_each_column_filled_in_with_an_example():
    columns = (
        NumberColumn(name="age"),
        CategoryColumn(name='<b>"color', values=("red", "<i>")),
        DateColumn(name="day", format="%d/%m/%Y"),
        NumberColumn(name="blank"),
    )
    made = trial(Model(TableSpec(columns=columns), [39.5, 2, 30, np.nan]))
    fields = Fields(made.form)
    values = {name: entry["value"] for name, entry in fields.entries.items()}
    assert values == {"age": "39.5", '<b>"color': "<i>", "day": "31/01/2000", "blank": ""}
    assert fields.options == ["red", "<i>"]
    assert fields.entries["day"]["placeholder"] == "31/01/2000"
    assert not {"b", "i"} & set(fields.tags)
    words = shlex.split(made.command)
    assert json.loads(words[2]) == {"age": 39.5, '<b>"color': "<i>", "day": "31/01/2000"}


def test_a_wide_row_shows_its_first_columns_only():
    columns = tuple(NumberColumn(name=f"c{place}") for place in range(MOST_FIELDS + 7))
    made = trial(Model(TableSpec(columns=columns), [0.0] * len(columns)))
    assert len(Fields(made.form).entries) == MOST_FIELDS
    assert "7 more columns" in made.form


@pytest.mark.parametrize("kind", ["audio", "text", "table"])
def test_each_kind_has_its_form_and_its_command(kind_bundle, kind):
    with load(kind_bundle(kind).path) as bundle:
        made = trial(bundle)
        page = page_response({kind: bundle}).body.decode()
    entry = {"audio": "file", "text": "text", "table": "age"}[kind]
    assert entry in Fields(made.form).entries
    media = re.search("content-type: ([a-z/]+)", made.command)[1].encode()
    bodies = BODIES[type(bundle.manifest.input)]
    assert media == b"application/json" or media.startswith(bodies.media)
    assert made.form in page
    assert made.command in unescape(page)


def test_a_number_is_told_by_its_name(kind_bundle):
    with load(kind_bundle("table", "regression").path) as bundle:
        page = page_response({"prices": bundle}).body.decode()
    assert 'data-told="price"' in page
    assert "What is told" in page


def test_a_users_own_task_takes_a_file(kind_bundle):
    spec = OwnSpec(task="mine", dtype="float32", shape=(3,))
    made = TRIALS[OwnSpec](spec, None)
    assert "file" in Fields(made.form).entries
    assert set(TRIALS) == set(BODIES)
