"""What all racers of `training.time_to_accuracy` share: the data, the recipe, how a score is told.

Read in each racer's own environment: the standard library and NumPy only. The `usual` recipe is
that of `diptych train` for any such pictures, written down once more for those that do not have
diptych; `training.racer_ours` refuses to start where it is not the planned one any more. The
`short` one is that of recipes/fashion-mnist-93.toml as far as stochastic gradient descent goes: as
little variation, and the least whole number of epochs that reached the target.
"""

import gzip
import json
import time
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BATCH = 128
RATE, MOMENTUM, DECAY, SMOOTHING = 0.15, 0.9, 5e-4, 0.1
WARMUP_SHARE, WARMUP_START = 0.2, 0.2
STEM, WIDTHS, BLOCKS = 16, (48, 96, 192), (1, 0, 1)
LOGIT_SCALE = 0.125
CLASSES = 10


@dataclass(frozen=True)
class Length:
    """How long a racer trains, and how far its pictures are shifted and what is cut out."""

    epochs: int
    shift: int
    hole: int


LENGTHS = {"usual": Length(12, 2, 7), "short": Length(4, 1, 0)}


def arguments() -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", type=float, default=0.93)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--items", type=int, default=0, help="train on so many only, to try it")
    parser.add_argument("--variant", default="usual")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16")
    return parser.parse_args()


def pictures(folder: Path, items: int = 0) -> tuple[np.ndarray, ...]:
    """Return pixels (N, 28, 28) uint8 and labels (N,) int64 of training, then of test."""
    parts = []
    for split in ("train", "t10k"):
        for kind, head in (("images-idx3", 16), ("labels-idx1", 8)):
            raw = gzip.decompress((folder / f"{split}-{kind}-ubyte.gz").read_bytes())
            part = np.frombuffer(raw, np.uint8, offset=head)
            part = part.reshape(-1, 28, 28) if head == 16 else part.astype(np.int64)
            parts.append(part[: items or None].copy())
    return tuple(parts)


def rate_share(progress: float) -> float:
    """Return the share of the peak rate: up in a straight line, then down to 0 in another."""
    if progress < WARMUP_SHARE:
        return WARMUP_START + (1 - WARMUP_START) * progress / WARMUP_SHARE
    return min(1.0, (1 - progress) / (1 - WARMUP_SHARE))


class Clock:
    """The seconds since training began, and whoever is told of scores: standard output.

    Scoring the test pictures after each epoch counts, alike for all.
    """

    def __init__(self, target: float) -> None:
        self.target, self.began = target, time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def tell(self, score: float, seconds: float | None = None) -> bool:
        """Tell the score of an epoch that is over; return whether it is enough."""
        spent = self.seconds if seconds is None else seconds
        print("\n" + json.dumps({"seconds": round(spent, 2), "score": float(score)}), flush=True)
        return score >= self.target
