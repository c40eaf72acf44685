from contextlib import suppress
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from diptych.training.optimizers.schedule_free import AveragedPoint, ScheduleFree


def drawn(seed: int) -> Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))


def stepped(steps: int) -> tuple[nn.Parameter, ScheduleFree]:
    weight = nn.Parameter(drawn(0))
    optimizer = ScheduleFree([{"params": [weight], "weight_decay": 0.1}], 0.05)
    for number in range(steps):
        weight.grad = drawn(number + 1)
        optimizer.step()
    return weight, optimizer


@given(st.lists(st.sampled_from([0.0, 0.01, 0.05, 0.2]), min_size=1, max_size=8))
def test_steps_are_those_of_the_paper(rates: list[float]) -> None:
    weight = nn.Parameter(drawn(0))
    optimizer = ScheduleFree([{"params": [weight], "weight_decay": 0.1}], 0.05)
    start = drawn(0).double().numpy()
    x, y, z, square = start, start, start, np.zeros_like(start)
    highest = total = 0.0
    for number, rate in enumerate(rates, 1):
        weight.grad = drawn(number)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        gradient = drawn(number).double().numpy()
        square = 0.999 * square + 0.001 * gradient**2
        corrected = rate * np.sqrt(1 - 0.999**number)
        z = z - corrected * (gradient / (np.sqrt(square) + 1e-8) + 0.1 * y)
        highest = max(highest, corrected)
        total += highest**2
        share = highest**2 / total if total else 0.0
        x = (1 - share) * x + share * z
        y = 0.9 * x + 0.1 * z
        assert weight.detach().numpy() == pytest.approx(y, rel=1e-4, abs=1e-5)
    with AveragedPoint(optimizer).applied():
        assert weight.detach().numpy() == pytest.approx(x, rel=1e-4, abs=1e-5)


def test_a_parameter_that_joins_late_begins_with_steps_of_the_usual_size() -> None:
    weights = [nn.Parameter(drawn(0)) for _ in range(2)]
    optimizer = ScheduleFree([{"params": weights, "weight_decay": 0.0}], 0.05)
    for number in range(400):
        weights[0].grad = drawn(number)
        optimizer.step()
    weights[1].grad = drawn(7)
    optimizer.step()
    moved = optimizer.state[weights[1]]["z"] - drawn(0)
    assert torch.allclose(moved, -0.05 * drawn(7).sign(), rtol=1e-3)


def test_at_a_constant_rate_what_is_kept_is_the_mean_of_all_points() -> None:
    weight = nn.Parameter(drawn(0))
    optimizer = ScheduleFree([{"params": [weight], "weight_decay": 0.0}], 0.05)
    optimizer.param_groups[0]["betas"] = (0.9, 0.0)
    points = []
    for number in range(6):
        weight.grad = drawn(number + 1)
        optimizer.step()
        points.append(optimizer.state[weight]["z"].clone())
    AveragedPoint(optimizer).keep()
    assert torch.allclose(weight, torch.stack(points).mean(0), atol=1e-6)


def test_the_average_is_applied_for_a_while_only_even_where_that_ends_badly() -> None:
    weight, optimizer = stepped(4)
    before = weight.detach().clone()
    average = AveragedPoint(optimizer)
    with suppress(KeyError), average.applied():
        assert not torch.equal(weight, before)
        raise KeyError
    assert torch.equal(weight, before)


def test_looking_at_the_average_changes_nothing_of_what_follows() -> None:
    looked_at, left_alone = stepped(4), stepped(4)
    with AveragedPoint(looked_at[1]).applied(), torch.inference_mode():
        pass
    for weight, optimizer in (looked_at, left_alone):
        weight.grad = drawn(9)
        optimizer.step()
        AveragedPoint(optimizer).keep()
    assert torch.equal(looked_at[0], left_alone[0])


def test_before_the_first_step_the_average_is_where_the_run_begins() -> None:
    weight, optimizer = stepped(0)
    AveragedPoint(optimizer).keep()
    assert torch.equal(weight, drawn(0))


def test_the_average_has_no_state_apart_from_the_optimizer() -> None:
    _, optimizer = stepped(2)
    average, before = AveragedPoint(optimizer), deepcopy(optimizer.state_dict())
    average.update()
    average.load_state_dict(average.state_dict())
    after = optimizer.state_dict()
    assert all(torch.equal(before["state"][0][k], v) for k, v in after["state"][0].items())
    assert before["param_groups"] == after["param_groups"]
