"""Answer the Open Inference Protocol, version 2, with a bundle."""

import asyncio
from collections.abc import Callable, Mapping

import numpy as np

from diptych.core.values import Goal
from diptych.inference.bundle import Bundle
from diptych.serving import answer_v2, protocol_v2
from diptych.serving.bodies import check_values
from diptych.serving.messages import Request, Response
from diptych.serving.predict import PART_ITEMS
from diptych.serving.ranges import check_range
from diptych.tasks.classification import softmax
from diptych.tasks.multi_label import sigmoid

SCORES = "scores"
SCORERS: Mapping[Goal, Callable[[np.ndarray], np.ndarray]] = {
    "classification": softmax,
    "ordinal": softmax,
    "multi-label": sigmoid,
}
"""From logits to probabilities; a number told has none."""


async def infer(request: Request, name: str, bundle: Bundle) -> Response:
    """Answer ``POST /v2/models/NAME/infer``.

    Args:
        request: The whole request.
        name: The model's name.
        bundle: The model.

    Returns:
        The tensors that were asked for; all of them where none was named.
    """
    length = request.headers.get(answer_v2.LENGTH_HEADER)
    asked = protocol_v2.parse(request.body, length, bundle.program.input, offered(bundle))
    check_values(len(asked.batch), len(bundle.labels))
    check_range(asked.batch, bundle.manifest.input)
    outputs = await _run(bundle, asked.batch)
    tensors = {bundle.program.output.name: outputs}
    if any(choice.name == SCORES for choice in asked.outputs):
        tensors[SCORES] = SCORERS[bundle.manifest.goal](outputs).astype(np.float32)
    return answer_v2.encode(asked, name, tensors, bundle.labels)


def offered(bundle: Bundle) -> tuple[str, ...]:
    """List the tensors that a model gives.

    Args:
        bundle: The model.

    Returns:
        The program's own output, and the scores that are made of it where there are any.
    """
    output = bundle.program.output.name
    return (output, SCORES) if bundle.manifest.goal in SCORERS else (output,)


def metadata(name: str, bundle: Bundle) -> dict[str, object]:
    """Describe a model as ``GET /v2/models/NAME`` does.

    Args:
        name: The model's name.
        bundle: The model.

    Returns:
        The document.
    """
    program = bundle.program
    outputs = offered(bundle)
    return answer_v2.model_metadata(
        name, program.runtime, program.input, outputs, len(bundle.labels)
    )


async def _run(bundle: Bundle, batch: np.ndarray) -> np.ndarray:
    if len(batch) <= PART_ITEMS:
        return bundle.run(batch)
    parts = []
    for start in range(0, len(batch), PART_ITEMS):
        parts.append(bundle.run(batch[start : start + PART_ITEMS]))
        await asyncio.sleep(0)
    return np.concatenate(parts)
