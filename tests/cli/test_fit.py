import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from diptych.cli.fit import document, summary
from diptych.cli.main import run
from diptych.cli.output import print_json, verdict_table
from diptych.inference import store
from diptych.measure.means import unknown

NOTHING = unknown("undefined: all targets are equal")
TWO_TEACHERS = ["--teacher", "a.dip", "--teacher", "b.dip"]
KEYS = {"bundle", "task", "verdict", "terms", "teacher", "model", "training"}
MODEL_KEYS = {
    "accuracy",
    "drop",
    "p50_ms",
    "p99_ms",
    "size_bytes",
    "energy_mj",
    "runtime",
    "precision",
    "parameters",
}


@pytest.mark.slow
def test_the_document_has_the_keys_of_the_design(digits_bundle: Path) -> None:
    manifest, folder = store.read(digits_bundle)
    result = json.loads(json.dumps(document(folder, manifest)))
    assert set(result) >= KEYS | {"breakeven_predictions"}
    assert set(result["model"]) >= MODEL_KEYS
    assert {"name", "limit", "value", "low", "high", "verdict", "n"} <= set(result["terms"][0])
    assert {"seconds", "samples", "energy_j", "flops", "cost_usd"} <= set(result["training"])
    assert result["damage"]["flips"]["n"] == result["model"]["n"]


@pytest.mark.slow
def test_the_summary_shows_every_term_and_where_the_bundle_is(digits_bundle: Path) -> None:
    manifest, folder = store.read(digits_bundle)
    text = summary(folder, manifest)
    assert str(digits_bundle) in text
    assert "report.html" in text
    assert "\ntraining: " in text
    idle = replace(manifest, training=replace(manifest.training, seconds=0.0))
    assert "\ntraining: none was needed" in summary(folder, idle)
    assert re.search(r"^damage: \d+ items? lost, \d+ gained of [\d,]+", text, re.MULTILINE)
    lines = verdict_table(manifest.terms).splitlines()
    assert len(lines) == 2 + len(manifest.terms)
    assert all("PASS" in line for line in lines[2:])


def test_a_score_of_which_nothing_is_known_is_unknown_and_null(
    tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was shown as 0.00 %."""
    scores = tiny.manifest.model.scores | {"auroc": unknown("undefined: one class")}
    model = replace(tiny.manifest.model, scores=scores, p50_ms=unknown("not measured"))
    manifest = replace(tiny.manifest, model=model, teacher=replace(model, scores={"r2": NOTHING}))
    text = summary(Path("a.dip"), manifest)
    assert "accuracy 90.00 %, auroc unknown, p50 unknown" in text
    assert "teacher: accuracy unknown" in text
    print_json(document(Path("a.dip"), manifest))
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    told = found["model"]
    assert told["accuracy"] == 0.9
    assert {told[name] for name in ("auroc", "auroc_low", "auroc_high", "p50_ms")} == {None}
    assert found["teacher"]["r2"] is None


@pytest.mark.slow
def test_a_budget_that_nothing_meets_ends_with_3_and_says_what_would(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        'students = []\n[teacher]\nname = "teacher"\n'
        "[teacher.network]\nname = 'residual'\nstem = 8\nwidths = [16]\nblocks = [0]\n"
        "[teacher.training]\nepochs = 2\nlearning_rate = 0.15\n"
        '[[programs]]\nruntime = "onnxruntime"\nprecision = "fp32"\n'
    )
    command = [sys.executable, "-m", "diptych", "fit", "digits", "--budget", "size<=1KB, p99<=1s"]
    command += ["--recipe", str(recipe), "--out", str(tmp_path / "out.dip")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "cheapest relaxation: size" in done.stdout
    assert "FAIL" in done.stdout
    assert (tmp_path / "out.dip" / "bundle.json").is_file()


@pytest.mark.parametrize(
    ("words", "seen", "hint"),
    [
        (["digits", "--budget", "sise<=3KB"], "sise", "size"),
        (["digits", "--budget", "accuracy>=200%"], "200%", ""),
        (["digits", "--time-limit", "soon"], "soon", "25m"),
        (["digits", "--target", "tpu"], "tpu", "cpu"),
        (["digitz"], "digitz", "digits"),
        (["digits", "--recipe", "nowhere.toml"], "nowhere.toml", "bundle"),
        (["digits", "--seed", "one"], "'one'", "fit --help"),
        (["digits", "--jobs=99"], "99", "fit --help"),
        (["digits", *TWO_TEACHERS, "--weights", "w.safetensors"], "w.safetensors", "--weights"),
        (["digits", *TWO_TEACHERS, "--output", "logits"], "--output is 'logits'", "--output"),
    ],
)
def test_a_mistake_gets_one_line_and_a_hint(
    words: list[str], seen: str, hint: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = run(["fit", *words, "--out", str(tmp_path / "out.dip")])
    lines = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert seen in lines[0]
    assert lines[0].startswith("error: ")
    assert hint in lines[1]
    assert len(lines) == 2
