"""Standard error of the process, closed for a while."""

import os

import pytest

from diptych.core.silence import STDERR, silent_stderr


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
