from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from diptych.compression.ensemble import mean_of
from diptych.core.errors import ConfigError
from diptych.core.values import Dataset
from diptych.fitting.building import build
from diptych.fitting.members import EnsembleConfig, FunctionConfig, Member
from diptych.fitting.recipe import ModelPlan
from diptych.fitting.standing import is_standing, open_standing
from diptych.training import weights
from diptych.training.control import RunControl
from diptych.training.flops import forward_flops
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.start import StartPlan, read_start

MakeDataset = Callable[..., Dataset]
NETWORK = ResidualNetConfig(stem=8, widths=(8,), blocks=(0,))
FUNCTION = FunctionConfig(function="here:brightness", sha256="0" * 64)


def plan(network: object, **changes: object) -> ModelPlan:
    training = TrainingRecipe()
    return ModelPlan(name="teacher", network=network, training=training, **changes)  # type: ignore[arg-type]


def brightness(inputs: np.ndarray) -> np.ndarray:
    mean = inputs.reshape(len(inputs), -1).mean(1)
    return np.stack([100 - mean, mean - 100], 1)


def saved(path: Path, network: torch.nn.Module) -> StartPlan:
    path.write_bytes(weights.encode(network))
    return read_start(path).plan


def test_several_models_answer_with_their_mean_and_count_together(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    data = make_dataset()
    networks = [build(plan(NETWORK), data, seed).eval() for seed in (1, 2)]
    starts = [saved(tmp_path / f"{k}.safetensors", n) for k, n in enumerate(networks)]
    members = [Member(network=NETWORK, start=start) for start in starts]
    members.append(Member(network=FUNCTION))
    several = plan(EnsembleConfig(members=tuple(members)))
    control = RunControl(functions={"here:brightness": brightness})
    standing = open_standing(several, data, control)
    inputs = torch.from_numpy(data.test.inputs)
    with torch.no_grad():
        told = [*(n(inputs) for n in networks), torch.from_numpy(brightness(data.test.inputs))]
        expected = mean_of("classification", torch.stack([each.float() for each in told]))
        assert torch.allclose(standing.network(inputs), expected, atol=1e-5)
    assert standing.parameters == 2 * sum(p.numel() for p in networks[0].parameters())
    assert standing.flops == 2 * forward_flops(networks[0], data.spec)
    assert not standing.network.training


def test_a_function_has_to_be_handed_over(make_dataset: MakeDataset) -> None:
    with pytest.raises(ConfigError, match="here:brightness is a function, and was not handed over"):
        open_standing(plan(FUNCTION), make_dataset(), RunControl())
    others = RunControl(functions={"here:brightnes": brightness})
    with pytest.raises(ConfigError) as told:
        open_standing(plan(FUNCTION), make_dataset(), others)
    assert "'here:brightnes'" in (told.value.hint or "")


def test_a_network_that_is_kept_is_whole(make_dataset: MakeDataset, tmp_path: Path) -> None:
    wider = build(plan(NETWORK), make_dataset(classes=3), 0)
    start = saved(tmp_path / "a.safetensors", wider)
    with pytest.raises(ConfigError, match=r"teacher lacks head\.\w+, and is not to be trained"):
        open_standing(plan(NETWORK, start=start, kept=True), make_dataset(), RunControl())


def test_what_is_not_trained_is_known() -> None:
    start = StartPlan(path="a.dip", sha256="0" * 64)
    assert is_standing(plan(FUNCTION))
    assert is_standing(plan(NETWORK, start=start, kept=True))
    assert not is_standing(plan(NETWORK, start=start))
