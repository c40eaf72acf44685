import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from diptych.fitting import noise
from diptych.fitting.noise import COPIES, noise_floor
from diptych.fitting.trials import Trial

INPUTS = np.zeros((3, 2), dtype=np.uint8)
TRIES = 3
"""Others on the machine make copies differ too, but not every time."""


@dataclass
class Busy:
    """A session that keeps the processor busy for so long."""

    seconds: float
    rows: list[int] = field(default_factory=list)

    def run(self, inputs: np.ndarray) -> np.ndarray:
        self.rows.append(len(inputs))
        until = time.process_time() + self.seconds
        while time.process_time() < until:
            pass
        return inputs


def opened(monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> tuple[Trial, list[Busy]]:
    """Make a trial whose program is, each time it is opened, as fast as is told."""
    sessions = [Busy(each) for each in seconds]
    left = iter(sessions)
    monkeypatch.setattr(noise, "open_lowered", lambda program, threads: next(left))
    trial = Trial(model=None, program=None, session=None, outputs=INPUTS)  # type: ignore[arg-type]
    return trial, sessions


def test_it_is_by_how_much_the_slowest_copy_exceeds_the_fastest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial, sessions = opened(monkeypatch, TRIES * [2e-4, 2e-4, 3e-4, 2e-4])
    floors = [noise_floor(trial, INPUTS, 0.5) for _ in range(TRIES)]
    assert np.median(floors) == pytest.approx(0.5, abs=0.15)
    assert {rows for session in sessions for rows in session.rows} == {1}


def test_copies_that_are_alike_differ_by_little(monkeypatch: pytest.MonkeyPatch) -> None:
    trial, sessions = opened(monkeypatch, TRIES * [2e-4] * COPIES)
    assert 0 <= min(noise_floor(trial, INPUTS, 0.5) for _ in range(TRIES)) < 0.15
    assert all(session.rows for session in sessions)
