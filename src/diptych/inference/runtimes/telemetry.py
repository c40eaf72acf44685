"""Telemetry: libraries are imported without the means by which they would report their use.

Importing OpenVINO or NNCF writes an identifier to the home folder and sends an event; both do
without where their sender is not installed, so it is hidden from them while they are imported.
ONNX Runtime writes one when it is imported, before it can be told not to, and reads a variable.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SENDER = "openvino_telemetry"
ONNXRUNTIME_SWITCH = "ORT_DISABLE_TELEMETRY"
_ONE_AT_A_TIME = threading.RLock()
"""Who hides the sender puts it back, which two threads at once would do in the wrong order."""


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Hide the sender from whatever is imported while this lasts; ONNX Runtime's stays off.

    A program that imported the library itself, before, or set the variable, has made its choice.
    Another thread that asks for it waits.

    Yields:
        Nothing.
    """
    os.environ.setdefault(ONNXRUNTIME_SWITCH, "1")
    with _ONE_AT_A_TIME:
        hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_sender(name)}
        sys.modules[SENDER] = None  # type: ignore[assignment]  # what makes an import fail
        try:
            yield
        finally:
            del sys.modules[SENDER]
            sys.modules.update(hidden)


def _is_sender(name: str) -> bool:
    return name == SENDER or name.startswith(f"{SENDER}.")
