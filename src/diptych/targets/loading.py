"""What makes programs, loaded before anyone times how long a program takes to make."""

from collections.abc import Collection

from diptych.targets import Runtime, litert, openvino


def load_libraries(runtimes: Collection[Runtime]) -> None:
    """Import the libraries that make int8 programs, which takes seconds the first time.

    Args:
        runtimes: What is to run the programs.

    Raises:
        MissingExtraError: If one is not installed.
    """
    if litert.RUNTIME in runtimes:
        litert.converter()
    if "openvino" in runtimes:
        openvino.library("nncf")
