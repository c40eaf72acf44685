"""Users' data: read their formats, infer the task, split, check; numpy and pyarrow only."""

from collections.abc import Callable
from pathlib import Path

from diptych.core.errors import DataError
from diptych.core.progress import Reporter, silent
from diptych.core.specs import InputSpec
from diptych.core.values import Dataset
from diptych.data.assemble import Options, assemble
from diptych.data.builtin import read_builtin
from diptych.data.folders import read_folders
from diptych.data.idx import read_idx
from diptych.data.parquet import read_parquet
from diptych.data.pictures import Survey
from diptych.data.raw import RawData
from diptych.data.sources import recognize

READERS: dict[str, Callable[[Path, str | None], RawData]] = {
    "builtin": read_builtin,
    "folders": read_folders,
    "idx": read_idx,
    "parquet": read_parquet,
}


def read(  # noqa: PLR0913  what a caller of the API would otherwise wrap in a struct
    source: str | Path,
    *,
    seed: int = 0,
    target: str | None = None,
    image_size: int | None = None,
    spec: InputSpec | None = None,
    skip_unreadable: bool = False,
    report: Reporter = silent,
) -> Dataset:
    """Read labelled data: decoded, split and checked.

    Args:
        source: A built-in name (``digits``), a folder of class folders (or ``train/``,
            ``validation/``, ``test/`` above them), a folder of idx files, or Parquet.
        seed: Decides the splits that the source does not have.
        target: The label's column in a table.
        image_size: The side in pixels to bring pictures to; inferred by default.
        spec: What to prepare items for, such as a bundle's input; inferred by default.
        skip_unreadable: Leave out pictures that cannot be read, and record them.
        report: Told how far it is.

    Returns:
        The data set.

    Raises:
        DataError: If the data cannot be used; it says what is wrong with which item.
    """
    options = Options(
        seed=seed, target=target, image_size=image_size, spec=spec, skip_unreadable=skip_unreadable
    )
    return read_surveyed(source, options, report)[0]


def read_surveyed(source: str | Path, options: Options, report: Reporter) -> tuple[Dataset, Survey]:
    """Read labelled data, and tell what pictures there were.

    Args:
        source: As for :func:`read`.
        options: How.
        report: Told how far it is.

    Returns:
        The data set, and the sizes of the pictures before they were prepared.

    Raises:
        DataError: If the data cannot be used.
    """
    try:
        kind, path = recognize(source)
        return assemble(READERS[kind](path, options.target), options, report)
    except OSError as error:
        place = error.filename or source
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"cannot read {place}: {reason}", "check who may read it") from error
