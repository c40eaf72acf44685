"""Large items decoded beside the event loop, so that other requests are answered meanwhile.

A picture of 16 million pixels takes most of a second. One thread decodes one after the other, in
the order in which they came: that bounds memory, and leaves the other cores to the model. Telling a
thread takes longer than a small item does, so those are left to who asks.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

THREAD_NAME = "diptych-decoder"

Decoded = TypeVar("Decoded")


class Decoder:
    """The thread that decodes; it begins with the first large item."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, THREAD_NAME)

    async def run(self, decode: Callable[[], Decoded]) -> Decoded:
        """Decode an item once those before it are decoded.

        Args:
            decode: Does it; what it raises is raised here.

        Returns:
            What it gives.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, decode)
