"""Claims: cached batches come at 10 times the samples/s of torch's DataLoader over PIL, or more;
and a step on 10 million items takes at most 1.2 times as long as one on 10 thousand.

CIFAR-10 as Parquet, 45,000 pictures to train on, is opened with an empty cache and then again: both
are timed. Then batches of 512, shuffled, shifted by up to 4 pixels with reflected edges, and
mirrored. Ours are drawn whole from the cache by the loop's own feed, in one thread. The peer is
`torch.utils.data.DataLoader(num_workers=2)` over a data set that holds the files' content in
memory, opens each with PIL, and pads, crops and mirrors with NumPy; its workers are started, and 4
batches taken, before it is timed, and they live on between rounds. A second peer, for information,
is the same over decoded pictures. Rounds in turn, shuffled.

Then steps of a small network (two convolutions of 32 channels) on synthetic sets of 8 x 8 x 3
values in mapped files, in turn as well: a batch and what is learned from it, an epoch's drawing of
its order counted in proportion, in milliseconds of the processor's time. What the batch alone takes
is told beside it; items of a large map that were not looked at lately must be found by the system
first, some microseconds for each.

Hardware: any with 2 cores; printed. n: rounds, 7 by default; ratios are medians of paired ones with
the interval of the sign test. Source: this script. 4 GB of disk are needed, in TMPDIR.

Usage, from benchmarks/: python -m training.data_path [--rounds N] [--large ITEMS] [--threads N]
"""

import os
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from pyarrow import parquet
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from conditions import data_folder, print_conditions
from diptych.core import arrays
from diptych.core.progress import Step
from diptych.core.text import size
from diptych.data import read
from diptych.measure.quantiles import median_ratio
from diptych.training.compute import compute_threads
from diptych.training.feed import Feed
from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import PictureVariation

BATCH, SHIFT = 512, 4
VARIED = TrainingRecipe(
    batch_size=BATCH, variation=PictureVariation(translate=SHIFT, cutout=0, flip=True)
)
OUR_BATCHES, PEER_BATCHES, STEPS, WARM_UP = 400, 16, 50, 4
SMALL_ITEMS, SIDE = 10_000, 8
WANTED_RATIO, MOST_GROWTH = 10, 1.2

Rate = Callable[[], Any]
"""Gives the figures of one round, such as samples/s."""


class Pictures(Dataset):
    """What a user writes: one picture at a time, from a file's content or from its pixels."""

    def __init__(self, contents: list[bytes] | np.ndarray) -> None:
        self.contents = contents

    def __len__(self) -> int:
        return len(self.contents)

    def __getitem__(self, number: int) -> Tensor:
        content = self.contents[number]
        if isinstance(content, bytes):
            content = np.asarray(Image.open(BytesIO(content)).convert("RGB"))
        height, width = content.shape[:2]
        padded = np.pad(content, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), "reflect")
        top, left, mirrored = torch.randint(0, 2 * SHIFT + 1, (3,)).tolist()
        varied = padded[top : top + height, left : left + width]
        if mirrored % 2:
            varied = varied[:, ::-1]
        return torch.from_numpy(np.ascontiguousarray(varied))


def peer(contents: list[bytes] | np.ndarray) -> Rate:
    loader = DataLoader(
        Pictures(contents), batch_size=BATCH, shuffle=True, num_workers=2, persistent_workers=True
    )

    def rate() -> float:
        batches = iter(loader)
        for _ in islice(batches, WARM_UP):
            pass
        started = time.perf_counter()
        samples = sum(len(batch) for batch in islice(batches, PEER_BATCHES))
        return samples / (time.perf_counter() - started)

    return rate


def ours(inputs: np.ndarray, threads: int, seed: int = 0) -> Rate:
    feed = Feed(inputs, VARIED, seed, torch.device("cpu"))
    steps = iter(range(10**9))

    def rate() -> float:
        with compute_threads(threads):
            for step in islice(steps, WARM_UP):
                feed.batch(step)
            started = time.perf_counter()
            for step in islice(steps, OUR_BATCHES):
                feed.batch(step)
            return OUR_BATCHES * BATCH / (time.perf_counter() - started)

    return rate


def in_turn(rates: dict[str, Rate], rounds: int) -> dict[str, np.ndarray]:
    seen: dict[str, list[Any]] = {name: [] for name in rates}
    order = Random(0)
    for _ in range(rounds):
        for name in order.sample(list(rates), len(rates)):
            seen[name].append(rates[name]())
    return {name: np.array(values) for name, values in seen.items()}


def contents_of(folder: Path) -> list[bytes]:
    found = []
    for file in sorted(folder.glob("train-*.parquet")):
        table = parquet.read_table(file)
        column = next(name for name in ("image", "img") if name in table.column_names)
        found += [each["bytes"] for each in table.column(column).to_pylist()]
    return found


