"""The entry point: finds the verb, runs it, and turns errors into one line and an exit code."""

import errno
import io
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from typing import Annotated, TextIO

import typer
from typer.core import TyperGroup
from typer.exceptions import Abort, Exit, TyperException

from diptych import __version__
from diptych.core.errors import ConfigError, DiptychError, MissingExtraError
from diptych.core.text import nearest

VERBS = {
    "fit": "Data and a budget in, a measured bundle out.",
    "compress": "A trained model and a budget in, the cheapest model that keeps it out.",
    "train": "Train one model.",
    "evaluate": "Accuracy of a bundle on labelled data, with its interval.",
    "diff": "What a bundle loses and gains against another one.",
    "predict": "Predict files, folders, texts, rows or streams.",
    "bench": "The latency lab: cold start, single stream, offline, server.",
    "serve": "Serve bundles over HTTP.",
    "report": "Write the page that shows both panels side by side.",
    "export": "Lower a bundle for another kind of hardware.",
    "inspect": "What the data holds and what is wrong with it.",
    "doctor": "What works on this machine and what to install.",
}
INTERRUPTED = ("interrupted", "", 130)
SHOWN = 80
PLACES = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}
"""Errors of the system that are about a path, whoever asks."""


def main() -> None:
    """Run the command line and exit with its code."""
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def _nowhere() -> TextIO:
    """Open what stands in for a stream that was closed before Python began."""
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def run(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: The words after ``diptych``.

    Returns:
        The exit code: 0 done, 1 a defect of ours, 2 bad input, 3 the budget is not met, 130
        interrupted.
    """
    started = time.monotonic()
    words = arguments or ["--help"]
    try:
        command = _application(words)
        with command.make_context("diptych", list(words), obj=started) as context:
            result = command.invoke(context)
        sys.stdout.flush()
    except Exit as stop:
        unwritten = _unwritten()
        return _output_lost(unwritten) if unwritten else stop.exit_code
    except (Abort, KeyboardInterrupt):
        return _say(*INTERRUPTED)
    except BrokenPipeError as error:
        return _output_lost(error)
    except Exception as error:  # noqa: BLE001  the top of the command line
        if unwritten := _unwritten(error):
            return _output_lost(unwritten)
        return _say(*_explain(error, words))
    return result if isinstance(result, int) else 0


def _explain(error: Exception, words: list[str]) -> tuple[str, str, int]:
    """Return an error's message, hint and exit code."""
    if isinstance(error, DiptychError):
        return error.message, error.hint, error.exit_code
    if isinstance(error, TyperException):
        verb = next((f" {word}" for word in words if word in VERBS), "")
        return _usage(error, words), f"see: diptych{verb} --help", 2
    if isinstance(error, OSError) and error.errno in PLACES and error.filename:
        place, reason = str(error.filename), (error.strerror or "").lower()
        shown = place if len(place) <= SHOWN else f"{place[:SHOWN]}..."
        return f"cannot use {shown}: {reason}", "check the path", 2
    if isinstance(error.__cause__, KeyboardInterrupt):  # while Python 3.11 made a class
        return INTERRUPTED
    return (*_defect(error), 1)


def _unwritten(seen: Exception | None = None) -> OSError | None:
    """Say why what was printed cannot be written, where that is so, as what was seen may hint."""
    try:
        if isinstance(seen, OSError) and seen.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
            print()  # some streams forget what they could not write
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def _output_lost(why: OSError) -> int:
    """Let what is left go nowhere; whoever closed a pipe has seen enough, which is success."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(why, BrokenPipeError):
        return 0
    reason = os.strerror(why.errno or 0).lower()
    return _say(f"cannot write to standard output: {reason}", "give it more room", 2)


def _usage(error: TyperException, words: list[str]) -> str:
    """Return what is wrong with the words, with the value that was seen."""
    say = getattr(error, "format_message", None)
    told = str(say() if say else error).rstrip(".")
    option, _, rest = told.partition("': Input should")
    name = option.partition("'")[2]
    for word, following in pairwise([*words, ""]):
        if rest and name in {word, word.partition("=")[0]}:
            value = word.partition("=")[2] or following
            return f"{option}': {value!r} should{rest}"
    return told


def _application(arguments: list[str]) -> TyperGroup:
    """Return the command tree; only the asked verb's module is imported."""
    app = typer.Typer(
        name="diptych",
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_top)
    asked = next((word for word in arguments if not word.startswith("-")), "")
    if asked and asked not in VERBS:
        raise ConfigError(f"there is no verb {asked!r}", nearest(asked, VERBS))
    for verb, summary in VERBS.items():
        real = verb == asked
        function = _command(verb) if real else _not_asked
        app.command(verb, help=summary, short_help=summary)(function)
    return typer.main.get_group(app)


def _command(verb: str) -> Callable[..., object]:
    try:
        function: Callable[..., object] = import_module(f"diptych.cli.{verb}").command
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in {"", "diptych"}:
            raise
        raise MissingExtraError(
            f"{verb} needs {library!r}, which is not installed", "pip install 'diptych[all]'"
        ) from error
    return function


def _not_asked() -> None:
    """Stand in the help's list for a verb whose module is not loaded."""


def _print_version(asked: bool) -> None:
    if asked:
        print(f"diptych {__version__}")
        raise Exit


def _top(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Diptych: labelled data and a budget in; a measured, self-serving model bundle out."""


def _say(message: str, hint: str, code: int) -> int:
    for name, text in (("error", message), ("hint", hint)):
        if text:
            print(f"{name}: {' '.join(text.split())}", file=sys.stderr)
    return code


def _defect(error: Exception) -> tuple[str, str]:
    message = f"this is a defect of Diptych: {type(error).__name__}: {error}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="diptych-", suffix=".log", delete=False, encoding="utf-8"
        ) as log:
            log.write("".join(traceback.format_exception(error)))
    except OSError:
        return message, "please report it"
    return message, f"please report it with the details in {log.name}"
