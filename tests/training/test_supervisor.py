import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from diptych.core.errors import ConfigError, DataError, TrainingError
from diptych.core.progress import Step, StopRequest, silent
from diptych.core.specs import Value
from diptych.training.run_folder import PATTERN
from diptych.training.supervisor import CHECKPOINTS, Job, supervise

PROGRAM = str(Path(__file__).with_name("team_program.py"))
COUNTING = """
import os, sys
from pathlib import Path
from diptych.core.errors import BudgetError
from diptych.training.worker import work

folder = Path(sys.argv[1])

def task(worker):
    begun = len(list(folder.glob(f"begun-{worker.meeting.rank}-*")))
    (folder / f"begun-{worker.meeting.rank}-{begun}").touch()
    BODY

sys.exit(work(task))
"""


class Restart(Value):
    """What a person was told of one."""

    done: float
    note: str


def counting(body: str, folder: Path, **changes: Any) -> Job:
    """Make a job without a training; `begun` is how often its process was started before."""
    code = COUNTING.replace("BODY", body.replace("\n", "\n    "))
    settings = {"count": 1, "folder": folder} | changes
    return Job(command=[sys.executable, "-c", code, str(folder)], **settings)


def training(folder: Path, **asked: Any) -> Job:
    given = {"supervised": True, "every_s": 0.0, "folder": str(folder)} | asked
    return Job(command=[sys.executable, PROGRAM, json.dumps(given)], count=2, folder=folder)


def mischief(folder: Path, **event: Any) -> dict[str, Any]:
    return {"marker": str(folder / event["kind"]) + "-done", "events": [event]}


def begun(folder: Path) -> int:
    return len(list(folder.glob("begun-0-*")))


def test_a_lost_process_is_started_anew_and_a_person_is_told(tmp_path: Path) -> None:
    steps: list[Step] = []
    job = counting("if begun < 2:\n    os._exit(7)\nreturn begun", tmp_path)
    assert supervise(job, steps.append, StopRequest()) == 2
    said = "process 0 ended with code 7: the processes start anew from the beginning"
    notes = [f"{said}, attempt {number} of {job.restarts}" for number in (1, 2)]
    assert [step.note for step in steps] == notes
    assert all(step.done == step.total for step in steps), "so that it is told off a terminal too"


def test_processes_are_not_started_anew_for_ever(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="ended with code 7, at attempt 3 from the same") as e:
        supervise(counting("os._exit(7)", tmp_path, restarts=2), silent, StopRequest())
    assert begun(tmp_path) == 3
    assert "--resume" in e.value.hint


def test_a_new_checkpoint_gives_new_attempts(tmp_path: Path) -> None:
    body = "(folder / f'checkpoint-{begun // 2}').touch()\nif begun < 5:\n    os._exit(7)\nreturn 1"
    steps: list[Step] = []
    assert supervise(counting(body, tmp_path, restarts=2), steps.append, StopRequest()) == 1
    attempts = [step.note.partition(", attempt ")[2] for step in steps]
    assert attempts == ["1 of 2", "2 of 2", "1 of 2", "2 of 2", "1 of 2"]
    assert "anew from checkpoint-2," in steps[-1].note


def test_an_error_of_a_worker_is_raised_here_and_nothing_is_started_anew(tmp_path: Path) -> None:
    body = "raise BudgetError('p99<=-1 cannot be', 'ask for more')"
    with pytest.raises(Exception, match="p99<=-1 cannot be") as caught:
        supervise(counting(body, tmp_path), silent, StopRequest())
    assert type(caught.value).__name__ == "BudgetError"
    assert getattr(caught.value, "hint", "") == "ask for more"
    assert begun(tmp_path) == 1


NO_MEMORY = """from diptych.training.memory import Cut, NoMemoryError
parts = max([1, *(cut.parts for cut in worker.meeting.cuts)])
if MORE:
    raise NoMemoryError('no room', 'give some', Cut(step=begun, parts=DEEPER))
return [(cut.step, cut.parts) for cut in worker.meeting.cuts]"""


