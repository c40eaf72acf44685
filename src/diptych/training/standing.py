"""How a run stands at one moment, as its records tell it."""

from typing import TYPE_CHECKING

from diptych.measure.energy import modelled
from diptych.training.optimizers import rate_of
from diptych.training.records import Record

if TYPE_CHECKING:
    from diptych.training.run import Run


def record_of(run: "Run", epoch: int, score: float | None = None) -> Record:
    """Take down how a run stands.

    Args:
        run: The run, which has taken a step.
        epoch: In which it is, from 1.
        score: That of the epoch, where it ends one.

    Returns:
        The record; its loss is the mean since the last one.
    """
    step, seconds, gpus = run.progress.step, run.seconds, run.gpus.energy()
    energy = run.processors.energy() or modelled(run.cpu_seconds)
    return Record(
        step=step,
        epoch=epoch,
        samples=step * run.feed.batch_size,
        seconds=seconds,
        loss=sum(run.recent) / len(run.recent) if run.recent else run.curve[-1].loss,
        rate=rate_of(run.stepper.optimizer),
        samples_per_second=step * run.feed.batch_size / seconds if seconds else 0.0,
        waiting_share=run.waited_seconds / seconds if seconds else 0.0,
        score=score,
        energy_j=energy.value_j,
        energy_label=energy.label,
        gpu_energy_j=gpus.value_j if gpus else None,
        gpu_energy_label=gpus.label if gpus else None,
    )
