"""A manifest made by hand: the figures look like Fashion-MNIST's, but nothing was measured."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from msgspec.structs import replace

from diptych.core.manifest import FORMAT_VERSION, Machine, Manifest, Provenance
from diptych.core.progress import silent
from diptych.core.specs import (
    AudioSpec,
    CategoryColumn,
    DateColumn,
    ImageSpec,
    NumberColumn,
    TableSpec,
    TensorSpec,
)
from diptych.core.values import (
    Candidate,
    CurvePoint,
    DataRecord,
    Energy,
    Estimate,
    FileRecord,
    ModelSummary,
    Program,
    Relaxation,
    Skipped,
    TrainingSummary,
    Verdict,
)
from diptych.data import texts
from diptych.data.raw import RawSplit
from diptych.data.reading import Options
from diptych.fitting.damage import Answered, assess
from diptych.tasks.text import preparer, speller

LABELS = (
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
SPEC = ImageSpec(height=28, width=28, channels=1)
# model, runtime, precision, accuracy, drop, p99 in ms, bytes, parameters, flops
ROWS = (
    ("teacher", "onnxruntime", "fp32", 0.9382, 0.0, 4.31, 11_180_200, 2_790_000, 212_000_000),
    ("teacher", "openvino", "fp32", 0.9382, 0.0, 3.72, 11_260_000, 2_790_000, 212_000_000),
    ("teacher", "onnxruntime", "int8", 0.9368, 0.0014, 2.05, 2_870_000, 2_790_000, 212_000_000),
    ("teacher", "openvino", "int8", 0.9371, 0.0011, 1.61, 2_910_000, 2_790_000, 212_000_000),
    ("student-m", "onnxruntime", "fp32", 0.9344, 0.0038, 0.62, 702_000, 174_000, 24_600_000),
    ("student-m", "openvino", "int8", 0.9331, 0.0051, 0.34, 214_000, 174_000, 24_600_000),
    ("student-s", "onnxruntime", "fp32", 0.9316, 0.0066, 0.31, 318_000, 78_026, 9_870_000),
    ("student-s", "onnxruntime", "int8", 0.9301, 0.0081, 0.226, 122_400, 78_026, 9_870_000),
    ("student-s", "openvino", "int8", 0.9308, 0.0074, 0.182, 149_800, 78_026, 9_870_000),
    ("student-xs", "openvino", "int8", 0.9112, 0.027, 0.094, 61_200, 19_400, 2_140_000),
)
CHOSEN = 8


@dataclass(frozen=True)
class Pictures:
    """Made-up golden examples: inputs uint8 (N, 28, 28, 1) and logits (N, 10)."""

    inputs: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class Case:
    """A bundle of some kind and goal, with golden examples and what else a page needs."""

    manifest: Manifest
    inputs: np.ndarray
    outputs: np.ndarray
    assets: dict[str, bytes]
    run: Callable[[np.ndarray], np.ndarray] | None = None


def share(value: float, n: int) -> Estimate:
    half = 1.96 * math.sqrt(max(value * (1 - value), 1e-3) / n)
    return Estimate(value=value, low=value - half, high=value + half, n=n, method="made up")


def latency(value: float) -> Estimate:
    return Estimate(value=value, low=0.97 * value, high=1.05 * value, n=5000, method="made up")


def joules(value: float) -> Energy:
    return Energy(
        value_j=value, low_j=0.5 * value, high_j=1.9 * value, label="modelled", method="made up"
    )


def candidate(index: int) -> Candidate:
    model, runtime, precision, accuracy, drop, p99, size, parameters, flops = ROWS[index]
    return Candidate(
        name=f"{model}-{precision}-{runtime}",
        model=model,
        runtime=runtime,
        precision=precision,
        threads=1,
        scores={"accuracy": share(accuracy, 10_000)},
        drop=Estimate(
            value=drop, low=drop - 0.0019, high=drop + 0.0019, n=10_000, method="made up"
        ),
        p50_ms=latency(0.8 * p99),
        p99_ms=latency(p99),
        size_bytes=size,
        energy=joules(0.007 * p99),
        cost_usd_per_million=0.012 * p99,
        parameters=parameters,
        flops=flops,
        chosen=index == CHOSEN,
        meets_budget=drop < 0.01 and p99 <= 1 and size <= 300_000,
    )


def term(name: str, limit: float, unit: str, value: float, half: float) -> Verdict:
    return Verdict(
        name=name,
        relation="<=",
        limit=limit,
        unit=unit,
        value=value,
        low=value - half,
        high=value + half,
        n=10_000 if half else 1,
        verdict="PASS",
        method="made up",
    )


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    """Give a manifest that meets its budget."""
    chosen = candidate(CHOSEN)
    machine = Machine(
        cpu="Fixture CPU @ 2.0 GHz (no such machine)",
        cores=2,
        memory_bytes=8_000_000_000,
        flags=("avx2", "avx512_vnni"),
        system="Linux 6.1",
        python="3.11.7",
        versions={"diptych": "0.1.0", "torch": "2.13.0", "onnxruntime": "1.23.0"},
    )
    data = DataRecord(
        name="fashion-fixture",
        sha256="0123456789abcdef" * 4,
        counts={"train": 50_000, "validation": 10_000, "test": 10_000},
        split_method="test as given; validation cut from train, stratified",
        seed=0,
        skipped=(Skipped(item="train/bag/17.png", reason="truncated"),),
        warnings=("3 items are in train and in test",),
    )
    recipe = {"teacher": {"epochs": 12, "rate": 0.4}, "student": {"epochs": 16, "width": 24}}
    output = TensorSpec(name="logits", dtype="float32", shape=(None, 10))
    file = FileRecord(path="model.xml", sha256="ab" * 32, size_bytes=chosen.size_bytes)
    training = TrainingSummary(
        seconds=1214.0,
        cpu_seconds=2391.0,
        samples=1_400_000,
        flops=890_000_000_000_000,
        energy=joules(17_800.0),
        cost_usd=0.0312,
        data_bytes=39_200_000,
    )
    curves = [
        CurvePoint(model=name, epoch=e, seconds=40.0 * e, loss=2 / e, score=top - gap / e)
        for name, epochs, top, gap in (("teacher", 12, 0.944, 0.08), ("student-s", 16, 0.937, 0.11))
        for e in range(1, epochs + 1)
    ]
    return Manifest(
        format_version=FORMAT_VERSION,
        name="fashion-fixture",
        goal="classification",
        labels=LABELS,
        input=SPEC,
        programs=(
            Program(
                name=chosen.name,
                runtime="openvino",
                precision="int8",
                files=(file,),
                input=SPEC.tensor(),
                output=output,
                tolerance=0.01,
            ),
        ),
        files=(),
        budget="drop<=1%, p99<=1ms, size<=300KB",
        verdict="PASS",
        terms=(
            term("drop", 0.01, "fraction", 0.0062, 0.0031),
            term("p99", 1.0, "ms", 0.182, 0.006),
            term("size", 300_000, "bytes", 149_800, 0),
        ),
        candidates=tuple(candidate(index) for index in range(len(ROWS))),
        relaxations=(),
        teacher=ModelSummary(
            name="teacher",
            scores={"accuracy": share(0.9352, 10_000)},
            parameters=2_790_000,
            flops=212_000_000,
        ),
        model=ModelSummary(
            name="student-s",
            scores={"accuracy": share(0.929, 10_000)},
            drop=Estimate(value=0.0062, low=0.0031, high=0.0093, n=10_000, method="made up"),
            parameters=78_026,
            flops=9_870_000,
            p50_ms=latency(0.147),
            p99_ms=latency(0.182),
            size_bytes=149_800,
            energy=joules(0.00124),
            cost_usd_per_million=0.00217,
            memory_bytes=41_000_000,
            cold_ms=Estimate(value=212.0, low=204.0, high=231.0, n=5, method="made up"),
            runtime="openvino",
            precision="int8",
        ),
        training=training,
        breakeven_predictions=training.energy.value_j / 0.00124,
        curves=tuple(curves),
        machine=machine,
        provenance=Provenance(
            data=data, seed=7, recipe=recipe, created="2026-01-01T00:00:00+00:00"
        ),
    )


@pytest.fixture(scope="session")
def failed(manifest: Manifest) -> Manifest:
    """Give a manifest that misses one term and cannot tell of another."""
    drop, p99, size = manifest.terms
    terms = (
        replace(drop, verdict="CANNOT TELL", value=0.0094, low=0.0061, high=0.01004,
                samples_needed=41_300),
        replace(p99, limit=0.15, verdict="FAIL"),
        size,
    )  # fmt: skip
    return replace(
        manifest,
        budget="drop<=1%, p99<=0.15ms, size<=300KB",
        verdict="FAIL",
        terms=terms,
        candidates=tuple(replace(one, meets_budget=False) for one in manifest.candidates),
        relaxations=(
            Relaxation(
                term="p99", limit=0.15, needed=0.18811, candidate=candidate(8).name, factor=1.25
            ),
            Relaxation(
                term="drop", limit=0.01, needed=0.02891, candidate=candidate(9).name, factor=2.9
            ),
        ),
        nearest=(candidate(9).name, candidate(8).name, candidate(7).name),
        untrained=("student-xs",),
    )


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    """Give 40 made-up pictures: bars whose slope is the class."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:28, 0:28]
    classes = np.arange(40) * 7 % 10
    waves = [np.sin((rows * (k + 1) + columns * (10 - k)) / 12) for k in classes]
    inputs = (127 + 120 * np.stack(waves)).astype(np.uint8)[..., None]
    logits = rng.normal(size=(40, 10)) + 6 * np.eye(10)[classes]
    return Pictures(inputs=inputs, logits=logits.astype(np.float32))