def test_smaller_parts_are_tried_until_they_fit(tmp_path: Path) -> None:
    body = NO_MEMORY.replace("MORE", "parts < 64").replace("DEEPER", "2 * parts")
    steps: list[Step] = []
    done = supervise(counting(body, tmp_path, restarts=1), steps.append, StopRequest())
    assert done == [[step, 2 ** (step + 1)] for step in range(6)]
    assert steps[1].note == (
        "out of memory at step 1: each batch is computed in 4 parts from there on: "
        "the processes start anew from the beginning, attempt 1 of 1"
    )


def test_what_does_not_get_smaller_is_not_tried_for_ever(tmp_path: Path) -> None:
    body = NO_MEMORY.replace("MORE", "True").replace("DEEPER", "2")
    with pytest.raises(TrainingError, match=r"out of memory at step 2: .*at attempt 3 from"):
        supervise(counting(body, tmp_path, restarts=2), silent, StopRequest())


def test_what_was_asked_to_stop_is_not_started_anew(tmp_path: Path) -> None:
    stop = StopRequest(requested=True)
    with pytest.raises(TrainingError, match="ended with code 7"):
        supervise(counting("os._exit(7)", tmp_path), silent, stop)
    assert begun(tmp_path) == 1


@pytest.mark.parametrize("count", [0, -1, 65])
def test_a_number_of_devices_that_cannot_be_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(ConfigError, match=f"{count} devices"):
        supervise(counting("return 1", tmp_path, count=count), silent, StopRequest())


@pytest.mark.parametrize(("said", "silence_s"), [(None, 300.0), ("1800", 1800.0), ("20", 300.0)])
def test_processes_may_be_silent_for_as_long_as_they_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, silence_s: float
) -> None:
    monkeypatch.delenv("DIPTYCH_TIMEOUT_S", raising=False)
    if said:
        monkeypatch.setenv("DIPTYCH_TIMEOUT_S", said)
    assert counting("return 1", tmp_path).silence_s == silence_s


def test_a_time_that_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIPTYCH_TIMEOUT_S", "-1")
    with pytest.raises(ConfigError, match="DIPTYCH_TIMEOUT_S is '-1'"):
        counting("return 1", tmp_path)


def test_checkpoints_are_looked_for_under_the_name_they_have() -> None:
    assert Path(PATTERN).match(CHECKPOINTS)


@pytest.mark.long
def test_killed_and_hung_processes_end_with_the_weights_of_undisturbed_ones(tmp_path: Path) -> None:
    recipe = {"optimizer": "adamw", "learning_rate": 0.01, "averaging": 0.9}
    common = {"recipe": recipe, "dropout": 0.2}
    whole = training(tmp_path / "whole", out=str(tmp_path / "whole.safetensors"), **common)
    expected = supervise(whole, silent, StopRequest())
    late = {"late_rank": 1, "late_s": 3.0}
    for kind in ("kill", "hang"):
        wrong = mischief(tmp_path, rank=1, step=12, kind=kind) | late
        folder, out = tmp_path / kind, tmp_path / f"{kind}.safetensors"
        job = training(folder, out=str(out), mischief=wrong, **common)
        job = Job(command=job.command, count=2, folder=folder, silence_s=10.0)
        steps: list[Step] = []
        assert supervise(job, steps.append, StopRequest()) == expected
        assert [step.done for step in steps if step.stage == "restart"] == [1]
        ours, theirs = load_file(out), load_file(tmp_path / "whole.safetensors")
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_an_error_in_a_training_ends_it_for_all(tmp_path: Path) -> None:
    wrong = mischief(tmp_path, rank=1, step=1, kind="data")
    with pytest.raises(DataError, match=r"the file 7\.png is empty"):
        supervise(training(tmp_path / "run", mischief=wrong), silent, StopRequest())


@pytest.mark.slow
def test_a_person_can_stop_all_and_the_work_is_kept(tmp_path: Path) -> None:
    stop = StopRequest()

    def stop_later(step: Step) -> None:
        stop.requested = step.done >= 10

    job = training(tmp_path / "run", recipe={"epochs": 1e5})
    result = supervise(job, stop_later, stop)
    assert 10 * 12 <= result["samples"] < 1e5 * 120
    assert list((tmp_path / "run").glob(PATTERN))
