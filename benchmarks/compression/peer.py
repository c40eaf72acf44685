"""One tool in its own environment; `compression.peers` starts it, from `benchmarks/`.

Each is told what its own guide tells for a network of convolutions: weights per channel, all
calibration items, batches of 64 where it takes batches. For a processor that cuts sums of 8-bit
products (x86-64 without VNNI) those that quantize for ONNX Runtime are also told what their guides
say of it: weights of 7 bits (`reduce_range`), in Optimum its settings for AVX2. Intel Neural
Compressor 1.0 takes that setting and does not use it, nor does Olive 0.13 with its others as they
come (`prepare_qdq_config`); `olive auto-opt` has none, and NNCF looks after it by itself. Those
that look at accuracy may lose half a point on validation items. Seconds are from the ONNX file on
disk to the program on disk; importing the tool is not among them. No tool sees a test item.

Usage: python -m compression.peer TOOL INPUTS OUT SECONDS SUMS. INPUTS holds model.onnx,
calibration.npy, validation.npy and labels.npy; OUT is a folder, empty at first; a tool that can be
told its time is told SECONDS; SUMS are `cut` or `whole`.
"""

import json
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from compression.peer_items import Clock, Items

TOOLS = {
    "nncf": ("peer_nncf", "nncf_quantize", "nncf"),
    "nncf-accuracy": ("peer_nncf", "nncf_accuracy", "nncf"),
    "onnxruntime": ("peer_onnx", "onnxruntime_default", "onnxruntime"),
    "onnxruntime-minmax": ("peer_onnx", "onnxruntime_minmax", "onnxruntime"),
    "onnxruntime-entropy": ("peer_onnx", "onnxruntime_entropy", "onnxruntime"),
    "inc": ("peer_onnx", "inc_static", "onnx-neural-compressor"),
    "inc-autotune": ("peer_onnx", "inc_autotune", "onnx-neural-compressor"),
    "optimum": ("peer_onnx", "optimum_static", "optimum-onnx"),
    "olive-auto-opt": ("peer_olive", "olive_auto_opt", "olive-ai"),
    "olive-search": ("peer_olive", "olive_search", "olive-ai"),
}


def main() -> None:
    name, inputs, folder, limit_s, sums = sys.argv[1:]
    module, function, package = TOOLS[name]
    items = Items(Path(inputs), float(limit_s), cuts_sums=sums == "cut")
    out, clock = Path(folder), Clock()
    getattr(import_module(f"compression.{module}"), function)(items, out, clock)
    files = sorted(str(path.relative_to(out)) for path in out.iterdir())
    told = {"seconds": clock.seconds, "package": f"{package} {version(package)}"}
    print(json.dumps({**told, "files": files}))


if __name__ == "__main__":
    main()
