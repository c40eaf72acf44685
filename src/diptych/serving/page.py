"""The page at ``/``: what is served, how it kept its budget, and a place to try it.

It is one document with no address outside it; the browser is told to load and run nothing else.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from html import escape
from importlib.metadata import version

from diptych.core.manifest import Manifest
from diptych.core.text import quantity, size
from diptych.core.values import Verdict
from diptych.inference.bundle import Bundle
from diptych.serving.messages import Response
from diptych.serving.trial import template, trial
from diptych.tasks.goals import unit_of

MEDIA = b"text/html; charset=utf-8"
FEW_LABELS = 24
CLASSES = {"PASS": "pass", "FAIL": "fail", "CANNOT TELL": "open"}
UNKNOWN = "unknown"


def page_response(models: Mapping[str, Bundle]) -> Response:
    """Make the page.

    Args:
        models: The models by the name they are served under.

    Returns:
        The page, with a policy that allows only what is in it.
    """
    sections = "\n".join(_model(name, bundle) for name, bundle in models.items())
    page = template("page.html").substitute(
        title=escape(", ".join(models)), models=sections, version=escape(version("diptych"))
    )
    headers = (
        (b"content-security-policy", _policy(page).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    )
    return Response(body=page.encode(), media=MEDIA, headers=headers)


def _policy(page: str) -> str:
    script = re.search("<script>(.*)</script>", page, re.DOTALL)
    digest = hashlib.sha256((script[1] if script else "").encode()).digest()
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "connect-src 'self'; img-src blob:; media-src blob:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{base64.b64encode(digest).decode()}'"
    )


def _model(name: str, bundle: Bundle) -> str:
    manifest, shown = bundle.manifest, trial(bundle)
    is_number = manifest.goal == "regression"
    return template("model.html").substitute(
        name=escape(name),
        title=escape(name),
        told=escape(manifest.labels[0]) if is_number else "",
        facts=escape(_facts(bundle, shown.takes)),
        trial=shown.form,
        command=escape(shown.command),
        budget=_budget(manifest),
        heading="What is told" if is_number else f"{len(manifest.labels)} labels",
        labels=_labels(manifest.labels),
    )


def _facts(bundle: Bundle, takes: str) -> str:
    manifest, program = bundle.manifest, bundle.program
    size_bytes = program.size_bytes + sum(map(len, bundle.assets().values()))
    return (
        f"{manifest.task.replace('-', ' ', 1).capitalize()}, {_score(manifest)}. "
        f"Takes {takes}, runs as {program.precision} on "
        f"{program.runtime}, {size(size_bytes)}.{_whose(bundle)}"
    )


def _score(manifest: Manifest) -> str:
    name, score = manifest.score_name, manifest.model.score
    if not score.n:
        return f"{name} {UNKNOWN}"
    return f"{name} {quantity(score.value, unit_of(name))} on {score.n:,} test items"


def _whose(bundle: Bundle) -> str:
    """Say whose the figures are where the first program, which was measured, does not run."""
    measured = bundle.manifest.programs[0].name
    if bundle.program.name == measured:
        return ""
    return f" The score and the budget are of {measured}, which cannot run here."


def _budget(manifest: Manifest) -> str:
    if not manifest.terms:
        return '<p class="quiet">This model was made without a budget.</p>'
    rows = "\n".join(_term(term) for term in manifest.terms)
    return (
        "<table><thead><tr><th>Term<th>Limit<th>Measured<th>Verdict</tr></thead>\n"
        f"<tbody>{rows}</tbody></table>"
    )


def _term(term: Verdict) -> str:
    relation = "≤" if term.relation == "<=" else "≥"
    name = f"{term.name} ({term.label})" if term.label else term.name
    return (
        f"<tr><td>{escape(name)}"
        f"<td>{relation} {escape(quantity(term.limit, term.unit))}"
        f"<td>{_measured(term)}"
        f'<td class="verdict {CLASSES[term.verdict]}">{term.verdict}</tr>'
    )


def _measured(term: Verdict) -> str:
    if not term.n:
        return UNKNOWN
    value = escape(quantity(term.value, term.unit))
    if term.low >= term.high:
        return value
    low, high = (
        quantity(bound, term.unit).replace("-", "−").replace(" ", "\u00a0")
        for bound in (term.low, term.high)
    )
    return f"{value}<small>{escape(low)} to {escape(high)}</small>"


def _labels(labels: tuple[str, ...]) -> str:
    items = "".join(f"<li>{escape(label)}</li>" for label in labels)
    listing = f'<ul class="labels">{items}</ul>'
    if len(labels) <= FEW_LABELS:
        return listing
    return f'<details><summary class="quiet">Show all</summary>{listing}</details>'
