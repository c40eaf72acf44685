"""Items without labels, prepared as the labelled ones are: students learn a teacher's answers.

Whoever holds many unlabelled items often holds the labelled ones among them. Items that are equal
to one of the validation or test split, as prepared, would be learned and then judged by, so they
are left out and counted; so are those of the training split, which are learned already.

Shapes: N training items, U items without labels.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np

from diptych.core import arrays
from diptych.core.errors import ConfigError, DataError
from diptych.core.progress import Reporter, Step
from diptych.core.specs import AudioSpec, ImageSpec, TableSpec, TextSpec
from diptych.core.unlabelled import Unlabelled, UnlabelledRecord
from diptych.core.values import Dataset
from diptych.data.checks import check_skipped
from diptych.data.fingerprint import digests
from diptych.data.folders import batches, walk
from diptych.data.modalities import MODALITIES
from diptych.data.names import spelled
from diptych.data.notation import known_notations, plain_tables
from diptych.data.raw import Kind, RawSplit
from diptych.data.table_files import LOADERS, load_table, table_files
from diptych.data.tables import text_column
from diptych.tasks import FILE_SUFFIXES

KINDS: dict[type, Kind] = {
    ImageSpec: "image",
    AudioSpec: "audio",
    TextSpec: "text",
    TableSpec: "table",
}
STAGE = "unlabelled"
LINES = ".txt"


def with_unlabelled(
    dataset: Dataset, source: Path, report: Reporter, *, skip_unreadable: bool = False
) -> Dataset:
    """Add items without labels to a data set.

    Args:
        dataset: The data; its splits stay as they are.
        source: A folder or file: of pictures or sounds, however they lie in folders; of texts,
            one a line, or a table of one column of them, which counts where both are there; of
            rows, without the label's column.
        report: Told how far it is, and what was left out.
        skip_unreadable: Leave damaged items out and count them.

    Returns:
        The data with them, and a record of where they came from.

    Raises:
        ConfigError: If the data is of a user's own task.
        DataError: If there are none, they are something else, or some cannot be read.
    """
    kind = KINDS.get(type(dataset.spec))
    if kind is None:
        raise ConfigError(
            f"{dataset.task} reads labelled items only", "leave the unlabelled ones out"
        )
    if not source.exists():
        raise DataError(f"{str(source)!r} does not exist", "check the path")
    raw = _read(source, kind, dataset)
    raw = dataclasses.replace(raw, items=[spelled(item) for item in raw.items])
    modality = MODALITIES[kind]
    inputs, rows, skipped = modality.decode(STAGE, raw, dataset.spec, dataset.assets, report)
    check_skipped(skipped, len(raw.items), skip_unreadable, modality.noun)
    found = digests(inputs)
    splits = (dataset.validation.inputs, dataset.test.inputs)
    held_out = np.isin(found, np.concatenate([digests(split) for split in splits]))
    known = np.isin(found, digests(dataset.train.inputs)) & ~held_out
    used = np.flatnonzero(~(held_out | known))
    record = UnlabelledRecord(
        name=spelled(source.resolve().name),
        sha256=_sha256(inputs, used),
        count=len(used),
        held_out=int(held_out.sum()),
        known=int(known.sum()),
        skipped=len(skipped),
    )
    report(Step(stage=STAGE, done=1, total=1, note=_note(record, modality.noun)))
    if not len(used):
        raise DataError(f"{source} holds no {modality.noun} but those that are labelled already")
    chosen = rows[used].tolist()
    texts = raw.contents if isinstance(raw.contents, list) else None
    more = Unlabelled(
        joined=_joined(dataset.train.inputs, inputs, used),
        items=tuple(raw.items[row] for row in chosen),
        originals=None if texts is None else tuple(texts[row] for row in chosen),
    )
    train = dataclasses.replace(dataset.train, inputs=more.joined[: len(dataset.train)])
    record_of_all = msgspec.structs.replace(dataset.record, unlabelled=record)
    return dataclasses.replace(dataset, train=train, unlabelled=more, record=record_of_all)


def _joined(train: np.ndarray, inputs: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Put the items that are used behind those of the training split, (N + U, ...)."""
    joined = arrays.empty((len(train) + len(used), *train.shape[1:]), train.dtype)
    step = arrays.items_per_part(joined)
    for start in range(0, len(train), step):
        joined[start : start + step][: len(train) - start] = train[start : start + step]
        arrays.release(joined)
    for start in range(0, len(used), step):
        chosen = inputs[used[start : start + step]]
        joined[len(train) + start : len(train) + start + len(chosen)] = chosen
        arrays.release(joined)
    return joined


