"""The page that shows both panels side by side: one HTML file that opens anywhere, offline.

Nothing in it is fetched and nothing runs: no scripts, and a content security policy that allows
neither. Shapes: N examples, K outputs.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from diptych.core import text
from diptych.core.errors import MissingExtraError, StorageError
from diptych.core.extras import require
from diptych.core.files import safe_join, write_atomic
from diptych.core.manifest import Manifest
from diptych.core.specs import TextSpec
from diptych.core.values import Assets
from diptych.inference import bundle as bundles
from diptych.inference import golden, store, worst
from diptych.inference.manifest import FILE_NAME, listed_files
from diptych.reporting import (
    charts,
    curves,
    damage,
    given_up,
    leaderboard,
    losses,
    scatter,
    scores,
    sides,
    verdicts,
)
from diptych.reporting.card import usage
from diptych.reporting.drawing import EXTRA, PAGE, Chart, Palette, theme, to_svg
from diptych.reporting.examples import Example, kind_of, pick
from diptych.reporting.fallen import Fallen, fallen
from diptych.reporting.honesty import CALIBRATION_HEADER
from diptych.reporting.numbers import count, plural
from diptych.reporting.passages import Run

WIDTHS = {"wide": 900, "narrow": 285}
MOST_FLAGS = 12


def render_page(
    manifest: Manifest,
    inputs: np.ndarray,
    outputs: np.ndarray,
    *,
    assets: Assets | None = None,
    run: Run | None = None,
    worst: np.ndarray | None = None,
) -> str:
    """Write the page of a bundle.

    Args:
        manifest: The bundle.
        inputs: Golden inputs (N, ...), from which examples are shown; N may be 0.
        outputs: What the chosen program gives for them, float32 (N, K).
        assets: The files that preparation needs beside the spec; texts are shown with their help.
        run: The chosen program; with it the words of texts are marked.
        worst: The inputs of the worst items (W, ...), to be shown in the damage report.

    Returns:
        The HTML text.

    Raises:
        MissingExtraError: If the ``report`` extra is not installed.
    """
    examples = pick(manifest, inputs, outputs, assets or {}, run)
    lost = fallen(manifest, inputs[:0] if worst is None else worst, assets or {})
    return render(manifest, examples, lost, marked=run is not None)


def render(
    manifest: Manifest,
    examples: tuple[Example, ...],
    lost: tuple[Fallen, ...] = (),
    *,
    marked: bool = False,
) -> str:
    """Write the page of a bundle with the examples that were picked.

    Args:
        manifest: The bundle.
        examples: Inputs with answers; may be empty.
        lost: The worst items of the damage report; may be empty.
        marked: Whether the words of texts are marked.

    Returns:
        The HTML text.
    """
    jinja2 = require("jinja2", EXTRA)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("diptych.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html")
    content = _content(manifest) | {"examples": examples, "lost": lost, "marked": marked}
    return str(page.render(**content))


def write_report(bundle: Path, out: Path) -> Path:
    """Write the page of a bundle on disk.

    Args:
        bundle: The bundle's directory.
        out: The HTML file.

    Returns:
        The file that was written.

    Raises:
        BundleError: If the bundle is damaged.
        MissingExtraError: If the ``report`` extra is not installed.
        StorageError: If the file cannot be written, or is a part of the bundle.
    """
    manifest, folder = store.read(bundle)
    check_output(out, manifest, folder)
    found = golden.read(folder, manifest)
    outputs = found.expected[manifest.programs[0].name]
    assets = {name: safe_join(folder, name).read_bytes() for name in manifest.assets}
    with ExitStack() as stack:
        run = _opened(folder, manifest, stack)
        page = render_page(
            manifest,
            found.inputs,
            outputs,
            assets=assets,
            run=run,
            worst=worst.read(folder, manifest),
        )
    write_atomic(out, page.encode())
    return out


def check_output(out: Path, manifest: Manifest, folder: Path) -> None:
    """Check that writing a file does not change what a bundle vouches for.

    Args:
        out: The file to write.
        manifest: The bundle.
        folder: Its directory.

    Raises:
        StorageError: If the file is listed in the bundle with its hash, or is its manifest.
    """
    names = (*listed_files(manifest), FILE_NAME)
    kept = {(folder / name).resolve() for name in names}
    if out.resolve() in kept:
        raise StorageError(f"{out} is a part of the bundle", "choose another --out")


def _opened(folder: Path, manifest: Manifest, stack: ExitStack) -> Run | None:
    """Open what marks the words of texts; None for other inputs, or where nothing can run it."""
    if not isinstance(manifest.input, TextSpec):
        return None
    try:
        return stack.enter_context(bundles.load(folder, golden="skip")).run
    except MissingExtraError:
        return None


def _content(manifest: Manifest) -> dict[str, Any]:
    return {
        "manifest": manifest,
        "sentence": verdicts.sentence(manifest),
        "terms": verdicts.term_rows(manifest),
        "terms_header": verdicts.TERMS_HEADER,
        "relaxations": verdicts.relaxation_lines(manifest),
        "rows": sides.rows(manifest),
        "breakeven": sides.breakeven(manifest),
        "kind": kind_of(manifest.input),
        "task": manifest.task.replace("-", " ", 1),
        "score": scores.title(manifest.score_name),
        "meanings": scores.meanings(manifest),
        "header": leaderboard.header(manifest),
        "entries": leaderboard.entries(manifest),
        "nearest": leaderboard.nearest(manifest),
        "given_up": given_up.lines(manifest),
        "noise": given_up.noise(manifest),
        "damage": damage.section(manifest),
        "calibration_header": CALIBRATION_HEADER,
        "quantile_header": damage.QUANTILE_HEADER,
        "losses_chart": _drawings(losses.losses, manifest),
        "usage": usage(manifest),
        "facts": _facts(manifest),
        "recipe": json.dumps(manifest.provenance.recipe, indent=2, default=str),
        "candidates_chart": _drawings(scatter.candidates, manifest),
        "breakeven_chart": _drawings(charts.breakeven, manifest),
        "curves_chart": _drawings(curves.curves, manifest),
    }


def _drawings(
    make: Callable[[Manifest, Palette, int], Chart | None], manifest: Manifest
) -> dict[str, object]:
    # One drawing for a desk and one for a phone; the style sheet shows one of them.
    markup = require("markupsafe", EXTRA).Markup
    drawn = {name: make(manifest, PAGE, width) for name, width in WIDTHS.items()}
    return {
        name: markup(to_svg(theme(chart, PAGE)))
        for name, chart in drawn.items()
        if chart is not None
    }


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    made, machine = manifest.provenance, manifest.machine
    counts = ", ".join(f"{name} {count(n)}" for name, n in made.data.counts.items())
    flags = ", ".join(machine.flags[:MOST_FLAGS])
    facts = [
        ("Data", made.data.name),
        ("Hash of the data", made.data.sha256),
        ("Splits", f"{counts}; {made.data.split_method}; seed {made.data.seed}"),
        ("Left out", plural(len(made.data.skipped), "item") if made.data.skipped else ""),
        ("Warnings", "; ".join(made.data.warnings)),
        ("Seed", str(made.seed)),
        ("Calibration", made.calibration_sha256 or ""),
        ("Made", made.created + (" (stopped before its end)" if made.interrupted else "")),
        (
            "Machine",
            f"{machine.cpu}, {plural(machine.cores, 'core')}, {text.size(machine.memory_bytes)}",
        ),
        ("Processor features", flags),
        ("System", f"{machine.system}, Python {machine.python}"),
        ("Versions", ", ".join(f"{name} {one}" for name, one in machine.versions.items())),
    ]
    return [(name, value) for name, value in facts if value]