def opened(source: Path, when: str) -> np.ndarray:
    """Open CIFAR-10, tell how long that takes, and return what is trained on."""
    notes: list[str] = []

    def report(step: Step) -> None:
        notes.extend([step.note] if step.stage == "cache" else [])

    started = time.perf_counter()
    dataset = read(source, report=report)
    print(f"opening CIFAR-10 {when}: {time.perf_counter() - started:.2f} s, {notes[-1:]}")
    return dataset.train.inputs


def compare(rounds: int, threads: int) -> None:
    source = data_folder("cifar10")
    print()
    opened(source, "the first time")
    inputs = opened(source, "again")
    rates = in_turn(
        {
            "ours": ours(inputs, threads),
            "DataLoader, PIL": peer(contents_of(source)),
            "DataLoader, decoded": peer(inputs),
        },
        rounds,
    )
    for name, values in rates.items():
        print(
            f"  {name:20} {values.mean():>10,.0f} ± {values.std(ddof=1):,.0f} samples/s, n {rounds}"
        )
    for name in list(rates)[1:]:
        ratio = median_ratio(rates["ours"], rates[name])
        print(f"  ours / {name}: {ratio.value:.1f} ({ratio.low:.1f} to {ratio.high:.1f})")
    held = median_ratio(rates["ours"], rates["DataLoader, PIL"]).value >= WANTED_RATIO
    print(f"  at least {WANTED_RATIO} times over PIL: {'holds' if held else 'DOES NOT HOLD'}")


def synthetic(folder: Path, items: int) -> np.ndarray:
    file = folder / f"{items}.npy"
    made = np.lib.format.open_memmap(file, "w+", np.uint8, (items, SIDE, SIDE, 3))
    random = np.random.default_rng(0)
    for part in arrays.parts(made):
        part[:] = random.integers(0, 256, part.shape, dtype=np.uint8)
    made.flush()
    return np.asarray(np.load(file, mmap_mode="r"))


def costs(inputs: np.ndarray, threads: int) -> Iterator[tuple[float, float]]:
    """Give the ms of a step and of its batch, both with their part of drawing an epoch's order."""
    feed = Feed(inputs, VARIED, 0, torch.device("cpu"))
    per_epoch, learn = feed.steps_per_epoch, learner()
    started = time.process_time()
    torch.randperm(len(inputs))
    order_ms = 1000 * (time.process_time() - started) / per_epoch
    feed.batch(0)
    for first in count(0, STEPS):
        batch_ms = learn_ms = 0.0
        with compute_threads(threads):
            for step in range(first, first + STEPS):
                times = [time.process_time()]
                batch = feed.batch(step % per_epoch)
                times.append(time.process_time())
                learn(batch.inputs)
                times.append(time.process_time())
                batch_ms += 1000 * (times[1] - times[0]) / STEPS
                learn_ms += 1000 * (times[2] - times[1]) / STEPS
        yield batch_ms + learn_ms + order_ms, batch_ms + order_ms


def learner() -> Callable[[Tensor], None]:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    targets = torch.arange(BATCH) % 10

    def learn(pixels: Tensor) -> None:
        outputs = network(pixels.permute(0, 3, 1, 2).float() / 128 - 1)
        optimizer.zero_grad()
        nn.functional.cross_entropy(outputs, targets).backward()
        optimizer.step()

    return learn


def scale(rounds: int, items: int, threads: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sets = {number: synthetic(Path(folder), number) for number in (SMALL_ITEMS, items)}
        runs = {str(number): costs(inputs, threads) for number, inputs in sets.items()}
        seen = in_turn({name: partial(next, run) for name, run in runs.items()}, rounds)
        print(f"\nbatches of {BATCH} from synthetic sets, {size(sets[items].nbytes)} the larger")
        for name, values in seen.items():
            (step, batch), (spread, other) = values.mean(axis=0), values.std(axis=0, ddof=1)
            told = f"{step:.2f} ± {spread:.2f} ms a step, {batch:.2f} ± {other:.2f} of it the batch"
            print(f"  {int(name):>12,} items: {told}, n {rounds}")
        growth = median_ratio(seen[str(items)][:, 0], seen[str(SMALL_ITEMS)][:, 0])
        print(f"  growth {growth.value:.2f} ({growth.low:.2f} to {growth.high:.2f}): ", end="")
        print("holds" if growth.value <= MOST_GROWTH else "DOES NOT HOLD")


def main() -> None:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    print_conditions()
    with tempfile.TemporaryDirectory() as empty:
        os.environ["DIPTYCH_CACHE"] = empty
        compare(asked.rounds, asked.threads)
    scale(asked.rounds, asked.large, asked.threads)


if __name__ == "__main__":
    main()
