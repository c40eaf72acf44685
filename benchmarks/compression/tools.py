"""The tools that `compression.peers` compares, each run in an environment and a process of its own.

A tool that fails, or takes longer than it may, is told as failed: the others go on.
"""

import json
import os
import subprocess
from argparse import Namespace
from pathlib import Path

from conditions import ROOT
from environments import interpreter

BASE = ("numpy==2.4.6", "onnxruntime==1.32.0", "onnx==1.23.2")
ENVIRONMENTS = {
    "nncf": ("nncf==3.4.0", "openvino==2026.4.1", "numpy==2.4.6"),
    "onnxruntime": (*BASE, "sympy==1.14.0"),
    "inc": (  # the last two are what it imports and does not ask for
        "onnx-neural-compressor==1.0",
        "onnxruntime==1.32.0",
        "onnx==1.23.2",
        "numpy==1.26.4",
        "scipy==1.16.3",
        "prettytable==3.18.0",
    ),
    "optimum": ("optimum-onnx[onnxruntime]==0.1.0", "torch==2.13.0", *BASE),
    "olive": ("olive-ai==0.13.0", "requests==2.34.2", "torch==2.13.0", *BASE),
}
PEERS = {
    "nncf": "nncf",
    "nncf-accuracy": "nncf",
    "onnxruntime": "onnxruntime",
    "onnxruntime-minmax": "onnxruntime",
    "onnxruntime-entropy": "onnxruntime",
    "inc": "inc",
    "inc-autotune": "inc",
    "optimum": "optimum",
    "olive-auto-opt": "olive",
    "olive-search": "olive",
}
TOLD_ITS_TIME = ("olive-search",)
SILENT = {"OLIVE_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"}


def peer(name: str, place: Path, out: Path, asked: Namespace) -> dict[str, object]:
    """Run a tool in its environment; it is stopped at the time limit."""
    log = place / f"{name}.log"
    try:
        python = interpreter(asked.work / f"env-{PEERS[name]}", ENVIRONMENTS[PEERS[name]])
        words = [python, "-m", "compression.peer", name]
        words += [place / "inputs", out, 60 * asked.minutes, asked.sums]
        with log.open("w") as errors:
            output = subprocess.run(
                [str(word) for word in words],
                cwd=ROOT / "benchmarks",
                env={**os.environ, **SILENT},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=60 * asked.minutes,
            )
    except subprocess.CalledProcessError as error:
        return {"failed": f"its environment cannot be made: code {error.returncode}"}
    except subprocess.TimeoutExpired:
        return {"failed": f"stopped after {asked.minutes:g} minutes"}
    if output.returncode:
        return {"failed": f"ended with code {output.returncode}; see {log}"}
    told = output.stdout.splitlines()
    return json.loads(told[-1]) if told else {"failed": f"ended without a program; see {log}"}
