"""What a person or a program sees: progress on stderr, one document on stdout."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event, Thread

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from diptych.core.progress import Reporter, Step, silent
from diptych.core.silence import say
from diptych.core.text import duration, quantity
from diptych.core.values import Estimate, Verdict
from diptych.reporting.numbers import limit_of

PLAIN_LINE_EVERY_S = 5.0
BAR_EVERY_S = 0.1
ROOMY_COLUMNS = 100
UNKNOWN = "unknown"
BAR_WIDTHS = {"roomy": 20, "narrow": 8}


def print_json(document: object) -> None:
    """Print one JSON document on stdout.

    Args:
        document: Anything msgspec can encode.
    """
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode(), flush=True)


def is_known(estimate: Estimate | Verdict) -> bool:
    """Say whether anything is known of a number.

    Args:
        estimate: The number, perhaps that of a budget's term.

    Returns:
        Whether it was had from anything, or has an interval: a rate of nothing counted has one.
    """
    return estimate.n > 0 or math.isfinite(estimate.high - estimate.low)


def plain(value: object) -> object:
    """Turn a value into what JSON holds: a number of which nothing is known becomes null.

    Args:
        value: Records, and lists and tables of them.

    Returns:
        The same as tables; an unknown number keeps its n and why it is unknown.
    """
    if isinstance(value, msgspec.Struct):
        fields = {name: plain(each) for name, each in msgspec.structs.asdict(value).items()}
        if isinstance(value, Estimate | Verdict) and not is_known(value):
            fields |= dict.fromkeys(("value", "low", "high"))
        return fields
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return tuple(map(plain, value)) if isinstance(value, tuple | list) else value


def figure(estimate: Estimate | Verdict | None, unit: str) -> str:
    """Write a number for people.

    Args:
        estimate: The number; None where there is none.
        unit: A unit of :func:`diptych.core.text.quantity`.

    Returns:
        Such as ``"93.40 %"``; ``"unknown"`` where nothing is known.
    """
    if estimate is None or not is_known(estimate):
        return UNKNOWN
    return quantity(estimate.value, unit)


def interval(estimate: Estimate | Verdict, unit: str) -> str:
    """Write the interval of a number that is known.

    Args:
        estimate: The number.
        unit: A unit of :func:`diptych.core.text.quantity`.

    Returns:
        Such as ``"92.90 % to 93.90 %"``.
    """
    return f"{quantity(estimate.low, unit)} to {quantity(estimate.high, unit)}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table in plain text; columns after the first are right-aligned.

    Args:
        header: The column names.
        rows: The cells, as many per row as the header has.

    Returns:
        The lines, without a final newline.
    """
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    lines = []
    for line in (header, *rows):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def verdict_table(terms: Sequence[Verdict]) -> str:
    """Lay out the verdicts on a budget.

    Args:
        terms: The terms, decided.

    Returns:
        One line per term.
    """
    header = ("term", "limit", "measured", "95 % interval", "n", "verdict")
    rows = []
    for term in terms:
        verdict = str(term.verdict)
        if term.samples_needed:
            verdict += f" (about {term.samples_needed:,} samples would)"
        limit = f"{term.relation} {limit_of(term.limit, term.unit)}"
        value = figure(term, term.unit)
        name = f"{term.name} ({term.label})" if term.label else term.name
        if term.n:
            rows.append((name, limit, value, interval(term, term.unit), f"{term.n:,}", verdict))
        else:
            rows.append((name, limit, UNKNOWN, "", "0", f"{verdict} ({term.method})"))
    return table(header, rows)


@contextmanager
def progress(
    quiet: bool = False, clock: Callable[[], float] = time.monotonic
) -> Iterator[Reporter]:
    """Show progress on stderr: bars on a terminal, a plain line now and then elsewhere.

    Args:
        quiet: Show nothing.
        clock: Gives seconds.

    Yields:
        The reporter to hand down.
    """
    if quiet:
        yield silent
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield _bar_reporter(bars, clock)
    else:
        lines = _Lines(clock)
        with _reminded(lines):
            yield lines.report


def note(text: str) -> None:
    """Tell a person something on stderr.

    Args:
        text: One line.
    """
    say(text)


def _bars() -> Progress:
    console = Console(stderr=True)
    room = "roomy" if console.width >= ROOMY_COLUMNS else "narrow"
    fixed, cut = Column(no_wrap=True), Column(no_wrap=True, overflow="ellipsis", ratio=1)
    return Progress(
        TextColumn("{task.description:<16}", table_column=fixed, markup=False),
        BarColumn(bar_width=BAR_WIDTHS[room], table_column=fixed),
        TextColumn("{task.percentage:>3.0f} %", table_column=fixed),
        TimeRemainingColumn(compact=True, table_column=fixed),
        TextColumn("{task.fields[note]}", table_column=cut, markup=False),
        console=console,
        expand=True,
        auto_refresh=False,
    )


def _bar_reporter(bars: Progress, clock: Callable[[], float]) -> Reporter:
    """Draw when a step is told, and not by a thread, which would take its time of what is timed."""
    tasks: dict[str, TaskID] = {}
    drawn = -BAR_EVERY_S

    def report(step: Step) -> None:
        nonlocal drawn
        turn = step.stage not in tasks or step.done >= step.total
        if step.stage not in tasks and step.note and step.done >= step.total:
            line = f"{step.stage}: {step.note}"
            bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        elif step.stage not in tasks:
            tasks[step.stage] = bars.add_task(
                step.stage, total=step.total, completed=int(step.done), note=step.note
            )
        if step.stage in tasks:
            bars.update(tasks[step.stage], completed=step.done, total=step.total, note=step.note)
        if turn or clock() - drawn >= BAR_EVERY_S:
            bars.refresh()
            drawn = clock()

    return report


class _Lines:
    """Plain lines: now and then, when a stage is done, and that it goes on where it is silent."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.begun: dict[str, tuple[float, float]] = {}
        self.shown: dict[str, float] = {}
        self.stage, self.heard = "", 0.0

    def report(self, step: Step) -> None:
        """Show a step, if it is the last of its stage or nothing was shown for a while."""
        now = self.clock()
        begin, first = self.begun.setdefault(step.stage, (now, step.done))
        self.stage, self.heard = step.stage, now
        if step.done >= step.total:
            self.begun.pop(step.stage)
            self.shown.pop(step.stage, None)
            _line(step, f"done in {duration(now - begin)}")
        elif now - self.shown.get(step.stage, begin) >= PLAIN_LINE_EVERY_S:
            self.shown[step.stage] = now
            done, left = step.done - first, step.total - step.done
            left_s = f"{duration((now - begin) * left / done)} left" if done > 0 else ""
            _line(step, f"{100 * step.done / step.total:.0f} %", left_s)

    def remind(self) -> None:
        """Say that a stage goes on, if nothing was said since for a while."""
        now, begun = self.clock(), self.begun.get(self.stage)
        if begun and now - self.heard >= PLAIN_LINE_EVERY_S:
            self.heard = now
            note(f"{self.stage}: {duration(now - begun[0])} so far")


@contextmanager
def _reminded(lines: _Lines) -> Iterator[None]:
    """Look now and then whether a stage has become silent."""
    over = Event()

    def look() -> None:
        while not over.wait(PLAIN_LINE_EVERY_S):
            lines.remind()

    Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _line(step: Step, *parts: str) -> None:
    note(f"{step.stage}: " + ", ".join(part for part in (*parts, step.note) if part))
