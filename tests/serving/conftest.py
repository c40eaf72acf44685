"""A tiny bundle whose answers are known, an application on it, and a real server."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from diptych.core.manifest import Manifest
from diptych.inference import golden, store
from diptych.inference.bundle import Bundle, load
from diptych.serving.app import Application
from diptych.serving.body import Limits


def mean_color_model() -> bytes:
    """Make a model whose logits are the mean of each color over 16."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0),
        helper.make_node("Div", ["means", "scale"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
        numpy_helper.from_array(np.array(16, np.float32), "scale"),
    ]
    taken = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 4, 6, 3])
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph(nodes, "mean_color", [taken], [given], constants)
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def mean_colors(batch: np.ndarray) -> np.ndarray:
    """Compute the same without the model."""
    return batch.astype(np.float64).mean(axis=(1, 2)) / 16


MANIFEST = b"""
{"format_version": 2, "name": "colors", "goal": "classification",
 "labels": ["red", "green", "blue & <deep>"],
 "input": {"type": "image", "height": 4, "width": 6, "channels": 3}, "files": [],
 "programs": [{"name": "mean", "runtime": "onnxruntime", "precision": "fp32", "files": [],
  "input": {"name": "pixels", "dtype": "uint8", "shape": [null, 4, 6, 3]},
  "output": {"name": "logits", "dtype": "float32", "shape": [null, 3]}, "tolerance": 1e-4}],
 "budget": "drop<=1%, p99<=1ms", "verdict": "CANNOT TELL", "terms": [
  {"name": "drop", "relation": "<=", "limit": 0.01, "unit": "fraction", "value": 0.004,
   "low": -0.002, "high": 0.009, "n": 400, "verdict": "PASS", "method": "paired"},
  {"name": "p99", "relation": "<=", "limit": 1.0, "unit": "ms", "value": 0.9,
   "low": 0.8, "high": 1.2, "n": 400, "verdict": "CANNOT TELL", "method": "order statistics"}],
 "candidates": [], "relaxations": [], "breakeven_predictions": null, "curves": [],
 "teacher": {"name": "mean", "parameters": 1, "flops": 1, "scores": {"accuracy":
  {"value": 0.98, "low": 0.96, "high": 0.99, "n": 400, "method": "Wilson"}}},
 "model": {"name": "mean", "parameters": 1, "flops": 1, "scores": {"accuracy":
  {"value": 0.97, "low": 0.95, "high": 0.98, "n": 400, "method": "Wilson"}}},
 "training": {"seconds": 1, "cpu_seconds": 1, "samples": 1, "flops": 1, "cost_usd": 0,
  "data_bytes": 1, "energy": {"value_j": 1, "low_j": 0.1, "high_j": 10, "label": "modelled",
   "method": "CPU share"}},
 "machine": {"cpu": "any", "cores": 1, "memory_bytes": 1, "flags": [], "system": "any",
  "python": "3", "versions": {}},
 "provenance": {"seed": 0, "recipe": {}, "created": "2026-01-01T00:00:00Z", "data":
  {"name": "made", "sha256": "", "counts": {}, "split_method": "none", "seed": 0}}}
"""


def make_manifest(model: bytes, examples: bytes) -> Manifest:
    """Fill in the files of the manifest."""
    manifest = msgspec.json.decode(MANIFEST, type=Manifest)
    program = replace(manifest.programs[0], files=(store.record("model.onnx", model),))
    files = (store.record(golden.FILE_NAME, examples),)
    return replace(manifest, programs=(program,), files=files)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the tiny bundle."""
    path = tmp_path_factory.mktemp("serving") / "colors.dip"
    model = mean_color_model()
    inputs = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), np.uint8)
    examples = golden.build(inputs, {"mean": mean_colors(inputs).astype(np.float32)})
    contents = {"model.onnx": model, golden.FILE_NAME: examples}
    store.write(path, make_manifest(model, examples), contents)
    return path


@pytest.fixture(scope="session")
def bundle(tiny: Path) -> Iterator[Bundle]:
    """Give the tiny bundle, open."""
    with load(tiny) as opened:
        yield opened


@pytest.fixture(scope="session")
def oracle() -> Callable[[np.ndarray], np.ndarray]:
    """Give the function that computes the tiny bundle's logits without it."""
    return mean_colors


@dataclass(frozen=True)
class Reply:
    """What an application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)


Ask = Callable[..., Reply]


@pytest.fixture(scope="session")
def ask() -> Ask:
    """Give a function that sends one request to an ASGI application."""

    def send_one(
        app: Application, method: str, path: str, body: bytes = b"", **headers: str
    ) -> Reply:
        sent: list[dict] = []
        pairs = [(name.replace("_", "-").encode(), v.encode()) for name, v in headers.items()]
        scope = {"type": "http", "method": method, "path": path, "headers": pairs}

        async def receive() -> dict:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict) -> None:
            sent.append(message)

        asyncio.run(app(scope, receive, send))
        start, end = sent
        replied = {name.decode(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], replied, end["body"])

    return send_one


@pytest.fixture(scope="session")
def app(bundle: Bundle) -> Application:
    """Give an application that serves the tiny bundle as ``colors``."""
    return Application({"colors": bundle}, Limits(max_body_bytes=100_000))


@dataclass(frozen=True)
class Running:
    """A server in another process."""

    process: subprocess.Popen[bytes]
    host: str
    port: int

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


Start = Callable[..., Running]


@pytest.fixture(scope="session")
def start() -> Iterator[Start]:
    """Give a function that starts ``diptych serve`` and waits until it says that it is ready."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str) -> Running:
        command = [sys.executable, "-m", "diptych", "serve", *arguments, "--port", "0", "--json"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": ""},
        )
        started.append(process)
        lines = iter(process.stdout.readline, b"")
        text = b""
        for line in lines:
            text += line
            if line == b"}\n":
                break
        assert text, process.stderr.read().decode()
        host, port = json.loads(text)["address"].removeprefix("http://").split(":")
        return Running(process, host, int(port))

    yield begin
    for process in started:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="session")
def running(start: Start, tiny: Path) -> Running:
    """Give a server of the tiny bundle that all tests share."""
    return start(str(tiny), "--max-body", "100KB")
