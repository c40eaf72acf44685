"""Claim: int8 programs keep their accuracy on processors that cut sums of 8-bit products.

x86-64 processors without VNNI add products of 8 bits up two by two in 16 bits, and cut what does
not fit. The network of a bundle is quantized after training, with 8 bits for all weights, with 7
for those of first layers, and with 7 for all; for ONNX Runtime and OpenVINO, and for LiteRT, whose
kernels cut nothing. Each program is compared with the network in float on all test items: its
accuracy, labels that are not the network's, and the root mean square difference of logits as a
share of their range. `diptych` is what a fit would take here. ONNX Runtime's programs are compared
with the same levels computed in float too, which is what another machine would answer: how often
32 items, as many as golden examples, have one further away than a bundle is let pass, of 1,000
draws.

Hardware: an x86-64 processor with AVX2 and without VNNI, for the claim; printed. n: the test items;
500 single calls of each, by turns, one thread. Source: this script; the official splits.
Predicted: 8 bits for all lose points there, and nothing where there is VNNI.

Usage, from benchmarks/: python -m compression.cut_sums BUNDLE DATA, where the bundle holds the
weights of a network, in an environment with edge-export for LiteRT's program.
"""

from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import onnxruntime

import diptych
from against_eager import eager_network
from conditions import print_conditions
from diptych.core.progress import silent
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.calibration import calibration_items
from diptych.inference.runtimes import Session, open_session
from diptych.measure.machine import cuts_sums, describe
from diptych.measure.quantiles import median_ratio
from diptych.measure.timing import interleave
from diptych.targets import openvino, quantization
from diptych.targets.lower import lower
from diptych.targets.nearest import QUANTIZERS, quantize_nearest
from diptych.targets.onnx import export
from diptych.targets.parity import tolerance
from diptych.training.compute import compute_outputs
from diptych.training.recipe import TrainingRecipe

CALLS, DRAWS, GOLDEN = 500, 1_000, 32
Files = dict[str, bytes]


def programs(bundle: diptych.Bundle, calibration: np.ndarray) -> dict[str, tuple[str, Files]]:
    """Give runtimes and files of all programs, float first."""
    network = eager_network(bundle)
    spec = bundle.manifest.programs[0].input
    exported = export(network, spec)
    made: dict[str, tuple[str, Files]] = {
        "onnxruntime, float": ("onnxruntime", {"model.onnx": exported}),
        "openvino, float": ("openvino", openvino.from_onnx(exported)),
    }
    for runtime, make in QUANTIZERS.items():
        made[f"{runtime}, 8 bits"] = (runtime, all_bits(runtime, exported, calibration))
        for words, narrow in (("7 in first layers", False), ("7 bits", True)):
            made[f"{runtime}, {words}"] = (runtime, make(exported, calibration, narrow=narrow))
        files = quantize_nearest(exported, runtime, calibration)
        made[f"{runtime}, diptych"] = (runtime, files)
    rounded = lower(network, spec, runtime="litert", precision="int8", calibration=calibration)
    return made | {"litert, 8 bits": ("litert", rounded.contents)}


def all_bits(runtime: str, exported: bytes, calibration: np.ndarray) -> Files:
    """Quantize with 8 bits for first layers too, as nothing of ours does."""
    if runtime == "onnxruntime":
        with mock.patch.object(quantization, "_first", return_value=[]):
            return QUANTIZERS[runtime](exported, calibration, narrow=False)
    nncf = openvino.library("nncf")
    usual = nncf.AdvancedQuantizationParameters

    def without(**settings: object) -> object:
        return usual(**settings | {"overflow_fix": nncf.OverflowFix.DISABLE})

    with mock.patch.object(nncf, "AdvancedQuantizationParameters", without):
        return QUANTIZERS[runtime](exported, calibration, narrow=False)


def whole_sums(content: bytes, items: np.ndarray) -> np.ndarray:
    """Compute an ONNX program's levels in float: (N, ...) to (N, K)."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: items[i : i + 500]})[0] for i in range(0, len(items), 500)]
    return np.concatenate(parts)


def refused(here: np.ndarray, elsewhere: np.ndarray) -> float:
    """Say how often golden examples of one machine are missed by another."""
    random, missed = np.random.default_rng(0), 0
    for _ in range(DRAWS):
        some = random.choice(len(here), GOLDEN, replace=False)
        apart = np.abs(here[some] - elsewhere[some]).max()
        missed += bool(apart > tolerance(elsewhere[some], "int8"))
    return missed / DRAWS


def opened(runtime: str, files: Files, folder: Path) -> Session:
    paths = [folder / name for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.write_bytes(content)
    return open_session(runtime, paths)


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    asked = parser.parse_args()
    print_conditions()
    print(f"sums of 8-bit products are {'cut' if cuts_sums(describe()) else 'whole'} here")
    bundle = diptych.load(asked.bundle, golden="skip")
    dataset = read(asked.data, Options(seed=0), silent)
    items, labels = dataset.test.inputs, dataset.test.targets
    reference = compute_outputs(eager_network(bundle), items, TrainingRecipe())
    one, spread = items[:1].copy(), np.ptp(reference)
    with TemporaryDirectory() as folder:
        sessions = {}
        for name, (runtime, files) in programs(
            bundle, calibration_items(dataset, 512, 0, silent)
        ).items():
            place = Path(folder) / name
            place.mkdir()
            session = sessions[name] = opened(runtime, files, place)
            parts = [session.run(items[i : i + 500]) for i in range(0, len(items), 500)]
            outputs = np.concatenate(parts)
            others = (outputs.argmax(1) != reference.argmax(1)).sum()
            apart = np.sqrt(np.square(outputs - reference).mean()) / spread
            right = (outputs.argmax(1) == labels).mean()
            size = sum(map(len, files.values()))
            line = f"{name}: {right:.2%}, {others} of {len(items)} labels are others, logits "
            line += f"{apart:.2%} of their range apart, {size:,} B"
            if runtime == "onnxruntime":
                elsewhere = whole_sums(files["model.onnx"], items)
                line += f"; {refused(outputs, elsewhere):.1%} of bundles from elsewhere refused"
            print(line, flush=True)
        calls = {name: partial(session.run, one) for name, session in sessions.items()}
        times = {n: t.latencies_ms for n, t in interleave(calls, samples=CALLS).items()}
    base = times["onnxruntime, float"]
    for name, latencies in times.items():
        ratio = median_ratio(latencies, base)
        print(
            f"{name}: p50 {np.median(latencies):.4f} ms, {ratio.value:.3f} of ONNX Runtime in "
            f"float ({ratio.low:.3f} to {ratio.high:.3f})"
        )


if __name__ == "__main__":
    main()
