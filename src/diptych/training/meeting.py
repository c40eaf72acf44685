"""Where the processes of a team meet, and who each of them is: told by the environment."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from diptych.core.errors import ConfigError, TrainingError
from diptych.training.memory import Cut

ADDRESS, TIMEOUT, CUTS = "DIPTYCH_MEETING", "DIPTYCH_TIMEOUT_S", "DIPTYCH_CUTS"
BY_ENVIRONMENT = "env://"
TIMEOUT_S, LONGEST_S = 300.0, 1e6


class LostTeamError(TrainingError):
    """Another process of the team has ended or stands still."""


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """Process `rank` of `size` in all, `local_rank` of `local_size` on this machine.

    They meet at the `address`: a ``file://`` all can write, ``tcp://host:port``, or ``env://`` for
    what torchrun says. A process that waits for another longer than `timeout_s` gives up.
    `cuts` are those that earlier attempts of the run needed, or that a person asked for.
    """

    address: str
    rank: int
    size: int
    local_rank: int
    local_size: int
    timeout_s: float = TIMEOUT_S
    cuts: tuple[Cut, ...] = ()

    def environment(self) -> dict[str, str]:
        """Say all of it to a process.

        Returns:
            The variables that :func:`meeting_of` reads.
        """
        return {
            ADDRESS: self.address,
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.size),
            "LOCAL_RANK": str(self.local_rank),
            "LOCAL_WORLD_SIZE": str(self.local_size),
            TIMEOUT: str(self.timeout_s),
            CUTS: msgspec.json.encode(self.cuts).decode(),
        }


def meeting_of(environment: Mapping[str, str]) -> Meeting | None:
    """Read where to meet, as a supervisor or torchrun says it.

    Args:
        environment: The process's.

    Returns:
        The meeting; None for a process on its own.

    Raises:
        ConfigError: If what it says is not usable.
    """
    if "WORLD_SIZE" not in environment:
        return None
    rank, size = _number(environment, "RANK"), _number(environment, "WORLD_SIZE")
    local_rank = _number(environment, "LOCAL_RANK", rank)
    local_size = _number(environment, "LOCAL_WORLD_SIZE", size)
    if rank >= size or local_rank >= local_size or local_size > size:
        raise ConfigError(
            f"process {rank} of {size} ({local_rank} of {local_size} on this machine) cannot be",
            "let torchrun set RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE",
        )
    address = environment.get(ADDRESS, BY_ENVIRONMENT)
    if address == BY_ENVIRONMENT:
        _check_launcher(environment)
    return Meeting(
        address=address,
        rank=rank,
        size=size,
        local_rank=local_rank,
        local_size=local_size,
        timeout_s=timeout_of(environment),
        cuts=_cuts(environment),
    )


def timeout_of(environment: Mapping[str, str]) -> float:
    """Read how long a process waits for another.

    Args:
        environment: The process's, or that of who starts it.

    Returns:
        Seconds; five minutes where nothing is said.

    Raises:
        ConfigError: If it is no number of seconds above 0, or too large.
    """
    said = environment.get(TIMEOUT, str(TIMEOUT_S))
    with suppress(ValueError):
        if 0 < float(said) <= LONGEST_S:
            return float(said)
    raise ConfigError(f"{TIMEOUT} is {said!r} in the environment", "give seconds, such as 300")


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    if name not in environment and default is not None:
        return default
    found = environment.get(name, "")
    if not found.isdecimal() or len(found) > 9:
        raise ConfigError(
            f"{name} is {found[:20]!r} in the environment, and WORLD_SIZE is set",
            "start by torchrun, or unset WORLD_SIZE",
        )
    return int(found)


def _cuts(environment: Mapping[str, str]) -> tuple[Cut, ...]:
    said = environment.get(CUTS, "[]")
    try:
        return msgspec.json.decode(said, type=tuple[Cut, ...])
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{CUTS} is {said[:40]!r} in the environment", f"unset {CUTS}") from error


def _check_launcher(environment: Mapping[str, str]) -> None:
    """Check for an address to meet at, and that a restart would not meet the dead.

    torchrun's restarted processes share one store with those before them and may read where these
    were: they then wait for nobody.

    Raises:
        ConfigError: If there is none, or it would.
    """
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if not environment.get(name):
            raise ConfigError(
                f"WORLD_SIZE is set in the environment, and {name} is not",
                "start by torchrun, or unset WORLD_SIZE",
            )
    restarts = environment.get("TORCHELASTIC_MAX_RESTARTS", "0")
    if restarts != "0" and environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise ConfigError(
            f"torchrun's {restarts} restarts would look for processes that have ended",
            "set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for torchrun",
        )
