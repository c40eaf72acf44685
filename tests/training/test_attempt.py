"""Small programs without a training stand for the processes of a team."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from diptych.core.errors import ConfigError
from diptych.core.progress import Step, StopRequest
from diptych.training.attempt import Attempt, Ending
from diptych.training.worker import Failed

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from diptych.core.errors import DataError
from diptych.core.progress import Step
from diptych.training.worker import work

def task(worker):
    rank, place = worker.meeting.rank, Path(worker.meeting.address.removeprefix("file://"))
    def tell(done):
        worker.report(Step(stage=f"process {rank}", done=done, total=9))
    def forever():
        while not worker.stop:
            time.sleep(0.01)
    tell(1)
    BODY

sys.exit(work(task))
"""


class Try:
    """An attempt, and what its first process told."""

    def __init__(self, body: str, folder: Path, count: int = 2) -> None:
        code = PROGRAM.replace("BODY", body.replace("\n", "\n    "))
        self.steps: list[Step] = []
        self.stop = StopRequest()
        self.attempt = Attempt([sys.executable, "-c", code], count, folder)

    def end(self, silence_s: float = 60.0) -> Ending:
        try:
            return self.attempt.follow(self.report, self.stop, silence_s)
        finally:
            self.attempt.close()
            assert all(process.poll() is not None for process in self.attempt.processes)

    def report(self, step: Step) -> None:
        self.steps.append(step)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    new = set(threading.enumerate()) - before
    for thread in new:
        thread.join(5)
    assert not any(thread.is_alive() for thread in new)


def test_the_first_process_tells_and_gives_the_result(tmp_path: Path) -> None:
    tried = Try("return [rank, worker.meeting.size, worker.meeting.local_size]", tmp_path, 3)
    assert tried.end() == Ending(value=[0, 3, 3])
    assert [(step.stage, step.done) for step in tried.steps] == [("process 0", 1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "process 1 was ended by SIGKILL"),
        ("raise ZeroDivisionError('a bug')", "process 1 ended with code 1 (ZeroDivisionError"),
        ("os._exit(0)", "process 1 ended with code 0"),
    ],
)
def test_a_lost_process_ends_the_others_and_is_named(tmp_path: Path, wrong: str, said: str) -> None:
    tried = Try(f"if rank == 1:\n    {wrong}\ntime.sleep(60)", tmp_path)
    ending = tried.end()
    assert ending.lost.startswith(said)
    assert ending.failure is None


def test_an_error_told_by_one_comes_before_the_loss_it_makes_another_have(tmp_path: Path) -> None:
    body = (
        "if rank == 1:\n    (place.parent / 'ended').touch()\n    os._exit(1)\n"
        "while not (place.parent / 'ended').exists():\n    time.sleep(0.01)\n"
        "raise DataError('no such file', 'look again')"
    )
    ending = Try(body, tmp_path).end()
    assert ending.failure == Failed(kind="DataError", message="no such file", hint="look again")


@pytest.mark.slow
def test_processes_that_stand_still_are_lost(tmp_path: Path) -> None:
    tried = Try("os.kill(os.getpid(), signal.SIGSTOP)", tmp_path)
    assert tried.end(silence_s=1.5).lost == "no process made progress"


def test_a_request_to_stop_is_passed_on(tmp_path: Path) -> None:
    tried = Try("forever()\nreturn 'stopped'", tmp_path)
    tried.stop.requested = True
    assert tried.end() == Ending(value="stopped")


def test_processes_wait_for_each_other_as_long_as_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIPTYCH_TIMEOUT_S", "1800")
    assert Try("return worker.meeting.timeout_s", tmp_path).end() == Ending(value=1800.0)


def test_a_time_that_cannot_be_is_refused_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIPTYCH_TIMEOUT_S", "soon")
    with pytest.raises(ConfigError, match="DIPTYCH_TIMEOUT_S is 'soon'"):
        Attempt([sys.executable, "-c", ""], 2, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_command_that_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Attempt([str(tmp_path / "nothing")], 2, tmp_path)
