import os
import signal
from collections.abc import Iterator

import pytest

from diptych.core.progress import Step, StopRequest, silent, stop_on_interrupt


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def same_handler() -> Iterator[object]:
    before = signal.getsignal(signal.SIGINT)
    yield before
    after = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)
    assert after is before, "a test left another handler behind"


def test_the_first_interrupt_only_asks_to_stop_and_says_so_once() -> None:
    told: list[str] = []
    with stop_on_interrupt(lambda: told.append("stopping")) as stop:
        assert not stop
        interrupt()
        assert stop
        assert stop.requested
    assert told == ["stopping"]


def test_the_second_interrupt_stops_at_once() -> None:
    def work() -> None:
        with stop_on_interrupt(lambda: None) as stop:
            interrupt()
            assert stop
            interrupt()
            pytest.fail("must not be reached")

    with pytest.raises(KeyboardInterrupt):
        work()


def test_the_handler_of_before_is_back_whatever_happens(same_handler: object) -> None:
    with stop_on_interrupt(lambda: None):
        assert signal.getsignal(signal.SIGINT) is not same_handler
    assert signal.getsignal(signal.SIGINT) is same_handler
    with pytest.raises(ZeroDivisionError), stop_on_interrupt(lambda: None):
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is same_handler


def test_an_interrupt_that_cannot_be_announced_still_stops() -> None:
    def announce() -> None:
        raise RuntimeError("reentrant call inside <stderr>")

    with stop_on_interrupt(announce) as stop:
        interrupt()
        assert stop


def test_an_interrupt_while_ignored_before_is_ignored_after() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_on_interrupt(lambda: None) as stop:
            interrupt()
            assert stop
            interrupt()
        interrupt()
    finally:
        signal.signal(signal.SIGINT, before)


def test_nobody_has_asked_to_stop_at_first_and_requests_are_not_shared() -> None:
    one, other = StopRequest(), StopRequest()
    one.requested = True
    assert one
    assert not other


def test_a_silent_reporter_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    silent(Step(stage="read", done=1, total=2, note="half"))
    assert capfd.readouterr() == ("", "")
