import subprocess
import sys

import pytest

from diptych.core.extras import installed

SCRIPT = """
import sys
from diptych.targets.loading import load_libraries
load_libraries(sys.argv[1:])
print(*(name for name in ("nncf", "litert_torch") if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("runtime", "library"), [("onnxruntime", ""), ("openvino", "nncf"), ("litert", "litert_torch")]
)
def test_what_a_runtime_needs_is_loaded_and_nothing_else(runtime: str, library: str) -> None:
    if library and not installed(library):
        pytest.skip(f"{library} is not installed")
    command = [sys.executable, "-c", SCRIPT, runtime]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == library
