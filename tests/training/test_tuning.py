import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from torch import Tensor, nn

from diptych.measure.machine import describe
from diptych.training.feed import Feed
from diptych.training.objectives import learn_labels
from diptych.training.recipe import TrainingRecipe
from diptych.training.stepper import Stepper
from diptych.training.team import SOLO, Team
from diptych.training.tuning import Tuning, compilable, halves
from diptych.training.variation import PictureVariation, TextVariation, Variation

ITEMS = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
OBJECTIVE = learn_labels("classification", torch.arange(40) % 2, label_smoothing=0.0)
RECIPE = TrainingRecipe(batch_size=8)


class Clocked(nn.Module):
    """A network on a machine of its own: what a step takes is set by how it is computed."""

    now = 0.0

    def __init__(self, costs: dict[str, float]) -> None:
        super().__init__()
        self.convolution, self.costs = nn.Conv2d(3, 2, 3), costs

    def forward(self, pixels: Tensor) -> Tensor:
        bf16 = torch.is_autocast_enabled("cpu")
        pace = self.costs.get(f"{torch.get_num_threads()} threads", 1.0)
        last = self.convolution.weight.stride()[1] == 1
        key = ("bf16" if bf16 else "fp32") + (" last" if last else "")
        Clocked.now += self.costs[key] * pace
        return self.convolution(pixels.permute(0, 3, 1, 2).float()).mean((2, 3))


def tuned(
    costs: dict[str, float], flags: tuple[str, ...] = (), **changes: object
) -> TrainingRecipe:
    feed = Feed(ITEMS, RECIPE, 0, torch.device("cpu"))
    machine = replace(describe(), flags=flags)
    tuning = Tuning(Clocked(costs), OBJECTIVE, feed, lambda: Clocked.now, machine)
    return tuning.tuned(replace(RECIPE, **changes), steps=1)


@pytest.mark.parametrize(
    ("costs", "arithmetic", "channels_last"),
    [
        ({"fp32": 1.0, "bf16": 0.5, "fp32 last": 1.0, "bf16 last": 0.2}, "bf16", True),
        ({"fp32": 1.0, "bf16": 1.5, "fp32 last": 2.0, "bf16 last": 0.2}, "fp32", None),
        ({"fp32": 1.0, "bf16": 0.97, "fp32 last": 0.5, "bf16 last": 0.5}, "fp32", True),
    ],
    ids=["both", "neither", "what is in the noise is left"],
)
def test_the_fastest_way_is_chosen_step_by_step(
    costs: dict[str, float], arithmetic: str, channels_last: bool | None
) -> None:
    assert tuned(costs) == replace(RECIPE, arithmetic=arithmetic, channels_last=channels_last)


def test_bfloat16_is_not_tried_where_a_processor_has_no_instructions_for_it() -> None:
    costs = {"fp32": 1.0, "fp32 last": 1.0, "bf16": 0.1, "bf16 last": 0.1}
    assert tuned(costs, ("avx2", "avx512_bf16")).arithmetic == "bf16"
    assert tuned(costs, ("avx2", "avx512f")).arithmetic == "fp32"


@pytest.mark.parametrize(
    ("paces", "threads"),
    [
        ({"6 threads": 3.0, "3 threads": 1.5}, 1),
        ({"6 threads": 3.0, "3 threads": 0.5}, 3),
        ({"6 threads": 1.0}, 6),
    ],
)
def test_fewer_threads_are_taken_where_they_are_faster(
    paces: dict[str, float], threads: int
) -> None:
    same = dict.fromkeys(("fp32", "bf16", "fp32 last", "bf16 last"), 1.0)
    before = torch.get_num_threads()
    assert tuned(same | paces, threads=6) == replace(RECIPE, threads=threads)
    assert torch.get_num_threads() == before


class Uncompiled(Tuning):
    """One that may not even try to compile."""

    def _stepper(self, recipe: TrainingRecipe) -> Stepper:
        assert not recipe.compiled
        return super()._stepper(recipe)


def test_compiling_is_not_tried_with_texts_of_any_length() -> None:
    same = dict.fromkeys(("fp32", "bf16", "fp32 last", "bf16 last"), 1.0)
    feed = Feed(ITEMS, RECIPE, 0, torch.device("cpu"))
    recipe = replace(RECIPE, variation=TextVariation())
    tuning = Uncompiled(Clocked(same), OBJECTIVE, feed, lambda: Clocked.now)
    assert tuning.tuned(recipe, steps=1_000_000) == recipe


class Two(Team):
    size = 2


@pytest.mark.parametrize(
    ("network", "variation", "team", "why"),
    [
        (nn.Linear(2, 2), TextVariation(), SOLO, "texts differ in length"),
        (nn.Sequential(nn.BatchNorm1d(2)), None, Two(), "statistics of batch norms"),
        (nn.Sequential(nn.BatchNorm1d(2)), PictureVariation(), SOLO, ""),
        (nn.Linear(2, 2), None, Two(), ""),
    ],
    ids=["texts", "a team with batch norms", "pictures", "a team without"],
)
def test_a_recipe_is_not_compiled_where_that_cannot_pay(
    network: nn.Module, variation: Variation | None, team: Team, why: str
) -> None:
    said: list[str] = []
    recipe = replace(RECIPE, compiled=True, variation=variation)
    followed = compilable(network, recipe, team, said.append)
    assert followed == replace(recipe, compiled=not why)
    assert [why in text for text in said] == [True] * bool(why)
    assert compilable(network, followed, team, said.append) == followed
    assert len(said) == bool(why)


@given(st.integers(1, 300))
def test_halves_go_down_to_one(threads: int) -> None:
    tried = halves(threads)
    assert all(more // 2 == fewer for more, fewer in itertools.pairwise([threads, *tried]))
    assert [threads, *tried][-1] == 1


def test_network_and_generator_stay_as_they_are() -> None:
    same = dict.fromkeys(("fp32", "bf16", "fp32 last", "bf16 last"), 1.0)
    network = Clocked(same)
    kept = [value.clone() for value in network.state_dict().values()]
    state = torch.get_rng_state()
    feed = Feed(ITEMS, RECIPE, 0, torch.device("cpu"))
    assert Tuning(network, OBJECTIVE, feed, lambda: Clocked.now).tuned(RECIPE, steps=1) == RECIPE
    assert all(torch.equal(a, b) for a, b in zip(kept, network.state_dict().values(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
