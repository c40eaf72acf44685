"""The ledger: what training used and what a prediction uses, in the same units."""

from collections.abc import Sequence

from diptych.core.values import Dataset, Energy, TrainingSummary
from diptych.fitting.aims import lesson_of
from diptych.fitting.trainee import Trainee
from diptych.inference.runtimes import RUNTIMES
from diptych.measure.cost import usd
from diptych.measure.energy import modelled, total
from diptych.measure.timing import Timing


def training_summary(trainees: Sequence[Trainee], dataset: Dataset) -> TrainingSummary:
    """Add up what training used.

    Args:
        trainees: The teacher and the students.
        dataset: What they learned from.

    Returns:
        Time, samples, operations, energy and cost of the left panel; the energy of the processor,
        counted where all of it was, and apart from it what GPUs counted.
    """
    cpu_seconds = sum(model.cpu_seconds for model in trainees)
    counted = [model.cpu_energy for model in trainees if model.cpu_seconds]
    return TrainingSummary(
        seconds=sum(model.seconds for model in trainees),
        cpu_seconds=cpu_seconds,
        samples=sum(model.samples for model in trainees),
        flops=sum(model.training_flops for model in trainees),
        energy=(None if None in counted else total(counted)) or modelled(cpu_seconds),
        cost_usd=usd(cpu_seconds),
        data_bytes=lesson_of(dataset).train.inputs.nbytes,
        gpu_energy=total(model.gpu_energy for model in trainees),
    )


def prediction_energy(timing: Timing, runtime: str) -> Energy:
    """Say what one prediction uses.

    Args:
        timing: Of single predictions.
        runtime: What computes them.

    Returns:
        What the processors counted; where they do not, or a GPU computes, whose part they do not
        see, what is modelled from the processor's time.
    """
    counted = None if RUNTIMES[runtime].needs_gpu else timing.counted
    return counted or modelled(timing.cpu_seconds_per_call)


def breakeven(
    training: Energy, prediction: Energy | None, gpu: Energy | None = None
) -> float | None:
    """Say after how many predictions inference has used as much energy as training.

    Args:
        training: The energy of training.
        prediction: The energy of one prediction; None where not all of it is known.
        gpu: What the GPUs used in training beside that, where they did.

    Returns:
        The number, or None where the labels differ, nothing was trained, or a prediction used
        nothing measurable.
    """
    used = (training,) if gpu is None else (training, gpu)
    if prediction is None:
        return None
    if any(energy.label != prediction.label for energy in used) or prediction.value_j <= 0:
        return None
    return sum(energy.value_j for energy in used) / prediction.value_j or None
