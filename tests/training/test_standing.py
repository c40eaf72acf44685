from types import SimpleNamespace
from typing import Any

from torch import nn

from diptych.core.values import CurvePoint, Energy
from diptych.training.optimizers import optimizer_of, set_rate
from diptych.training.recipe import TrainingRecipe
from diptych.training.standing import record_of

POINT = CurvePoint(model="student", epoch=1, seconds=1.0, loss=0.75, score=0.5)


def run(**changes: Any) -> Any:
    optimizer = optimizer_of(nn.Linear(2, 2), TrainingRecipe())
    set_rate(optimizer, 0.125, 0.9)
    usual = {
        "progress": SimpleNamespace(step=6),
        "seconds": 4.0,
        "cpu_seconds": 8.0,
        "waited_seconds": 1.0,
        "processors": SimpleNamespace(energy=lambda: None),
        "gpus": SimpleNamespace(energy=lambda: None),
        "feed": SimpleNamespace(batch_size=10),
        "stepper": SimpleNamespace(optimizer=optimizer),
        "recent": [0.5, 0.25],
        "curve": [POINT],
    }
    return SimpleNamespace(**(usual | changes))


def test_a_record_tells_what_a_run_has_counted() -> None:
    record = record_of(run(), 2, 0.75)
    assert (record.step, record.epoch, record.samples, record.seconds) == (6, 2, 60, 4.0)
    assert (record.loss, record.rate, record.score) == (0.375, 0.125, 0.75)
    assert (record.samples_per_second, record.waiting_share) == (15.0, 0.25)
    assert record.energy_label == "modelled"
    assert record.energy_j is not None
    assert record.energy_j > 0
    assert (record.gpu_energy_j, record.gpu_energy_label) == (None, None)


def test_energy_that_was_counted_is_told_as_such() -> None:
    energy = Energy(value_j=3.0, low_j=3.0, high_j=3.0, label="counter", method="read")
    counted = SimpleNamespace(energy=lambda: energy)
    record = record_of(run(processors=counted, gpus=counted), 1)
    assert (record.energy_j, record.energy_label) == (3.0, "counter")
    assert (record.gpu_energy_j, record.gpu_energy_label) == (3.0, "counter")
    assert record.score is None


def test_without_new_losses_that_of_the_last_epoch_is_told() -> None:
    assert record_of(run(recent=[]), 1).loss == 0.75


def test_a_run_without_time_has_no_pace() -> None:
    record = record_of(run(seconds=0.0), 1)
    assert (record.samples_per_second, record.waiting_share) == (0.0, 0.0)
