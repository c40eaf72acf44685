import sys
from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import ConfigError, DataError, MissingExtraError
from diptych.core.specs import OwnSpec
from diptych.tasks.code import find_object
from diptych.tasks.own import OwnPreparer, Task, find


def decode(item: object) -> np.ndarray:
    return np.fromstring(str(item), sep=" ", dtype=np.float32)


def never(*arguments: object) -> object:
    pytest.fail("nothing is trained here")


TASK = Task(name="triples", shape=(3,), decode=decode, network=never)


def test_a_task_says_what_a_graph_takes() -> None:
    assert TASK.spec == OwnSpec(task="triples", dtype="float32", shape=(3,))
    assert TASK.spec.tensor().shape == (None, 3)


def test_items_are_decoded_by_the_task() -> None:
    np.testing.assert_array_equal(OwnPreparer(TASK.spec, TASK)("1 2 3"), [1, 2, 3])


def test_a_task_that_decodes_to_another_shape_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'triples' decoded an item to float32 \(2,\)"):
        OwnPreparer(TASK.spec, TASK)("1 2")


@pytest.mark.parametrize("error", [ValueError("no number"), OSError("no file")])
def test_an_item_that_cannot_be_decoded_is_bad_data(error: Exception) -> None:
    def fail(item: object) -> np.ndarray:
        raise error

    broken = Task(name="triples", shape=(3,), decode=fail, network=never)
    with pytest.raises(DataError, match="cannot decode 'x': no"):
        OwnPreparer(TASK.spec, broken)("x")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AttributeError("a defect"), "AttributeError: a defect"),
        (KeyError("left"), "KeyError: 'left'"),
        (TypeError("no len"), "TypeError: no len"),
    ],
)
def test_a_defect_of_the_task_is_the_users_and_not_bad_data(error: Exception, said: str) -> None:
    def fail(item: object) -> np.ndarray:
        raise error

    broken = Task(name="triples", shape=(3,), decode=fail, network=never)
    with pytest.raises(ConfigError) as told:
        OwnPreparer(TASK.spec, broken)("x")
    message = f"decode of task 'triples' raises {said} (test_own.py, line "
    assert told.value.message.startswith(message)
    assert told.value.message.endswith(") for 'x'")
    assert told.value.__cause__ is error


def test_the_line_of_the_users_own_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "thirds_of_mine.py"
    file.write_text(
        "def decode(item):\n    return third(item)\n\n\ndef third(item):\n    return item / 3\n"
    )
    broken = Task(name="triples", shape=(3,), decode=find_object(f"{file}:decode"), network=never)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"TypeError: .*\(thirds_of_mine\.py, line 6\) for 'x'"):
        OwnPreparer(TASK.spec, broken)("x")


def test_a_missing_library_of_ours_keeps_its_hint() -> None:
    def fail(item: object) -> np.ndarray:
        raise MissingExtraError("no soundfile", "install it")

    broken = Task(name="triples", shape=(3,), decode=fail, network=never)
    with pytest.raises(MissingExtraError, match="no soundfile"):
        OwnPreparer(TASK.spec, broken)("x")


def test_another_task_than_the_model_was_made_with_is_refused() -> None:
    other = Task(name="pairs", shape=(2,), decode=decode, network=never)
    with pytest.raises(ConfigError, match=r"is of task 'triples'.*not of 'pairs'"):
        OwnPreparer(TASK.spec, other)("1 2")


def test_a_task_that_is_not_installed_is_missed_when_the_first_item_comes() -> None:
    prepare = OwnPreparer(TASK.spec)
    with pytest.raises(ConfigError, match="no task 'triples' installed"):
        prepare("1 2 3")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import absent_module", "raises ModuleNotFoundError: No module named 'absent_module'"),
        ("1 / 0", "raises ZeroDivisionError: division by zero"),
        ("TAKS = 3", "raises AttributeError"),
    ],
)
def test_an_installed_task_that_cannot_be_loaded_is_the_users_error(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "gestures-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gestures\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[diptych.tasks]\ngestures = own_gestures:TASK\n")
    (tmp_path / "own_gestures.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_gestures", raising=False)
    with pytest.raises(ConfigError, match="task 'gestures' cannot be loaded") as told:
        find("gestures")
    assert f"own_gestures:TASK {said}" in told.value.message
    sys.modules.pop("own_gestures", None)


def test_a_task_is_found_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "my_own.py"
    file.write_text(
        "import diptych\n"
        "TASK = diptych.Task(name='t', shape=(1,), decode=None, network=None)\n"
        "OTHER = 3\n"
    )
    assert find(f"{file}:TASK").name == "t"
    with pytest.raises(ConfigError, match=r"is of type int, not a diptych\.Task"):
        find(f"{file}:OTHER")
    with pytest.raises(ConfigError, match="has no 'TAKS'") as seen:
        find(f"{file}:TAKS")
    assert "TASK" in seen.value.hint
    with pytest.raises(ConfigError, match="there is no file"):
        find(f"{tmp_path / 'absent.py'}:TASK")
    with pytest.raises(ConfigError, match="cannot import 'absent_module'"):
        find("absent_module:TASK")
