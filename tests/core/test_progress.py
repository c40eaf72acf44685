import os
import signal
from collections.abc import Iterator

import pytest

from diptych.core.progress import Step, StopRequest, silent, stop_on_interrupt


def interrupt(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


def handlers() -> tuple[object, ...]:
    return signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)


@pytest.fixture(autouse=True)
def same_handlers() -> Iterator[object]:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    yield before
    after = handlers()
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])
    assert after == before, "a test left another handler behind"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_only_asks_to_stop_and_says_so_once(number: int) -> None:
    told: list[str] = []
    with stop_on_interrupt(lambda: told.append("stopping")) as stop:
        assert not stop
        interrupt(number)
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


def test_a_second_signal_of_the_other_kind_does_what_it_did_before() -> None:
    def end(signum: int, frame: object) -> None:
        raise SystemExit(signum)

    def work() -> None:
        with stop_on_interrupt(lambda: None):
            interrupt()
            interrupt(signal.SIGTERM)
            pytest.fail("must not be reached")

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(SystemExit):
            work()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_handlers_of_before_are_back_whatever_happens(same_handlers: object) -> None:
    with stop_on_interrupt(lambda: None):
        assert handlers() != same_handlers
    assert handlers() == same_handlers
    with pytest.raises(ZeroDivisionError), stop_on_interrupt(lambda: None):
        raise ZeroDivisionError
    assert handlers() == same_handlers


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
