"""What the tests of fitting share: makers of data sets and of measured candidates."""

from collections.abc import Callable

import numpy as np
import pytest

from diptych.core.manifest import Machine
from diptych.core.specs import ImageSpec
from diptych.core.values import Candidate, DataRecord, Dataset, Energy, Estimate, Split

MakeDataset = Callable[..., Dataset]
MakeCandidate = Callable[..., Candidate]


@pytest.fixture(scope="session")
def make_dataset() -> MakeDataset:
    """Give the maker of random pictures whose brightness tells their class."""

    def make(
        *, height: int = 8, width: int = 8, channels: int = 1, items: int = 40, classes: int = 2
    ) -> Dataset:
        rng = np.random.default_rng(0)

        def split(count: int) -> Split:
            targets = (np.arange(count) % classes).astype(np.int64)
            noise = rng.integers(0, 40, (count, height, width, channels))
            pixels = noise + (targets * (200 // classes))[:, None, None, None]
            names = tuple(f"item {n}" for n in range(count))
            return Split(inputs=pixels.astype(np.uint8), targets=targets, items=names)

        record = DataRecord(
            name="made", sha256="0" * 64, counts={"train": items}, split_method="made", seed=0
        )
        return Dataset(
            task="image-classification",
            spec=ImageSpec(height=height, width=width, channels=1 if channels == 1 else 3),
            labels=tuple(f"class {k}" for k in range(classes)),
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
            accuracy=known["accuracy"],
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
