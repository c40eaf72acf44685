"""Programs as a bundle lists them."""

from dataclasses import replace

import numpy as np

from diptych.core.specs import ImageSpec, TensorSpec
from diptych.fitting.packing import pack
from diptych.targets.lower import LoweredProgram
from diptych.targets.parity import tolerance

OUTPUTS = np.array([[0.0, 4.0], [1.0, 2.0]], np.float32)
PROGRAM = LoweredProgram(
    name="net-onnxruntime-cuda-fp32",
    runtime="onnxruntime-cuda",
    precision="fp32",
    contents={"net-onnxruntime-cuda-fp32.onnx": b"12345"},
    input=ImageSpec(height=8, width=8, channels=3).tensor(),
    output=TensorSpec(name="logits", dtype="float32", shape=(None, 2)),
)


def test_a_program_for_a_graphics_processor_has_a_stand_in_with_the_same_files():
    first, second = pack(PROGRAM, OUTPUTS, "there is no CUDA device")
    assert (first.runtime, first.unverified) == ("onnxruntime-cuda", "there is no CUDA device")
    assert (second.runtime, second.unverified) == ("onnxruntime", "")
    assert second.name == "net-onnxruntime-fp32"
    assert first.files == second.files
    assert first.files[0].size_bytes == 5
    assert first.tolerance == tolerance(OUTPUTS, "fp32")


def test_another_program_is_listed_alone():
    plain = replace(PROGRAM, name="net", runtime="openvino")
    (only,) = pack(plain, OUTPUTS)
    assert (only.name, only.runtime, only.unverified) == ("net", "openvino", "")
