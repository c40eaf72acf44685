"""Files beside a bundle: for torch (tests/targets/test_native.py compiles) and for phones."""

import sys
from pathlib import Path

import pytest

from diptych.core.errors import ConfigError, DataError, MissingExtraError
from diptych.core.extras import installed
from diptych.core.files import sha256_of_file
from diptych.fitting.beside import write_beside
from diptych.inference.bundle import load


def test_torch_takes_no_data(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="torch needs no data"):
        write_beside(tmp_path, "torch", "digits")


@pytest.mark.slow
def test_without_its_library_nothing_is_written(
    digits_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "executorch", None)
    with pytest.raises(MissingExtraError, match="executorch"):
        write_beside(digits_bundle, "mobile", out=tmp_path / "digits.pte")
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_items_of_other_data_do_not_calibrate(digits_bundle: Path, tmp_path: Path) -> None:
    rows = "".join(f"{row % 7},{row % 3},{row % 2}\n" for row in range(200))
    (tmp_path / "other.csv").write_text(f"a,b,label\n{rows}")
    with pytest.raises(DataError, match="holds rows, and pictures"):
        write_beside(digits_bundle, "mobile", tmp_path / "other.csv", tmp_path / "d.pte")
    assert not (tmp_path / "d.pte").exists()


@pytest.mark.slow
@pytest.mark.skipif(not installed("executorch"), reason="the extra mobile is absent")
@pytest.mark.parametrize("data", [None, "digits"])
def test_a_program_for_phones_is_compared_and_the_bundle_stays(
    digits_bundle: Path, tmp_path: Path, data: str | None
) -> None:
    before = sha256_of_file(digits_bundle / "bundle.json")
    path, told = write_beside(digits_bundle, "mobile", data, tmp_path / "digits.pte")
    assert told.precision == ("fp32" if data is None else "int8")
    assert told.size_bytes == path.stat().st_size
    assert (told.runtime, told.n) == ("mobile", len(load(digits_bundle).golden().inputs))
    assert told.flips <= 1
    assert sha256_of_file(digits_bundle / "bundle.json") == before
