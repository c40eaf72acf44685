"""Leaving a run and going on with it: what a checkpoint holds, and where it belongs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from msgspec import structs
from torch import Tensor

from diptych.core.errors import TrainingError
from diptych.core.extras import require
from diptych.training.checkpoint import HINT, Checkpoint, Position, check_fits, decode, encode
from diptych.training.memory import Cut, joined
from diptych.training.recipe import TrainingRecipe
from diptych.training.run_folder import RunFolder
from diptych.training.team import Team

if TYPE_CHECKING:
    from diptych.training.run import Run

NEW_RUN = "choose another --run for another training"


def capture(run: "Run") -> Checkpoint:
    """Take down where a run is, between two steps.

    Args:
        run: The run, with no losses to gather.

    Returns:
        All that it needs to go on.
    """
    tensors, numbers = run.stepper.state()
    tensors["generator.cpu"] = torch.get_rng_state()
    if run.control.device.type == "cuda":
        tensors["generator.cuda"] = torch.cuda.get_rng_state(run.control.device)
    position = Position(
        name=run.control.name,
        seed=run.control.seed,
        data_sha256=run.dataset.record.sha256,
        planned=run.planned,
        recipe=structs.replace(run.recipe, cuts=tuple(run.stepper.cuts)),
        replans=tuple(run.replans),
        step=run.progress.step,
        remaining=run.progress.remaining,
        share=run.progress.share,
        loss_sum=run.loss_sum,
        loss_count=run.loss_count,
        baseline=run.watch.baseline,
        curve=tuple(run.curve),
        seconds=run.seconds,
        cpu_seconds=run.cpu_seconds,
        waited_seconds=run.waited_seconds,
        cpu_energy=run.processors.energy(),
        gpu_energy=run.gpus.energy(),
        numbers=numbers,
    )
    return Checkpoint(position=position, tensors=tensors)


def go_on(run: "Run", checkpoint: Checkpoint) -> None:
    """Put a run where a checkpoint was taken.

    Args:
        run: Just made.
        checkpoint: Of a run of the same name, seed, data, recipe and network.

    Raises:
        TrainingError: If it is of another run; the first difference is named.
    """
    at = checkpoint.position
    _check_same(run, at)
    check_fits(checkpoint, run.network.state_dict(), f"the checkpoint of step {at.step:,}")
    if run.team.is_sharded:
        checkpoint = _own_share(run, at.step)
    run.stepper.restore(checkpoint)
    torch.set_rng_state(checkpoint.tensors["generator.cpu"])
    if "generator.cuda" in checkpoint.tensors and run.control.device.type == "cuda":
        torch.cuda.set_rng_state(checkpoint.tensors["generator.cuda"], run.control.device)
    run.progress.step, run.progress.remaining = at.step, at.remaining
    run.progress.share = at.share
    run.replans, run.curve = list(at.replans), list(at.curve)
    run.loss_sum, run.loss_count = at.loss_sum, at.loss_count
    run.watch.baseline = at.baseline
    run.seconds_before, run.cpu_before = at.seconds, at.cpu_seconds
    run.waited_before = at.waited_seconds
    run.processors.go_on(at.cpu_energy)
    run.gpus.go_on(at.gpu_energy)
    if run.folder is not None and run.team.rank == 0:
        run.folder.records.rewind(at.step, within_epoch=at.loss_count > 0)


def begin(run: "Run") -> None:
    """Drop the records of a run that never came to a checkpoint, and begins anew.

    Args:
        run: Just made.
    """
    if run.folder is not None and run.team.rank == 0 and run.folder.records.path.stat().st_size:
        run.folder.records.rewind(-1)


def is_sound(run: "Run") -> bool:
    """Say whether to keep a state; all of a team that shares the weights ask at the same step.

    Args:
        run: The run.

    Returns:
        False where weights are not finite in any share, for the loss of the step before them was;
        or where there is no learning rate, for the search for it was ended.
    """
    broken = not all(bool(_own(each).isfinite().all()) for each in run.network.parameters())
    if run.team.is_sharded:
        broken = any(run.team.summed([broken]))
    return not broken and run.recipe.learning_rate is not None


def latest(folder: RunFolder | None, team: Team) -> Checkpoint | None:
    """Find the last checkpoint of a run.

    Args:
        folder: The run's; of a team, the first process has it.
        team: All of it gets the checkpoint.

    Returns:
        The checkpoint; None if there is none.
    """
    if team.is_sharded:
        return _latest_outline(folder, team)
    kept = folder.latest() if folder else None
    if team.size == 1:
        return kept
    data = team.shared(encode(kept) if kept else b"")
    return decode(data, "the checkpoint") if data else None


def with_cuts(recipe: TrainingRecipe, kept: Checkpoint | None, team: Team) -> TrainingRecipe:
    """Add to a recipe the cuts that the first process of a team was told of.

    Args:
        recipe: Of the run so far.
        kept: Where it goes on; None where it begins.
        team: All of it gets the same recipe.

    Returns:
        The recipe to go on with.
    """
    told = msgspec.json.decode(team.shared(msgspec.json.encode(team.cuts)), type=tuple[Cut, ...])
    step = kept.position.step if kept else 0
    cuts = joined(recipe.accumulation, recipe.cuts, told, step)
    return structs.replace(recipe, cuts=cuts)


def save(run: "Run") -> None:
    """Keep a checkpoint of a team that shares the weights; all of it calls this at the same step.

    Args:
        run: The run, with no losses to gather.
    """
    path = _folder_of(run)
    if path:
        _shares().save(path, capture(run), run.team)
    if run.folder:
        run.folder.prune()


def _own(weight: Any) -> Tensor:  # noqa: ANN401  a tensor, or a share of one
    """Return what this process has of a weight."""
    own: Tensor = weight.to_local() if hasattr(weight, "to_local") else weight
    return own


def _latest_outline(folder: RunFolder | None, team: Team) -> Checkpoint | None:
    """Find the last checkpoint that is whole for a team; its tensors are read later."""
    found = folder.checkpoints() if folder else []
    if found and not found[0].is_dir():
        raise TrainingError(
            f"{found[0]} is of a run whose processes had all weights", "go on without --shard"
        )
    own = [str(each.resolve()) for each in found if each.is_dir()]
    paths = msgspec.json.decode(team.shared(msgspec.json.encode(own)), type=list[str])
    failed: TrainingError | None = None
    for path in paths:
        outlined: Checkpoint | None = None
        try:
            outlined = _shares().outline(Path(path))
        except TrainingError as error:
            failed = failed or error
            if folder:
                folder.warn(error.message)
        if not any(team.summed([outlined is None])):
            return outlined
    if paths:
        raise failed or TrainingError(f"{paths[0]} is not whole for all processes", HINT)
    return None


def _folder_of(run: "Run") -> Path | None:
    """Ask the first process where the run's folder is; the others may be in another place."""
    own = str(run.folder.path.resolve()) if run.folder else ""
    path = run.team.shared(own.encode()).decode()
    return Path(path) if path else None


