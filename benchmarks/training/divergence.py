"""Claim: a run that learns is never ended as divergent, and one whose loss explodes mostly is.

Four small networks (convolutions with and without normalization on digits; a perceptron on numbers
with even and with heavy-tailed noise), SGD with momentum and AdamW, with and without warm-up, rates
from far too low to far too high. A run has learned if its score on held-out items is above half of
the best of all its network's runs. What failed and was not ended mostly stands still at the loss of
an untrained network, which is no explosion.

Hardware: any. n: 208 runs of 800 steps, two seeds. Source: this script.

Usage, from benchmarks/: python -m training.divergence
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from conditions import print_conditions
from diptych.core.errors import TrainingError
from diptych.training.divergence import Watch

STEPS = 800
BATCH = 64
LOOK_EVERY = 20
LEARNED = 0.5
RATES = {
    "sgd": (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    "adamw": (0.001, 0.01, 0.03, 0.1, 0.3, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Items, the last fifth held out; what to build, and the loss."""

    inputs: Tensor
    targets: Tensor
    build: Callable[[], nn.Module]
    loss: nn.Module

    def score(self, network: nn.Module) -> float:
        """Return the accuracy or R2 on the items held out."""
        start = len(self.inputs) * 4 // 5
        targets = self.targets[start:]
        with torch.no_grad():
            outputs = network.eval()(self.inputs[start:])
        if outputs.ndim > 1:
            return (outputs.argmax(1) == targets).float().mean().item()
        return 1 - ((outputs - targets) ** 2).mean().item() / targets.var().item()


def convolutions(normalized: bool) -> nn.Module:
    def norm(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if normalized else nn.Identity()

    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        *(nn.Conv2d(1, 16, 3, padding=1), norm(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1, stride=2), norm(32), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, padding=1), norm(32), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(512, 10)),
    )


def perceptron() -> nn.Module:
    first, second = (nn.Linear(12, 128), nn.ReLU()), (nn.Linear(128, 128), nn.ReLU())
    return nn.Sequential(*first, *second, nn.Linear(128, 1), nn.Flatten(0))


def problems() -> dict[str, Problem]:
    pixels, digits = load_digits(return_X_y=True)
    pictures = torch.tensor(pixels / 16, dtype=torch.float32)
    random = torch.Generator().manual_seed(0)
    numbers = torch.randn(2000, 12, generator=random)
    even = numbers[:, 0] * numbers[:, 1] + torch.sin(numbers[:, 2])
    even += 0.1 * torch.randn(2000, generator=random)
    heavy = even * torch.exp(1.3 * torch.randn(2000, generator=random))
    even, heavy = ((t - t.mean()) / t.std() for t in (even, heavy))
    words, squares = nn.CrossEntropyLoss(label_smoothing=0.1), nn.MSELoss()
    told = {"inputs": pictures, "targets": torch.tensor(digits), "loss": words}
    return {
        "normalized": Problem(build=lambda: convolutions(True), **told),
        "plain": Problem(build=lambda: convolutions(False), **told),
        "even": Problem(inputs=numbers, targets=even, build=perceptron, loss=squares),
        "heavy": Problem(inputs=numbers, targets=heavy, build=perceptron, loss=squares),
    }


def looks(
    problem: Problem, network: nn.Module, optimizer: torch.optim.Optimizer, warmup: float
) -> list[float]:
    """Train, and return the mean losses that a watch would see."""
    seen, losses = [], []
    rate, items = optimizer.param_groups[0]["lr"], len(problem.inputs) * 4 // 5
    for step in range(STEPS):
        share = step / STEPS
        factor = share / warmup if share < warmup else (1 - share) / (1 - warmup)
        optimizer.param_groups[0]["lr"] = rate * factor
        chosen = torch.randint(items, (BATCH,))
        loss = problem.loss(network(problem.inputs[chosen]), problem.targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % LOOK_EVERY == 0:
            seen.append(sum(losses) / len(losses))
            losses.clear()
    return seen


def ended(seen: list[float]) -> bool:
    watch = Watch("run")
    try:
        for step, loss in enumerate(seen):
            watch.look(step, loss)
    except TrainingError:
        return True
    return False


def run(problem: Problem, kind: str, rate: float, warmup: float, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    network = problem.build()
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(network.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
        if kind == "sgd"
        else torch.optim.AdamW(network.parameters(), rate)
    )
    seen = looks(problem, network, optimizer, warmup)
    score = problem.score(network)
    return {
        "score": score if math.isfinite(score) else -math.inf,
        "ended": ended(seen),
        "rise": max(seen) / seen[0] if all(map(math.isfinite, seen)) else math.inf,
    }


def main() -> None:
    print_conditions()
    torch.set_num_threads(1)
    counts = {(learned, end): 0 for learned in (True, False) for end in (True, False)}
    highest = 0.0
    for name, problem in problems().items():
        cases = itertools.product(RATES, (0.0, 0.2), (0, 1))
        runs = [
            run(problem, kind, rate, warmup, seed)
            for kind, warmup, seed in cases
            for rate in RATES[kind]
        ]
        enough = LEARNED * max(one["score"] for one in runs)
        for one in runs:
            counts[one["score"] > enough, bool(one["ended"])] += 1
        highest = max([highest, *(one["rise"] for one in runs if one["score"] > enough)])
        print(f"{name}: {len(runs)} runs, {sum(one['score'] > enough for one in runs)} learned")
    print(f"learned and ended {counts[True, True]}, learned {counts[True, False]}")
    print(f"failed and ended {counts[False, True]}, failed {counts[False, False]}")
    print(f"highest look of a run that learned: {highest:.0f} times its first")


if __name__ == "__main__":
    main()
