from pathlib import Path

import pytest

from diptych.core.errors import ConfigError, DataError
from diptych.tasks.code import find_object, is_code, users_code


@pytest.mark.parametrize("name", ["net.py:make", "a/b c/net.py:make", "package.module:make"])
def test_an_object_in_code_is_known_by_its_name(name: str) -> None:
    assert is_code(name)


@pytest.mark.parametrize("name", ["net.py", "large.dip", "a/b:c", "C:\\models\\net.onnx", "x.py:"])
def test_a_path_is_no_code(name: str) -> None:
    assert not is_code(name)


def test_an_object_is_found_in_a_file_and_in_a_module(tmp_path: Path) -> None:
    (tmp_path / "numbers_of_mine.py").write_text("LIST = [1, 2]\n")
    assert find_object(f"{tmp_path / 'numbers_of_mine.py'}:LIST") == [1, 2]
    assert find_object("math:pi") == pytest.approx(3.14159, abs=1e-5)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = ", "raises SyntaxError"),
        ("1 / 0", "raises ZeroDivisionError: division by zero"),
        ("import absent_module", "cannot import"),
        ("LISTS = []", "has no 'LIST'"),
    ],
)
def test_code_that_cannot_be_run_is_told(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "broken.py").write_text(source)
    with pytest.raises(ConfigError, match=said):
        find_object(f"{tmp_path / 'broken.py'}:LIST")


def test_of_a_name_that_is_not_there_those_that_may_be_meant_are_told(tmp_path: Path) -> None:
    source = "import os\ndef make(): pass\nclass Net: pass\n"
    (tmp_path / "nets_of_mine.py").write_text(source)
    with pytest.raises(ConfigError) as told:
        find_object(f"{tmp_path / 'nets_of_mine.py'}:absent")
    assert told.value.hint == "known: Net, make"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        find_object(f"{tmp_path / 'absent.py'}:make")


def test_what_a_users_code_raises_is_told_in_one_line() -> None:
    with pytest.raises(ConfigError) as told, users_code("add", "mend it", "'x'"):
        raise KeyError("left")
    line = told.value.__traceback__
    assert line is not None
    place = f"test_code.py, line {line.tb_lineno + 1}"
    assert told.value.message == f"add raises KeyError: 'left' ({place}) for 'x'"
    assert told.value.hint == "mend it"


@pytest.mark.parametrize("error", [DataError("bad"), KeyError("wanted"), KeyboardInterrupt()])
def test_errors_of_ours_and_those_that_are_wanted_go_on(error: BaseException) -> None:
    with pytest.raises(type(error)) as seen, users_code("f", "mend it", but=(KeyError,)):
        raise error
    assert seen.value is error
