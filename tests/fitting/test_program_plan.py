"""What a planned program may be."""

import pytest

from diptych.core.errors import ConfigError
from diptych.fitting.program_plan import ProgramPlan


@pytest.mark.parametrize(
    ("runtime", "precision", "method", "message"),
    [
        ("onnxruntime", "fp32", "trained", "fp32 is not trained"),
        ("openvino", "fp32", "guarded", "fp32 is not guarded"),
        ("openvino", "int8", "guarded", "openvino is not guarded"),
    ],
)
def test_a_way_of_quantizing_is_of_the_precision_and_the_runtime_that_have_it(
    runtime: str, precision: str, method: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ProgramPlan(runtime=runtime, precision=precision, method=method)
    ProgramPlan(runtime="onnxruntime", precision="int8", method=method)


def test_only_calibrated_programs_for_litert_look_again() -> None:
    with pytest.raises(ConfigError, match=r"openvino \(calibrated\) does not look again"):
        ProgramPlan(runtime="openvino", precision="int8", second_look=0.1)
    with pytest.raises(ConfigError, match=r"litert \(trained\) does not look again"):
        ProgramPlan(runtime="litert", precision="int8", method="trained", second_look=0.1)
    assert ProgramPlan(runtime="litert", precision="int8", second_look=0.1).second_look == 0.1
