"""What the tests of fitting share: makers of data sets and of measured candidates."""

from collections.abc import Callable

import numpy as np
import pytest

from diptych.core.manifest import Machine
from diptych.core.specs import ImageSpec
from diptych.core.values import Candidate, DataRecord, Dataset, Energy, Estimate, Goal, Split

MakeDataset = Callable[..., Dataset]
MakeCandidate = Callable[..., Candidate]


def as_targets(levels: np.ndarray, goal: Goal, classes: int) -> np.ndarray:
    """Tell brightness as a goal does: its level, every level up to it, or 100 for each level."""
    if goal == "multi-label":
        return (np.arange(classes) <= levels[:, None]).astype(np.float32)
    return levels.astype(np.float32) * 100 if goal == "regression" else levels


@pytest.fixture(scope="session")
def make_dataset() -> MakeDataset:
    """Give the maker of random pictures whose brightness tells their class, label or number."""

    def make(
        *,
        height: int = 8,
        width: int = 8,
        channels: int = 1,
        items: int = 40,
        classes: int = 2,
        goal: Goal = "classification",
    ) -> Dataset:
        rng = np.random.default_rng(0)

        def split(count: int) -> Split:
            levels = (np.arange(count) % classes).astype(np.int64)
            noise = rng.integers(0, 40, (count, height, width, channels))
            pixels = noise + (levels * (200 // classes))[:, None, None, None]
            names = tuple(f"item {n}" for n in range(count))
            targets = as_targets(levels, goal, classes)
            return Split(inputs=pixels.astype(np.uint8), targets=targets, items=names)

        record = DataRecord(
            name="made", sha256="0" * 64, counts={"train": items}, split_method="made", seed=0
        )
        names = tuple(f"class {k}" for k in range(classes))
        return Dataset(
            goal=goal,
            spec=ImageSpec(height=height, width=width, channels=1 if channels == 1 else 3),
            labels=("brightness",) if goal == "regression" else names,
            train=split(items),
            validation=split(20),
            test=split(20),
            record=record,
        )

    return make


@pytest.fixture(scope="session")
def machine() -> Machine:
    """Give a machine of two cores that is nowhere."""
    return Machine(
        cpu="made", cores=2, memory_bytes=1, flags=("avx2",), system="none", python="3", versions={}
    )


@pytest.fixture(scope="session")
def make_candidate() -> MakeCandidate:
    """Give the maker of candidates; each figure is a number or (value, low, high)."""

    def estimate(figure: float | tuple[float, float, float], n: int = 100) -> Estimate:
        value, low, high = figure if isinstance(figure, tuple) else (figure, figure, figure)
        return Estimate(value=value, low=low, high=high, n=n, method="made up")

    def make(
        name: str = "c", *, size: int = 1000, cost: float = 1.0, **figures: object
    ) -> Candidate:
        usual = {"drop": 0.0, "accuracy": 0.9, "p50": 1.0, "p99": 2.0, "energy": 1.0}
        known = {key: estimate(value) for key, value in (usual | figures).items()}
        energy = known["energy"]
        return Candidate(
            name=name,
            model=name,
            runtime="onnxruntime",
            precision="fp32",
            threads=1,
            scores={"accuracy": known["accuracy"]},
            drop=known["drop"],
            p50_ms=known["p50"],
            p99_ms=known["p99"],
            size_bytes=size,
            energy=Energy(
                value_j=energy.value / 1e3,
                low_j=energy.low / 1e3,
                high_j=energy.high / 1e3,
                label="modelled",
                method="made up",
            ),
            cost_usd_per_million=cost,
            parameters=1,
            flops=1,
        )

    return make
