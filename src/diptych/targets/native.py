"""Compile a network to machine code with torch's AOTInductor: a package for this kind of processor.

A package holds a shared library, and opening it runs that library. A bundle's hashes are its own
and say nothing of who wrote it, so no hash makes such code safe: a bundle never holds any, and
nothing of Diptych opens a package but this file, that which it has just compiled itself.

Shapes: N examples, K outputs.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from diptych.core.errors import TargetError
from diptych.core.specs import TensorSpec
from diptych.targets.quiet import quiet
from diptych.training.compute import tensor_of

COMPILERS = ("g++", "c++", "clang++")
EXAMPLES = 2
LARGEST_BATCH = 1 << 16


def compile_native(
    network: nn.Module, spec: TensorSpec, examples: np.ndarray
) -> tuple[bytes, np.ndarray]:
    """Compile a network, and run what came out of it.

    Args:
        network: In eval mode, on the CPU; takes what `spec` says, gives logits (N, K).
        spec: The input; its first axis is the free batch axis.
        examples: Raw inputs (N, ...).

    Returns:
        The package, a ``.pt2`` file; and its outputs for the examples, float32 (N, K).

    Raises:
        TargetError: If there is no C++ compiler, or torch cannot compile the network.
    """
    if not any(map(shutil.which, COMPILERS)):
        raise TargetError("torch needs a C++ compiler for this", "sudo apt install g++")
    shape = [EXAMPLES if size is None else size for size in spec.shape]
    example = torch.zeros(shape, dtype=getattr(torch, spec.dtype))
    batch = torch.export.Dim("N", min=1, max=LARGEST_BATCH)
    with tempfile.TemporaryDirectory(prefix="diptych-") as folder:
        path = Path(folder) / "model.pt2"
        try:
            with quiet(), torch.no_grad():
                program = torch.export.export(network, (example,), dynamic_shapes=({0: batch},))
                torch._inductor.aoti_compile_and_package(program, package_path=str(path))
                run = torch._inductor.aoti_load_package(str(path))
                outputs = [run(tensor_of(examples[i : i + 1])) for i in range(len(examples))]
        except (RuntimeError, ValueError, torch._dynamo.exc.TorchDynamoException) as error:
            reason = str(error).strip().splitlines()[0]
            raise TargetError(f"torch cannot compile the network: {reason}") from error
        return path.read_bytes(), torch.cat(outputs).numpy()
