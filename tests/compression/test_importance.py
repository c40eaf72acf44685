from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from diptych.compression.channels import find_groups, masked
from diptych.compression.importance import IMPORTANCES, Lesson, scale, taylor

Cases = Callable[[str], Any]
NAMES = ("residual", "depthwise", "transformer", "plain", "joined")


def squares(inputs: Tensor, outputs: Tensor, chosen: Tensor) -> Tensor:
    """Want output 0 of each item to be its number."""
    return ((outputs[:, 0] - chosen) ** 2).mean()


def lesson(case: Any, batch_size: int = 6) -> Lesson:
    chosen = torch.arange(len(case.inputs))
    return Lesson(inputs=case.inputs, chosen=chosen, objective=squares, batch_size=batch_size)


@pytest.mark.parametrize("name", NAMES)
def test_the_slope_is_that_of_fading_a_channel_out(cases: Cases, name: str) -> None:
    case = cases(name)
    network, given = case.network, lesson(case)
    groups = find_groups(network, case.inputs)
    scores = taylor(network, groups, given)
    step, checked = 2e-3, 0
    for group, score in zip(groups, scores, strict=True):
        channel = int(score.argmax())
        losses = []
        for share in (-step, step):
            faded = masked(network, group, [channel])
            for faint, full in zip(faded.parameters(), network.parameters(), strict=True):
                faint.data.lerp_(full.data, 1.0 - share)
            with torch.no_grad():
                losses.append(squares(case.inputs, faded(case.inputs), given.chosen).item())
        change = (losses[1] - losses[0]) / (2 * step)
        assert score[channel].sqrt().item() == pytest.approx(abs(change), rel=0.05), group.name
        checked += change != 0.0
    assert checked >= 2


def test_scores_of_batches_add_up(cases: Cases) -> None:
    case = cases("plain")
    groups = find_groups(case.network, case.inputs)
    together = taylor(case.network, groups, lesson(case, batch_size=3))
    halves = [
        taylor(
            case.network,
            groups,
            Lesson(inputs=case.inputs[part], chosen=torch.arange(6)[part], objective=squares),
        )
        for part in (slice(0, 3), slice(3, 6))
    ]
    for whole, first, second in zip(together, *halves, strict=True):
        assert torch.allclose(whole, first + second, rtol=1e-4)


def test_scales_are_multiplied_by_the_weights_that_take_them(cases: Cases) -> None:
    case = cases("plain")
    norm, taker = case.network.features[1], case.network.features[4]
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1.0, 2.0, 16))
    groups = find_groups(case.network, case.inputs)
    scores = scale(case.network, groups, lesson(case))
    found = next(s for g, s in zip(groups, scores, strict=True) if g.name == "features.0")
    sizes = taker.weight.detach().transpose(0, 1).flatten(1).norm(dim=1)
    assert torch.allclose(found, norm.weight.detach().abs() * sizes, rtol=1e-5)


def test_without_a_norm_the_weights_decide_and_a_flattened_channel_has_several(
    cases: Cases,
) -> None:
    case = cases("plain")
    groups = find_groups(case.network, case.inputs)
    scores = dict(
        zip((g.name for g in groups), scale(case.network, groups, lesson(case)), strict=True)
    )
    last, hidden = case.network.classifier[2], case.network.classifier[0]
    assert torch.allclose(scores["classifier.0"], last.weight.detach().norm(dim=0), rtol=1e-5)
    norm = case.network.features[5].weight.detach().abs()
    by_channel = hidden.weight.detach().unflatten(1, (32, 4)).transpose(0, 1).flatten(1)
    assert torch.allclose(scores["features.4"], norm * by_channel.norm(dim=1), rtol=1e-5)


@pytest.mark.parametrize("name", IMPORTANCES)
def test_a_channel_that_nobody_takes_matters_least(cases: Cases, name: Any) -> None:
    case = cases("joined")
    with torch.no_grad():
        case.network.back.weight[:, 7] = 0.0
    groups = find_groups(case.network, case.inputs)
    scores = IMPORTANCES[name](case.network, groups, lesson(case))
    found = next(s for g, s in zip(groups, scores, strict=True) if g.name == "inner")
    assert int(found.argmin()) == 7
    assert found[7] == 0.0


def test_scoring_leaves_the_network_alone(cases: Cases) -> None:
    network = cases("residual").network
    case, before = cases("residual"), {k: v.clone() for k, v in network.state_dict().items()}
    taylor(network, find_groups(network, case.inputs), lesson(case))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_large_inputs_are_judged_fewer_at_once() -> None:
    seen = list[int]()

    def count(inputs: Tensor, outputs: Tensor, _: Tensor) -> Tensor:
        seen.append(len(inputs))
        return outputs.sum()

    large = Lesson(inputs=torch.zeros(10, 1 << 18), chosen=torch.arange(10), objective=count)
    taylor(torch.nn.Linear(1 << 18, 2), [], large)
    assert seen == [4, 4, 2]
