"""The rules of the house: what the style says is held by tests."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "diptych"
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES = 300
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager"}
WITHOUT_TWIN = {"__init__.py", "__main__.py"}


def name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_is_short_enough_for_one_reading(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_begins_by_saying_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", [p for p in FILES if p.name not in WITHOUT_TWIN], ids=name)
def test_a_file_has_a_twin_that_tests_it(path: Path) -> None:
    twin = ROOT / "tests" / path.relative_to(SOURCE).with_name(f"test_{path.name}")
    assert twin.is_file(), f"{twin.relative_to(ROOT)} is missing"
    assert "def test_" in twin.read_text()


def test_no_file_or_folder_has_an_empty_name() -> None:
    parts = {part for path in FILES for part in path.relative_to(SOURCE).with_suffix("").parts}
    assert not parts & FORBIDDEN_NAMES


def test_only_the_command_line_prints() -> None:
    def prints(path: Path) -> bool:
        calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
        return any(isinstance(c.func, ast.Name) and c.func.id == "print" for c in calls)

    assert [name(p) for p in FILES if "cli" not in p.parts and prints(p)] == []


def test_nothing_reads_a_pickle() -> None:
    risky = re.compile(r"import pickle|torch\.load\(|allow_pickle=True|joblib")

    def evaluates(path: Path) -> bool:
        calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
        return any(isinstance(c.func, ast.Name) and c.func.id in {"eval", "exec"} for c in calls)

    assert [name(p) for p in FILES if risky.search(p.read_text()) or evaluates(p)] == []


def test_importing_the_package_loads_neither_torch_nor_a_runtime() -> None:
    code = (
        "import sys, diptych; diptych.__version__; heavy = {'torch', 'onnxruntime', 'openvino', "
        "'numpy', 'pyarrow', 'PIL'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_loads_neither_torch_nor_a_runtime() -> None:
    code = (
        "import sys\nfrom diptych.cli.main import run\nassert run(['--help']) == 0\n"
        "heavy = {'torch', 'onnxruntime', 'openvino', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "fit" in shown.stdout


def test_the_public_names_are_the_ones_that_exist() -> None:
    import diptych

    assert {n for n in diptych.__all__ if getattr(diptych, n) is not None} == set(diptych.PUBLIC)
    with pytest.raises(AttributeError, match="nothing"):
        _ = diptych.nothing
