from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from diptych.core.errors import ConfigError, TrainingError
from diptych.training.models.given import (
    Given,
    GivenConfig,
    GivenNetwork,
    Scaling,
    chosen,
    not_given,
    open_given,
)

SCALING = Scaling(name="made", mean=(10.0, 20.0, 30.0), deviation=(2.0, 4.0, 5.0))
CONFIG = GivenConfig(source="net.py:make", sha256="0" * 64)
PIXELS = torch.arange(2 * 4 * 5 * 3, dtype=torch.uint8).reshape(2, 4, 5, 3)
SCORES, OTHER = torch.ones(2, 3), torch.zeros(2, 7)


@dataclass
class Both:
    scores: Tensor
    other: Tensor
    note: str = "no tensor"


@pytest.mark.parametrize(
    "outputs",
    [
        {"scores": SCORES, "other": OTHER},
        namedtuple("Pair", ("other", "scores"))(OTHER, SCORES),
        Both(SCORES, OTHER),
    ],
)
def test_one_of_several_outputs_is_taken_by_its_name(outputs: object) -> None:
    assert chosen(outputs, "scores") is SCORES
    with pytest.raises(ConfigError, match="gives 2 outputs: ") as told:
        chosen(outputs, None)
    assert "--output" in told.value.hint
    with pytest.raises(ConfigError, match="gives no output 'absent'; it gives "):
        chosen(outputs, "absent")


def test_a_sequence_is_counted_and_a_lonely_tensor_is_meant() -> None:
    assert chosen([OTHER, SCORES], "1") is SCORES
    assert chosen((SCORES,), None) is SCORES
    assert chosen({"scores": SCORES, "loss": None}, None) is SCORES
    assert chosen(SCORES, None) is SCORES
    with pytest.raises(ConfigError, match="gives a str, no tensor"):
        chosen("scores", None)


def test_pixels_are_scaled_and_turned_as_the_module_wants_them() -> None:
    module = nn.Flatten()
    config = GivenConfig(source="a", sha256="0" * 64, scaling=SCALING, channels_first=True)
    wanted = (PIXELS.float() - torch.tensor(SCALING.mean)) / torch.tensor(SCALING.deviation)
    assert torch.equal(GivenNetwork(module, config)(PIXELS), wanted.permute(0, 3, 1, 2).flatten(1))
    assert torch.equal(GivenNetwork(module, CONFIG)(PIXELS), PIXELS.flatten(1))


def test_the_softmax_of_what_is_made_of_probabilities_is_these() -> None:
    config = GivenConfig(source="a", sha256="0" * 64, probabilities=True)
    shares = torch.tensor([[0.25, 0.75, 0.0]])
    logits = GivenNetwork(nn.Identity(), config)(shares)
    assert torch.allclose(logits.softmax(1), shares)
    assert logits.isfinite().all()


def test_its_own_weights_alone_are_what_it_holds() -> None:
    network = GivenNetwork(nn.Linear(2, 3), CONFIG)
    assert set(network.state_dict()) == {"network.weight", "network.bias"}


def test_a_module_has_to_be_handed_over_and_be_the_same() -> None:
    module = nn.Linear(2, 3)
    assert not open_given(CONFIG, Given(source="a", network=module, sha256="0" * 64)).training
    with pytest.raises(ConfigError, match="has other weights than when this was planned"):
        open_given(CONFIG, Given(source="a", network=module, sha256="1" * 64))
    with pytest.raises(ConfigError, match=r"net\.py:make is code of a user's own") as told:
        open_given(CONFIG, None)
    assert "--teacher net.py:make" in told.value.hint
    with pytest.raises(ConfigError, match="which no bundle or recipe holds"):
        not_given(CONFIG, None, 3)


class Aided(nn.Module):
    """Gives one tensor in evaluation mode, and more in training."""

    def __init__(self, outputs: object) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, _: Tensor) -> object:
        return self.outputs if self.training else SCORES


Heads = namedtuple("Heads", ("logits", "beside"))


@pytest.mark.parametrize("output", [None, "0"])
@pytest.mark.parametrize(
    "outputs",
    [(SCORES, OTHER), Heads(SCORES, OTHER), {"beside": OTHER, "logits": SCORES}, SCORES],
)
def test_heads_that_are_there_in_training_alone_are_left(
    outputs: object, output: str | None
) -> None:
    config = GivenConfig(source="a", sha256="0" * 64, output=output)
    network = GivenNetwork(Aided(outputs), config)
    assert network.eval()(PIXELS) is SCORES
    assert network.train()(PIXELS) is SCORES


def test_what_a_module_raises_in_training_is_an_error_of_training() -> None:
    class Failing(nn.Module):
        error: Exception = KeyError("targets")

        def forward(self, _: Tensor) -> Tensor:
            raise self.error

    network = GivenNetwork(Failing(), CONFIG)
    with pytest.raises(
        TrainingError, match=r"^net\.py:make raises KeyError in training mode: 'targets'$"
    ):
        network(PIXELS)
    with pytest.raises(KeyError):
        network.eval()(PIXELS)
    with pytest.raises(TrainingError, match="raises ConfigError in training mode: the model gives"):
        GivenNetwork(Aided({"a": SCORES, "b": OTHER}), CONFIG)(PIXELS)
    network.train().network.error = torch.OutOfMemoryError("no")
    with pytest.raises(torch.OutOfMemoryError):
        network(PIXELS)
