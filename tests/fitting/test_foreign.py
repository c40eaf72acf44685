"""Teachers that were made elsewhere: a perceptron by scikit-learn, written as ONNX."""

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from diptych.core.errors import ConfigError, TargetError
from diptych.core.progress import Step, silent
from diptych.core.values import Dataset
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.fit import fit
from diptych.fitting.foreign import find_config, is_foreign
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.fitting.settings import Settings
from diptych.targets.adopted import open_adopted
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

TRAINING = TrainingRecipe(epochs=8, batch_size=64)
PLANNED = FitRecipe(
    teacher=ModelPlan(
        name="teacher",
        network=ResidualNetConfig(stem=8, widths=(16,), blocks=(0,)),
        training=TRAINING,
    ),
    students=(
        ModelPlan(
            name="student",
            network=ResidualNetConfig(stem=8, widths=(16,), blocks=(0,)),
            training=TRAINING,
        ),
    ),
    programs=(
        ProgramPlan(runtime="onnxruntime", precision="fp32"),
        ProgramPlan(runtime="onnxruntime", precision="int8"),
    ),
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return read("digits", Options(seed=0))


def learned(digits: Dataset, mean: float, deviation: float) -> MLPClassifier:
    learner = MLPClassifier((24,), max_iter=120, learning_rate_init=0.01, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return learner.fit(scaled(digits.train.inputs, mean, deviation), digits.train.targets)


def scaled(pixels: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    return (pixels.reshape(-1, 64).astype(np.float32) - mean) / deviation


def save(path: Path, learner: MLPClassifier, order: Sequence[int] = range(10)) -> Path:
    """Write a model that takes pixels channels first, with a softmax at the end."""
    first, second = (weights.astype(np.float32) for weights in learner.coefs_)
    bias, last = (weights.astype(np.float32) for weights in learner.intercepts_)
    constants = {"w1": first, "b1": bias, "w2": second[:, list(order)], "b2": last[list(order)]}
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w1", "b1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"]),
    ]
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 1, 8, 8))],
        [helper.make_tensor_value_info("shares", TensorProto.FLOAT, ("N", len(order)))],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_an_onnx_file_is_known_by_its_name() -> None:
    assert is_foreign(Path("a/model.onnx"))
    assert not is_foreign(Path("model.dip"))


@pytest.mark.parametrize(
    ("mean", "deviation", "name"),
    [(0.0, 255.0, "from 0 to 1"), (127.5, 127.5, "from -1 to 1"), (0.0, 1.0, "from 0 to 255")],
)
def test_the_scaling_is_found_by_what_the_model_knows(
    tmp_path: Path, digits: Dataset, mean: float, deviation: float, name: str
) -> None:
    learner, said = learned(digits, mean, deviation), list[Step]()
    config = find_config(save(tmp_path / "model.onnx", learner), digits, said.append)
    pixels = digits.test.inputs
    told = open_adopted(config, digits.spec)(torch.from_numpy(pixels)).argmax(1).numpy()
    np.testing.assert_array_equal(told, learner.predict(scaled(pixels, mean, deviation)))
    assert "channels first: it knows" in said[0].note
    assert config.scaling.name == name


def test_a_model_with_labels_in_another_order_is_refused(tmp_path: Path, digits: Dataset) -> None:
    order = [1, 0, *range(2, 10)]
    path = save(tmp_path / "model.onnx", learned(digits, 0.0, 255.0), order)
    with pytest.raises(ConfigError, match="its output 0 is mostly '1', which is '0' in the data"):
        find_config(path, digits, silent)


def test_a_model_of_other_labels_is_refused(tmp_path: Path, digits: Dataset) -> None:
    path = save(tmp_path / "model.onnx", learned(digits, 0.0, 255.0), range(7))
    with pytest.raises(ConfigError, match="gives 7 scores, and the data has 10 labels"):
        find_config(path, digits, silent)


def test_a_model_that_knows_nothing_of_the_data_is_refused(tmp_path: Path, digits: Dataset) -> None:
    shuffled = np.random.default_rng(0).permutation(digits.train.targets)
    noise = dataclasses.replace(digits.train, targets=shuffled)
    learner = learned(dataclasses.replace(digits, train=noise), 0.0, 255.0)
    path = save(tmp_path / "model.onnx", learner)
    with pytest.raises(ConfigError, match="however pixels are scaled: no more than chance"):
        find_config(path, digits, silent)


@pytest.mark.slow
def test_an_onnx_file_teaches_and_is_a_candidate_itself(tmp_path: Path, digits: Dataset) -> None:
    learner = learned(digits, 0.0, 255.0)
    path = save(tmp_path / "model.onnx", learner)
    settings = Settings(recipe=PLANNED, teacher=path)
    with fit("digits", "drop<=1%", out=tmp_path / "a.dip", settings=settings) as bundle:
        manifest = bundle.manifest
    names = {candidate.name for candidate in manifest.candidates}
    assert {"teacher onnxruntime fp32", "teacher onnxruntime int8"} <= names
    assert "student onnxruntime fp32" in names
    weights = 64 * 24 + 24 + 24 * 10 + 10
    assert weights <= manifest.teacher.parameters <= weights + 2
    assert manifest.teacher.flops == 2 * (64 * 24 + 24 * 10)
    assert manifest.teacher.score.value > 0.9
    recipe = read_recipe(tmp_path / "a.dip")
    save(path, learner, [1, 0, *range(2, 10)])
    with pytest.raises(TargetError, match="is not the file that it was"):
        fit("digits", "drop<=1%", out=tmp_path / "b.dip", settings=Settings(recipe=recipe))
