import numpy as np
import pytest
import torch
from torch import Tensor

from diptych.core.values import Goal
from diptych.training.objectives import (
    balancing_weights,
    learn_labels,
    mixed,
    over_members,
    squared_error,
)

NOTHING = torch.empty(0)
CHOSEN = torch.tensor([4, 0, 3, 1, 1, 2])
GOALS: tuple[Goal, ...] = ("classification", "multi-label", "ordinal", "regression")
WEIGHTS = torch.tensor([1.0, 5.0, 0.5, 2.0])
LABEL_WEIGHTS = torch.stack([torch.tensor([0.7, 1.0, 3.0, 0.5]), WEIGHTS])


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def some_targets(goal: Goal) -> Tensor:
    if goal == "multi-label":
        return (random(5, 4) > 0).float()
    return random(5) if goal == "regression" else torch.tensor([0, 3, 1, 2, 3])


def some_outputs(goal: Goal, *members: int) -> Tensor:
    return 3 * random(6, *members, 1 if goal == "regression" else 4)


def test_cross_entropy_with_smoothing_is_the_mixture_of_its_two_parts() -> None:
    logits, targets = some_outputs("classification"), some_targets("classification")
    log_p = logits.log_softmax(1)
    hard = -log_p[torch.arange(6), targets[CHOSEN]].mean()
    expected = 0.8 * hard - 0.2 * log_p.mean(1).mean()
    objective = learn_labels("classification", targets, label_smoothing=0.2)
    assert torch.allclose(objective(NOTHING, logits, CHOSEN), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_class_counts_as_its_weight_says(smoothing: float) -> None:
    logits, targets = some_outputs("classification"), some_targets("classification")
    given = {"label_smoothing": smoothing, "class_weights": WEIGHTS}
    objective = learn_labels("classification", targets, **given)
    log_p = logits.log_softmax(1)
    hard = log_p[torch.arange(6), targets[CHOSEN]]
    losses = -(1 - smoothing) * hard - smoothing * log_p.mean(1)
    weighed = WEIGHTS[targets[CHOSEN]]
    assert torch.allclose(objective(NOTHING, logits, CHOSEN), (losses * weighed).mean())


@pytest.mark.parametrize("goal", ["classification", "ordinal"])
def test_all_that_an_item_costs_is_weighed_as_its_class(goal: Goal) -> None:
    logits, targets = some_outputs(goal), some_targets(goal)
    plain = learn_labels(goal, targets, label_smoothing=0.1)
    weighed = learn_labels(goal, targets, label_smoothing=0.1, class_weights=WEIGHTS)
    alone = [plain(NOTHING, logits[n : n + 1], CHOSEN[n : n + 1]) for n in range(6)]
    expected = (WEIGHTS[targets[CHOSEN]] * torch.stack(alone)).mean()
    assert torch.allclose(weighed(NOTHING, logits, CHOSEN), expected)


@pytest.mark.parametrize("goal", ["classification", "ordinal"])
def test_weighed_classes_count_alike(goal: Goal) -> None:
    targets = np.repeat([0, 1, 2, 3], [80, 14, 5, 1])
    weights = balancing_weights(goal, targets, 4)
    assert weights is not None
    assert np.bincount(targets, weights=weights[targets]) == pytest.approx([25.0] * 4)
    absent = balancing_weights(goal, targets[:-1], 4)
    assert absent is not None
    assert np.isfinite(absent).all()


def test_of_several_labels_items_without_and_with_each_count_alike() -> None:
    having = np.array([10, 95, 0, 100])
    targets = (np.arange(100)[:, None] < having).astype(np.float32)
    weights = balancing_weights("multi-label", targets, 4)
    assert weights is not None
    assert weights.shape == (2, 4)
    assert weights[0, :2] * (100 - having[:2]) == pytest.approx([50, 50])
    assert weights[1, :2] * having[:2] == pytest.approx([50, 50])
    assert np.isfinite(weights).all()
    assert weights.min() > 0.5


def test_numbers_have_no_classes_to_weigh() -> None:
    assert balancing_weights("regression", np.zeros(9, np.float32), 1) is None


@pytest.mark.parametrize("goal", GOALS)
def test_the_loss_of_a_batch_is_the_mean_of_those_of_its_halves(goal: Goal) -> None:
    targets, outputs = some_targets(goal), some_outputs(goal)
    weights = {"regression": None, "multi-label": LABEL_WEIGHTS}.get(goal, WEIGHTS)
    objective = learn_labels(goal, targets, label_smoothing=0.1, class_weights=weights)
    halves = [objective(NOTHING, outputs[part], CHOSEN[part]) for part in (slice(3), slice(3, 6))]
    whole = objective(NOTHING, outputs, CHOSEN)
    assert torch.allclose(whole, torch.stack(halves).mean())


def test_several_labels_are_learned_each_on_its_own() -> None:
    logits, targets = some_outputs("multi-label"), some_targets("multi-label")
    p, wanted = logits.sigmoid(), 0.9 * targets[CHOSEN] + 0.05
    expected = -(wanted * p.log() + (1 - wanted) * (1 - p).log()).mean()
    objective = learn_labels("multi-label", targets, label_smoothing=0.1)
    assert torch.allclose(objective(NOTHING, logits, CHOSEN), expected)


def test_a_label_counts_as_its_weights_say_and_what_is_smoothed_as_the_item() -> None:
    logits, targets = some_outputs("multi-label"), some_targets("multi-label")
    p, has = logits.sigmoid(), targets[CHOSEN]
    wanted = 0.9 * has + 0.05
    losses = -(wanted * p.log() + (1 - wanted) * (1 - p).log())
    weights = has * LABEL_WEIGHTS[1] + (1 - has) * LABEL_WEIGHTS[0]
    objective = learn_labels(
        "multi-label", targets, label_smoothing=0.1, class_weights=LABEL_WEIGHTS
    )
    assert torch.allclose(objective(NOTHING, logits, CHOSEN), (weights * losses).mean())


def test_classes_with_an_order_cost_more_the_further_they_are_off() -> None:
    targets = torch.tensor([0])
    objective = learn_labels("ordinal", targets, label_smoothing=0.0)
    certain = 20 * torch.eye(4)
    losses = [objective(NOTHING, logits[None], targets).item() for logits in certain]
    entropies = [0.0, 20.0, 20.0, 20.0]
    for steps, (loss, entropy) in enumerate(zip(losses, entropies, strict=True)):
        assert loss - entropy == pytest.approx(steps, abs=1e-3)


def test_numbers_are_learned_in_units_of_the_scale() -> None:
    outputs, targets = some_outputs("regression"), some_targets("regression")
    objective = learn_labels("regression", targets, label_smoothing=0.0, scale=10.0)
    expected = sum((o - t) ** 2 / 100 for o, t in zip(outputs[:, 0], targets[CHOSEN], strict=True))
    assert torch.allclose(objective(NOTHING, outputs, CHOSEN), expected / 6)


@pytest.mark.parametrize("goal", GOALS)
def test_the_loss_of_an_ensemble_is_the_mean_over_its_members(goal: Goal) -> None:
    outputs = some_outputs(goal, 3)
    objective = learn_labels(goal, some_targets(goal), label_smoothing=0.1)
    alone = [objective(NOTHING, outputs[:, member], CHOSEN) for member in range(3)]
    together = objective(NOTHING, outputs, CHOSEN)
    assert torch.allclose(together, torch.stack(alone).mean())


@pytest.mark.parametrize("goal", GOALS)
def test_following_the_gradient_lowers_the_loss(goal: Goal) -> None:
    outputs = some_outputs(goal).requires_grad_()
    objective = learn_labels(goal, some_targets(goal), label_smoothing=0.0)
    before = objective(NOTHING, outputs, CHOSEN)
    (step,) = torch.autograd.grad(before, outputs)
    assert objective(NOTHING, outputs - 0.1 * step, CHOSEN) < before


def test_a_mixture_is_the_weighted_mean() -> None:
    outputs, wanted = some_outputs("regression"), some_targets("regression")
    one = learn_labels("regression", wanted, label_smoothing=0.0)
    other = learn_labels("regression", wanted, label_smoothing=0.0, scale=0.5)
    loss = mixed(one, other, 0.25)(NOTHING, outputs, CHOSEN)
    alone = one(NOTHING, outputs, CHOSEN)
    assert torch.allclose(loss, 0.25 * alone + 0.75 * 4 * alone)


def test_members_are_paired_with_what_their_item_wants() -> None:
    wanted = torch.arange(6.0)
    outputs = wanted.reshape(6, 1, 1).expand(6, 3, 1)
    assert over_members(squared_error(1.0), outputs, wanted).item() == 0
