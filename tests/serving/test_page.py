"""The page: whole in itself, and safe whatever the labels are."""

import base64
import hashlib
import re
from html.parser import HTMLParser

from diptych.serving.page import page_response


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
