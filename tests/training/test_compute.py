import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diptych.core.errors import ConfigError, TrainingError
from diptych.training.compute import (
    autocast,
    compute_outputs,
    compute_threads,
    device_of,
    find_device,
    initialize,
    items_at_once,
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
    told: list[int] = []
    outputs = compute_outputs(network, inputs, TrainingRecipe(), told.append)
    assert told == sorted(set(told))
    assert told[-1] == 1203 > told[0]
    weight, bias = (p.detach().numpy() for p in network[1].parameters())
    np.testing.assert_allclose(outputs, inputs @ weight.T + bias, atol=1e-5)


class Hungry(nn.Module):
    """A network that has memory for no more than some items at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.layer, self.most, self.seen = nn.Linear(3, 2), most, []

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen.append(len(inputs))
        if len(inputs) > self.most:
            raise torch.cuda.OutOfMemoryError("no")
        outputs: Tensor = self.layer(inputs)
        return outputs


def test_out_of_memory_halves_the_batch_and_the_outputs_stay() -> None:
    inputs = np.random.default_rng(0).normal(size=(700, 3)).astype(np.float32)
    hungry = Hungry(200)
    outputs = compute_outputs(hungry, inputs, TrainingRecipe())
    assert hungry.seen == [500, 250, 125, 125, 125, 125, 125, 75]
    whole = hungry.layer(torch.from_numpy(inputs)).detach()
    np.testing.assert_allclose(outputs, whole, atol=1e-6)


def test_no_memory_for_a_single_item_is_said() -> None:
    hungry = Hungry(0)
    with pytest.raises(TrainingError, match="cpu has no memory for a single item"):
        compute_outputs(hungry, np.ones((5, 3), np.float32), TrainingRecipe())
    assert hungry.seen == [5, 2, 1]


def test_a_process_with_a_share_of_the_weights_does_not_go_on_alone() -> None:
    class Share(Tensor):
        """Stand for a share of a weight."""

    hungry = Hungry(2)
    hungry.layer.weight = nn.Parameter(torch.ones(2, 3).as_subclass(Share))
    with pytest.raises(torch.cuda.OutOfMemoryError):
        compute_outputs(hungry, np.ones((5, 3), np.float32), TrainingRecipe())
    assert hungry.seen == [5]


def test_threads_are_set_for_a_while() -> None:
    before = torch.get_num_threads()
    with compute_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_denormals_are_flushed_until_the_outer_end() -> None:
    small = torch.tensor(1e-39)
    with compute_threads(1):
        with compute_threads(1):
            pass
        assert small * 1 == 0
    assert small * 1 > 0


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


def test_inputs_of_many_numbers_are_computed_fewer_at_once() -> None:
    for shape in ((9, 28, 28, 1), (9, 32, 32, 3), (9, 64, 64, 3), (9, 16000), (9,)):
        assert [items_at_once(shape, most) for most in (500, 64)] == [500, 64]
    assert [items_at_once((9, 224, 224, 3), most) for most in (500, 64)] == [54, 6]
    assert items_at_once((9, 1 << 30), 500) == 1
    seen = list[int]()

    class Mean(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            seen.append(len(inputs))
            return inputs[:, :3]

    compute_outputs(Mean(), np.zeros((20, 1 << 20), np.uint8), TrainingRecipe())
    assert seen == [7, 7, 6]
