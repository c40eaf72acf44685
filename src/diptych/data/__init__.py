"""Users' data: read their formats, infer the task, split, check; numpy and pyarrow only."""

import os
from collections.abc import Callable
from pathlib import Path

from diptych.core.errors import DataError
from diptych.core.progress import Reporter, silent
from diptych.core.values import Dataset
from diptych.data.assemble import assemble
from diptych.data.builtin import read_builtin
from diptych.data.cache import read_cached
from diptych.data.cache_folder import cache_folder
from diptych.data.folders import read_folders
from diptych.data.idx import read_idx
from diptych.data.own import read_own
from diptych.data.parquet import read_parquet
from diptych.data.raw import RawData
from diptych.data.reading import Options
from diptych.data.sources import recognize
from diptych.data.tables import read_tables

OPTIONS = Options()
READERS: dict[str, Callable[[Path, str | None], RawData]] = {
    "builtin": read_builtin,
    "folders": read_folders,
    "idx": read_idx,
    "parquet": read_parquet,
    "table": read_tables,
}


def read(source: str | Path, options: Options = OPTIONS, report: Reporter = silent) -> Dataset:
    """Read labelled data: decoded, split and checked.

    Args:
        source: A built-in name (``digits``), a folder of class folders (or ``train/``,
            ``validation/``, ``test/`` above them), a folder of idx files, or tables.
        options: How.
        report: Told how far it is.

    Returns:
        The data set.

    Raises:
        DataError: If the data cannot be used; it says what is wrong with which item.
    """
    return read_with_facts(source, options, report)[0]


def read_with_facts(
    source: str | Path, options: Options, report: Reporter
) -> tuple[Dataset, tuple[str, ...]]:
    """Read labelled data, and tell what its items are.

    Args:
        source: As for :func:`read`.
        options: How.
        report: Told how far it is.

    Returns:
        The data set, and lines for people about its items before they were prepared.

    Raises:
        DataError: If the data cannot be used.
    """
    if not isinstance(source, str | Path):
        raise DataError(
            f"data is of type {type(source).__name__}", "give a built-in name or a path"
        )
    if not str(source):
        raise DataError("the name of the data is empty", "give a built-in name or a path")
    try:
        if options.task is not None:
            return assemble(read_own(Path(source), options.task), options, report)
        kind, path = recognize(source)

        def make() -> tuple[Dataset, tuple[str, ...]]:
            return assemble(_read(kind, path, options), options, report)

        folder = cache_folder(os.environ) if options.cache and kind != "builtin" else None
        if folder is None:
            return make()
        return read_cached(kind, path, options, report, make, folder)
    except OSError as error:
        place = error.filename or source
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"cannot read {place}: {reason}", "check who may read it") from error


def _read(kind: str, path: Path, options: Options) -> RawData:
    if kind == "table":
        return read_tables(path, options.target, options.spec, options.target_notation)
    return READERS[kind](path, options.target)
