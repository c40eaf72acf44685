import json
from pathlib import Path

import pytest

from diptych.cli.main import run


@pytest.mark.slow
def test_an_evaluation_is_printed_for_people_and_for_programs(
    digits_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(digits_bundle), "digits", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {"n", "accuracy", "low", "high", "per_class"} <= set(result)
    assert run(["evaluate", str(digits_bundle), "digits"]) == 0
    text = capsys.readouterr().out
    assert "95 % interval" in text
    assert "is \\ called" in text


def test_a_bundle_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "nowhere.dip", "digits"]) == 2
    assert "nowhere.dip" in capsys.readouterr().err
