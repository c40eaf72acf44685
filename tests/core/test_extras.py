import json
import sys
from pathlib import Path

import pytest

from diptych.core.errors import MissingExtraError
from diptych.core.extras import installed, require


def test_an_installed_library_comes_back_as_the_module_itself() -> None:
    assert require("json", "train") is json
    assert require("os.path", "train").join("a", "b") == str(Path("a", "b"))


def test_a_missing_library_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(MissingExtraError) as raised:
        require("no_such_library.part", "train")
    assert raised.value.message == "this needs 'no_such_library', which is not installed"
    assert raised.value.hint == "pip install 'diptych[train]'"


def test_a_library_that_itself_lacks_another_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library_with_a_hole.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency") as raised:
        require("library_with_a_hole", "train")
    assert not isinstance(raised.value, MissingExtraError)


def test_asking_whether_a_library_is_there_does_not_import_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library_that_explodes.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert installed("library_that_explodes")
    assert "library_that_explodes" not in sys.modules


def test_libraries_are_there_only_if_all_are() -> None:
    assert installed("json", "re")
    assert not installed("json", "no_such_library")
