"""Standard error of the process, closed for a while."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from diptych.core.silence import STDERR, say, silent_python, silent_stderr


def test_what_is_written_meanwhile_is_lost_and_the_rest_is_not(capfd) -> None:
    os.write(STDERR, b"before ")
    with silent_stderr():
        os.write(STDERR, b"meanwhile ")
    os.write(STDERR, b"after")
    assert capfd.readouterr().err == "before after"


def test_it_is_opened_again_after_an_error(capfd) -> None:
    with pytest.raises(ValueError, match="wrong"), silent_stderr():
        raise ValueError("wrong")
    os.write(STDERR, b"after")
    assert capfd.readouterr().err == "after"


def test_no_file_stays_open() -> None:
    def free() -> int:
        number = os.dup(STDERR)
        os.close(number)
        return number

    before = free()
    with silent_stderr():
        pass
    assert free() == before


def test_it_lasts_until_the_last_of_several_threads_is_done(capfd) -> None:
    first = silent_stderr()
    first.__enter__()
    with ThreadPoolExecutor(1) as pool:
        second = silent_stderr()
        pool.submit(second.__enter__).result()
        first.__exit__(None, None, None)
        os.write(STDERR, b"lost")
        pool.submit(second.__exit__, None, None, None).result()
    os.write(STDERR, b"heard")
    assert capfd.readouterr().err == "heard"


def test_what_a_person_has_to_know_is_said_even_so(capfd) -> None:
    say("first")
    with silent_stderr(), silent_stderr():
        say("second")
        os.write(STDERR, b"lost")
    say("third")
    assert capfd.readouterr().err == "first\nsecond\nthird\n"


def test_what_python_code_writes_is_lost_and_what_is_said_is_not(capfd) -> None:
    with silent_python():
        sys.stderr.write("lost")
        say("first")
        with silent_stderr(), silent_python():
            say("second")
    with pytest.raises(ValueError, match="wrong"), silent_python():
        raise ValueError("wrong")
    sys.stderr.write("third\n")
    assert capfd.readouterr().err == "first\nsecond\nthird\n"


def test_nobody_who_listens_is_no_error(monkeypatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        say("lost")
        say("lost too")
        monkeypatch.undo()
        with pytest.raises(BrokenPipeError):
            stream.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def test_it_is_said_while_the_stream_is_being_written(capfd, monkeypatch) -> None:
    class Busy:
        def write(self, text: str) -> int:
            raise RuntimeError("reentrant call")

    monkeypatch.setattr("sys.stderr", Busy())
    say("now")
    assert capfd.readouterr().err == "now\n"
