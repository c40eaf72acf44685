"""Sources: from what a user names to the kind of data it is."""

from pathlib import Path
from typing import NoReturn

from diptych.core.errors import DataError
from diptych.core.text import nearest
from diptych.data.builtin import BUILTINS
from diptych.data.folders import NOUNS, SUFFIXES, subfolders
from diptych.data.idx import idx_files
from diptych.data.kinds import SUPPORTED, fail_unknown
from diptych.data.parquet import holds_rows, parquet_files
from diptych.data.table_files import LOADERS, table_files


def recognize(source: str | Path) -> tuple[str, Path]:
    """Find out what kind of data a source is.

    Args:
        source: A built-in name, a folder or a file; a path is never taken for a built-in name.

    Returns:
        The kind (``builtin``, ``idx``, ``parquet`` of pictures, ``table`` or ``folders``) and where
        it is.

    Raises:
        DataError: If it does not exist, is empty, or is of a kind that is not known.
    """
    path = Path(source)
    if isinstance(source, str) and source in BUILTINS:
        return "builtin", path
    if not path.exists():
        _fail_absent(source)
    if path.is_dir():
        return _recognize_folder(path), path
    if path.suffix.lower() not in LOADERS:
        fail_unknown(path, [path])
    return _recognize_table(path), path


def _recognize_folder(folder: Path) -> str:
    if idx_files(folder):
        return "idx"
    if files := parquet_files(folder):
        return _recognize_table(files[0])
    files = [each for each in sorted(folder.iterdir()) if not each.name.startswith(".")]
    if not files:
        raise DataError(f"{folder} is empty", SUPPORTED)
    folders = subfolders(folder)
    if not folders and not table_files(folder):
        _check_loose(folder, files)
    if table_files(folder) and all(each.name == "data" for each in folders):
        return "table"
    if not folders:
        fail_unknown(folder, files)
    return "folders"


def _check_loose(folder: Path, files: list[Path]) -> None:
    for kind, suffixes in SUFFIXES.items():
        loose = [each for each in files if each.suffix.lower() in suffixes]
        if loose:
            raise DataError(
                f"{folder} holds {len(loose)} {NOUNS[kind]} but no class folders",
                f"a folder's name is the label: {folder.name}/CLASS/{loose[0].name}",
            )


def _recognize_table(file: Path) -> str:
    is_parquet = file.suffix.lower() == ".parquet"
    return "parquet" if is_parquet and not holds_rows(file) else "table"


def _fail_absent(source: str | Path) -> NoReturn:
    is_word = isinstance(source, str) and "/" not in source and "." not in source
    if is_word:
        raise DataError(
            f"{source!r} is neither a built-in data set nor a path that exists",
            nearest(str(source), BUILTINS),
        )
    raise DataError(f"{str(source)!r} does not exist", "check the path")
