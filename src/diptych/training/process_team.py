"""A team of processes: each computes the gradients of its share of every batch, all share the mean.

Numbers go by shared memory between the processors of one machine where it has such, else by gloo,
and by NCCL between graphics processors; process r of a machine computes on ``cuda:r``. A process
that waits for one that is gone ends with an error: at once where that can be seen, after the
meeting's time limit where the other stands still.
"""

import gc
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from diptych.core.errors import TrainingError
from diptych.training.compute import find_device
from diptych.training.draws import draw_alone, share_draws
from diptych.training.exchange import Exchange, reserve
from diptych.training.global_norm import globalize, localize
from diptych.training.meeting import LostTeamError, Meeting
from diptych.training.team import Team


class ProcessTeam(Team):
    """The processes that have met, seen from one of them; `join` makes it.

    Args:
        meeting: Who this process is.
        device: Where it computes.
    """

    def __init__(self, meeting: Meeting, device: torch.device) -> None:
        self.rank, self.size, self.local_size = meeting.rank, meeting.size, meeting.local_size
        self.device, self.cuts = device, meeting.cuts
        self._wrapped: DistributedDataParallel | None = None
        self.exchange: Exchange | None = None
        if device.type == "cpu" and meeting.local_size == meeting.size:
            self.exchange = self._open_exchange(meeting.timeout_s)

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Make a network whose gradients, batch statistics and random numbers are the team's.

        Args:
            network: Holds the weights; it gets those of the first process. Where it was wrapped
                before, that one is of no use any more.

        Returns:
            What to call in training.
        """
        self._release()
        globalize(network, self.gathered)
        share_draws(network, self.rank, self.size)
        if self.exchange:
            for tensor in network.state_dict().values():
                distributed.broadcast(tensor, 0)
            return network
        warnings.filterwarnings("ignore", "find_unused_parameters=True was specified")
        wrapped = DistributedDataParallel(
            network,
            device_ids=[self.device] if self.device.type == "cuda" else None,
            gradient_as_bucket_view=True,
            find_unused_parameters=True,
        )
        wrapped.broadcast_buffers = False  # each process changes them alike
        self._wrapped = wrapped
        return wrapped

    def restored(self, network: nn.Module) -> nn.Module:
        """Make a network one that computes on its own, in place.

        Args:
            network: What `wrapped` was given.

        Returns:
            It.
        """
        self._release()
        localize(network)
        draw_alone(network)
        return network

    def share_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give the gradients of all processes their mean, where backward passes have not done so.

        Args:
            parameters: The same in each process. One that has no gradient here, and one elsewhere,
                counts as zeros.
        """
        if self.exchange is None:
            return
        learning = self._learning(list(parameters))
        mean = torch.cat([_line(gradient) for _, gradient in learning])
        self.exchange.average(mean)
        place = 0
        for weight, own in learning:
            weight.grad = mean.as_strided(own.shape, own.stride(), place)
            place += own.numel()

    def apart(self) -> AbstractContextManager[None]:
        """Let gradients add up in each process for a while.

        Returns:
            A context; the first gradients after it are shared together with those in it.
        """
        if self._wrapped is None:
            return super().apart()
        context: AbstractContextManager[None] = self._wrapped.no_sync()
        return context

    def agreed(self, number: int) -> int:
        """Decide as the first process does.

        Args:
            number: What this process would decide.

        Returns:
            What the first one says.
        """
        decision = torch.tensor([number], dtype=torch.int64)
        if self.exchange:
            return int(self.exchange.gather(decision)[0])
        distributed.broadcast(decision, 0)
        return int(decision)

    def summed(self, numbers: Sequence[float]) -> list[float]:
        """Add up numbers over the team.

        Args:
            numbers: As many in each process.

        Returns:
            The sums, the same in each process.
        """
        sums = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(sums)
        return [float(number) for number in sums]

    def shared(self, data: bytes) -> bytes:
        """Give all processes what the first one has.

        Args:
            data: Any bytes; those of other processes do not count.

        Returns:
            The first one's.
        """
        size = self.agreed(len(data))
        room = bytearray(data) if self.rank == 0 else bytearray(size)
        if size:
            distributed.broadcast(torch.frombuffer(room, dtype=torch.uint8), 0)
        return bytes(room)

    def gathered(self, own: Tensor) -> Tensor:
        """Put the tensors of all processes side by side.

        Args:
            own: (K,) on this process's device, the same K for all.

        Returns:
            (R, K), of R processes in order.
        """
        if self.exchange:
            return self.exchange.gather(own)
        found = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(found, own)
        return torch.stack(found)

    def _learning(self, weights: list[nn.Parameter]) -> list[tuple[nn.Parameter, Tensor]]:
        """Return those that learn in any process, with their gradients in this one."""
        own = torch.tensor([weight.grad is not None for weight in weights], dtype=torch.uint8)
        learn = self.gathered(own).amax(0).tolist()
        return [
            (weight, torch.zeros_like(weight) if weight.grad is None else weight.grad)
            for weight, learns in zip(weights, learn, strict=True)
            if learns
        ]

    def _open_exchange(self, timeout_s: float) -> Exchange | None:
        """Share memory with the others, where all of them can."""
        path = reserve(self.size) if self.rank == 0 else None
        name = self.shared(str(path or "").encode()).decode()
        try:
            exchange = Exchange(Path(name), self.rank, self.size, timeout_s) if name else None
        except OSError:
            exchange = None
        opened = self.summed([float(exchange is not None)])[0]
        if path:
            path.unlink()
        return exchange if opened == self.size else None

    def close(self) -> None:
        """Let go of what is shared with the others."""
        if self.exchange:
            self.exchange.close()

    def _release(self) -> None:
        """Let go of what was wrapped: it hooks into the gradients of the parameters until then."""
        if self._wrapped is not None:
            self._wrapped = None
            gc.collect()


