"""Claim: unstructured sparsity saves a sixth of the time at most, with AMX, so there is no option.

Hardware: any; printed. A network of linear layers in int8 (NNCF, per channel), of which 0, 80 and
90 % of the weights of each layer are zero, in OpenVINO with and without its decompression of sparse
weights (CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE), in ONNX Runtime as it is; single predictions, one
thread, blocks in alternation, after warm-up. n: up to 1,000 calls each; the ratio is the median of
paired ratios to the dense network in the same runtime, with its interval.
Source: this script. Usage, in benchmarks/: python -m compression.sparsity.
"""

import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import openvino
import torch
from torch import nn

from conditions import print_conditions
from diptych.core.specs import TensorSpec
from diptych.inference.runtimes import open_session
from diptych.inference.runtimes.openvino import core
from diptych.measure.quantiles import median_ratio, quantile
from diptych.measure.timing import interleave
from diptych.targets.onnx import export
from diptych.targets.openvino import quantize
from diptych.targets.quantization import quantize_onnx

WIDTHS = {"4 million weights": (1024, 1024, 4), "25 million weights": (2048, 4096, 2)}
SHARES = (0.0, 0.8, 0.9)
CALLS = 1000
SECONDS = 30.0
CONFIG = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",
}
RATE = "CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE"


def layers(inputs: int, width: int, count: int, share: float) -> nn.Module:
    """Make linear layers, the share of their weights that is nearest to zero being zero."""
    torch.manual_seed(0)
    sizes = [inputs, *[width] * count]
    parts = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    network = nn.Sequential(*parts, nn.Linear(width, 10))
    for part in network:
        if isinstance(part, nn.Linear) and share:
            weights = part.weight.data
            bound = weights.abs().flatten().kthvalue(int(share * weights.numel())).values
            weights[weights.abs() <= bound] = 0.0
    return network.eval()


def compiled(files: dict[str, bytes], rate: float) -> openvino.CompiledModel:
    model = core().read_model(files["model.xml"], files["model.bin"])
    model.reshape([1, *list(model.input(0).get_partial_shape())[1:]])
    return core().compile_model(model, "CPU", CONFIG | {RATE: rate})


def caller(model: openvino.CompiledModel, one: np.ndarray) -> Callable[[], object]:
    request = model.create_infer_request()
    request.get_input_tensor().data[...] = one
    return request.infer


def measure(label: str, inputs: int, width: int, count: int) -> None:
    spec = TensorSpec(name="values", dtype="float32", shape=(None, inputs))
    items = np.random.default_rng(0).normal(size=(64, inputs)).astype(np.float32)
    runs: dict[str, Callable[[], object]] = {}
    kept = []
    with tempfile.TemporaryDirectory() as folder:
        for share in SHARES:
            model = export(layers(inputs, width, count, share), spec)
            files = quantize(model, items)
            for rate in (1.0, 0.5) if share else (1.0,):
                name = f"OpenVINO, {share:.0%} zero" + (", decompressed" if rate < 1 else "")
                program = compiled(files, rate)
                runs[name] = caller(program, items[:1])
                kept.append(program)
            path = Path(folder, f"{share}.onnx")
            path.write_bytes(quantize_onnx(model, items))
            session = open_session("onnxruntime", [path])
            runs[f"ONNX Runtime, {share:.0%} zero"] = lambda s=session: s.run(items[:1])
            print(f"{share:.0%} zero: {len(files['model.bin']):,} bytes of weights in the file")
        times = interleave(runs, samples=CALLS, time_limit_s=SECONDS)
    print(f"\n{label}")
    for name, timing in times.items():
        dense = times[f"{name.split(',')[0]}, 0% zero"].latencies_ms
        calls = min(len(dense), len(timing.latencies_ms))
        ratio = median_ratio(timing.latencies_ms[:calls], dense[:calls])
        p50 = quantile(timing.latencies_ms, 0.5)
        print(
            f"  {name}: p50 {p50.value:.3f} ms, {ratio.value:.2f} of dense "
            f"({ratio.low:.2f} to {ratio.high:.2f}), n {p50.n}"
        )


def main() -> None:
    print_conditions()
    for label, (inputs, width, count) in WIDTHS.items():
        measure(label, inputs, width, count)


if __name__ == "__main__":
    main()
