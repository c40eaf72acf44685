from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from diptych.core.values import Dataset, Energy
from diptych.fitting.ledger import breakeven, prediction_energy, training_summary
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.trainee import Trainee
from diptych.measure.cost import usd
from diptych.measure.energy import modelled
from diptych.measure.timing import Timing
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

MakeDataset = Callable[..., Dataset]


def trainee(name: str, *, seconds: float, samples: int, training_flops: int) -> Trainee:
    shape = ResidualNetConfig(stem=8, widths=(8,), blocks=(0,))
    return Trainee(
        plan=ModelPlan(name=name, network=shape, training=TrainingRecipe()),
        network=nn.Identity(),
        seconds=seconds,
        cpu_seconds=2 * seconds,
        samples=samples,
        training_flops=training_flops,
    )


def joules(value: float, label: str = "modelled") -> Energy:
    return Energy(value_j=value, low_j=value, high_j=value, label=label, method="made up")  # type: ignore[arg-type]


def test_the_left_panel_is_the_sum_of_its_models(make_dataset: MakeDataset) -> None:
    data = make_dataset(items=40)
    models = [
        trainee("teacher", seconds=10, samples=100, training_flops=7),
        trainee("student", seconds=2.5, samples=30, training_flops=5),
    ]
    total = training_summary(models, data)
    assert (total.seconds, total.cpu_seconds) == (12.5, 25.0)
    assert (total.samples, total.flops) == (130, 12)
    assert total.energy == modelled(25.0)
    assert total.cost_usd == pytest.approx(usd(20.0) + usd(5.0))
    assert total.data_bytes == 40 * 8 * 8


def test_what_gpus_counted_is_added_apart(make_dataset: MakeDataset) -> None:
    models = [
        replace(trainee(name, seconds=1, samples=1, training_flops=1), gpu_energy=energy)
        for name, energy in (
            ("a", joules(3.0, "counter")),
            ("b", None),
            ("c", joules(4, "counter")),
        )
    ]
    summed = training_summary(models, make_dataset())
    assert summed.gpu_energy == joules(7.0, "counter")
    assert summed.energy == modelled(6.0)
    assert training_summary(models[1:2], make_dataset()).gpu_energy is None
    assert breakeven(summed.energy, joules(0.003), summed.gpu_energy) is None


def test_a_prediction_uses_what_was_counted_unless_a_gpu_computes_it() -> None:
    timing = Timing(
        latencies_ms=np.ones(9), cpu_seconds_per_call=1e-3, counted=joules(0.5, "counter")
    )
    assert prediction_energy(timing, "onnxruntime") == joules(0.5, "counter")
    assert prediction_energy(timing, "onnxruntime-cuda") == modelled(1e-3)
    assert prediction_energy(replace(timing, counted=None), "openvino") == modelled(1e-3)


@pytest.mark.parametrize("known", [True, False])
def test_the_processors_energy_is_counted_where_all_of_it_was(
    make_dataset: MakeDataset, known: bool
) -> None:
    models = [
        replace(trainee(name, seconds=seconds, samples=1, training_flops=1), cpu_energy=energy)
        for name, seconds, energy in (
            ("a", 1, joules(3.0, "counter")),
            ("stands already", 0, None),
            ("c", 1, joules(4.0, "counter") if known else None),
        )
    ]
    wanted = joules(7.0, "counter") if known else modelled(4.0)
    assert training_summary(models, make_dataset()).energy == wanted


def test_one_model_alone_is_its_own_sum(make_dataset: MakeDataset) -> None:
    total = training_summary(
        [trainee("teacher", seconds=3, samples=4, training_flops=5)], make_dataset()
    )
    assert (total.seconds, total.samples, total.flops) == (3, 4, 5)


def test_inference_overtakes_training_when_the_joules_are_equal() -> None:
    count = breakeven(joules(900.0), joules(0.003))
    assert count == pytest.approx(300_000)
    assert count * 0.003 == pytest.approx(900.0)
    assert breakeven(joules(900.0), joules(0.003), joules(600.0)) == pytest.approx(500_000)


@pytest.mark.parametrize("label", ["counter", "declared"])
def test_energies_of_different_labels_are_never_compared(label: str) -> None:
    assert breakeven(joules(900.0), joules(0.003, label)) is None
    assert breakeven(joules(900.0, label), joules(0.003, label)) == pytest.approx(300_000)


def test_a_prediction_that_uses_nothing_never_overtakes() -> None:
    assert breakeven(joules(900.0), joules(0.0)) is None
    assert breakeven(joules(900.0), None) is None