@contextmanager
def join(
    meeting: Meeting,
    device: str,
    make: Callable[[Meeting, torch.device], ProcessTeam] = ProcessTeam,
) -> Iterator[ProcessTeam]:
    """Meet the other processes, and leave them at the end.

    Args:
        meeting: Where, and who this process is.
        device: ``cpu`` or ``cuda``.
        make: What kind of team; by default one in which each process has all weights.

    Yields:
        The team.

    Raises:
        LostTeamError: If the others do not come, end, or stand still for too long.
        TrainingError: If this process fails otherwise.
    """
    own = _device_of(meeting, device)
    _meet(meeting, own)
    with _telling_of_loss(meeting):
        try:
            with closing(make(meeting, own)) as team:
                yield team
        except BaseException:
            if own.type == "cpu":  # NCCL would wait for the others, and they for this process
                distributed.destroy_process_group()
            raise
        distributed.destroy_process_group()


def _device_of(meeting: Meeting, device: str) -> torch.device:
    if find_device(device).type == "cpu":
        return torch.device("cpu")
    own = find_device(f"cuda:{meeting.local_rank}")
    torch.cuda.set_device(own)
    return own


def _meet(meeting: Meeting, own: torch.device) -> None:
    try:
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if own.type == "cuda" else "gloo",
            init_method=meeting.address,
            rank=meeting.rank,
            world_size=meeting.size,
            timeout=timedelta(seconds=meeting.timeout_s),
        )
    except RuntimeError as error:
        raise LostTeamError(
            f"process {meeting.rank} of {meeting.size} did not meet the others within "
            f"{meeting.timeout_s:g} s: {_first_line(error)}",
            "start all with the same address, or wait longer: DIPTYCH_TIMEOUT_S=1800",
        ) from error


@contextmanager
def _telling_of_loss(meeting: Meeting) -> Iterator[None]:
    """Say in one line that others are gone, whatever torch says."""
    try:
        yield
    except TrainingError:
        raise
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        raise LostTeamError(
            f"process {meeting.rank} of {meeting.size} lost the others: {_first_line(error)}",
            "go on from the last checkpoint with --resume",
        ) from error


def _line(tensor: Tensor) -> Tensor:
    """View a dense tensor as (K,), in the order in which its numbers lie in memory."""
    return tensor.permute(sorted(range(tensor.dim()), key=tensor.stride, reverse=True)).view(-1)


def _first_line(error: RuntimeError) -> str:
    words = re.sub(r"^\[[^\]]*\] ", "", str(error).splitlines()[0])
    return words.partition(". ")[0][:200]
