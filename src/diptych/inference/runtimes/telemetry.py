"""Telemetry: libraries are imported without the module by which they would report their use.

Importing OpenVINO or NNCF writes an identifier to the home folder and sends an event; both do
without where their sender is not installed, so it is hidden from them while they are imported.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

SENDER = "openvino_telemetry"


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Hide the sender from whatever is imported while this lasts.

    A program that imported the library itself, before, has made its own choice.

    Yields:
        Nothing.
    """
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_sender(name)}
    sys.modules[SENDER] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        yield
    finally:
        del sys.modules[SENDER]
        sys.modules.update(hidden)


def _is_sender(name: str) -> bool:
    return name == SENDER or name.startswith(f"{SENDER}.")
