"""`diptych bench`."""

import json

import pytest

from diptych.cli.main import run


@pytest.mark.slow
def test_json_holds_cold_start_scenarios_and_machine(tiny_bundle, capsys):
    arguments = ["bench", str(tiny_bundle), "--seconds", "0.05", "--rate", "100", "--json"]
    assert run(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cold_ms"]["n"] == 7
    assert len(document["scenarios"]) == 6
    assert document["machine"]["cpu"]


@pytest.mark.slow
def test_the_table_names_each_scenario(tiny_bundle, capsys):
    assert run(["bench", str(tiny_bundle), "--seconds", "0.05"]) == 0
    text = capsys.readouterr().out
    for word in (
        "cold start",
        "program, single stream",
        "end to end, offline, batch 32",
        "server at",
    ):
        assert word in text
    assert "e+" not in text
    assert ", 1 thread\n" in text


@pytest.mark.parametrize(
    "wrong", [["--seconds", "0"], ["--batch", "0"], ["--rate", "-1"], ["--seconds", "soon"]]
)
def test_impossible_values_are_one_line(tiny_bundle, capsys, wrong):
    assert run(["bench", str(tiny_bundle), *wrong]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert len(seen.err.splitlines()) <= 2
