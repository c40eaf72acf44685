"""The data sets of these benchmarks: where they are, what is fitted, how an answer is scored.

Read by both sides, ours and the peers', each in an environment of its own: the standard library
and NumPy only. The test split is the official one; where a data set has none (california-housing)
a fifth of the rows, drawn by `SPLIT_SEED`, is written down once beside the results and used by all.
"""

import csv
import os
import wave
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("DIPTYCH_DATA", ROOT.parent / "shared" / "data"))
ANCHORS = Path(os.environ.get("DIPTYCH_ANCHORS", ROOT.parent / "shared" / "anchors"))
WORK = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "diptych-benchmarks", "tasks")
SEEDS = (0, 1, 2)
SPLIT_SEED, TEST_SHARE = 0, 0.2


@dataclass(frozen=True)
class DataSet:
    """One row of the table: `label` is the target's column, `score` a key of `SCORES`."""

    kind: str
    minutes: int
    budget: str
    score: str
    label: str | None = None


HOUSING = "rmse<=46500, p99<=0.2ms"  # what HistGradientBoosting reaches on these rows
SETS = {
    "spoken-digits": DataSet("audio", 5, "accuracy>=98.5%, size<=100KB, p99<=1ms", "accuracy"),
    "sst2": DataSet("text", 10, "accuracy>=83%, p99<=0.5ms", "accuracy", "label"),
    "trec": DataSet("text", 5, "accuracy>=90%, p99<=0.5ms", "accuracy", "label"),
    "adult": DataSet("table", 5, "auroc>=0.925, p99<=0.2ms", "auroc", "income"),
    "california-housing": DataSet("table", 5, HOUSING, "rmse", "median_house_value"),
}


def arguments(doc: str, *, seeds: bool = False) -> Namespace:
    """Read the command line that these benchmarks share: data sets, the folder of results."""
    parser = ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)} [all]")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of results [%(default)s]")
    if seeds:
        parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, metavar="SEED")
    asked = parser.parse_args()
    for name in asked.sets:
        if name not in SETS:
            parser.error(f"there is no data set {name!r}")
    asked.sets, asked.work = asked.sets or list(SETS), asked.work.absolute()
    return asked


def accuracy(targets: np.ndarray, answers: np.ndarray) -> float:
    return float(np.mean(targets == answers))


def auroc(targets: np.ndarray, answers: np.ndarray) -> float:
    """Mann and Whitney's statistic: a tie counts half."""
    values, places, counts = np.unique(answers, return_inverse=True, return_counts=True)
    positives = np.bincount(places, weights=targets, minlength=len(values))
    negatives = counts - positives
    below = np.cumsum(negatives) - negatives
    return float(np.sum(positives * (below + negatives / 2)) / positives.sum() / negatives.sum())


def rmse(targets: np.ndarray, answers: np.ndarray) -> float:
    return float(np.sqrt(np.mean((targets - answers) ** 2)))


SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": accuracy,
    "auroc": auroc,
    "rmse": rmse,
}


def folder(name: str, work: Path) -> Path:
    """Return the folder with the splits of a data set; one that has none is split under `work`."""
    source = DATA / name
    if not source.is_dir():
        raise SystemExit(f"no data at {source}; set DIPTYCH_DATA to the folder that holds {name}")
    if (source / "test").is_dir() or (source / "test.csv").is_file():
        return source
    split = work / "data" / name
    if not (split / "test.csv").is_file():
        divide(next(source.glob("*.csv")), split)
    return split


def divide(source: Path, out: Path) -> None:
    """Write train.csv, test.csv and test_rows.npy, the test rows' numbers in the source."""
    out.mkdir(parents=True, exist_ok=True)
    header, *rows = source.read_text(encoding="utf-8").splitlines(keepends=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(rows))
    test = np.sort(order[: round(TEST_SHARE * len(rows))])
    chosen = set(test.tolist())
    train = [row for number, row in enumerate(rows) if number not in chosen]
    np.save(out / "test_rows.npy", test)
    (out / "train.csv").write_text(header + "".join(train), encoding="utf-8")
    (out / "test.csv").write_text(header + "".join(rows[i] for i in test), encoding="utf-8")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def value(cell: str) -> float | str | None:
    """Return a cell as a program holds it: a number, a word, or nothing."""
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell


def classes(name: str, data: Path) -> list[str]:
    """Return the names of the classes in order; the last is what an AUROC takes as positive."""
    if SETS[name].kind == "audio":
        return sorted(path.name for path in (data / "train").iterdir())
    return sorted({row[SETS[name].label] for row in rows(data / "train.csv")})


def test_split(name: str, data: Path) -> tuple[list, np.ndarray]:
    """Return the items as a user holds them (wav bytes, a string, a row) and their targets."""
    task = SETS[name]
    if task.kind == "audio":
        paths = sorted((data / "test").rglob("*.wav"))
        items, labels = [path.read_bytes() for path in paths], [path.parent.name for path in paths]
    else:
        table = rows(data / "test.csv")
        labels = [row.pop(task.label) for row in table]
        text = task.kind == "text"
        items = [row["text"] if text else {k: value(row[k]) for k in row} for row in table]
    if task.score == "rmse":
        return items, np.array(labels, dtype=np.float64)
    numbers = {label: number for number, label in enumerate(classes(name, data))}
    return items, np.array([numbers[label] for label in labels])


def one_second(path: Path) -> np.ndarray:
    """Return the first second of a wav file as int16 samples, silence after its end."""
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(rate), dtype="<i2")
    return np.pad(samples, (0, max(0, rate - len(samples))))[:rate]
