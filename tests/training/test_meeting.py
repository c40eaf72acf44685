import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError
from diptych.training.meeting import Meeting, meeting_of
from diptych.training.memory import Cut

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node-1",
    "MASTER_PORT": "29500",
}


@given(st.integers(1, 64), st.data())
def test_what_a_meeting_says_to_a_process_is_what_it_reads(size: int, data: st.DataObject) -> None:
    local_size = data.draw(st.integers(1, size))
    meeting = Meeting(
        address="file:///somewhere/meeting",
        rank=data.draw(st.integers(0, size - 1)),
        size=size,
        local_rank=data.draw(st.integers(0, local_size - 1)),
        local_size=local_size,
        timeout_s=data.draw(st.floats(1, 1000)),
        cuts=tuple(data.draw(st.lists(st.builds(Cut, step=st.just(7), parts=st.integers(2, 99))))),
    )
    assert meeting_of(meeting.environment()) == meeting


def test_a_process_on_its_own_meets_nobody() -> None:
    assert meeting_of({"HOME": "/"}) is None


def test_torchrun_says_where_to_meet() -> None:
    assert meeting_of(TORCHRUN) == Meeting(
        address="env://", rank=3, size=4, local_rank=1, local_size=2
    )


def test_without_local_numbers_all_processes_are_on_this_machine() -> None:
    environment = {k: v for k, v in TORCHRUN.items() if not k.startswith("LOCAL")}
    meeting = meeting_of(environment)
    assert meeting is not None
    assert (meeting.local_rank, meeting.local_size) == (3, 4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"RANK": "4"}, "process 4 of 4 (1 of 2 on this machine) cannot be"),
        ({"LOCAL_RANK": "2"}, "(2 of 2 on this machine) cannot be"),
        ({"LOCAL_WORLD_SIZE": "8"}, "(1 of 8 on this machine) cannot be"),
        ({"RANK": "one"}, "RANK is 'one' in the environment"),
        ({"RANK": "-1"}, "RANK is '-1' in the environment"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE is '' in the environment"),
        ({"WORLD_SIZE": "9" * 5000}, "in the environment"),
        ({"MASTER_ADDR": ""}, "and MASTER_ADDR is not"),
        ({"DIPTYCH_TIMEOUT_S": "soon"}, "DIPTYCH_TIMEOUT_S is 'soon'"),
        ({"DIPTYCH_TIMEOUT_S": "nan"}, "DIPTYCH_TIMEOUT_S is 'nan'"),
        ({"DIPTYCH_TIMEOUT_S": "0"}, "DIPTYCH_TIMEOUT_S is '0'"),
        ({"DIPTYCH_CUTS": "half"}, "DIPTYCH_CUTS is 'half'"),
        ({"DIPTYCH_CUTS": '[{"step": 1, "parts": 0}]'}, "DIPTYCH_CUTS is "),
    ],
)
def test_an_environment_that_cannot_be_is_refused(changes: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        meeting_of(TORCHRUN | changes)
    assert said in caught.value.message
    assert caught.value.hint


def test_restarts_by_torchrun_need_a_store_of_their_own() -> None:
    agent = {"TORCHELASTIC_MAX_RESTARTS": "3", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    with pytest.raises(ConfigError, match="3 restarts") as caught:
        meeting_of(TORCHRUN | agent)
    assert "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in caught.value.hint
    assert meeting_of(TORCHRUN | agent | {"TORCHELASTIC_USE_AGENT_STORE": "False"})
    assert meeting_of(TORCHRUN | agent | {"TORCHELASTIC_MAX_RESTARTS": "0"})
