import subprocess
import sys

import msgspec
import pytest

from diptych.core.errors import ConfigError
from diptych.training.meeting import Meeting
from diptych.training.worker import ORPHANED, Failed, Finished, Message, Told, work

MEETING = Meeting(address="file:///none", rank=0, size=1, local_rank=0, local_size=1)
PROGRAM = """
import sys, time
from diptych.core.errors import DataError
from diptych.core.progress import Step
from diptych.training.meeting import LostTeamError
from diptych.training.worker import work

def task(worker):
    print("a library says hello")
    worker.report(Step(stage="training", done=1, total=2, note="ü"))
    {}

sys.exit(work(task))
"""


def run(body: str, said: bytes = b"") -> tuple[list[Message], subprocess.CompletedProcess[bytes]]:
    """Run a worker; its supervisor says something and ends when the worker does."""
    command = [sys.executable, "-c", PROGRAM.format(body)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=MEETING.environment(), **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(said)
        process.stdin.flush()
        lines = process.stdout.read()
        errors = process.stderr.read()
    messages = [msgspec.json.decode(line, type=Message) for line in lines.splitlines()]
    return messages, subprocess.CompletedProcess(command, process.wait(), lines, errors)


def test_a_worker_tells_of_steps_and_its_result_and_nothing_else() -> None:
    messages, done = run("return {'rank': worker.meeting.rank}")
    assert messages == [
        Told(stage="training", done=1, total=2, note="ü"),
        Finished(value={"rank": 0}),
    ]
    assert done.returncode == 0
    assert b"a library says hello" in done.stderr


def test_an_error_that_a_person_can_act_on_is_told_as_it_is() -> None:
    messages, done = run("raise DataError('the file 7.png is empty', 'remove it')")
    assert messages[1:] == [
        Failed(kind="DataError", message="the file 7.png is empty", hint="remove it")
    ]
    assert done.returncode == DATA_ERROR
    assert b"Traceback" not in done.stderr


DATA_ERROR = 2


@pytest.mark.parametrize("error", ["ZeroDivisionError('bug')", "LostTeamError('alone')"])
def test_what_another_attempt_may_mend_is_not_told_as_an_error(error: str) -> None:
    messages, done = run(f"raise {error}")
    assert len(messages) == 1
    assert done.returncode == 1
    assert error.partition("(")[0].encode() in done.stderr


def test_a_worker_hears_that_it_is_to_stop() -> None:
    body = "\n    while not worker.stop:\n        time.sleep(0.01)\n    return 'stopped'"
    messages, _ = run(body, b"stop\n")
    assert messages[-1] == Finished(value="stopped")


def test_a_worker_takes_orders_by_lines_until_it_is_to_stop() -> None:
    body = "return [line.decode() for line in iter(worker.orders.get, b'stop')]"
    messages, _ = run(body, b"one\ntwo\nstop\nthree\n")
    assert messages[-1] == Finished(value=["one", "two"])


def test_a_worker_ends_with_its_supervisor() -> None:
    command = [sys.executable, "-c", PROGRAM.format("time.sleep(60)")]
    done = subprocess.run(
        command,
        env=MEETING.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == ORPHANED


def test_a_worker_without_a_supervisor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ConfigError, match="without a supervisor"):
        work(lambda worker: None)
