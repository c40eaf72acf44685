"""The values that pass between the stages: who has read this file knows the system.

Data goes in as a `Dataset`; training makes weights of it; targets lower them to `Program`s;
measuring gives `Estimate`s, gathered as `Candidate`s; fitting decides `Verdict`s; the `Manifest` of
`core.manifest` holds all of it beside the programs: that is the bundle.

Quantities carry their unit in the name; shares are fractions from 0 to 1.
Shapes: N batch, H height, W width, C channels, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from diptych.core.specs import InputSpec, Notation, OwnSpec, TensorSpec, Value
from diptych.core.unlabelled import Unlabelled, UnlabelledRecord

Goal = Literal["classification", "multi-label", "ordinal", "regression"]
Precision = Literal["fp32", "fp16", "bf16", "int8", "int8-weights", "int4-weights"]
"""How a program keeps its weights and computes: `fp16` keeps them in 16 bits and computes in
float32, `bf16` multiplies in bfloat16, `int8` in 8 bits; with `-weights` only the weights of linear
layers and tables are rounded."""
Outcome = Literal["PASS", "FAIL", "CANNOT TELL"]
EnergyLabel = Literal["counter", "modelled", "declared"]
Assets = Mapping[str, bytes]
"""Files that preparation needs beside the spec, by name, such as ``tokenizer.json``."""


def task_name(spec: InputSpec, goal: Goal) -> str:
    """Name a task.

    Args:
        spec: What goes in.
        goal: What comes out.

    Returns:
        Such as ``image-classification``; a user's own task has its own name.
    """
    return spec.task if isinstance(spec, OwnSpec) else f"{spec.__struct_config__.tag}-{goal}"


@dataclass(frozen=True, kw_only=True)
class Split:
    """Prepared items and what is known of them: inputs (N, ...) as `InputSpec` says.

    `targets` are int64 (N,) class numbers (classification, ordinal), float32 (N, K) of 0 and 1
    (multi-label), or float32 (N,) values (regression); `items` names each one for people (a path,
    or ``file.parquet#12``). `originals` are N texts as the source has them, for a teacher.
    """

    inputs: np.ndarray
    targets: np.ndarray
    items: tuple[str, ...]
    originals: tuple[object, ...] | None = None

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.targets)


class Skipped(Value):
    """An item that was left out, and why."""

    item: str
    reason: str


class DataRecord(Value):
    """Where a data set came from and how it was split, for the bundle and for people.

    `given_splits` are the source's, `validation_items` were asked for, `target` is a column, whose
    numbers CSV writes in its `target_notation`.
    """

    name: str
    sha256: str
    counts: dict[str, int]
    split_method: str
    seed: int
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    given_splits: tuple[str, ...] = ()
    target: str | None = None
    target_notation: Notation = "1234.5"
    validation_items: int | None = None
    unlabelled: UnlabelledRecord | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labelled data, decoded and split; `labels[k]` is what output k stands for.

    These are the names of classes, or for regression the one name of what is told. `own` is the
    user's own task. The training split's inputs are a view of those of `unlabelled`, if any.
    """

    goal: Goal
    spec: InputSpec
    labels: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    record: DataRecord
    assets: Assets = attribute(default_factory=dict)
    own: object | None = None
    unlabelled: Unlabelled | None = None

    @property
    def task(self) -> str:
        """Kind of input and goal, such as ``image-classification``."""
        return task_name(self.spec, self.goal)

    @property
    def num_learned(self) -> int:
        """How many items a student learns from, those without labels too."""
        return len(self.train if self.unlabelled is None else self.unlabelled.joined)


class Estimate(Value):
    """A measured number with its interval and the number of samples behind it."""

    value: float
    low: float
    high: float
    n: int
    method: str
    confidence: float = 0.95


Scores = Annotated[dict[str, Estimate], Meta(min_length=1)]
"""Scores by name, the main one first."""


class Energy(Value):
    """Energy in joules; the label says how it was had, and labels are never mixed."""

    value_j: float
    low_j: float
    high_j: float
    label: EnergyLabel
    method: str


class FileRecord(Value):
    """A file of a bundle: POSIX path inside it, hash and size."""

    path: str
    sha256: str
    size_bytes: int


class Program(Value):
    """A model lowered for one runtime; the first file is the one to open.

    `tolerance` is the largest difference in logits that the golden examples may show. A program
    that could not run where it was made is `unverified`, for this reason.
    """

    name: str
    runtime: str
    precision: Precision
    files: tuple[FileRecord, ...]
    input: TensorSpec
    output: TensorSpec
    tolerance: float
    threads: int = 1
    unverified: str = ""

    @property
    def size_bytes(self) -> int:
        """The size on disk of all files of the program."""
        return sum(file.size_bytes for file in self.files)


class Candidate(Value):
    """One row of the leaderboard: a model, lowered, measured on the validation split.

    `scores` begin with the main one of the goal, whose loss against the teacher is `drop`.
    `in_float` are the layers that a guarded int8 program did not quantize, or the kinds of steps
    that LiteRT's computes in float; `passed_on` is the share of items that a cascade hands to its
    large program, `second_looks` that of pictures looked at again, mirrored. One that could not run
    here is `unverified`, for this reason: its scores are those of its files on the processor.
    """

    name: str
    model: str
    runtime: str
    precision: Precision
    threads: int
    scores: Scores
    drop: Estimate
    p50_ms: Estimate
    p99_ms: Estimate
    size_bytes: int
    energy: Energy
    cost_usd_per_million: float
    parameters: int
    flops: int
    chosen: bool = False
    meets_budget: bool = False
    in_float: tuple[str, ...] = ()
    passed_on: float | None = None
    second_looks: float | None = None
    unverified: str = ""

    @property
    def score(self) -> Estimate:
        """The main score."""
        return next(iter(self.scores.values()))


class GivenUp(Value):
    """A student that was not trained to the end: its epochs, and the main score at their end.

    `needed` is the score that was enough, by the validation split as `expected`.
    """

    model: str
    epochs: int
    planned_epochs: int
    expected: Estimate
    needed: float


class Verdict(Value):
    """A budget term decided: the limit, what was measured, and how many samples would decide."""

    name: str
    relation: Literal["<=", ">="]
    limit: float
    unit: str
    value: float
    low: float
    high: float
    n: int
    verdict: Outcome
    method: str
    samples_needed: int | None = None
    label: str | None = None


class Relaxation(Value):
    """The budget with one term loosened just enough for a candidate to meet it."""

    term: str
    limit: float
    needed: float
    candidate: str
    factor: float


class ModelSummary(Value):
    """A model's figures on the test split and on this machine; the main score comes first."""

    name: str
    scores: Scores
    parameters: int
    flops: int
    drop: Estimate | None = None
    p50_ms: Estimate | None = None
    p99_ms: Estimate | None = None
    size_bytes: int | None = None
    energy: Energy | None = None
    cost_usd_per_million: float | None = None
    memory_bytes: int | None = None
    cold_ms: Estimate | None = None
    runtime: str | None = None
    precision: Precision | None = None

    @property
    def score(self) -> Estimate:
        """The main score."""
        return next(iter(self.scores.values()))


class TrainingSummary(Value):
    """What the left panel used, teacher and students together; `energy` is the processor's."""

    seconds: float
    cpu_seconds: float
    samples: int
    flops: int
    energy: Energy
    cost_usd: float
    data_bytes: int
    gpu_energy: Energy | None = None


class CurvePoint(Value):
    """One epoch of a learning curve."""

    model: str
    epoch: int
    seconds: float
    loss: float
    score: float | None
