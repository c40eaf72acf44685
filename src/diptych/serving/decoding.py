"""Large items decoded beside the event loop, so that other requests are answered meanwhile.

A picture of 16 million pixels takes most of a second. One thread decodes one after the other: that
bounds memory, and leaves the other cores to the model. Clients take turns, however many items each
of them sends at once; an item whose client has gone away is not decoded. Telling a thread takes
longer than a small item does, so those are left to who asks.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from diptych.serving.messages import DisconnectedError, Request

THREAD_NAME = "diptych-decoder"

Decoded = TypeVar("Decoded")


class Decoder:
    """The thread that decodes; it begins with the first large item."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, THREAD_NAME)
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._is_busy = False

    async def run(self, decode: Callable[[], Decoded], request: Request) -> Decoded:
        """Decode an item once it is its client's turn.

        Args:
            decode: Does it; what it raises is raised here.
            request: Whose item it is.

        Returns:
            What it gives.

        Raises:
            DisconnectedError: If the client goes away before it is decoded.
        """
        decoding = asyncio.ensure_future(self._in_turn(decode, request.client))
        leaving = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait((decoding, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not decoding.done() and leaving.result()["type"] == "http.disconnect":
                raise DisconnectedError("the client went away before its item was decoded")
            return await decoding
        finally:
            decoding.cancel()
            leaving.cancel()

    async def _in_turn(self, decode: Callable[[], Decoded], client: str) -> Decoded:
        await self._turn(client)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, decode)
        finally:
            self._pass_on()

    async def _turn(self, client: str) -> None:
        if not self._is_busy:
            self._is_busy = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Let the next client's first item be decoded; that client then waits behind the others."""
        while self._waiting:
            client = next(iter(self._waiting))
            turns = self._waiting.pop(client)
            turn = turns.popleft()
            if turns:
                self._waiting[client] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._is_busy = False
