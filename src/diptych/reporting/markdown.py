"""The report as Markdown: the verdicts, the two panels, the candidates."""

import re
from collections.abc import Sequence

from diptych.core.manifest import Manifest
from diptych.reporting import damage, given_up, leaderboard, sides, verdicts
from diptych.reporting.honesty import CALIBRATION_HEADER

MOST_CLASSES = 24
SPECIAL = re.compile(r"([\\`*_{}\[\]|#~$])")


def escape(words: str) -> str:
    """Make text that came from a user harmless in Markdown: one line, no markup, no HTML.

    Args:
        words: Any text.

    Returns:
        The text, escaped.
    """
    line = one_line(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", line).replace("://", ":&#47;&#47;")


def one_line(words: str) -> str:
    """Make text that came from a user fit for one line.

    Args:
        words: Any text.

    Returns:
        The text without line breaks and without characters that cannot be seen.
    """
    return "".join(letter for letter in " ".join(words.split()) if letter.isprintable())


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table; every cell is escaped.

    Args:
        header: The column names.
        lines: The cells, as many per line as the header has.

    Returns:
        The table, without a final newline.
    """
    written = [_line(header), "|" + " --- |" * len(header), *(_line(line) for line in lines)]
    return "\n".join(written)


def side_by_side(manifest: Manifest) -> str:
    """Write the table of the two panels.

    Args:
        manifest: The bundle.

    Returns:
        The table, without a final newline.
    """
    lines = [
        (row.what, "; ".join(row.training), "; ".join(row.inference))
        for row in sides.rows(manifest)
    ]
    return table(("", "Training", "Inference"), lines)


def terms(manifest: Manifest) -> str:
    """Write the table of the verdicts.

    Args:
        manifest: The bundle.

    Returns:
        The table, without a final newline; a line where no budget was set.
    """
    if not manifest.terms:
        return "No budget was set."
    return table(verdicts.TERMS_HEADER, [row.cells() for row in verdicts.term_rows(manifest)])


def damage_parts(manifest: Manifest) -> list[str]:
    """Write what compression changed.

    Args:
        manifest: The bundle.

    Returns:
        A heading, sentences, and tables with the classes that lost most; none where the bundle
        has no damage report.
    """
    section = damage.section(manifest)
    if section is None:
        return []
    classes = [row.cells for row in section.classes[:MOST_CLASSES]]
    return [
        "## What compression changed",
        escape(section.lead),
        f"**Uneven:** {escape(section.warning)}" if section.warning else "",
        table(section.class_header, classes) if classes else "",
        table(damage.QUANTILE_HEADER, section.quantiles) if section.quantiles else "",
        table(CALIBRATION_HEADER, section.calibration) if section.calibration else "",
        escape(section.trust),
    ]


def render(manifest: Manifest) -> str:
    """Write the whole report.

    Args:
        manifest: The bundle.

    Returns:
        The Markdown text.
    """
    entries = leaderboard.entries(manifest)
    parts = [
        f"# {escape(manifest.name)}: {manifest.verdict}",
        escape(verdicts.sentence(manifest)),
        "## Budget",
        terms(manifest),
        "\n".join(f"- {escape(line)}" for line in verdicts.relaxation_lines(manifest)),
        "## Training and inference, side by side",
        side_by_side(manifest),
        escape(sides.breakeven(manifest)),
        *damage_parts(manifest),
        "## Candidates, measured on the validation split; the first was chosen",
        table(leaderboard.header(manifest), [entry.cells for entry in entries]),
        "\n".join(f"- not trained to the end: {escape(line)}" for line in given_up.lines(manifest)),
        escape(given_up.noise(manifest)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape(cell) for cell in cells) + " |"
