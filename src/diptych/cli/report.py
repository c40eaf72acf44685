"""diptych report: the page that shows both panels side by side, or its tables or charts alone."""

from pathlib import Path
from typing import Annotated

import typer

from diptych.cli.output import note, print_json
from diptych.core.errors import ConfigError
from diptych.core.files import write_atomic
from diptych.core.manifest import Manifest
from diptych.core.text import nearest
from diptych.inference import store
from diptych.reporting import charts, markdown
from diptych.reporting.drawing import to_png, to_svg
from diptych.reporting.page import check_output, write_report

WRITERS = {
    "md": lambda manifest: markdown.render(manifest).encode(),
    "svg": lambda manifest: to_svg(charts.poster(manifest), "white").encode(),
    "png": lambda manifest: to_png(charts.poster(manifest)),
}
FORMATS = ("html", *WRITERS)


def command(
    bundle: Annotated[Path, typer.Argument(help="The bundle's directory.")],
    out: Annotated[
        Path | None, typer.Option(help="The file to write; by default report.* in the bundle.")
    ] = None,
    file_format: Annotated[
        str | None,
        typer.Option("--format", help="html, md (tables), svg or png (charts); from --out if so."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Write the page that shows training and inference side by side.

    Args:
        bundle: The bundle's directory.
        out: The file to write.
        file_format: What to write.
        as_json: Print JSON.
    """
    chosen = choose_format(file_format, out)
    target = out or bundle / f"report.{chosen}"
    if chosen == "html":
        write_report(bundle, target)
    else:
        manifest, folder = store.read(bundle)
        check_output(target, manifest, folder)
        write_atomic(target, WRITERS[chosen](manifest))
    _say(store.read(bundle)[0], target, chosen, as_json)


def choose_format(asked: str | None, out: Path | None) -> str:
    """Find what to write: what was asked for, else what the file's name says, else a page.

    Args:
        asked: A name of a format.
        out: The file to write.

    Returns:
        One of `FORMATS`.

    Raises:
        ConfigError: If the format is unknown.
    """
    ending = out.suffix.lower().removeprefix(".") if out else ""
    chosen = asked or (ending if ending in FORMATS else "html")
    if chosen not in FORMATS:
        raise ConfigError(f"the format {chosen!r} is unknown", nearest(chosen, FORMATS))
    return chosen


def _say(manifest: Manifest, target: Path, chosen: str, as_json: bool) -> None:
    if as_json:
        print_json({"report": str(target), "format": chosen, "verdict": manifest.verdict})
    else:
        note(f"{manifest.name}: {manifest.verdict}")
        print(target)