def number(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, n=4128, method="made up")


@pytest.fixture(scope="session")
def scored(manifest: Manifest) -> Callable[..., Manifest]:
    """Give the maker of a manifest of another input, goal, labels and scores (by name)."""

    def make(spec, goal, labels, scores: dict[str, float]) -> Manifest:
        estimates = {name: number(value, 0.03 * value) for name, value in scores.items()}
        return replace(
            manifest,
            goal=goal,
            input=spec,
            labels=labels,
            candidates=tuple(replace(one, scores=estimates) for one in manifest.candidates),
            teacher=replace(manifest.teacher, scores=estimates),
            model=replace(manifest.model, scores=estimates),
        )

    return make


@pytest.fixture(scope="session")
def sound(scored) -> Case:
    """Give 12 made-up sounds of one second, a rising tone each."""
    rate, time = 8000, np.arange(8000) / 8000
    tones = [np.sin(2 * np.pi * (200 + 100 * k + 600 * time) * time) for k in range(12)]
    spec = AudioSpec(sample_rate=rate, samples=rate)
    labels, scores = ("one", "two", "three"), {"accuracy": 0.985, "f1": 0.98, "auroc": 0.999}
    return Case(
        manifest=scored(spec, "classification", labels, scores),
        inputs=(8000 * np.stack(tones)).astype(np.int16),
        outputs=(5 * np.eye(3)[np.arange(12) % 3]).astype(np.float32),
        assets={},
    )


