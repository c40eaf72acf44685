"""Large items in a thread beside the event loop."""

import asyncio
import threading
import time
from functools import partial

import pytest

from diptych.core.errors import DataError
from diptych.serving.decoding import THREAD_NAME, Decoder


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
        return await asyncio.gather(*(decoder.run(partial(decode, n)) for n in range(4)))

    assert asyncio.run(all_at_once()) == [0, 1, 2, 3]
    assert seen == [(what, number) for number in range(4) for what in ("begin", "end")]
    assert [name.startswith(THREAD_NAME) for name in threads] == [True]


def test_what_cannot_be_decoded_is_told_to_who_asked():
    def decode() -> None:
        raise DataError("the picture is damaged")

    with pytest.raises(DataError, match="damaged"):
        asyncio.run(Decoder().run(decode))
