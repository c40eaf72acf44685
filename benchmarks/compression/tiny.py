"""Claim: a bundle for CIFAR-10 is smaller, faster and better than MLPerf Tiny's int8 reference.

That is `resnet8_cifar10_int8.tflite` of MLPerf Tiny (98,496 bytes; about 87 % of the test
pictures), run by LiteRT as it is; ours by the runtime that its fit chose. Both are given what each
takes: pixels as int8 there, raw pixels here. Accuracy on the 10,000 test pictures, with the paired
difference; size of the files that a prediction needs; single predictions by turns, one thread. Each
prediction is of another of the test pictures, for ours looks again at some of them: so the mean is
told beside the median, and the 99th percentile, which is that of two looks.

Hardware: any, otherwise idle while timing; printed. n: 10,000 pictures, 3,000 calls of each.
Source: this script; the reference of github.com/mlcommons/tiny, Apache-2.0, which is not in this
repository.

Usage, from benchmarks/: python -m compression.tiny REFERENCE.tflite [BUNDLE], by default
examples/cifar10-tiny.dip. Needs diptych[edge,train].
"""

import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

import diptych
from conditions import ROOT, data_folder, print_conditions
from diptych.data import read
from diptych.data.reading import Options
from diptych.measure.quantiles import median_ratio, quantile
from diptych.measure.scores import drop, score
from diptych.measure.timing import interleave

CALLS, TURNS = 3_000, 1_000
HALF = 128
REFERENCE = "reference"


def reference(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Open the reference; it takes int8 (1, 32, 32, 3) and gives int8 (1, 10)."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]["index"]
    told = interpreter.get_output_details()[0]["index"]

    def run(levels: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given, levels)
        interpreter.invoke()
        outputs: np.ndarray = interpreter.get_tensor(told)
        return outputs

    return run


def in_turns(
    run: Callable[[np.ndarray], np.ndarray], inputs: np.ndarray
) -> Callable[[], np.ndarray]:
    """Make single predictions of test pictures in turn, from all over the split."""
    step = len(inputs) // TURNS
    singles = cycle([inputs[i : i + 1].copy() for i in range(0, len(inputs), step)])
    return lambda: run(next(singles))


def main() -> None:
    path = Path(sys.argv[1])
    given = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "examples/cifar10-tiny.dip"
    bundle = diptych.load(given, threads=1)
    print_conditions()
    test = read(data_folder("cifar10"), Options(seed=0)).test
    levels = (test.inputs.astype(np.int16) - HALF).astype(np.int8)
    run = reference(path)
    ours = f"{bundle.manifest.name} ({bundle.program.runtime} {bundle.program.precision})"
    labels = {
        REFERENCE: np.concatenate([run(levels[i : i + 1]) for i in range(len(test))]).argmax(1),
        ours: bundle.run(test.inputs).argmax(1),
    }
    sizes = {
        REFERENCE: path.stat().st_size,
        ours: sum((bundle.path / file.path).stat().st_size for file in bundle.program.files),
    }
    calls = {REFERENCE: in_turns(run, levels), ours: in_turns(bundle.run, test.inputs)}
    times = interleave(calls, samples=CALLS)
    right = {name: (found == test.targets).astype(float) for name, found in labels.items()}
    for name in calls:
        found = score(right[name])
        p50, p99 = (1e3 * quantile(times[name].latencies_ms, q).value for q in (0.5, 0.99))
        mean = 1e3 * times[name].latencies_ms.mean()
        print(
            f"{name}: {100 * found.value:.2f} % ({100 * found.low:.2f} to {100 * found.high:.2f}, "
            f"n {found.n:,}), {sizes[name]:,} B, p50 {p50:.1f} us, "
            f"mean {mean:.1f} us, p99 {p99:.1f} us, n {CALLS:,}"
        )
    lost = drop(right[REFERENCE], right[ours])
    ratio = median_ratio(times[ours].latencies_ms, times[REFERENCE].latencies_ms)
    means = times[ours].latencies_ms.mean() / times[REFERENCE].latencies_ms.mean()
    print(
        f"ours is better by {-100 * lost.value:.2f} points ({-100 * lost.high:.2f} to "
        f"{-100 * lost.low:.2f}), and takes {ratio.value:.3f} of the time "
        f"({ratio.low:.3f} to {ratio.high:.3f}; of the mean time {means:.3f}), "
        f"{sizes[ours] / sizes[REFERENCE]:.3f} of the bytes"
    )


if __name__ == "__main__":
    main()
