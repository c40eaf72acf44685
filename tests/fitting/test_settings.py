from dataclasses import FrozenInstanceError

import pytest

from diptych.core.progress import silent
from diptych.fitting.settings import SETTINGS, Settings


def test_the_usual_settings_show_nothing_and_stop_never() -> None:
    assert SETTINGS.report is silent
    assert not SETTINGS.stop
    assert SETTINGS.target == "cpu"


def test_settings_cannot_be_changed_and_share_no_request_to_stop() -> None:
    with pytest.raises(FrozenInstanceError):
        SETTINGS.target = "other"  # type: ignore[misc]
    one, other = Settings(), Settings()
    one.stop.requested = True
    assert not other.stop


def test_a_time_limit_counts_from_the_start_that_is_given_or_from_now() -> None:
    ticks = iter((5.0, 6.0))
    settings = Settings(clock=lambda: next(ticks))
    assert [settings.begin(), settings.begin()] == [5.0, 6.0]
    assert Settings(started=2.5, clock=lambda: 9.0).begin() == 2.5
    assert Settings(started=0.0, clock=lambda: 9.0).begin() == 0.0
