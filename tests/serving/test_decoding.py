"""Large items in a thread beside the event loop."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from diptych.core.errors import DataError
from diptych.serving.decoding import THREAD_NAME, Decoder
from diptych.serving.messages import DisconnectedError, Request


async def stays() -> dict:
    await asyncio.Event().wait()
    raise AssertionError


def request(client: str = "a", receive: Callable[[], Awaitable[dict]] = stays) -> Request:
    return Request(headers={}, body=b"", client=client, receive=receive)


def test_one_thread_decodes_one_item_after_the_other_in_the_order_they_came():
    seen: list[tuple[str, int]] = []
    threads: set[str] = set()

    def decode(number: int) -> int:
        threads.add(threading.current_thread().name)
        seen.append(("begin", number))
        time.sleep(0.01)
        seen.append(("end", number))
        return number

    async def all_at_once() -> list[int]:
        decoder = Decoder()
        runs = (decoder.run(partial(decode, n), request()) for n in range(4))
        return await asyncio.gather(*runs)

    assert asyncio.run(all_at_once()) == [0, 1, 2, 3]
    assert seen == [(what, number) for number in range(4) for what in ("begin", "end")]
    assert [name.startswith(THREAD_NAME) for name in threads] == [True]


def test_clients_take_turns_however_many_items_one_of_them_sends():
    seen: list[str] = []

    async def all_at_once() -> None:
        decoder = Decoder()
        runs = (decoder.run(partial(seen.append, name), request(name)) for name in "aaaabbc")
        await asyncio.gather(*runs)

    asyncio.run(all_at_once())
    assert "".join(seen) == "aabcaba"


def test_an_item_whose_client_has_gone_away_is_not_decoded():
    seen: list[str] = []
    begun, finish = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        finish.wait(10)

    async def leave() -> dict:
        return {"type": "http.disconnect"}

    async def conversation() -> None:
        decoder = Decoder()
        first = asyncio.create_task(decoder.run(slow, request()))
        await asyncio.to_thread(begun.wait, 10)
        with pytest.raises(DisconnectedError):
            await decoder.run(partial(seen.append, "gone"), request(receive=leave))
        finish.set()
        await first
        await decoder.run(partial(seen.append, "here"), request())

    asyncio.run(conversation())
    assert seen == ["here"]


def test_a_turn_that_is_given_up_goes_to_the_next():
    async def conversation() -> str:
        decoder = Decoder()
        runs = [asyncio.create_task(decoder.run(lambda: "done", request(n))) for n in "abc"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        runs[0].cancel()
        runs[1].cancel()
        return await asyncio.wait_for(runs[2], 10)

    assert asyncio.run(conversation()) == "done"


def test_what_cannot_be_decoded_is_told_to_who_asked():
    def decode() -> None:
        raise DataError("the picture is damaged")

    with pytest.raises(DataError, match="damaged"):
        asyncio.run(Decoder().run(decode, request()))
