import json
from pathlib import Path

import pytest

from diptych.cli.main import run

RECIPE = """
[teacher]
name = "teacher"
[teacher.network]
name = "residual"
stem = 8
widths = [16]
blocks = [0]
[teacher.training]
epochs = 2
"""


@pytest.mark.slow
def test_training_from_a_recipe_prints_what_came_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    out = tmp_path / "out.dip"
    words = ["train", "digits", "--recipe", str(tmp_path / "tiny.toml"), "--out", str(out)]
    assert run([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["bundle"] == str(out)
    assert result["training"]["samples"] > 0
    assert run(words) == 0
    assert "accuracy" in capsys.readouterr().out


def test_an_unknown_setting_of_a_recipe_is_named_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE + "\nspeed = 3\n")
    assert run(["train", "digits", "--recipe", str(tmp_path / "tiny.toml")]) == 2
    complaint = capsys.readouterr().err
    assert "speed" in complaint
    assert "training" in complaint
