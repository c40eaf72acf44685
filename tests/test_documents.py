"""The code blocks of the README run as they stand, on the bundle that its first command makes."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from msgspec import structs

from diptych.core.specs import ImageSpec
from diptych.fitting.budget import TERMS
from diptych.fitting.recipe import read_recipe
from diptych.training.models import NETWORKS
from diptych.training.recipe import TrainingRecipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
LEARNED_ELSEWHERE = {"module", "hugging-face", "own", "pruned", "timm"}


QUICK = """
[teacher]
name = "teacher"
network = {name = "residual", stem = 8, widths = [16], blocks = [0]}
training = {epochs = 1}
[[programs]]
runtime = "onnxruntime"
precision = "fp32"
[[programs]]
runtime = "onnxruntime"
precision = "int8"
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    """List what comes after the fit, which `digits_bundle` runs."""
    lines = "".join(blocks("sh")).splitlines()
    found = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("diptych ")]
    return [words for words in found if words[:2] != ["fit", "digits"]]


@pytest.fixture(scope="module")
def folder(
    digits_bundle: Path, digit_picture: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    place = tmp_path_factory.mktemp("readme")
    (place / "digits.dip").symlink_to(digits_bundle)
    (place / "digit.png").write_bytes(digit_picture.read_bytes())
    return place


@pytest.mark.slow
@pytest.mark.parametrize("words", commands(), ids=lambda words: words[0])
def test_a_command_of_the_readme_runs(words: list[str], folder: Path) -> None:
    if words[0] == "serve":
        words = [*words, "--help"]
    done = subprocess.run(
        [sys.executable, "-m", "diptych", *words], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_of_the_readme_runs(code: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0\nPASS")


@pytest.mark.slow
def test_the_task_of_the_page_on_own_tasks_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "own-task.md").read_text()
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    file = tmp_path / "gesture.txt"
    file.write_text("0 1 2\n" * 64)
    check = (
        "import torch\n"
        "array = TASK.decode('gesture.txt')\n"
        "assert array.shape == TASK.shape and array.dtype == TASK.dtype\n"
        "outputs = TASK.network(TASK.spec, 4, 0.5)(torch.from_numpy(array[None]))\n"
        "assert outputs.shape == (1, 4)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + check], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_example_of_the_page_on_compressing_runs(elsewhere: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "compress.md").read_text()
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    (tmp_path / "model.py").write_text(code)
    train = (
        "import sys; sys.path.insert(0, sys.argv[1]); from learn import learned\n"
        "import model; learned(model.make(), 'model.safetensors')"
    )
    command = shlex.split(re.findall(r"```sh\n(.*?)```", page, re.DOTALL)[0])[1:]
    (tmp_path / "quick.toml").write_text(QUICK)
    words = [*command, "--recipe", "quick.toml"]
    for call in (["-c", train, str(elsewhere)], ["-m", "diptych", *words]):
        done = subprocess.run(
            [sys.executable, *call], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert "PASS: " in done.stdout
    assert (tmp_path / "model-compressed.dip" / "bundle.json").is_file()


def test_the_python_of_the_page_on_training_reads_the_records_of_a_run(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "training.md").read_text()
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    lines = [
        '{"epoch":1,"seconds":1.5,"score":null}',
        '{"epoch":1,"seconds":2.25,"score":0.75}',
        '{"epoch":2,"seconds":4.5,"score":0.5}',
    ]
    (tmp_path / "digits.run").mkdir()
    (tmp_path / "digits.run" / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("75.0% after epoch 1, 2.2 s\n", "")


def test_the_page_on_budgets_has_every_term_and_every_unit() -> None:
    page = (ROOT / "docs" / "budget.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for name, kind in TERMS.items():
        (row,) = [row for row in rows if f"`{name}`" in row]
        units = [unit for unit in kind.written if unit.isascii() and unit.isalpha()]
        assert all(f"`{word}`" in row for word in (kind.relation, *units))


def test_the_page_on_recipes_has_every_setting_with_its_default() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text()
    told: dict[str, object] = {}
    table = page.split("## Settings of")[1].split("##")[0]
    for name, value in re.findall(r"`(\w+)(?: = ([^`{]+))?`", table):
        told.setdefault(name, tomllib.loads(f"x = {value}")["x"] if value else None)
    for field in structs.fields(TrainingRecipe):
        known = field.default if isinstance(field.default, str | float | int | bool) else None
        asked = None if field.name == "learning_rate" else known
        assert told[field.name] == asked, field.name
    for kind in NETWORKS:
        names = {field.name for field in structs.fields(kind)}
        name = kind.__struct_config__.tag
        if name in LEARNED_ELSEWHERE:
            continue
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert names <= set(re.findall(r"`(\w+)`", row)), name


def test_the_recipe_on_its_page_can_be_followed(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "recipes.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "a.toml").write_text(block)
    recipe = read_recipe(tmp_path / "a.toml")
    assert recipe.teacher.training.learning_rate == 0.007
    assert recipe.students[0].training.learning_rate is None
    for plan in (recipe.teacher, *recipe.students):
        NETWORKS[type(plan.network)](plan.network, ImageSpec(height=28, width=28, channels=1), 10)


def test_the_first_screen_comes_to_the_point() -> None:
    before = README.split("```")[0]
    assert len(before.split()) <= 140
