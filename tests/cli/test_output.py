import io
import json
import math
import re
import threading
import time
from contextlib import redirect_stderr

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from diptych.cli import output
from diptych.cli.output import (
    PLAIN_LINE_EVERY_S,
    figure,
    interval,
    is_known,
    note,
    plain,
    print_json,
    progress,
    table,
    verdict_table,
)
from diptych.core.progress import Step
from diptych.core.values import Estimate, Verdict
from diptych.measure.means import unknown
from diptych.measure.rates import rate

CELLS = st.text("ab %-.0", max_size=6).map(str.strip)

TERM = Verdict(
    name="auroc", relation=">=", limit=0.9, unit="fraction", verdict="CANNOT TELL",
    value=0.0, low=-math.inf, high=math.inf, n=0, method="undefined",
)  # fmt: skip


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that pass when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@st.composite
def grids(draw: st.DrawFn) -> list[list[str]]:
    """Draw a header of names and rows of as many cells."""
    width = draw(st.integers(1, 4))
    row = st.lists(CELLS, min_size=width, max_size=width)
    header = draw(st.lists(CELLS.filter(bool), min_size=width, max_size=width))
    return [header, *draw(st.lists(row, max_size=4))]


@given(grids())
def test_a_table_aligns_the_first_column_left_and_the_others_right(grid: list[list[str]]) -> None:
    header, *rows = grid
    shown, rule, *lines = table(header, rows).split("\n")
    widths = [len(dashes) for dashes in rule.split("  ")]
    assert widths == [max(len(row[i]) for row in grid) for i in range(len(header))]
    for cells, line in zip(grid, [shown, *lines], strict=True):
        assert line == line.rstrip()
        padded, start = line.ljust(len(rule)), 0
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            part = padded[start : start + width]
            assert part == (cell.ljust(width) if i == 0 else cell.rjust(width))
            start += width + 2


def test_a_table_reads_as_expected() -> None:
    rows = [("size", "300 KB", "PASS"), ("p99", "1.2 ms", "CANNOT TELL")]
    assert table(("term", "measured", "verdict"), rows).split("\n") == [
        "term  measured      verdict",
        "----  --------  -----------",
        "size    300 KB         PASS",
        "p99     1.2 ms  CANNOT TELL",
    ]
    assert table(("a", "b"), []).split("\n") == ["a  b", "-  -"]


def test_a_number_of_which_nothing_is_known_is_unknown_and_null() -> None:
    half = Estimate(value=0.5, low=0.25, high=math.inf, n=3, method="by hand")
    nothing, never = unknown("not measured"), rate(0, 2.0)
    assert [is_known(each) for each in (half, nothing, never)] == [True, False, True]
    assert [figure(each, "fraction") for each in (half, nothing, None)] == [
        "50.00 %", "unknown", "unknown",
    ]  # fmt: skip
    assert interval(half, "fraction") == "25.00 % to inf"
    found = plain({"a": (nothing, half), "b": [never]})
    empty = {"value": None, "low": None, "high": None, "n": 0}
    assert found == {
        "a": (
            {**empty, "method": "not measured", "confidence": 0.95},
            msgspec.to_builtins(half),
        ),
        "b": (msgspec.to_builtins(never),),
    }
    assert plain(TERM) == msgspec.to_builtins(TERM) | empty


def test_a_limit_is_shown_as_it_was_asked_for() -> None:
    asked = {"fraction": 0.9995, "ms": 1.2345, "bytes": 1_234_500.0, "usd_per_million": 1.25}
    shown = verdict_table([replace(TERM, unit=unit, limit=limit) for unit, limit in asked.items()])
    assert all(text in shown for text in (">= 99.95 %", "1.2345 ms", "1.2345 MB", "$1.25/1M"))


def test_a_document_is_all_that_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as report:
        report(Step(stage="read", done=1, total=1))
        estimate = Estimate(value=0.5, low=0.25, high=math.inf, n=3, method="a\nb")
        print_json({"estimate": estimate, "labels": ("ü", "b")})
        note("finished")
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "estimate": msgspec.to_builtins(estimate) | {"high": None},
        "labels": ["ü", "b"],
    }
    assert out.endswith("}\n")
    assert "\n  " in out, "people can read it"
    assert err.splitlines() == ["read: done in 0.0 s", "finished"]


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_plain_lines_come_now_and_then_with_the_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    with progress(clock=clock) as report:
        for done in range(101):
            report(Step(stage="teacher", done=done, total=100, note=f"{done} steps"))
            clock.now += 1.0
    shown = lines(capsys)
    assert len(shown) == 100 / PLAIN_LINE_EVERY_S
    assert shown[0] == "teacher: 5 %, 1 min 35 s left, 5 steps"
    assert shown[9] == "teacher: 50 %, 50 s left, 50 steps"
    assert shown[-1] == "teacher: done in 1 min 40 s, 100 steps"


