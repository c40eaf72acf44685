import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from diptych.core.errors import ConfigError
from diptych.training.compute import (
    autocast,
    compute_outputs,
    compute_threads,
    device_of,
    find_device,
    initialize,
    tensor_of,
)
from diptych.training.recipe import TrainingRecipe


def test_the_processor_is_always_there_and_other_kinds_are_refused() -> None:
    assert find_device("cpu") == torch.device("cpu")
    for name in ("gpu", "mps", "cuda:99", "cpu:x"):
        with pytest.raises(ConfigError, match=name):
            find_device(name)


def test_a_network_is_where_its_first_tensor_is() -> None:
    assert device_of(nn.Linear(1, 1)) == torch.device("cpu")
    assert device_of(nn.Linear(1, 1, device="meta")) == torch.device("meta")
    assert device_of(nn.ReLU()) == torch.device("cpu")


def test_an_array_that_may_only_be_read_is_viewed_without_a_word(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.uint8).reshape(2, 3))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        viewed = tensor_of(mapped)
    assert viewed.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert viewed.data_ptr() == mapped.ctypes.data


@pytest.mark.parametrize(
    ("arithmetic", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_matrices_are_multiplied_in_the_wanted_arithmetic(
    arithmetic: str, dtype: torch.dtype
) -> None:
    with autocast(torch.device("cpu"), arithmetic):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_outputs_are_of_the_whole_split_in_batches_and_in_evaluation_mode() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2), nn.Dropout(0.9))
    inputs = np.random.default_rng(0).normal(size=(1203, 3)).astype(np.float32)
    outputs = compute_outputs(network, inputs, TrainingRecipe())
    weight, bias = (p.detach().numpy() for p in network[1].parameters())
    np.testing.assert_allclose(outputs, inputs @ weight.T + bias, atol=1e-5)


def test_threads_are_set_for_a_while() -> None:
    before = torch.get_num_threads()
    with compute_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_first_weights_follow_the_seed_and_the_names_alone() -> None:
    def first(seed: int, *names: str) -> list[float]:
        return initialize(lambda: nn.Linear(2, 1), seed, *names).weight.flatten().tolist()

    torch.manual_seed(1)
    one = first(0, "a")
    before = torch.get_rng_state()
    assert first(0, "a") == one
    assert torch.equal(torch.get_rng_state(), before)
    assert first(1, "a") != one
    assert first(0, "b") != one
