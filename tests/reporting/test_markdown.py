import re

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from diptych.reporting.leaderboard import header
from diptych.reporting.markdown import (
    MOST_CLASSES,
    damage_parts,
    escape,
    one_line,
    render,
    side_by_side,
    table,
    terms,
)
from diptych.reporting.sides import rows

MARKUP = re.compile(r"(?<!\\)[`*_\[\]|~$]")


@given(st.text(max_size=60))
def test_escaped_text_is_one_line_without_markup(words: str) -> None:
    escaped = escape(words)
    unescaped = re.sub(r"\\(.)", "", escaped)
    assert len(escaped.splitlines()) <= 1
    assert not set("<>`*_[]|~$") & set(unescaped)
    escaped.encode()


@given(st.lists(st.text(max_size=20), min_size=2, max_size=2))
def test_no_cell_can_leave_its_table(cells: list[str]) -> None:
    line = table(("a", "b"), [cells]).splitlines()[2:]
    assert len(line) == 1
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line[0])) == 3


def test_plain_words_stay_as_they_are() -> None:
    assert escape("Ankle boot, 93.4 % (n = 10,000)") == "Ankle boot, 93.4 % (n = 10,000)"
    assert one_line("a\n  b\u202e\x00") == "a b"


def test_the_table_of_the_two_panels_has_the_shared_rows(manifest) -> None:
    lines = side_by_side(manifest).splitlines()
    assert lines[0] == "|  | Training | Inference |"
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == [
        row.what for row in rows(manifest)
    ]


def test_the_report_holds_verdicts_relaxations_and_candidates(failed) -> None:
    text = render(failed)
    assert text.startswith("# fashion-fixture: FAIL\n")
    assert "CANNOT TELL" in text
    assert "- With p99 ≤ 0.189 ms" in text
    assert text.count("-openvino |") + text.count("-onnxruntime |") == len(failed.candidates)


def test_no_budget_is_said(manifest) -> None:
    assert terms(replace(manifest, terms=())) == "No budget was set."


def test_the_candidates_of_every_kind_are_a_table_with_the_scores_name(case) -> None:
    text = render(case.manifest)
    heads = [line for line in text.splitlines() if line.startswith("| Candidate |")]
    assert heads == ["| " + " | ".join(escape(name) for name in header(case.manifest)) + " |"]


def test_what_compression_changed_is_told_with_the_classes_that_lost_most(case, hurt) -> None:
    text = render(hurt(case.manifest))
    assert "## What compression changed" in text
    assert ("**Uneven:**" in text) == (case.manifest.goal != "regression")
    assert "What compression changed" not in render(case.manifest)


def test_of_many_classes_only_some_are_listed(manifest, hurt) -> None:
    labels = tuple(f"class {k}" for k in range(60))
    text = "\n".join(damage_parts(hurt(replace(manifest, labels=labels), 3000)))
    assert text.count("| class ") == MOST_CLASSES