def _own_share(run: "Run", step: int) -> Checkpoint:
    """Read what this process is to have of a checkpoint that is only outlined."""
    path = _folder_of(run) or Path()
    groups = run.stepper.optimizer.param_groups
    parameters = [parameter for group in groups for parameter in group["params"]]
    like = run.stepper.state()[0] | {f"optimizer.{i}": p for i, p in enumerate(parameters)}
    checkpoint: Checkpoint = _shares().read(_shares().path_of(path, step), like)
    return checkpoint


def _shares() -> Any:  # noqa: ANN401  a module
    """Import what few runs need, and what takes torch long to be ready for."""
    return require("diptych.training.sharded_checkpoint", "train")


def _check_same(run: "Run", at: Position) -> None:
    for what, here, there in (
        ("data", run.dataset.record.sha256[:12], at.data_sha256[:12]),
        ("seed", run.control.seed, at.seed),
        ("model", run.control.name, at.name),
    ):
        if here != there:
            raise TrainingError(
                f"the run has other {what}: it began with {there}, and this is {here}", NEW_RUN
            )
    for field in structs.fields(run.planned):
        here, there = getattr(run.planned, field.name), getattr(at.planned, field.name)
        if here != there:
            raise TrainingError(
                f"the run has other recipe: {field.name} was {there}, and is {here}", NEW_RUN
            )
