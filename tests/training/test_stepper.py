import shutil

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from pretended_gpu import pretended_gpu
from torch import Tensor, nn

from diptych.core.errors import TrainingError
from diptych.training.feed import Batch
from diptych.training.memory import Cut, NoMemoryError
from diptych.training.objectives import learn_labels
from diptych.training.recipe import TrainingRecipe
from diptych.training.stepper import Stepper
from diptych.training.team import Team

RECIPE = TrainingRecipe(batch_size=8, learning_rate=0.1, weight_decay=0.0, label_smoothing=0.0)
TARGETS = torch.arange(8) % 3
OBJECTIVE = learn_labels("classification", TARGETS, label_smoothing=0.0)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def batch(**changes: object) -> Batch:
    inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
    return Batch(**({"inputs": inputs, "chosen": torch.arange(8)} | changes))


def weights(model: nn.Module) -> np.ndarray:
    return torch.cat([p.detach().flatten() for p in model.parameters()]).numpy()


def test_a_step_is_that_of_plain_torch() -> None:
    ours, theirs = network(), network()
    stepper = Stepper(ours, RECIPE, OBJECTIVE)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    for _ in range(5):
        loss = stepper.take(batch(), 0.1, 0.9)
        expected = nn.functional.cross_entropy(theirs(batch().inputs), TARGETS)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    np.testing.assert_allclose(weights(ours), weights(theirs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("parts", [2, 3, 8, 100])
def test_a_batch_in_parts_is_the_same_step(parts: int) -> None:
    whole, apart = network(), network()
    loss = Stepper(whole, RECIPE, OBJECTIVE).take(batch(), 0.1, 0.9)
    stepper = Stepper(apart, replace(RECIPE, accumulation=parts), OBJECTIVE)
    assert stepper.take(batch(), 0.1, 0.9).item() == pytest.approx(loss.item(), rel=1e-5)
    np.testing.assert_allclose(weights(apart), weights(whole), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_loss_of_a_mixed_batch_is_mixed_alike(share: float) -> None:
    partners = torch.arange(8).flip(0)
    stepper = Stepper(network(), RECIPE, OBJECTIVE)
    loss = stepper.take(batch(partners=partners, share=share), 0.1, 0.9).item()
    logits = network()(batch().inputs)
    own, other = (nn.functional.cross_entropy(logits, TARGETS[n]) for n in (range(8), partners))
    assert loss == pytest.approx((share * own + (1 - share) * other).item(), rel=1e-5)


class Hungry(nn.Module):
    """A network that has memory for no more than some items at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.net, self.most, self.seen = network(), most, []

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen.append(len(inputs))
        if len(inputs) > self.most:
            raise torch.cuda.OutOfMemoryError("no")
        return self.net(inputs)


def test_out_of_memory_halves_the_parts_keeps_the_batch_and_says_so() -> None:
    said: list[str] = []
    hungry, whole = Hungry(2), network()
    stepper = Stepper(hungry, RECIPE, OBJECTIVE, say=said.append)
    for step in (5, 6):
        stepper.take(batch(), 0.1, 0.9, step)
    assert hungry.seen == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert said[-1] == "out of memory: each batch is computed in 4 parts now"
    assert stepper.cuts == [Cut(step=5, parts=2), Cut(step=5, parts=4)]
    plain = Stepper(whole, RECIPE, OBJECTIVE)
    for _ in range(2):
        plain.take(batch(), 0.1, 0.9)
    np.testing.assert_allclose(weights(hungry), weights(whole), rtol=1e-5, atol=1e-6)


class Normed(Hungry):
    """One that counts statistics of its batches and forgets at random before memory is short."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.norm, self.dropout = nn.BatchNorm1d(4), nn.Dropout(0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(self.dropout(self.norm(inputs)))


def test_a_step_that_is_taken_again_is_the_one_that_was_planned_in_so_many_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planned = replace(RECIPE, cuts=(Cut(step=3, parts=2),))
    networks = [Normed(4), Normed(8)]
    with pretended_gpu(monkeypatch):
        objective = learn_labels("classification", TARGETS.to("cuda"), label_smoothing=0.0)
        there = batch(inputs=batch().inputs.to("cuda"), chosen=torch.arange(8).to("cuda"))
        for each, recipe in zip(networks, (RECIPE, planned), strict=True):
            stepper = Stepper(each.to("cuda").train(), recipe, objective)
            for step in (3, 4):
                stepper.take(there, 0.1, 0.9, step, seed=step)
    assert [each.seen for each in networks] == [[8, 4, 4, 4, 4], [4, 4, 4, 4]]
    cut, whole = (each.state_dict() for each in networks)
    assert whole["norm.num_batches_tracked"] == 4
    assert all(torch.equal(cut[name], whole[name]) for name in whole)


def test_where_memory_is_short_it_says_how_many_items_batch_norms_see() -> None:
    said: list[str] = []
    stepper = Stepper(Normed(3).train(), RECIPE, OBJECTIVE, say=said.append)
    stepper.take(batch(), 0.1, 0.9)
    assert said == [
        "out of memory: each batch is computed in 2 parts now; batch norms see 4 items each",
        "out of memory: each batch is computed in 4 parts now; batch norms see 2 items each",
    ]


@pytest.mark.parametrize(
    ("most", "accumulation", "hint"),
    [
        (8, 8, "choose a larger batch_size, or a smaller accumulation"),
        (1, 1, "use a smaller network"),
    ],
    ids=["as planned", "for want of memory"],
)
def test_a_batch_norm_that_sees_one_vector_is_refused_in_one_line(
    most: int, accumulation: int, hint: str
) -> None:
    recipe = replace(RECIPE, accumulation=accumulation)
    with pytest.raises(TrainingError, match="cannot learn from one item at a time") as refused:
        Stepper(Normed(most).train(), recipe, OBJECTIVE).take(batch(), 0.1, 0.9)
    assert refused.value.hint == hint


def test_one_item_of_many_places_is_not_refused_nor_other_errors_taken_for_that() -> None:
    class Refusing(Hungry):
        def forward(self, inputs: Tensor) -> Tensor:
            raise ValueError("such inputs are not known")

    recipe = replace(RECIPE, accumulation=8)
    assert Stepper(pictures(), recipe, OBJECTIVE).take(batch(), 0.1, 0.9).isfinite()
    with pytest.raises(ValueError, match=r"^such inputs are not known$"):
        Stepper(Refusing(8), recipe, OBJECTIVE).take(batch(), 0.1, 0.9)


def test_a_step_that_was_begun_is_not_taken_again_for_want_of_memory() -> None:
    """The optimizer may have stepped some weights already."""
    stepper, steps = Stepper(network(), RECIPE, OBJECTIVE), [0]

    def step(*_: object) -> None:
        steps[0] += 1
        raise torch.cuda.OutOfMemoryError("no")

    stepper.optimizer.step = step  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="cpu has no memory for what sgd keeps"):
        stepper.take(batch(), 0.1, 0.9)
    assert steps == [1]
    assert stepper.cuts == []


def test_steps_are_taken_in_the_parts_of_a_recorded_recipe() -> None:
    hungry = Hungry(8)
    stepper = Stepper(hungry, replace(RECIPE, cuts=(Cut(step=1, parts=2),)), OBJECTIVE)
    for step in (0, 1, 2):
        stepper.take(batch(), 0.1, 0.9, step)
    assert hungry.seen == [8, 4, 4, 4, 4]


def test_a_process_of_a_team_does_not_go_on_alone() -> None:
    class Two(Team):
        size = 2

    stepper = Stepper(Hungry(2), replace(RECIPE, accumulation=2), OBJECTIVE, Two())
    with pytest.raises(NoMemoryError, match="cpu has no memory for 4 items") as caught:
        stepper.take(batch(), 0.1, 0.9, 3)
    assert caught.value.cut == Cut(step=3, parts=4)
    assert caught.value.hint == "go on with --resume and --accumulation 4, or start again with it"


def test_a_network_of_which_no_item_fits_is_refused() -> None:
    with pytest.raises(TrainingError, match="no memory for a single item"):
        Stepper(Hungry(0), RECIPE, OBJECTIVE).take(batch(), 0.1, 0.9)


def test_what_is_computed_in_bfloat16_learns_in_float32() -> None:
    stepper = Stepper(network(), replace(RECIPE, arithmetic="bf16"), OBJECTIVE)
    first = stepper.take(batch(), 0.1, 0.9)
    assert first.dtype == torch.float32
    for _ in range(30):
        last = stepper.take(batch(), 0.1, 0.9)
    assert last.item() < first.item() / 2
    assert all(p.dtype == torch.float32 for p in stepper.network.parameters())


def test_the_layout_in_memory_is_as_asked() -> None:
    def strides(channels_last: bool | None) -> tuple[int, ...]:
        convolution = nn.Conv2d(3, 4, 3)
        Stepper(convolution, replace(RECIPE, channels_last=channels_last), OBJECTIVE)
        return convolution.weight.stride()

    assert strides(None) == strides(False) == (27, 9, 3, 1)
    assert strides(True) == (27, 1, 9, 3)


class Pictures(nn.Module):
    """A convolution, batch norm and a head, in channels-last memory."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 3)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, None, None].expand(-1, -1, 4, 4)
        return self.head(torch.relu(self.norm(self.convolution(x))).amax((2, 3)))


def pictures() -> nn.Module:
    torch.manual_seed(0)
    return Pictures().train()


COMPILES = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.mark.slow
@COMPILES
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with g++")
@pytest.mark.parametrize("arithmetic", ["fp32", "bf16"])
def test_a_compiled_network_takes_the_same_steps(arithmetic: str) -> None:
    compiled, plain = pictures(), pictures()
    recipe = replace(RECIPE, arithmetic=arithmetic)
    steppers = [Stepper(compiled, replace(recipe, compiled=True), OBJECTIVE)]
    steppers.append(Stepper(plain, recipe, OBJECTIVE))
    for _ in range(3):
        first, second = (stepper.take(batch(), 0.1, 0.9).item() for stepper in steppers)
        assert first == pytest.approx(second, rel=1e-4 if arithmetic == "fp32" else 2e-2)
    tolerance = 1e-4 if arithmetic == "fp32" else 2e-2
    np.testing.assert_allclose(weights(compiled), weights(plain), atol=tolerance)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    torch.testing.assert_close(compiled.norm.running_var, plain.norm.running_var, rtol=0.02, atol=0)


@pytest.mark.slow
@COMPILES
def test_without_a_compiler_compiling_is_refused_in_one_line() -> None:
    from torch._inductor import config

    stepper = Stepper(network(), replace(RECIPE, compiled=True), OBJECTIVE)
    without = {"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}
    with config.patch(without), pytest.raises(TrainingError, match="cannot compile") as seen:
        stepper.take(batch(), 0.1, 0.9)
    assert "\n" not in str(seen.value.args[0])
    assert "compiled = false" in str(seen.value.hint)
