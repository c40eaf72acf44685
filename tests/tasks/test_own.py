from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import ConfigError, DataError
from diptych.core.specs import OwnSpec
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


def test_a_defect_of_the_task_is_not_hidden() -> None:
    def fail(item: object) -> np.ndarray:
        raise AttributeError("a defect")

    broken = Task(name="triples", shape=(3,), decode=fail, network=never)
    with pytest.raises(AttributeError):
        OwnPreparer(TASK.spec, broken)("x")


def test_another_task_than_the_model_was_made_with_is_refused() -> None:
    other = Task(name="pairs", shape=(2,), decode=decode, network=never)
    with pytest.raises(ConfigError, match=r"is of task 'triples'.*not of 'pairs'"):
        OwnPreparer(TASK.spec, other)("1 2")


def test_a_task_that_is_not_installed_is_missed_when_the_first_item_comes() -> None:
    prepare = OwnPreparer(TASK.spec)
    with pytest.raises(ConfigError, match="no task 'triples' installed"):
        prepare("1 2 3")


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
