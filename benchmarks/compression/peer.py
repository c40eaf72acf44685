"""One tool in its own environment; `compression.peers` starts it, from `benchmarks/`.

Each is told what its own guide tells for a network of convolutions: weights per channel, all
calibration items, batches of 64 where it takes batches. Those that look at accuracy may lose half
a point on validation items. Seconds are from the ONNX file on disk to the program on disk;
importing the tool is not among them. No tool sees a test item.

Usage: python -m compression.peer TOOL INPUTS OUT SECONDS. INPUTS holds model.onnx, calibration.npy,
validation.npy and labels.npy; OUT is a folder, empty at first; a tool that can be told its time is
told SECONDS.
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
    name, inputs, out, limit_s = (
        sys.argv[1],
        Path(sys.argv[2]),
        Path(sys.argv[3]),
        float(sys.argv[4]),
    )
    module, function, package = TOOLS[name]
    clock = Clock()
    getattr(import_module(f"compression.{module}"), function)(Items(inputs, limit_s), out, clock)
    files = sorted(str(path.relative_to(out)) for path in out.iterdir())
    told = {"seconds": clock.seconds, "package": f"{package} {version(package)}"}
    print(json.dumps({**told, "files": files}))


if __name__ == "__main__":
    main()
