"""MLPerf Tiny's DS-CNN for keyword spotting, int8, on LiteRT: for latency and size only.

It was trained on other words, and its input is 49 x 10 MFCC that somebody has to compute: our
log-mel is in our time, its MFCC is not in its own.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tasks.sets import ANCHORS

MODEL = ANCHORS / "mlperf-tiny" / "dscnn_kws_int8.tflite"
ITEMS = 32


class DepthwiseSeparable:
    """The model as it is distributed."""

    @staticmethod
    def train(name: str, data: Path, seed: int, out: Path) -> None:
        if not MODEL.is_file():
            raise SystemExit(f"no model at {MODEL}; set DIPTYCH_ANCHORS to the folder above")
        shutil.copyfile(MODEL, out / "model.tflite")

    @staticmethod
    def load(name: str, data: Path, out: Path) -> tuple[None, Callable]:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(out / "model.tflite"), num_threads=1)
        interpreter.allocate_tensors()
        given, given_back = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

        def call(item: np.ndarray) -> np.ndarray:
            interpreter.set_tensor(given["index"], item.reshape(given["shape"]))
            interpreter.invoke()
            return interpreter.get_tensor(given_back["index"])

        return None, call

    @staticmethod
    def items(name: str, data: Path) -> np.ndarray:
        return np.random.default_rng(0).integers(-128, 128, (ITEMS, 490), dtype=np.int8)
