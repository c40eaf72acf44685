"""The bundle's README.md: a model card in the form that the Hugging Face hub reads.

Source: Mitchell et al., "Model Cards for Model Reporting", 2019 (the idea); the front matter is
the hub's model card metadata.
"""

import json
import re

from diptych.core.manifest import Manifest
from diptych.core.specs import AudioSpec, ImageSpec, TableSpec, TextSpec
from diptych.reporting import answers, markdown, scores, sides, verdicts
from diptych.reporting.inputs import describe
from diptych.reporting.numbers import count, plural

HUB_KINDS = {ImageSpec: "image", AudioSpec: "audio", TextSpec: "text", TableSpec: "tabular"}
STRANGE = (
    "An input of anything else gets an answer too; a score is no proof.",
    "An input unlike the training data gets a number too, which may be far off.",
)
SIMPLE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


def render_card(manifest: Manifest) -> str:
    """Write the model card of a bundle.

    Args:
        manifest: The bundle.

    Returns:
        Markdown with YAML front matter.
    """
    parts = [
        _front_matter(manifest),
        f"# {markdown.escape(manifest.name)}",
        markdown.escape(verdicts.sentence(manifest)),
        f"## Budget: {manifest.verdict}",
        markdown.terms(manifest),
        "\n".join(f"- {markdown.escape(line)}" for line in verdicts.relaxation_lines(manifest)),
        "## Training and inference, side by side",
        markdown.side_by_side(manifest),
        markdown.escape(sides.breakeven(manifest)),
        *markdown.damage_parts(manifest),
        "## Use",
        f"```python\n{usage(manifest)}\n```",
        "## Limits",
        "\n".join(f"- {line}" for line in _limits(manifest)),
        "## How it was made",
        "\n".join(f"- {line}" for line in _making(manifest)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def usage(manifest: Manifest) -> str:
    """Write the lines of Python that use the bundle.

    Args:
        manifest: The bundle.

    Returns:
        Three lines of code.
    """
    name = manifest.name if SIMPLE_NAME.fullmatch(manifest.name) else "model"
    return (
        f'import diptych\nbundle = diptych.load("{name}.dip")\n'
        f"print(bundle.predict({describe(manifest.input).code}))"
    )


def _front_matter(manifest: Manifest) -> str:
    data, pipeline = manifest.provenance.data, _pipeline(manifest)
    words = [manifest.task, *filter(None, (manifest.model.precision, manifest.model.runtime))]
    return "\n".join(
        [
            "---",
            "library_name: diptych",
            *([f"pipeline_tag: {pipeline}"] if pipeline else []),
            f"tags: [{', '.join(map(_quoted, ('diptych', *words)))}]",
            f"metrics: [{', '.join(map(_quoted, _metrics(manifest)))}]",
            "model-index:",
            f"- name: {_quoted(manifest.name)}",
            "  results:",
            "  - task:",
            f"      type: {_quoted(manifest.task)}",
            "    dataset:",
            f"      name: {_quoted(data.name)}",
            f"      type: {_quoted(data.name)}",
            "      split: test",
            "    metrics:",
            *(
                f"    - type: {_quoted(name)}\n      value: {value:.6g}"
                for name, value in _metrics(manifest).items()
            ),
            "---",
        ]
    )


def _pipeline(manifest: Manifest) -> str:
    """Return the hub's word for the task; empty where it has none."""
    kind = HUB_KINDS.get(type(manifest.input))
    if manifest.goal == "regression":
        return "tabular-regression" if kind == "tabular" else ""
    return f"{kind}-classification" if kind else ""


def _metrics(manifest: Manifest) -> dict[str, float]:
    return {
        scores.HUB_METRICS.get(name, name): score.value
        for name, score in manifest.model.scores.items()
        if score.n
    }


def _quoted(words: str) -> str:
    # A JSON string is a YAML string, so no name can leave its quotes.
    return json.dumps(markdown.one_line(words), ensure_ascii=False)


def _limits(manifest: Manifest) -> list[str]:
    cpu = markdown.escape(manifest.machine.cpu)
    score = markdown.escape(scores.title(manifest.score_name))
    return [
        markdown.escape(answers.known(manifest)),
        STRANGE[manifest.goal == "regression"],
        markdown.escape(describe(manifest.input).limit),
        f"{score} holds for data like the training data; for yours, run `diptych evaluate`.",
        *_unverified(manifest),
        f"Time and energy hold for {cpu}; for another machine, run `diptych bench`.",
        "License: not stated. Whoever publishes this model adds one.",
    ]


def _unverified(manifest: Manifest) -> list[str]:
    """Say of each program that could not run where it was made what is not known of it."""
    return [
        f"Unverified: {markdown.escape(p.name)} could not run where it was made "
        f"({markdown.escape(p.unverified)}). Its files were checked and gave these answers on the "
        "processor; loading it on its own hardware compares it with the golden examples, "
        "`diptych bench` times it."
        for p in manifest.programs
        if p.unverified
    ]


def _making(manifest: Manifest) -> list[str]:
    made = manifest.provenance
    counts = ", ".join(
        f"{markdown.escape(name)} {count(n)}" for name, n in made.data.counts.items()
    )
    name, splits = markdown.escape(made.data.name), markdown.escape(made.data.split_method)
    end = "; stopped before its end." if made.interrupted else "."
    lines = [
        f"Data: {name} ({counts}); splits: {splits}.",
        f"SHA-256 of the data: {markdown.escape(made.data.sha256)}",
        f"Seed {made.seed}; made {markdown.escape(made.created)}{end}",
    ]
    if more := made.data.unlabelled:
        lines.append(
            f"Students learned from {plural(more.count, 'item')} without labels too: "
            f"{markdown.escape(more.name)}, SHA-256 {markdown.escape(more.sha256)}; "
            f"left out were {more.held_out:,} that are held out."
        )
    if made.data.skipped:
        lines.append(f"Left out: {plural(len(made.data.skipped), 'item')}.")
    return lines + [f"Warning: {markdown.escape(one)}" for one in made.data.warnings]
