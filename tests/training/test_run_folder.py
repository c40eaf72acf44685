import subprocess
import sys
from pathlib import Path

import pytest

from diptych.core.errors import ConfigError, StorageError, TrainingError
from diptych.training.checkpoint import Checkpoint, Position
from diptych.training.recipe import TrainingRecipe
from diptych.training.run_folder import RunFolder, is_left_over


def at(step: int) -> Checkpoint:
    recipe = TrainingRecipe()
    position = Position(
        name="student",
        seed=0,
        data_sha256="",
        planned=recipe,
        recipe=recipe,
        step=step,
        remaining=9,
    )
    return Checkpoint(position=position, tensors={})


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def folder(tmp_path: Path, said: list[str]):
    opened = RunFolder(tmp_path / "a.run", said.append)
    yield opened
    opened.close()


def test_the_latest_checkpoint_is_read_and_two_are_kept(folder: RunFolder) -> None:
    assert folder.latest() is None
    for step in (5, 900, 12_000):
        folder.save(at(step))
    latest = folder.latest()
    assert latest is not None
    assert latest.position.step == 12_000
    assert [path.name for path in folder.checkpoints()] == [
        "checkpoint-0000012000.safetensors",
        "checkpoint-0000000900.safetensors",
    ]


def test_what_a_killed_process_had_begun_is_removed(folder: RunFolder) -> None:
    begun = folder.path / ".checkpoint-0000000007.safetensors.4242.tmp"
    begun.write_bytes(b"half")
    folder.save(at(9))
    assert not begun.exists()
    assert len(folder.checkpoints()) == 1


def test_a_damaged_checkpoint_is_said_and_the_one_before_it_is_taken(
    folder: RunFolder, said: list[str]
) -> None:
    folder.save(at(1))
    folder.save(at(2))
    newest = folder.checkpoints()[0]
    newest.write_bytes(newest.read_bytes()[:-1])
    latest = folder.latest()
    assert latest is not None
    assert latest.position.step == 1
    assert len(said) == 1
    assert newest.name in said[0]


def test_a_run_of_which_no_checkpoint_is_whole_does_not_begin_anew(folder: RunFolder) -> None:
    folder.save(at(1))
    folder.checkpoints()[0].write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        folder.latest()


def test_what_a_run_leaves_is_told_from_other_files(folder: RunFolder) -> None:
    folder.save(at(1))
    (folder.path / "run.json").write_text("{")
    assert is_left_over(folder.path)
    (folder.path / "thesis.txt").write_text("mine")
    assert not is_left_over(folder.path)


def test_one_run_has_a_folder_at_a_time(folder: RunFolder) -> None:
    with pytest.raises(ConfigError, match="belongs to a run that is going on"):
        RunFolder(folder.path, print)
    code = (
        "import sys; from pathlib import Path; from diptych.training.run_folder import RunFolder\n"
        "RunFolder(Path(sys.argv[1]), print)"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(folder.path)], capture_output=True, text=True
    )
    assert "belongs to a run" in other.stderr
    folder.close()
    again = subprocess.run([sys.executable, "-c", code, str(folder.path)], capture_output=True)
    assert again.returncode == 0
    folder.__init__(folder.path, print)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        RunFolder(tmp_path / "file" / "a.run", print)


@pytest.mark.skipif(sys.platform == "win32", reason="the size of files is limited as on Unix")
def test_a_checkpoint_that_finds_no_room_is_one_line_and_the_one_before_it_stays(
    folder: RunFolder,
) -> None:
    import resource

    folder.save(at(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(StorageError, match="cannot write"):
            folder.save(at(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    latest = folder.latest()
    assert latest is not None
    assert latest.position.step == 1
    assert not list(folder.path.glob("*.tmp"))
