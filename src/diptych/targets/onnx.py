"""Export a trained network to ONNX: one file, weights inside, norms folded, a free batch axis.

Shapes: N batch, K classes; the input's own shape is its `TensorSpec`.
"""

import re

import onnx
import torch
from torch import nn

from diptych.compression.failing_layer import hushed, place_of
from diptych.core.errors import TargetError
from diptych.core.extras import require
from diptych.core.specs import TensorSpec
from diptych.targets.adopted import AdoptedNetwork
from diptych.targets.compact import compact
from diptych.targets.folding import fold
from diptych.targets.operations import kept_operations
from diptych.targets.quiet import quiet

OUTPUT_NAME = "logits"
EXAMPLES = 2
UNKNOWN_OPERATION = re.compile(r"No ONNX function found for <OpOverload\(op='([^']+)'")
FIRST_CAUSE = re.compile(r"<class '[^']*'>: (.+)")


def export(network: nn.Module, spec: TensorSpec) -> bytes:
    """Export a network.

    Args:
        network: In eval mode, on the CPU; takes what `spec` says, gives logits float32 (N, K).
        spec: The input; its first axis is the free batch axis.

    Returns:
        The content of an ONNX file; the same bytes for the same weights and versions.

    Raises:
        TargetError: If the network is in training mode, or has an operation that ONNX lacks.
    """
    if isinstance(network, AdoptedNetwork):
        return network.program
    if network.training:
        raise TargetError("the network is in training mode", "call eval() before it is exported")
    require("onnxscript", "train")
    shape = [EXAMPLES if size is None else size for size in spec.shape]
    example = torch.zeros(shape, dtype=getattr(torch, spec.dtype))
    try:
        with quiet(), hushed(), kept_operations(), torch.no_grad():
            program = torch.onnx.export(
                nn.Sequential(network).eval(),  # a dot in names: no step of the graph has one
                (example,),
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=[spec.name],
                output_names=[OUTPUT_NAME],
                dynamic_shapes=({0: torch.export.Dim("N", min=1, max=1 << 16)},),
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise TargetError(*_reason(error, network, spec)) from error
    if program is None:
        raise TargetError("the exporter gave no model", "please report it with the network")
    model: onnx.ModelProto = program.model_proto
    fold(model.graph)
    return compact(model)


def _reason(error: Exception, network: nn.Module, spec: TensorSpec) -> tuple[str, str]:
    text = str(error)
    operation = UNKNOWN_OPERATION.search(text)
    if operation:
        where = place_of(network, spec, operation[1])
        message = f"the network's operation {operation[1]!r}{where} cannot be lowered to ONNX"
        return message, "replace it by operations that ONNX has"
    cause = FIRST_CAUSE.search(text)
    reason = cause[1] if cause else text.strip().splitlines()[0]
    where = place_of(network, spec)
    return f"the network cannot be lowered to ONNX{where}: {reason}", "simplify its forward"
