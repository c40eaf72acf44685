import subprocess
import sys
from pathlib import Path

import pytest

from diptych.core.interpreter import python


@pytest.mark.parametrize("looks_here", [True, False])
def test_modules_of_the_working_folder_are_found_only_where_this_process_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks_here: bool
) -> None:
    (tmp_path / "colorsys.py").write_text("print('taken')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    elsewhere = [place for place in sys.path if place not in {"", str(tmp_path)}]
    monkeypatch.setattr(sys, "path", [""] * looks_here + elsewhere)
    done = subprocess.run(
        python("-c", "import colorsys"), capture_output=True, text=True, check=True
    )
    assert done.stdout == "taken\n" * looks_here
