import pytest

from diptych.cli.main import run


@pytest.mark.parametrize("verb", ["fit", "train"])
def test_verbs_that_share_options_explain_them_alike(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([verb, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("--time-limit", "Such as 90s, 25m or 1.5h.", "--recipe", "--skip-unreadable"):
        assert words in shown