def _sha256(inputs: np.ndarray, used: np.ndarray) -> str:
    step = arrays.items_per_part(inputs)
    digest = hashlib.sha256(f"{inputs.dtype.str} {inputs.shape[1:]} {len(used)}".encode())
    for start in range(0, len(used), step):
        digest.update(inputs[used[start : start + step]].data)
    return digest.hexdigest()


def _note(record: UnlabelledRecord, noun: str) -> str:
    left = {
        "in the validation or test split": record.held_out,
        "labelled already": record.known,
        "unreadable": record.skipped,
    }
    told = [f"{count:,} left out, {why}" for why, count in left.items() if count]
    return "; ".join([f"{record.count:,} {noun} without labels to learn from", *told])


def _read(source: Path, kind: Kind, dataset: Dataset) -> RawSplit:
    if kind in {"image", "audio"}:
        return _files(source, FILE_SUFFIXES[type(dataset.spec)], MODALITIES[kind].noun)
    if kind == "text" and (files := _with_lines(source)):
        return _lines(files)
    return _rows(source, dataset)


def _files(source: Path, suffixes: Sequence[str], noun: str) -> RawSplit:
    found = sorted(walk(source)) if source.is_dir() else [source]
    files = [file for file in found if file.suffix.lower() in suffixes]
    if not files:
        raise DataError(f"{source} holds no {noun}", f"known: {', '.join(suffixes)}")
    root = source if source.is_dir() else source.parent
    items = [file.relative_to(root).as_posix() for file in files]
    return RawSplit(items=items, labels=(), contents=partial(batches, files))


def _with_lines(source: Path) -> list[Path]:
    """Find files of texts; beside a table they are about it."""
    if source.is_dir() and table_files(source):
        return []
    found = sorted(walk(source)) if source.is_dir() else [source]
    return [file for file in found if file.suffix.lower() == LINES]


def _lines(files: Sequence[Path]) -> RawSplit:
    items, texts = [], []
    for file in files:
        try:
            lines = file.read_bytes().decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{file} is not UTF-8", "convert it") from error
        kept = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
        items += [f"{file.name}#{number}" for number, _ in kept]
        texts += [line for _, line in kept]
    if not texts:
        raise DataError(f"{', '.join(map(str, files[:3]))}: no line holds a text", "check the file")
    return RawSplit(items=items, labels=(), contents=texts)


def _rows(source: Path, dataset: Dataset) -> RawSplit:
    files = [source] if source.is_file() else table_files(source)
    if not files:
        raise DataError(
            f"{source} holds no table", f"known: {', '.join(LOADERS)}; texts may be lines of .txt"
        )
    if len(files) > 1:
        raise DataError(f"{source} holds {len(files)} tables", f"give one, such as {files[0]}")
    table, _ = load_table(files[0])
    target = dataset.record.target
    if target in table.column_names:
        table = table.drop_columns([target])
    items = [f"{files[0].name}#{row}" for row in range(table.num_rows)]
    if isinstance(dataset.spec, TextSpec):
        return RawSplit(items=items, labels=(), contents=_texts(files[0], table))
    known = known_notations(cast("TableSpec", dataset.spec))
    present = set(table.column_names)
    absent = [name for name in known if name not in present]
    if absent:
        raise DataError(f"{files[0]} has no column {absent[0]!r}", "give the data's own columns")
    tables, _ = plain_tables([table.select(list(known))], known, [files[0].name])
    return RawSplit(items=items, labels=(), contents=tables[0])


def _texts(file: Path, table: Any) -> list[str]:  # noqa: ANN401  a pyarrow.Table
    names = table.column_names
    text = names[0] if len(names) == 1 else text_column(table)
    if text is None:
        raise DataError(f"{file}: which column is the text?", "leave only that one in the file")
    return [str(cell or "") for cell in table.column(text).to_pylist()]
