import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from diptych.core.errors import BundleError, StorageError
from diptych.core.files import sha256_of_file
from diptych.core.specs import TableSpec, TensorSpec
from diptych.inference import golden, store
from diptych.reporting.answers import Answer
from diptych.reporting.examples import Example, Passage
from diptych.reporting.page import render, render_page, write_report
from diptych.reporting.passages import Piece
from diptych.reporting.scores import title

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> {{ 7*7 }} </style>"


class Reader(HTMLParser):
    """Gathers what a browser would act on, and the text that a person sees."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


@pytest.fixture(scope="module")
def drawn():
    """Give what draws the page of a case; each is drawn once."""
    pages = {}

    def draw(case) -> str:
        if id(case) not in pages:
            manifest, inputs, outputs = case.manifest, case.inputs, case.outputs
            page = render_page(manifest, inputs, outputs, assets=case.assets, run=case.run)
            pages[id(case)] = case, page
        return pages[id(case)][1]

    return draw


@pytest.fixture(scope="module")
def page(manifest, pictures) -> str:
    return render_page(manifest, pictures.inputs, pictures.logits)


def test_nothing_outside_the_file_is_asked_for(page: str) -> None:
    reader = read(page)
    addresses = [v for k, v in reader.attributes if k in {"src", "href", "xlink:href", "action"}]
    assert addresses
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    assert not set(reader.tags) & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not re.search(r"@import|url\(", page)
    without_names = re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    assert "http://" not in without_names
    assert "https://" not in without_names


def test_nothing_could_be_fetched_or_run_even_if_it_were_there(page: str) -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:\"" in page


def test_pages_of_every_kind_ask_for_nothing_outside(drawn, case) -> None:
    page = drawn(case)
    reader = read(page)
    addresses = [v for k, v in reader.attributes if k in {"src", "href", "xlink:href", "action"}]
    assert all(re.match(r"data:(image/png|audio/wav);base64,", address) for address in addresses)
    assert not set(reader.tags) & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not re.search(r"@import|url\(", page)


def test_only_a_page_with_sound_may_play_sound(drawn, sound, tabled) -> None:
    assert "; media-src data:" in drawn(sound)
    assert "media-src" not in drawn(tabled)


def test_sounds_have_a_player_each(drawn, sound) -> None:
    reader = read(drawn(sound))
    assert reader.tags.count("audio") == reader.tags.count("img") == 9
    assert ("controls", None) in reader.attributes


def test_texts_are_marked_and_the_marks_explained(drawn, written) -> None:
    page = drawn(written)
    assert '<mark class="for s4">good</mark>' in page
    assert '<mark class="against s4">bad</mark>' in page
    assert "speaks for the answer" in page
    assert "no words" in page
    assert "&lt;" in page
    plain = render_page(written.manifest, written.inputs, written.outputs, assets=written.assets)
    assert "<mark" not in plain
    assert "speaks for the answer" not in plain


def test_rows_are_tables_with_what_was_told(drawn, tabled) -> None:
    text = " ".join(read(drawn(tabled)).text)
    parts = ("rooms", "inland", "2024-", "missing or unseen", "price", "800,000", "R²", "RMSE")
    assert [part for part in parts if part not in text] == []


def test_no_goal_but_its_own_is_spoken_of(drawn, tabled, tagged) -> None:
    numbers = " ".join(read(drawn(tabled).partition("</style>")[2]).text).lower()
    assert "label" not in numbers.replace("energies with different labels", "")
    assert "accuracy" not in numbers
    assert "probabilit" not in numbers
    assert "F1 on the validation split" in " ".join(read(drawn(tagged)).text)


def test_every_score_is_there_with_its_meaning(drawn, case) -> None:
    text = " ".join(read(drawn(case)).text)
    assert all(title(name) in text for name in case.manifest.model.scores)


def test_hostile_labels_words_and_columns_are_text_in_every_kind(case) -> None:
    labels = tuple(f"{EVIL}{k}" for k in range(len(case.manifest.labels)))
    spec = case.manifest.input
    if isinstance(spec, TableSpec):
        number, words, day = spec.columns
        columns = (replace(number, name=EVIL), replace(words, values=(EVIL, EVIL + "2")), day)
        spec = replace(spec, columns=columns)
    hostile = replace(case.manifest, labels=labels, input=spec)
    page = render_page(hostile, case.inputs, case.outputs, assets=case.assets, run=case.run)
    reader = read(page)
    assert "script" not in reader.tags
    assert reader.tags.count("style") == 1
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert "".join(reader.text).count(EVIL.strip()) >= 1


def test_every_part_is_there(page: str) -> None:
    text = " ".join(read(page).text)
    parts = ("PASS", "Budget", "side by side", "Training", "Inference", "about 14 million",
             "Candidates", "Learning", "Examples", "Ankle boot", "diptych.load", "modelled",
             "0123456789abcdef", "no such machine")  # fmt: skip
    assert [part for part in parts if part not in text] == []
    assert page.count("<svg") == 1 + 3 * 2


def test_a_missed_budget_shows_what_would_have_to_give(failed) -> None:
    text = " ".join(read(render(failed, ())).text)
    assert "With p99 ≤ 0.189 ms instead of 0.15 ms" in text
    assert "The nearest points" in text
    assert "41,300 samples" in text


def test_hostile_names_are_text_and_nothing_else(manifest, pictures) -> None:
    data = replace(manifest.provenance.data, name=EVIL, warnings=(EVIL,))
    provenance = replace(manifest.provenance, data=data, recipe={EVIL: EVIL})
    named = [replace(one, name=EVIL, model=EVIL) for one in manifest.candidates]
    hostile = replace(
        manifest,
        name=EVIL,
        labels=(EVIL,) * 10,
        candidates=tuple(named),
        model=replace(manifest.model, name=EVIL),
        curves=tuple(replace(one, model=EVIL) for one in manifest.curves),
        provenance=provenance,
        machine=replace(manifest.machine, cpu=EVIL, versions={EVIL: EVIL}),
    )
    reader = read(render_page(hostile, pictures.inputs, pictures.logits))
    names = {name for name, _ in reader.attributes}
    assert "script" not in reader.tags
    assert reader.tags.count("style") == 1
    assert not [name for name in names if name.startswith("on")]
    assert EVIL in "".join(reader.text)


def test_hostile_pieces_of_text_are_text_and_nothing_else(written) -> None:
    shown = Passage(pieces=(Piece(text=EVIL, level=3), Piece(text=EVIL)))
    page = render(written.manifest, (Example(shown=shown, answer=Answer(text=EVIL)),), marked=True)
    assert not {"script", "img"} & set(read(page).tags)
    assert "".join(read(page).text).count(EVIL) == 3


def test_a_page_without_budget_candidates_or_examples_still_stands(manifest) -> None:
    bare = replace(manifest, terms=(), candidates=(), curves=(), breakeven_predictions=None)
    text = " ".join(read(render(bare, ())).text)
    assert "No budget was set." in text
    assert "Learning" not in text


def test_a_report_of_a_bundle_leaves_the_bundle_valid(tiny_bundle: Path) -> None:
    out = tiny_bundle / "report.html"
    assert write_report(tiny_bundle, out) == out
    assert "data:image/png" in out.read_text()
    store.read(tiny_bundle)


def test_a_report_never_replaces_a_part_of_the_bundle(tiny_bundle: Path) -> None:
    for name in ("golden.npz", "bundle.json", "model.onnx"):
        before = sha256_of_file(tiny_bundle / name)
        with pytest.raises(StorageError, match="part of the bundle"):
            write_report(tiny_bundle, tiny_bundle / name)
        assert sha256_of_file(tiny_bundle / name) == before


def test_a_damaged_bundle_is_refused_before_anything_is_written(tiny_bundle: Path) -> None:
    (tiny_bundle / "golden.npz").write_bytes(b"spoiled")
    with pytest.raises(BundleError):
        write_report(tiny_bundle, tiny_bundle / "report.html")
    assert not (tiny_bundle / "report.html").exists()


@pytest.mark.parametrize("there", [True, False])
def test_examples_that_the_bundle_does_not_vouch_for_are_not_read(
    tiny, tmp_path: Path, there: bool
) -> None:
    bundle, out = tmp_path / "odd.dip", tmp_path / "report.html"
    store.write(bundle, replace(tiny.manifest, files=()), tiny.contents)
    if not there:
        (bundle / "golden.npz").unlink()
    with pytest.raises(BundleError, match="no golden examples"):
        write_report(bundle, out)
    assert not out.exists()


@pytest.fixture
def text_bundle(tiny, written, tmp_path: Path) -> Path:
    """Write a bundle whose program adds up a weight for each token: good is 1, bad is -1."""
    onnx = pytest.importorskip("onnx")
    make, types, spec = onnx.helper, onnx.TensorProto, written.manifest.input
    vocabulary = np.arange(spec.vocabulary)[:, None]
    graph = make.make_graph(
        [
            make.make_node("Gather", ["weights", "tokens"], ["each"]),
            make.make_node("ReduceSum", ["each", "axes"], ["logits"], keepdims=0),
        ],
        "adds",
        [make.make_tensor_value_info("tokens", types.INT32, ["N", spec.tokens])],
        [make.make_tensor_value_info("logits", types.FLOAT, ["N", 2])],
        [
            onnx.numpy_helper.from_array(written.run(vocabulary), "weights"),
            make.make_tensor("axes", types.INT64, [1], [1]),
        ],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=10)
    program = replace(
        tiny.manifest.programs[0],
        files=(store.record("model.onnx", model.SerializeToString()),),
        input=spec.tensor(),
        output=TensorSpec(name="logits", dtype="float32", shape=(None, 2)),
    )
    contents = {
        "model.onnx": model.SerializeToString(),
        "golden.npz": golden.build(written.inputs, {program.name: written.outputs}),
        **written.assets,
    }
    listed = ("golden.npz", *written.assets)
    manifest = replace(
        written.manifest,
        programs=(program,),
        files=tuple(store.record(name, contents[name]) for name in listed),
        assets=tuple(written.assets),
    )
    store.write(tmp_path / "text.dip", manifest, contents)
    return tmp_path / "text.dip"


def test_the_words_of_a_bundle_on_disk_are_marked_by_its_program(text_bundle: Path) -> None:
    page = write_report(text_bundle, text_bundle / "report.html").read_text()
    assert '<mark class="for s4">good</mark>' in page
    assert '<mark class="against s4">bad</mark>' in page
    store.read(text_bundle)


def hurt_page(case, hurt) -> str:
    manifest = hurt(case.manifest)
    shown = case.inputs[np.arange(len(manifest.damage.items)) % len(case.inputs)]
    return render_page(manifest, case.inputs, case.outputs, assets=case.assets, worst=shown)


def test_the_damage_is_told_in_every_kind_and_asks_for_nothing_outside(case, hurt) -> None:
    page = hurt_page(case, hurt)
    reader, text = read(page), " ".join(read(page).text)
    addresses = [v for k, v in reader.attributes if k in {"src", "href", "xlink:href", "action"}]
    assert all(re.match(r"data:(image/png|audio/wav);base64,", address) for address in addresses)
    assert not re.search(r"@import|url\(|<script", page)
    assert "What compression changed" in text
    if case.manifest.goal == "regression":
        assert "Where the error grew most" in text
    else:
        assert {"UNEVEN", "What it lost though the teacher was sure"} <= {
            *map(str.strip, reader.text)
        }
        assert "Temperature" in text


def test_without_a_damage_report_the_page_has_no_such_section(page: str) -> None:
    assert "What compression changed" not in page


def test_hostile_names_of_items_and_classes_are_text(sound, hurt) -> None:
    manifest = hurt(replace(sound.manifest, labels=("one", EVIL, "three")))
    items = tuple(replace(one, item=EVIL) for one in manifest.damage.items)
    manifest = replace(manifest, damage=replace(manifest.damage, items=items))
    reader = read(render_page(manifest, sound.inputs, sound.outputs))
    assert "script" not in reader.tags
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert EVIL in "".join(reader.text)


def test_of_very_many_classes_the_page_says_which_it_lists(manifest, hurt) -> None:
    damaged = hurt(manifest)
    known = damaged.damage.classes
    rows = tuple(replace(known[k % len(known)], label=f"class {k}") for k in range(100))
    many = replace(damaged, damage=replace(damaged.damage, classes=rows, num_classes=150))
    said = "All numbers per class, of the 100 that lost most"
    assert said in " ".join(read(render(many, ())).text)
