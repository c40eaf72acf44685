"""The verb's own words: sizes, addresses, and errors before anything is served."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.cli.main import run
from diptych.cli.serve import is_loopback, parse_size
from diptych.core.errors import ConfigError


@given(st.integers(1, 999), st.sampled_from([("B", 1), ("kb", 1000), (" MB", 10**6), ("", 1)]))
def test_a_size_is_a_number_and_a_unit(number, unit):
    name, scale = unit
    assert parse_size(f"{number}{name}") == number * scale


@pytest.mark.parametrize("text", ["", "0", "-1MB", "8 M", "lots", "1e6", "2GB", "NaN", "9" * 400])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ConfigError, match="--max-body"):
        parse_size(text)


def test_only_this_machine_reaches_a_loopback_address():
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("fe80::1%eth0")


def test_a_taken_port_is_one_line_a_hint_and_exit_2(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run(["serve", str(tmp_path), "--port", str(port)]) == 2
    error = f"error: 127.0.0.1 port {port} is taken\nhint: stop the other server, "
    assert capsys.readouterr().err == error + "or choose another --port\n"


@pytest.mark.parametrize(
    "words", [["{absent}"], ["{absent}", "--port", "70000"], ["{absent}", "--max-body", "x"], []]
)
def test_bad_input_is_exit_2_and_never_a_traceback(capsys, tmp_path, words):
    port = [] if "--port" in words else ["--port", "0"]
    absent = str(tmp_path / "absent")
    assert run(["serve", *[word.format(absent=absent) for word in words], *port]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert "Traceback" not in shown.err
