"""Quantize for ONNX Runtime, but for the layers that lose too much: those stay in float.

Layers are ranked by what quantizing each alone does to the logits of calibration items. From the
most harmful on, as few as are enough are left in float; how many is found by halving, for the more
are, the less is lost.

Shapes: M calibration items, N items to judge by, K outputs.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import numpy as np

from diptych.targets import Runtime
from diptych.targets.nearest import Files, nearer
from diptych.targets.quantization import Quantizer
from diptych.targets.running import answers

RUNTIME: Runtime = "onnxruntime"
FILE = "model.onnx"
MOST_RANKED = 32
"""Of a deeper network only the smallest layers are ranked: they cost least in float."""
RANKING_ITEMS = 128


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What a program has to keep.

    `excess` says of the outputs (N, K) for `inputs` (N, ...) by how much they miss a limit: 0 or
    less is good. `go_on` is asked before each program, of which up to 40 are made, and once before
    two that tell whether 7 bits of weights are nearer to float.
    """

    inputs: np.ndarray
    excess: Callable[[np.ndarray], float]
    go_on: Callable[[], bool] = lambda: True


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """An ONNX file in QDQ form, and the layers that stayed in float, in order."""

    content: bytes
    in_float: tuple[str, ...]


def quantize_guarded(model: bytes, calibration: np.ndarray, guard: Guard) -> Guarded | None:
    """Quantize as many layers as a guard allows.

    Args:
        model: An ONNX file with its norms folded.
        calibration: Raw inputs, uint8 (M, H, W, C), M at least 16, from the training split.
        guard: What to keep.

    Returns:
        The program; None where there was no time for it, or one layer in int8 is too much already.

    Raises:
        TargetError: If there are too few items, or the model cannot be quantized.
    """
    with Quantizer(model, calibration) as quantizer:
        if not guard.go_on():
            return None
        narrow, _ = nearer(partial(_whole, quantizer), model, RUNTIME, calibration)
        quantize = partial(quantizer.quantize, narrow=narrow)
        ranked = _ranked(quantizer, quantize, model, calibration[:RANKING_ITEMS], guard.go_on)

        def fits(count: int) -> bool:
            if not guard.go_on():
                return False
            return guard.excess(_answers(quantize(ranked[:count]), guard.inputs)) <= 0

        count = fewest(fits, min(len(ranked), len(quantizer.layers) - 1))
        if count is None:
            return None
        in_float = sorted(ranked[:count])
        return Guarded(
            content=quantize(in_float),
            in_float=tuple(quantizer.layers[layer] for layer in in_float),
        )


def fewest(fits: Callable[[int], bool], most: int) -> int | None:
    """Find the smallest number that fits, if all larger ones fit too.

    Args:
        fits: Asked of about log2(`most`) + 2 numbers.
        most: The largest.

    Returns:
        A number from 0 to `most` that fits; None if `most` does not.
    """
    if fits(0):
        return 0
    if not most or not fits(most):
        return None
    too_few, enough = 0, most
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if fits(middle):
            enough = middle
        else:
            too_few = middle
    return enough


def _whole(quantizer: Quantizer, *, narrow: bool) -> Files:
    return {FILE: quantizer.quantize(narrow=narrow)}


def _ranked(
    quantizer: Quantizer,
    quantize: Callable[[Collection[int]], bytes],
    model: bytes,
    items: np.ndarray,
    go_on: Callable[[], bool],
) -> list[int]:
    """Number the layers, the most harmful first; none if the time is up."""
    reference, damage = _answers(model, items), {}
    smallest = sorted(range(len(quantizer.layers)), key=lambda layer: quantizer.weights[layer])
    for layer in smallest[:MOST_RANKED]:
        if not go_on():
            return []
        others = [other for other in range(len(quantizer.layers)) if other != layer]
        alone = _answers(quantize(others), items)
        damage[layer] = float(np.square(alone - reference).mean())
    return sorted(damage, key=lambda layer: -damage[layer])


def _answers(content: bytes, inputs: np.ndarray) -> np.ndarray:
    return answers(RUNTIME, {FILE: content}, inputs)
