import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from diptych.compression.ensemble import Ensemble, mean_of
from diptych.core.values import Goal

OUTPUTS = 3 * torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("goal", ["classification", "ordinal"])
def test_of_classes_probabilities_are_averaged(goal: Goal) -> None:
    raised = np.exp(OUTPUTS.double().numpy())
    expected = (raised / raised.sum(-1, keepdims=True)).mean(0)
    mean = mean_of(goal, OUTPUTS)
    np.testing.assert_allclose(mean.softmax(-1).numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(mean.exp().sum(-1).numpy(), 1.0, rtol=1e-5)


def test_of_labels_each_probability_is_averaged() -> None:
    expected = expit(OUTPUTS.double().numpy()).mean(0)
    mean = mean_of("multi-label", OUTPUTS)
    np.testing.assert_allclose(mean.sigmoid().numpy(), expected, rtol=1e-5)


def test_of_numbers_the_numbers_are_averaged() -> None:
    assert torch.allclose(mean_of("regression", OUTPUTS), OUTPUTS.sum(0) / 4)


@pytest.mark.parametrize("goal", ["classification", "ordinal", "multi-label", "regression"])
def test_a_model_beside_itself_tells_what_it_tells_alone(goal: Goal) -> None:
    one = OUTPUTS[0].log_softmax(-1) if goal in {"classification", "ordinal"} else OUTPUTS[0]
    assert torch.allclose(mean_of(goal, torch.stack([one, one, one])), one, atol=1e-5)


@pytest.mark.parametrize("goal", ["classification", "multi-label"])
def test_sure_models_that_disagree_give_finite_outputs(goal: Goal) -> None:
    outputs = torch.tensor([[[500.0, -500.0]], [[-500.0, 500.0]]])
    mean = mean_of(goal, outputs)
    assert torch.isfinite(mean).all()
    assert torch.allclose(mean[:, 0], mean[:, 1])


def test_all_members_answer_the_same_inputs_in_float32() -> None:
    members = [nn.Linear(4, 3), nn.Linear(4, 3).bfloat16().float()]
    inputs = torch.ones(2, 4)
    told = Ensemble(members, "regression").eval()(inputs)
    assert told.dtype == torch.float32
    assert torch.allclose(told, (members[0](inputs) + members[1](inputs)) / 2)
