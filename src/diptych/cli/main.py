"""The entry point: finds the verb, runs it, and turns errors into one line and an exit code."""

import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path

import click
import typer

from diptych.core.errors import DiptychError

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
        result = _application(arguments)(arguments, standalone_mode=False)
    except DiptychError as error:
        return _say(error.message, error.hint, error.exit_code)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        return _say(error.format_message().rstrip("."), "diptych --help shows the verbs", 2)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _say("interrupted", "", 130)
    except BrokenPipeError:
        return 0
    except Exception as error:  # noqa: BLE001  the top of the command line
        return _say(*_defect(error), 1)
    return result if isinstance(result, int) else 0


def _application(arguments: list[str]) -> click.Command:
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
    for verb, summary in VERBS.items():
        real = verb == asked
        function = import_module(f"diptych.cli.{verb}").command if real else _not_asked
        app.command(verb, help=summary, short_help=summary)(function)
    return typer.main.get_command(app)


def _not_asked() -> None:
    """Stand in the help's list for a verb whose module is not loaded."""


def _top(
    version: bool = typer.Option(False, "--version", is_eager=True, help="Print the version."),
) -> None:
    """Diptych: labelled data and a budget in; a measured, self-serving model bundle out."""
    if version:
        typer.echo(import_module("diptych").__version__)
        raise typer.Exit


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
