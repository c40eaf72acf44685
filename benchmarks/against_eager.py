"""Claim: a prediction takes at most a quarter of what PyTorch eager takes on the same network.

Hardware: any; printed. n: 2,000 single predictions each, one thread, blocks in alternation, after
warm-up (median, and the median of paired ratios with its interval). The network is the bundle's
own, with its own weights, from `weights.safetensors`; inputs are the same raw pixels, those of its
golden examples in turn, for a cascade and a second look are not as quick with every picture.
Source: this script. Usage: against_eager.py [BUNDLE]; without one, a bundle for the built-in
digits is made first.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

import diptych
from conditions import print_conditions
from diptych.measure.quantiles import median_ratio, quantile
from diptych.measure.timing import interleave
from diptych.training import weights
from diptych.training.models import NETWORKS, ResidualNetConfig

CALLS = 2000


def eager_network(bundle: diptych.Bundle) -> torch.nn.Module:
    shape = {k: v for k, v in bundle.manifest.architecture.items() if k != "diptych"}
    config = msgspec.convert(shape, ResidualNetConfig)
    network = NETWORKS[type(config)](config, bundle.manifest.input, len(bundle.labels))
    network.load_state_dict(weights.decode((bundle.path / "weights.safetensors").read_bytes()))
    return network.eval()


def singles(inputs: np.ndarray) -> list[np.ndarray]:
    """Return batches of one, (1, ...) each, of inputs (N, ...)."""
    return [inputs[i : i + 1].copy() for i in range(len(inputs))]


def tensors(arrays: Sequence[np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def in_turns(run: Callable[[Any], object], items: Sequence[object]) -> Callable[[], object]:
    """Make calls of a program, each on ever the next item."""
    turn = cycle(items)
    return lambda: run(next(turn))


def compare(path: Path) -> None:
    torch.set_num_threads(1)
    bundle = diptych.load(path, threads=1)
    network = eager_network(bundle)
    inputs, program = bundle.golden().inputs, bundle.program

    def eager(tensor: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(tensor)

    outputs = eager(torch.from_numpy(inputs.copy())).numpy()
    difference = float(np.abs(outputs - bundle.run(inputs)).max())
    name = f"diptych ({program.runtime} {program.precision})"
    ones = singles(inputs)
    calls = {"eager": in_turns(eager, tensors(ones)), name: in_turns(bundle.run, ones)}
    times = interleave(calls, samples=CALLS)
    print(f"\n{bundle.manifest.name}: {bundle.manifest.model.parameters:,} parameters, ", end="")
    print(
        f"{bundle.manifest.model.flops / 1e6:.1f} MFLOPs, largest logit difference {difference:.3f}"
    )
    for who, timing in times.items():
        p50, p99 = (quantile(timing.latencies_ms, q) for q in (0.5, 0.99))
        print(f"  {who}: p50 {p50.value:.4f} ms, p99 {p99.value:.4f} ms, n {p50.n}")
    ratio = median_ratio(times[name].latencies_ms, times["eager"].latencies_ms)
    interval = f"{ratio.low:.3f} to {ratio.high:.3f}"
    print(f"  median of paired ratios, diptych / eager: {ratio.value:.3f} ({interval})")


def main() -> None:
    print_conditions()
    if len(sys.argv) > 1:
        compare(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder, "digits.dip")
        command = [sys.executable, "-m", "diptych", "fit", "digits", "--budget", "accuracy>=90%"]
        subprocess.run([*command, "--out", str(bundle)], check=True)
        compare(bundle)


if __name__ == "__main__":
    main()