def test_a_stage_that_says_nothing_is_told_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "PLAIN_LINE_EVERY_S", 0.05)
    with progress() as report:
        report(Step(stage="page", done=0, total=1))
        time.sleep(0.4)
        report(Step(stage="page", done=1, total=1))
        time.sleep(0.2)
    shown = lines(capsys)
    assert len(shown) > 2
    assert all(re.fullmatch(r"page: 0\.\d s so far", line) for line in shown[:-1])
    assert shown[-1].startswith("page: done in 0.")


def test_a_stage_that_tells_how_far_it_is_is_shown_that_and_not_that_it_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "PLAIN_LINE_EVERY_S", 0.2)
    with progress() as report:
        for done in range(100):
            report(Step(stage="teacher", done=done, total=100))
            time.sleep(0.02)
    shown = lines(capsys)
    assert len([line for line in shown if "%" in line]) > len(shown) / 2 > 2


def test_a_stage_that_was_left_for_others_is_not_told_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "PLAIN_LINE_EVERY_S", 0.05)
    with progress() as report:
        report(Step(stage="student", done=1, total=9))
        report(Step(stage="search", done=1, total=1, note="given up"))
        time.sleep(0.3)
    assert lines(capsys) == ["search: done in 0.0 s, given up"]


def test_a_short_stage_is_one_line_however_many_steps_it_has(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress(clock=Clock()) as report:
        for done in range(1001):
            report(Step(stage="read", done=done, total=1000))
    assert lines(capsys) == ["read: done in 0.0 s"]


def test_a_stage_that_comes_again_is_timed_anew(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress(clock=clock) as report:
        for _ in range(2):
            report(Step(stage="measure", done=0, total=10))
            clock.now += 6.0
            report(Step(stage="measure", done=5, total=10))
            clock.now += 2.0
            report(Step(stage="measure", done=10, total=10))
            clock.now += 1000.0
    assert lines(capsys) == ["measure: 50 %, 6.0 s left", "measure: done in 8.0 s"] * 2


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (Step(stage="read", done=0, total=0), "read: done in 7.0 s"),
        (Step(stage="read", done=12, total=10), "read: done in 7.0 s"),
        (Step(stage="read", done=0, total=10, note="waiting"), "read: 0 %, waiting"),
    ],
)
def test_odd_counts_are_shown_without_nonsense(
    step: Step, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    with progress(clock=clock) as report:
        report(Step(stage="read", done=0, total=10))
        clock.now += 7.0
        report(step)
    assert lines(capsys) == [line]


def test_quiet_progress_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as report:
        report(Step(stage="read", done=1, total=1))
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_are_bars_and_names_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with redirect_stderr(Terminal()) as screen, progress() as report:
        for done in range(3):
            report(Step(stage="try [bold]", done=done, total=2, note="[/red] a[0].png"))
        report(Step(stage="train", done=1, total=2))
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert "try [bold]" in shown
    assert "[/red] a[0].png" in shown
    assert "100 %" in shown
    assert "50 %" in shown
    assert capsys.readouterr().out == ""


def test_bars_are_drawn_when_a_step_is_told_and_by_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that draws would take its time of what is timed meanwhile."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    threads, clock = threading.active_count(), Clock()
    with redirect_stderr(Terminal()) as screen, progress(clock=clock) as report:
        for done in range(100):
            report(Step(stage="measure", done=done, total=100))
            clock.now += 0.01
        assert threading.active_count() == threads
        seen = set(map(int, re.findall(r"(\d+) %", screen.getvalue())))
        assert 8 <= len(seen) <= 12
        report(Step(stage="next", done=0, total=2, note="begun"))
        assert "begun" in screen.getvalue()


def test_on_a_narrow_terminal_a_note_of_its_own_is_a_whole_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    told = "process 1 was ended by SIGKILL: the processes start anew from checkpoint-0000000060"
    with redirect_stderr(Terminal()) as screen, progress() as report:
        report(Step(stage="restart", done=1, total=1, note=told))
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert f"restart: {told}" in shown


def test_the_time_left_of_a_run_that_goes_on_is_told_by_its_own_steps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ticks = iter(range(1000))
    with progress(clock=lambda: float(next(ticks))) as report:
        for done in range(60, 68):
            report(Step(stage="teacher", done=done, total=100))
    assert lines(capsys) == ["teacher: 65 %, 35 s left"]


def test_in_80_columns_the_whole_note_of_a_training_stands_beside_its_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    words = "loss 0.412, 91.3 %, 1,401/s, 35 J modelled"
    with redirect_stderr(Terminal()) as screen, progress() as report:
        report(Step(stage="student-1", done=37, total=100, note=words))
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    line = next(line for line in re.split(r"[\r\n]+", shown) if "37 %" in line)
    assert line.startswith("student-1")
    assert words in line
    assert len(line) <= 80
