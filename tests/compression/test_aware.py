import numpy as np
import pytest
import torch
from msgspec.structs import replace

from diptych.compression.answers import Running
from diptych.compression.aware import quantized_recipe, train_quantized
from diptych.compression.distill import distillation
from diptych.compression.quantize import QuantizedNetwork, quantization_aware
from diptych.data import read
from diptych.data.reading import Options
from diptych.training.compute import compute_outputs
from diptych.training.control import RunControl
from diptych.training.loop import train_network
from diptych.training.models import ResidualNetConfig
from diptych.training.models.resnet import ResidualNet
from diptych.training.objectives import learn_labels
from diptych.training.recipe import Replan, TrainingRecipe
from diptych.training.variation import PictureVariation

TRAINING = TrainingRecipe(
    epochs=10, batch_size=64, variation=PictureVariation(translate=1), label_share=0.2
)


def test_the_recipe_keeps_the_aim_and_the_batches_and_takes_small_steps_for_a_fifth() -> None:
    planned = quantized_recipe(TRAINING)
    assert planned.epochs == 2.0
    assert (planned.batch_size, planned.variation, planned.label_share) == (
        TRAINING.batch_size,
        TRAINING.variation,
        TRAINING.label_share,
    )
    assert planned.learning_rate is not None
    assert TRAINING.learning_rate is not None
    assert planned.learning_rate < 0.1 * TRAINING.learning_rate


def test_what_would_break_rounding_or_end_the_run_is_left_out() -> None:
    busy = TrainingRecipe(
        epochs=2,
        arithmetic="bf16",
        compiled=True,
        patience=3,
        averaging=0.9,
        replans=(Replan(step=3, remaining=0),),
    )
    planned = quantized_recipe(busy)
    assert (planned.arithmetic, planned.compiled, planned.patience) == ("fp32", False, 0)
    assert (planned.epochs, planned.averaging, planned.replans) == (1.0, 0.0, ())


@pytest.mark.slow
def test_training_on_brings_8_bits_nearer_to_float_than_calibration_does() -> None:
    """One channel fills the range of all, by a factor that cancels out in float."""
    dataset = read("digits", Options(seed=0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ResidualNet(
            ResidualNetConfig(stem=8, widths=(8, 16), blocks=(0, 0)), dataset.spec, 10
        )
    learned = learn_labels(
        "classification", torch.from_numpy(np.array(dataset.train.targets)), label_smoothing=0.0
    )
    train_network(network, dataset, TRAINING, learned, RunControl())
    before, after = network.body[0].norm, network.body[1].convolution
    with torch.no_grad():
        before.weight[2] *= 100
        before.bias[2] *= 100
        after.weight[:, 2] /= 100
    few = np.ascontiguousarray(dataset.train.inputs[:64])
    calibrated = quantization_aware(network, dataset.spec.tensor(), few)
    result = train_quantized(
        network,
        dataset,
        replace(quantized_recipe(TRAINING), epochs=12.0),
        distillation("classification", Running(network), 2.0),
        RunControl(name="8 bits"),
        calibration=few,
    )
    assert isinstance(result.network, QuantizedNetwork)
    assert not result.network.training
    wanted, at_first, at_last = (
        compute_outputs(each, dataset.test.inputs, TRAINING)
        for each in (network, calibrated, result.network)
    )
    flips = [(answers.argmax(1) != wanted.argmax(1)).mean() for answers in (at_first, at_last)]
    assert flips[1] < 0.75 * flips[0]  # 0.56 was seen, of 149 flips
