"""The examples run as their first lines say."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
QUICK = """
seed = 0
calibration_items = 64
[teacher]
name = "teacher"
network = {name = "own", width = 0.25}
training = {epochs = 6, batch_size = 32, optimizer = "adamw", learning_rate = 0.003, threads = 1}
[[students]]
name = "student"
network = {name = "own", width = 0.1}
training = {epochs = 6, batch_size = 32, optimizer = "adamw", learning_rate = 0.003, threads = 1}
"""


def diptych(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "diptych", *arguments], capture_output=True, text=True, cwd=cwd
    )


@pytest.mark.slow
def test_a_task_in_a_file_goes_through_every_verb(tmp_path: Path) -> None:
    task = f"{EXAMPLES / 'rotation.py'}:TASK"
    make = "import rotation, pathlib; rotation.make_pictures(pathlib.Path('turned'), 800)"
    subprocess.run(
        [sys.executable, "-c", make], check=True, cwd=tmp_path, env={"PYTHONPATH": str(EXAMPLES)}
    )
    (tmp_path / "quick.toml").write_text(QUICK)
    budget = ("--budget", "score>=40%, drop<=50%")
    recipe = ("--recipe", "quick.toml")
    done = diptych("fit", "turned", "--task", task, *budget, *recipe, cwd=tmp_path)
    assert done.returncode in {0, 3}, done.stderr
    assert "closeness" in done.stdout
    scored = diptych("evaluate", "turned.dip", "turned", "--task", task, cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    assert "closeness" in scored.stdout
    lost = diptych("evaluate", "turned.dip", "turned", cwd=tmp_path)
    assert lost.returncode == 2
    assert "no task 'rotation' installed" in lost.stderr
    check = (
        "import diptych, rotation, pathlib\n"
        "file = sorted(pathlib.Path('turned').glob('*.png'))[0]\n"
        "with diptych.load('turned.dip', task=rotation.TASK) as bundle:\n"
        "    value = bundle.predict(file).value\n"
        "assert -180 <= value <= 180\n"
    )
    asked = subprocess.run(
        [sys.executable, "-c", check],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(EXAMPLES)},
    )
    assert asked.returncode == 0, asked.stderr
