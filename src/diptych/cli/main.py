"""The entry point: finds the verb, runs it, and turns errors into one line and an exit code."""

import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import Abort, Exit, TyperException

from diptych import __version__
from diptych.core.errors import ConfigError, DiptychError
from diptych.core.text import nearest

VERBS = {
    "fit": "Data and a budget in, a measured bundle out.",
    "train": "Train one model.",
    "evaluate": "Accuracy of a bundle on labelled data, with its interval.",
    "predict": "Predict files, folders or arrays.",
    "bench": "The latency lab: cold start, single stream, offline, server.",
    "serve": "Serve bundles over HTTP.",
    "report": "Write the page that shows both panels side by side.",
    "inspect": "What the data holds and what is wrong with it.",
    "doctor": "What works on this machine and what to install.",
}


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: The words after ``diptych``.

    Returns:
        The exit code: 0 done, 1 a defect of ours, 2 bad input, 3 the budget is not met, 130
        interrupted.
    """
    try:
        result = _application(arguments)(
            args=arguments, prog_name="diptych", standalone_mode=False
        )
    except DiptychError as error:
        return _say(error.message, error.hint, error.exit_code)
    except Exit as stop:
        return stop.exit_code
    except TyperException as error:
        verb = next((word for word in arguments if word in VERBS), "")
        return _say(_usage(error), " ".join(("see: diptych", verb, "--help")).replace("  ", " "), 2)
    except (Abort, KeyboardInterrupt):
        return _say("interrupted", "", 130)
    except BrokenPipeError:
        return 0
    except Exception as error:  # noqa: BLE001  the top of the command line
        return _say(*_defect(error), 1)
    return result if isinstance(result, int) else 0


def _usage(error: TyperException) -> str:
    say = getattr(error, "format_message", None)
    return str(say() if say else error).rstrip(".")


def _application(arguments: list[str]) -> Callable[..., object]:
    """Build the command tree; only the asked verb's module is imported."""
    app = typer.Typer(
        name="diptych",
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_top)
    asked = next((word for word in arguments if not word.startswith("-")), "")
    if asked and asked not in VERBS:
        raise ConfigError(f"there is no verb {asked!r}", nearest(asked, VERBS))
    for verb, summary in VERBS.items():
        real = verb == asked
        function = import_module(f"diptych.cli.{verb}").command if real else _not_asked
        app.command(verb, help=summary, short_help=summary)(function)
    return typer.main.get_command(app)


def _not_asked() -> None:
    """Stand in the help's list for a verb whose module is not loaded."""


def _print_version(asked: bool) -> None:
    if asked:
        print(f"diptych {__version__}")
        raise Exit


def _top(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Diptych: labelled data and a budget in; a measured, self-serving model bundle out."""


def _say(message: str, hint: str, code: int) -> int:
    line = " ".join(message.split())
    print(f"error: {line}" + (f"\nhint: {hint}" if hint else ""), file=sys.stderr)
    return code


def _defect(error: Exception) -> tuple[str, str]:
    with tempfile.NamedTemporaryFile(
        "w", prefix="diptych-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        log.write("".join(traceback.format_exception(error)))
    message = f"this is a defect of Diptych: {type(error).__name__}: {error}"
    return message, f"please report it with the details in {Path(log.name)}"
