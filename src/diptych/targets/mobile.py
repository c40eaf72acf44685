"""Lower a network for ExecuTorch with XNNPACK: a ``.pte`` file that an app for phones opens.

It is written beside a bundle and is not part of one: ExecuTorch's runtime for Python takes torch's
tensors and is run here for one thing, to compare the file with the network. Steps that XNNPACK
lacks are computed by ExecuTorch's own portable kernels.

Shapes: N examples, M calibration items, K outputs.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from diptych.core.errors import TargetError
from diptych.core.extras import require
from diptych.core.silence import silent_stderr
from diptych.core.specs import TensorSpec
from diptych.targets.calibration import check_calibration
from diptych.targets.ordered import ordered
from diptych.targets.quiet import quiet

EXTRA = "mobile"
XNNPACK = "executorch.backends.xnnpack"
IN_ORDER = {"memory_format": torch.contiguous_format}
aten = torch.ops.aten


def compile_mobile(
    network: nn.Module,
    spec: TensorSpec,
    examples: np.ndarray,
    calibration: np.ndarray | None = None,
) -> tuple[bytes, np.ndarray]:
    """Lower a network, and run what came out of it; it takes one input at a time.

    Args:
        network: In eval mode, on the CPU; takes what `spec` says, gives logits (N, K).
        spec: The input.
        examples: Raw inputs (N, ...).
        calibration: Raw inputs (M, ...) of the training split, M at least 16, for int8; None for
            fp32.

    Returns:
        The content of a ``.pte`` file; and its outputs for the examples, float32 (N, K).

    Raises:
        TargetError: If ExecuTorch cannot lower the network, or not run what it made of it.
    """
    if calibration is not None:
        check_calibration(calibration)
    require("executorch", EXTRA)
    shape = [1 if size is None else size for size in spec.shape]
    example = torch.zeros(shape, dtype=getattr(torch, spec.dtype))
    try:
        with quiet(), silent_stderr(), torch.no_grad():
            prepared = plain(network)
            if calibration is not None:
                prepared = _rounded(prepared, example, calibration)
            content = _lowered(prepared, example)
            return content, _run(content, examples)
    except Exception as error:  # its libraries have no root of errors
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise TargetError(
            f"ExecuTorch cannot lower the network: {reason}", "use another target"
        ) from error


def plain(network: nn.Module) -> nn.Module:
    """Copy a network in the form that ExecuTorch 1.5 takes.

    Numbers come in order, and what is the same for all channels of pixels is one number, since it
    adds such a constant along other axes.

    Args:
        network: Any.

    Returns:
        One that computes the same.
    """
    twin = ordered(network)
    for module in twin.modules():
        for name, held in list(module.named_buffers(recurse=False)):
            if _is_one_number(held):
                setattr(module, name, held.flatten()[0].clone())
    return twin


def _is_one_number(held: Tensor) -> bool:
    sides = tuple(held.shape[:1] + held.shape[2:])
    return sides == (1, 1, 1) and bool((held == held.flatten()[0]).all())


def _rounded(network: nn.Module, example: Tensor, calibration: np.ndarray) -> nn.Module:
    """Round a network's numbers to int8, a scale per output channel of weights."""
    quantizer = require(f"{XNNPACK}.quantizer.xnnpack_quantizer", EXTRA)
    pt2e = require("torchao.quantization.pt2e.quantize_pt2e", EXTRA)
    settings = quantizer.get_symmetric_quantization_config(is_per_channel=True)
    graph = torch.export.export(network, (example,)).module()
    watched = pt2e.prepare_pt2e(graph, quantizer.XNNPACKQuantizer().set_global(settings))
    for item in _each(calibration):
        watched(item)
    rounded: nn.Module = pt2e.convert_pt2e(watched)
    return rounded


def _lowered(network: nn.Module, example: Tensor) -> bytes:
    exir = require("executorch.exir", EXTRA)
    partitioner = require(f"{XNNPACK}.partition.xnnpack_partitioner", EXTRA).XnnpackPartitioner()
    graph = torch.export.export(network, (example,)).module()
    _put_in_order(graph)
    program = torch.export.export(graph, (example,))
    lowered = exir.to_edge_transform_and_lower(program, partitioner=[partitioner])
    return bytes(lowered.to_executorch().buffer)


def _put_in_order(network: Any) -> None:  # noqa: ANN401  # a GraphModule, which mypy does not see
    """Copy what was permuted, and what a maximum is taken of, into the order of its axes."""
    graph = network.graph
    for node in list(graph.nodes):
        if node.target is aten.permute.default:
            with graph.inserting_after(node):
                copied = graph.call_function(aten.clone.default, (node,), IN_ORDER)
            node.replace_all_uses_with(
                copied, delete_user_cb=lambda user, made=copied: user is not made
            )
        elif node.target is aten.amax.default:
            with graph.inserting_before(node):
                copied = graph.call_function(aten.clone.default, (node.args[0],), IN_ORDER)
            node.update_arg(0, copied)
    network.recompile()


def _run(content: bytes, inputs: np.ndarray) -> np.ndarray:
    program = require("executorch.runtime", EXTRA).Runtime.get().load_program(content)
    method = program.load_method("forward")
    outputs = [method.execute([item])[0].numpy().copy() for item in _each(inputs)]
    return np.concatenate(outputs)


def _each(inputs: np.ndarray) -> list[Tensor]:
    return [torch.from_numpy(inputs[place : place + 1].copy()) for place in range(len(inputs))]
