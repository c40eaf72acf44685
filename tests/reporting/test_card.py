import ast
import re
import subprocess
import sys

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from diptych.core.specs import OwnSpec
from diptych.core.unlabelled import UnlabelledRecord
from diptych.reporting.card import render_card, usage
from diptych.reporting.inputs import describe

EVIL = '"]\n---\n<script>alert(1)</script> ![x](http://evil.example/x.png) ```'


def front_matter(card: str) -> dict:
    _, matter, _ = card.split("---\n", 2)
    return yaml.safe_load(matter)


def test_the_front_matter_is_what_the_hub_reads(manifest) -> None:
    matter = front_matter(render_card(manifest))
    assert matter["library_name"] == "diptych"
    assert matter["pipeline_tag"] == "image-classification"
    assert matter["tags"] == ["diptych", "image-classification", "int8", "openvino"]
    result = matter["model-index"][0]["results"][0]
    assert result["metrics"] == [{"type": "accuracy", "value": 0.929}]
    assert "license" not in matter


@settings(max_examples=40)
@given(name=st.text(max_size=30))
def test_no_name_can_leave_its_quotes(manifest, name: str) -> None:
    data = replace(manifest.provenance.data, name=name)
    hostile = replace(manifest, name=name, provenance=replace(manifest.provenance, data=data))
    card = render_card(hostile)
    card.encode()
    matter = front_matter(card)
    assert set(matter) == {"library_name", "pipeline_tag", "tags", "metrics", "model-index"}
    assert len(matter["model-index"]) == 1


def test_hostile_labels_and_names_are_no_markup(manifest) -> None:
    data = replace(manifest.provenance.data, name=EVIL, warnings=(EVIL,))
    hostile = replace(
        manifest, name=EVIL, labels=(EVIL, "b"), provenance=replace(manifest.provenance, data=data)
    )
    body = render_card(hostile).split("---\n", 2)[2]
    assert "<script" not in body
    assert not re.search(r"(?<!\\)\](?=\()", body)
    assert body.count("```") == 2


def test_hostile_programs_and_hashes_are_no_markup(manifest) -> None:
    program = replace(manifest.programs[0], name=EVIL, unverified="no such chip")
    unlabelled = UnlabelledRecord(name="more", sha256=EVIL, count=1)
    data = replace(manifest.provenance.data, unlabelled=unlabelled)
    hostile = replace(
        manifest, programs=(program,), provenance=replace(manifest.provenance, data=data)
    )
    body = render_card(hostile).split("---\n", 2)[2]
    assert "<script" not in body
    assert not re.search(r"(?<!\\)\](?=\()", body)
    assert body.count("```") == 2


def test_the_usage_is_python_whatever_the_name(manifest) -> None:
    assert '"fashion-fixture.dip"' in usage(manifest)
    assert "model.dip" in usage(replace(manifest, name='x"); import os #'))
    ast.parse(usage(manifest))


def test_the_card_does_not_need_the_report_extra() -> None:
    code = (
        "import sys, diptych.reporting.card, diptych.reporting.markdown\n"
        "assert not {'altair', 'vl_convert', 'jinja2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_card_says_what_it_does_not_know(manifest) -> None:
    card = render_card(manifest)
    assert "License: not stated" in card
    assert "Left out: 1 item." in card
    assert "stopped before its end" not in card


def test_the_hub_is_told_in_its_own_words(tabled, written, tagged) -> None:
    matter = [front_matter(render_card(one.manifest)) for one in (tabled, written, tagged)]
    assert [one["pipeline_tag"] for one in matter] == [
        "tabular-regression", "text-classification", "image-classification",
    ]  # fmt: skip
    assert matter[0]["metrics"] == ["r_squared", "rmse", "mae"]
    assert matter[1]["metrics"] == ["accuracy", "f1", "roc_auc"]
    values = {
        one["type"]: one["value"] for one in matter[0]["model-index"][0]["results"][0]["metrics"]
    }
    assert values == {"r_squared": 0.83, "rmse": 46500, "mae": 30300}


def test_where_the_hub_has_no_word_none_is_made_up(sound) -> None:
    matter = front_matter(render_card(replace(sound.manifest, goal="regression")))
    assert "pipeline_tag" not in matter
    assert matter["model-index"][0]["results"][0]["task"]["type"] == "audio-regression"


def test_the_limits_are_those_of_the_kind_and_the_goal(case) -> None:
    card = render_card(case.manifest)
    assert describe(case.manifest.input).limit.split(";")[0] in card
    assert ("labels and nothing else" in card) == (case.manifest.goal != "regression")
    ast.parse(usage(case.manifest))


def test_column_names_cannot_leave_the_lines_of_python(tabled) -> None:
    spec = tabled.manifest.input
    columns = tuple(replace(one, name=f"{EVIL}{k}") for k, one in enumerate(spec.columns))
    hostile = replace(tabled.manifest, input=replace(spec, columns=columns), labels=(EVIL,))
    body = render_card(hostile).split("---\n", 2)[2]
    assert body.count("```") == 2
    assert "<script" not in body


def test_a_users_own_task_and_score_keep_their_names(manifest) -> None:
    model = replace(manifest.model, scores={"hit rate": manifest.model.score})
    spec = OwnSpec(task="gestures", dtype="float32", shape=(6, 50))
    card = render_card(replace(manifest, input=spec, model=model))
    matter = front_matter(card)
    assert "pipeline_tag" not in matter
    assert matter["metrics"] == ["hit rate"]
    assert "reaches a hit rate of 92.9 %" in card
    assert "Hit rate holds for data like the training data" in card


def test_the_damage_is_in_the_card_and_hostile_classes_are_no_markup(manifest, hurt) -> None:
    hostile = hurt(replace(manifest, labels=("a", EVIL, *manifest.labels[2:])))
    body = render_card(hostile).split("---\n", 2)[2]
    assert "## What compression changed" in body
    assert "<script" not in body
    assert not re.search(r"(?<!\\)\](?=\()", body)
    assert body.count("```") == 2
