import json
from pathlib import Path

import pytest

from diptych.cli.main import run
from diptych.cli.report import choose_format
from diptych.core.errors import ConfigError

STARTS = {"html": b"<!doctype html>", "md": b"# tiny: PASS", "svg": b"<svg", "png": b"\x89PNG"}


@pytest.mark.parametrize("name", sorted(STARTS))
def test_each_format_is_written_beside_the_bundles_files(tiny_bundle: Path, name, capsys) -> None:
    assert run(["report", str(tiny_bundle), "--format", name]) == 0
    written = tiny_bundle / f"report.{name}"
    assert capsys.readouterr().out == f"{written}\n"
    assert written.read_bytes().lstrip().startswith(STARTS[name])


def test_json_names_the_file_and_the_verdict(tiny_bundle: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "page.md"
    assert run(["report", str(tiny_bundle), "--out", str(out), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"report": str(out), "format": "md", "verdict": "PASS"}


def test_the_format_comes_from_the_option_then_the_name_then_is_a_page() -> None:
    assert choose_format("png", Path("x.md")) == "png"
    assert choose_format(None, Path("x.SVG")) == "svg"
    assert choose_format(None, Path("x.dat")) == "html"
    assert choose_format(None, None) == "html"
    with pytest.raises(ConfigError, match="'pgn'"):
        choose_format("pgn", None)


def test_a_bad_place_is_one_line_and_exit_2(tiny_bundle: Path, tmp_path: Path, capsys) -> None:
    missing = tmp_path / "no" / "page.html"
    assert run(["report", str(tiny_bundle), "--out", str(missing)]) == 2
    assert capsys.readouterr().err.startswith(f"error: cannot write {missing}")


def test_a_folder_that_is_no_bundle_is_one_line_and_exit_2(tmp_path: Path, capsys) -> None:
    assert run(["report", str(tmp_path)]) == 2
    assert "bundle.json" in capsys.readouterr().err
