"""The page: whole in itself, and safe whatever the labels are."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from diptych.core.manifest import Manifest
from diptych.core.values import Estimate, Program
from diptych.inference.bundle import Bundle
from diptych.serving.page import page_response

STAGE = """
const box = {
  shown: [],
  replaceChildren() { box.shown = []; },
  append(made) { box.shown.push(made.textContent); },
};
const model = { dataset: { name: "m", told: "" }, querySelector: () => box };
globalThis.document = {
  createElement: () => ({ style: {}, append() {} }),
  querySelectorAll: () => [],
};
const asked = [];
globalThis.fetch = () => new Promise((answer, fail) => asked.push({ answer, fail }));
function reply(status, body) {
  return { ok: status === 200, status, text: async () => body, json: async () => JSON.parse(body) };
}
function labeled(label) { return reply(200, JSON.stringify({ label, score: 1, scores: {} })); }
"""
"""A page without a browser: `box` is the place of the answer, `asked` are the open requests."""


class Reader(HTMLParser):
    """Collects the texts and the addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in {"src", "href", "action"}]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def read(models) -> tuple[Reader, str, dict[bytes, bytes]]:
    response = page_response(models)
    reader = Reader()
    reader.feed(response.body.decode())
    return reader, response.body.decode(), dict(response.headers)


def test_the_page_shows_labels_and_verdicts(bundle):
    reader, _, _ = read({"colors": bundle})
    for text in ("colors", "red", "blue & <deep>", "drop", "PASS", "p99", "CANNOT TELL"):
        assert text in reader.texts


def test_a_label_cannot_become_markup(bundle):
    reader, page, _ = read({"colors": bundle})
    assert "<deep>" not in page
    assert "deep" not in reader.tags


def test_nothing_is_loaded_from_elsewhere(bundle):
    reader, page, headers = read({"colors": bundle})
    assert set(reader.addresses) == {"v2", "metrics"}
    assert not re.search(r"https?://|@import|url\(", page)
    assert b"default-src 'none'" in headers[b"content-security-policy"]


def test_the_policy_allows_the_pages_own_script_only(bundle):
    _, page, headers = read({"colors": bundle})
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest())
    assert b"script-src 'sha256-" + digest + b"'" in headers[b"content-security-policy"]
    assert not re.search(r"\son\w+=", page.split("<script>")[0])


def test_each_model_has_its_place(bundle):
    _, page, _ = read({"one": bundle, "two": bundle})
    assert re.findall(r'data-name="(\w+)"', page) == ["one", "two"]


def changed(bundle: Bundle, program: Program | None = None, **changes: object) -> Bundle:
    """Give the bundle with another manifest or program; it can be shown, but not asked."""
    manifest: Manifest = replace(bundle.manifest, **changes)
    return Bundle(bundle.path, manifest, program or bundle.program, None, None)


def test_it_says_whose_the_figures_are_where_another_program_runs(bundle):
    words = "The score and the budget are of mean, which cannot run here."
    assert words not in read({"colors": bundle})[1]
    spare = replace(bundle.program, name="spare")
    assert words in read({"colors": changed(bundle, spare)})[1]


def test_a_score_or_a_term_that_could_not_be_had_is_unknown(bundle):
    nothing = Estimate(value=0.0, low=0.0, high=1.0, n=0, method="one label only")
    model = replace(bundle.manifest.model, scores={"auroc": nothing})
    terms = tuple(replace(term, n=0) for term in bundle.manifest.terms)
    reader, page, _ = read({"colors": changed(bundle, model=model, terms=terms)})
    assert "auroc unknown." in page
    assert " test items" not in page
    assert reader.texts.count("unknown") == len(terms)
    assert "0.9 ms" not in page


def test_a_term_is_named_with_how_sure_its_number_is(bundle):
    terms = (replace(bundle.manifest.terms[0], name="energy", label="modelled"),)
    assert "energy (modelled)" in read({"colors": changed(bundle, terms=terms)})[0].texts


def shown_after(bundle: Bundle, steps: str) -> list[str | None]:
    """Run the page's script with some steps, and give what its answer shows then."""
    (script,) = re.findall(r"<script>(.*?)</script>", read({"m": bundle})[1], re.DOTALL)
    code = f"{STAGE}{script}(async () => {{{steps} console.log(JSON.stringify(box.shown)); }})();"
    done = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@needs_node
def test_a_late_answer_does_not_take_the_place_of_a_newer_one(bundle):
    steps = """
    const older = ask(model, "a", "text/plain"), newer = ask(model, "b", "text/plain");
    asked[1].answer(labeled("newer"));
    await newer;
    asked[0].answer(labeled("older"));
    await older;
    """
    assert shown_after(bundle, steps)[0] == "newer"


@needs_node
@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        ('answer(labeled("red"))', "red"),
        ('answer(reply(422, \'{"error": "no picture", "hint": "send one"}\'))', "no picture"),
        ('answer(reply(503, "Service Unavailable"))', "The server answered 503."),
        ('answer(reply(502, \'{"message": "bad gateway"}\'))', "The server answered 502."),
        ('fail(new Error("refused"))', "The server did not answer."),
    ],
)
def test_what_the_server_answered_is_shown(bundle, reply, shown):
    steps = f'const done = ask(model, "a", "text/plain"); asked[0].{reply}; await done;'
    assert shown_after(bundle, steps)[0] == shown