@pytest.fixture(scope="session")
def written(scored) -> Case:
    """Give 3 texts, judged by how often they say good and bad."""
    known = ("a good film", "bad film", "< b > שלום") * 20
    split = RawSplit(items=known, labels=known, contents=known)
    learned = texts.learn({"train": split}, Options(), silent)
    prepare, spell = preparer(learned.spec, learned.assets), speller(learned.spec, learned.assets)

    def judge(tokens: np.ndarray) -> np.ndarray:
        words = [[piece.strip() for piece in spell(row)] for row in tokens]
        good = np.array([row.count("good") - row.count("bad") for row in words])
        return np.stack([-good, good], axis=1).astype(np.float32)

    inputs = np.stack([prepare(text) for text in ("a good film bad good", "bad < b >", "")])
    scores = {"accuracy": 0.84, "f1": 0.83, "auroc": 0.91}
    return Case(
        manifest=scored(learned.spec, "classification", ("negative", "positive"), scores),
        inputs=inputs,
        outputs=judge(inputs),
        assets=learned.assets,
        run=judge,
    )


@pytest.fixture(scope="session")
def tabled(scored) -> Case:
    """Give 8 rows with a number, a word and a date each, and the price told of them."""
    columns = (
        NumberColumn(name="rooms"),
        CategoryColumn(name="place", values=("inland", "bay")),
        DateColumn(name="sold", format="%d/%m/%Y"),
    )
    rows = [[k + 0.5, k % 3, 9000.0 + k] for k in range(7)]
    return Case(
        manifest=scored(
            TableSpec(columns=columns, ignored=("price",)),
            "regression",
            ("price",),
            {"r2": 0.83, "rmse": 46_500.0, "mae": 30_300.0},
        ),
        inputs=np.array([*rows, [np.nan, 0, np.nan]], np.float32),
        outputs=np.array([[5e5], [1e5], [3e5], [2e5], [4e5], [7e5], [6e5], [8e5]], np.float32),
        assets={},
    )


