import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from diptych.core.errors import TrainingError
from diptych.core.values import CurvePoint
from diptych.training.checkpoint import (
    Checkpoint,
    Position,
    check_fits,
    decode,
    encode,
    flatten,
    unflatten,
)
from diptych.training.divergence import Baseline
from diptych.training.recipe import Replan, TrainingRecipe


def position(**changes: object) -> Position:
    usual = {
        "name": "student",
        "seed": 3,
        "data_sha256": "ab" * 32,
        "planned": TrainingRecipe(),
        "recipe": TrainingRecipe(epochs=1.5),
        "replans": (Replan(step=4, remaining=9),),
        "step": 7,
        "remaining": 6,
        "share": 0.1 + 0.2,
        "loss_sum": 1 / 3,
        "loss_count": 2,
        "baseline": Baseline(first=1 / 3, lowest=0.1 + 0.2, above=3),
        "curve": (CurvePoint(model="student", epoch=1, seconds=0.5, loss=1.0, score=None),),
        "seconds": 12.5,
        "cpu_seconds": 20.0,
        "waited_seconds": 0.25,
        "numbers": {"state": {}, "groups": [{"lr": 0.1 + 0.2}]},
    }
    return Position(**(usual | changes))


def checkpoint() -> Checkpoint:
    tensors = {
        "network.weight": torch.randn(3, 4).to(torch.bfloat16),
        "network.count": torch.tensor(5),
        "optimizer.0.momentum_buffer": torch.randn(2, 3, 4, 4).to(
            memory_format=torch.channels_last
        ),
        "generator.cpu": torch.get_rng_state(),
        "network.empty": torch.empty(0, 3),
    }
    return Checkpoint(position=position(), tensors=tensors)


def test_what_is_encoded_is_decoded_to_the_last_bit() -> None:
    kept = checkpoint()
    read = decode(encode(kept), "it")
    assert read.position == kept.position
    assert read.tensors.keys() == kept.tensors.keys()
    for name, tensor in kept.tensors.items():
        assert read.tensors[name].dtype == tensor.dtype
        assert torch.equal(read.tensors[name], tensor)
    assert set(read.under("network")) == {"weight", "count", "empty"}


def test_a_checkpoint_from_before_losses_had_a_baseline_is_read() -> None:
    plain = msgspec.to_builtins(position())
    del plain["baseline"]
    assert msgspec.convert(plain, Position) == position(baseline=None)


def test_tied_weights_are_kept_and_come_back_tied() -> None:
    def tied() -> nn.Sequential:
        network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        network[1].weight = network[0].weight
        return network

    network, other = tied(), tied()
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors["network.row"] = network[0].weight[1]
    read = decode(encode(Checkpoint(position=position(), tensors=tensors)), "it")
    assert torch.equal(read.tensors["network.row"], network[0].weight[1])
    kept = read.under("network")
    del kept["row"]
    other.load_state_dict(kept)
    assert other[1].weight is other[0].weight
    assert torch.equal(other[0].weight, network[0].weight)


WHOLE = encode(checkpoint())


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_never_taken_for_a_checkpoint(place: int, change: int) -> None:
    """But for the spaces that pad the header, which hold nothing."""
    broken = bytearray(WHOLE)
    broken[place] ^= change
    try:
        read = decode(bytes(broken), "it")
    except TrainingError:
        return
    good = decode(WHOLE, "it")
    assert all(torch.equal(read.tensors[k], v) for k, v in good.tensors.items())


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(TrainingError, match="is no whole checkpoint"):
        decode(WHOLE[:length], "it")


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(TrainingError, match="is no whole checkpoint"):
        decode(data, "it")


def test_another_format_is_refused_with_the_version_that_is_needed() -> None:
    kept = Checkpoint(position=position(format=2), tensors={})
    with pytest.raises(TrainingError, match="format 2, not 1") as caught:
        decode(encode(kept), "it")
    assert "version" in caught.value.hint


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
        lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.9)),
    ],
)
def test_an_optimizer_goes_on_from_its_state_as_json_and_tensors(make: object) -> None:
    def run(steps: int, restored: dict | None, start: list[torch.Tensor]) -> tuple:
        parameters = [value.clone().requires_grad_() for value in start]
        optimizer = make(parameters)
        if restored is not None:
            optimizer.load_state_dict(unflatten(optimizer.state_dict(), *restored))
        for _ in range(steps):
            optimizer.zero_grad()
            sum((p**4).sum() for p in parameters).backward()
            optimizer.step()
        tensors, numbers = flatten(optimizer.state_dict())
        tensors = {name: value.clone() for name, value in tensors.items()}
        numbers = msgspec.json.decode(msgspec.json.encode(numbers))
        return [p.detach() for p in parameters], (tensors, numbers)

    start = [torch.randn(3, 2), torch.randn(4)]
    straight, _ = run(7, None, start)
    middle, state = run(3, None, start)
    resumed, _ = run(4, state, middle)
    assert all(torch.equal(a, b) for a, b in zip(straight, resumed, strict=True))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"weight": torch.zeros(3, 5), "count": torch.tensor(0), "empty": torch.empty(0, 3)},
            "3 x 4",
        ),
        (
            {"weight": torch.zeros(3, 4), "count": torch.tensor(0)},
            "empty is 0 x 3 there and absent",
        ),
    ],
)
def test_a_checkpoint_of_another_network_is_refused_by_the_first_difference(
    other: dict[str, torch.Tensor], said: str
) -> None:
    with pytest.raises(TrainingError, match="is of another network") as caught:
        check_fits(checkpoint(), other, "run/checkpoint")
    assert said in caught.value.message
