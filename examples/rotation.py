"""A task of one's own in one file: by how many degrees is a handwritten digit turned?

It has its own decoding (pictures of any size to 20 x 20 grey values), its own network, a loss and
a score that know that 359 and 1 are two degrees apart, and its own way of finding labels (they
are in the files' names). Diptych does the rest: splits, training, distillation, int8, verdicts.

    python examples/rotation.py                      # makes the pictures, fits, predicts
    diptych fit turned --task examples/rotation.py:TASK --budget "score>=70%, p99<=1ms"
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

import diptych

SIDE = 20
FULL_TURN = 360.0


def read(folder: Path) -> Mapping[str, list[tuple[Path, float]]]:
    """List the pictures of a folder with the angle that each one's name ends with.

    Args:
        folder: It holds such as ``digit-0007-243.png``.

    Returns:
        One split; Diptych makes the others.
    """
    files = sorted(folder.glob("*.png"))
    return {"train": [(file, float(file.stem.rpartition("-")[2])) for file in files]}


def decode(item: Path | str | bytes | np.ndarray) -> np.ndarray:
    """Turn a picture into what the network takes.

    Args:
        item: A file, or pixels (H, W).

    Returns:
        uint8 (20, 20).
    """
    picture = Image.fromarray(item) if isinstance(item, np.ndarray) else Image.open(item)
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def network(spec, outputs: int, width: float):
    """Build the network.

    Args:
        spec: What goes in.
        outputs: How many values come out: 1, the angle.
        width: 1 for the teacher, less for students.

    Returns:
        A torch module from uint8 (N, 20, 20) to degrees (N, 1).
    """
    from torch import atan2, nn, rad2deg

    class Compass(nn.Module):
        """Convolutions, then a direction in the plane, then its angle."""

        def __init__(self) -> None:
            super().__init__()
            channels = max(8, 8 * round(4 * width))
            self.body = nn.Sequential(
                *(nn.Conv2d(1, channels, 3), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Conv2d(channels, 2 * channels, 3), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Flatten(), nn.Linear(2 * channels * 9, 64), nn.ReLU()),
            )
            self.direction = nn.Linear(64, 2)

        def forward(self, pixels):
            x, y = self.direction(self.body(pixels[:, None].float() / 255)).unbind(1)
            return rad2deg(atan2(y, x))[:, None]

    return Compass()


def loss(outputs, targets):
    """Compute how far angles are apart on the circle.

    Args:
        outputs: Degrees (B, 1).
        targets: Degrees (B,).

    Returns:
        The mean of 1 - cosine.
    """
    from torch import cos, deg2rad

    return (1 - cos(deg2rad(outputs[:, 0] - targets))).mean()


def closeness(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Score each item.

    Args:
        outputs: Degrees (N, 1).
        targets: Degrees (N,).

    Returns:
        (N,), 1 for the right angle, 0 for the opposite one.
    """
    apart = np.abs(outputs[:, 0] - targets) % FULL_TURN
    return 1 - np.minimum(apart, FULL_TURN - apart) / (FULL_TURN / 2)


TASK = diptych.Task(
    name="rotation",
    shape=(SIDE, SIDE),
    dtype="uint8",
    goal="regression",
    read=read,
    decode=decode,
    network=network,
    loss=loss,
    score=("closeness", closeness),
)


def make_pictures(folder: Path, count: int = 1797) -> None:
    """Turn scikit-learn's digits by random angles and keep them as files.

    Args:
        folder: Where to.
        count: How many.
    """
    from sklearn.datasets import load_digits

    random = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for number, digit in enumerate(load_digits().images[:count]):
        degrees = int(random.integers(0, 360))
        picture = Image.fromarray((digit * 15).astype(np.uint8)).resize((32, 32))
        picture.rotate(degrees).save(folder / f"digit-{number:04}-{degrees}.png")


def main() -> None:
    """Make the pictures, fit, and ask the bundle."""
    folder = Path("turned")
    make_pictures(folder)
    settings = diptych.Settings(task=TASK)
    with diptych.fit(folder, "score>=70%, p99<=1ms", time_limit="60s", settings=settings) as bundle:
        for file in sorted(folder.glob("*.png"))[:5]:
            print(f"{file.name}: {bundle.predict(file).value:.0f} degrees")


if __name__ == "__main__":
    main()
