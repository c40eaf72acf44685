"""A small network of each kind of layer, trained on digits, and its programs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from diptych.core.specs import ImageSpec, TensorSpec
from diptych.inference.runtimes import open_session

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch import Tensor, nn  # noqa: E402  after the check that it is there

SPEC = ImageSpec(height=8, width=8, channels=1).tensor()
STEPS = 150


class DigitNet(nn.Module):
    """Norm after the convolution, and after the pooling; a residual sum; raw pixels in."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 1, 1, 1), 80.0))
        self.register_buffer("deviation", torch.full((1, 1, 1, 1), 90.0))
        self.stem = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        self.wide = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.wide_norm = nn.BatchNorm2d(32)
        self.inner = nn.Conv2d(32, 32, 3, padding=1)
        self.inner_norm = nn.BatchNorm2d(32)
        self.head = nn.Linear(32, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.deviation
        x = torch.relu(self.stem_norm(self.stem(x)))
        x = torch.relu(self.wide_norm(self.pool(self.wide(x))))
        x = x + torch.relu(self.inner_norm(self.inner(x)))
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained network, items it has seen and items it has not."""

    network: nn.Module
    spec: TensorSpec
    train: np.ndarray
    test: np.ndarray
    labels: np.ndarray

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.network(torch.from_numpy(pixels)).numpy()


@pytest.fixture(scope="session")
def trained() -> Trained:
    """Train the network a few steps on scikit-learn's digits."""
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    pixels = (digits.images * 15).astype(np.uint8)[..., None]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DigitNet()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    order = np.random.default_rng(0)
    for _ in range(STEPS):
        batch = order.integers(0, 1200, 64)
        logits = network(torch.from_numpy(pixels[batch]))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(digits.target[batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Trained(
        network=network.eval(),
        spec=SPEC,
        train=pixels[:256],
        test=pixels[1200:],
        labels=digits.target[1200:],
    )


@pytest.fixture(scope="session")
def exported(trained: Trained) -> bytes:
    """Export the trained network to ONNX once."""
    from diptych.targets.onnx import export

    return export(trained.network, trained.spec)


@pytest.fixture
def run_files(tmp_path: Path) -> Callable[..., np.ndarray]:
    """Give the function that runs a program's files on a batch, as a bundle does."""

    def run(runtime: str, contents: dict[str, bytes], pixels: np.ndarray) -> np.ndarray:
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        session = open_session(runtime, [tmp_path / name for name in contents])
        logits = session.run(pixels)
        session.close()
        return logits

    return run
