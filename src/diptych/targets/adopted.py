"""An adopted ONNX model as a network: it answers and is lowered like any other, and cannot learn.

Shapes: N batch, H height, W width, C channels, K outputs.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn

from diptych.core.errors import TargetError
from diptych.core.files import sha256_of_file
from diptych.core.specs import ImageSpec, InputSpec, Value
from diptych.inference.runtimes import open_session
from diptych.targets.foreign import adopt, count_flops, count_parameters, read_foreign
from diptych.targets.running import refusals
from diptych.training.models.given import Scaling

RUNTIME = "onnxruntime"
UNNAMED = "the ONNX file"


class ForeignConfig(Value, tag_field="name", tag="onnx"):
    """An ONNX file, the hash of what it was, how it wants pixels, and which output is meant."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    scaling: Scaling
    output: str | None = None


class AdoptedNetwork(nn.Module):
    """Raw pixels in, logits out, by ONNX Runtime.

    Args:
        program: An ONNX file from `adopt`.
        threads: With how many it computes.
        name: Of the file that it was.
    """

    def __init__(self, program: bytes, threads: int = 1, name: str = UNNAMED) -> None:
        super().__init__()
        self.program, self.name = program, name
        self.parameter_count, self.flops = count_parameters(program), count_flops(program)
        with tempfile.TemporaryDirectory(prefix="diptych-") as folder:
            path = Path(folder) / Path(name).name
            path.write_bytes(program)
            with refusals(hint="export it with operations that ONNX Runtime has"):
                self.session = open_session(RUNTIME, [path], threads)

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute the logits; no gradient comes back.

        Args:
            pixels: uint8 (N, H, W, C).

        Returns:
            float32 (N, K), where the pixels are.
        """
        with refusals(self.name, "export it with a free batch axis"):
            outputs = self.session.run(pixels.detach().cpu().numpy())
        return torch.from_numpy(outputs).to(pixels.device)


def open_adopted(config: ForeignConfig, spec: InputSpec, threads: int = 1) -> AdoptedNetwork:
    """Open the model that a plan names.

    Args:
        config: The plan.
        spec: What it is to take.
        threads: With how many it computes.

    Returns:
        The network, in evaluation mode.

    Raises:
        TargetError: If the file is not what it was, or cannot be used, or the data is no pictures.
    """
    if not isinstance(spec, ImageSpec):
        raise TargetError(f"{config.path} takes pictures, and the data is something else")
    path = Path(config.path)
    if path.is_file() and sha256_of_file(path) != config.sha256:
        raise TargetError(f"{path} is not the file that it was", "fit anew with --teacher")
    foreign = read_foreign(path, config.output)
    network = AdoptedNetwork(adopt(foreign, spec, config.scaling), threads, config.path)
    network.eval()
    return network
