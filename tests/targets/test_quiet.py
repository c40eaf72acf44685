import logging
import warnings

import pytest

from diptych.targets.quiet import quiet


def talk():
    print("printed")  # noqa: T201  what the test is about
    warnings.warn("warned", stacklevel=1)
    logging.getLogger("someone.else").critical("logged")


def test_a_library_that_talks_is_not_heard(capsys, caplog):
    with quiet():
        talk()
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []


def test_afterwards_everything_is_heard_again_even_after_an_error(capsys, caplog):
    with pytest.raises(KeyError), quiet():
        raise KeyError
    with pytest.warns(UserWarning, match="warned"):
        talk()
    assert capsys.readouterr().out == "printed\n"
    assert [record.message for record in caplog.records] == ["logged"]


def test_what_was_disabled_before_stays_disabled():
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with quiet():
            pass
        assert logging.root.manager.disable == logging.INFO
    finally:
        logging.disable(before)