@pytest.fixture(scope="session")
def tagged(scored, pictures) -> Case:
    """Give pictures with any of three labels each."""
    rng = np.random.default_rng(1)
    scores = {"f1": 0.74, "accuracy": 0.52, "auroc": 0.93}
    return Case(
        manifest=scored(SPEC, "multi-label", ("cat", "night", "text"), scores),
        inputs=pictures.inputs,
        outputs=rng.normal(size=(40, 3)).astype(np.float32),
        assets={},
    )


@pytest.fixture(scope="session")
def hurt() -> Callable[..., Manifest]:
    """Give what adds a damage report to a manifest: made-up answers, and the second class pays."""

    def add(manifest: Manifest, n: int = 1200, share: float = 0.4) -> Manifest:
        rng, size = np.random.default_rng(3), len(manifest.labels)
        classes = np.arange(n) % size
        fallen = (classes == min(1, size - 1)) & (rng.random(n) < share)
        if manifest.goal == "regression":
            targets = rng.normal(3e5, 1e5, n).astype(np.float32)
            before = (targets + rng.normal(0, 3e4, n))[:, None]
            after = before + rng.normal(0, 5e3, (n, 1)) + 9e4 * fallen[:, None]
        else:
            sure = 4.0 * np.eye(size)[classes]
            several = manifest.goal == "multi-label"
            targets = (sure > 0).astype(np.float32) if several else classes
            before = sure + rng.normal(size=(n, size)) - 2.0 * several
            after = before + rng.normal(0, 0.3, (n, size))
            after[fallen, classes[fallen]] -= 7.0
        answered = Answered(
            goal=manifest.goal,
            labels=manifest.labels,
            names=(manifest.teacher.name, manifest.model.name),
            items=tuple(f"test/{place}.png" for place in range(n)),
            targets=targets,
            reference=before.astype(np.float32),
            model=after.astype(np.float32),
        )
        return replace(manifest, damage=assess(answered))

    return add


@pytest.fixture(params=["sound", "written", "tabled", "tagged"])
def case(request: pytest.FixtureRequest) -> Case:
    """Give every kind of input and goal, one after the other."""
    found: Case = request.getfixturevalue(request.param)
    return found
