from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from diptych.core.errors import ConfigError
from diptych.core.specs import CategoryColumn, ImageSpec, NumberColumn, TableSpec, TextSpec
from diptych.training.models import NETWORKS, ResidualNetConfig, TabularConfig
from diptych.training.models.rescaled import Rescaled
from diptych.training.models.textmixture import TextMixtureConfig
from diptych.training.models.transformer import TransformerConfig
from diptych.training.optimizers.groups import hidden_matrices, parameter_groups, shares_by_depth


def residual() -> nn.Module:
    config = ResidualNetConfig(stem=8, widths=(8, 16), blocks=(1, 0))
    return NETWORKS[ResidualNetConfig](config, ImageSpec(height=8, width=8, channels=3), 10)


def names(network: nn.Module, parameters: list[nn.Parameter]) -> set[str]:
    found = {id(parameter): name for name, parameter in network.named_parameters()}
    return {found[id(parameter)] for parameter in parameters}


def test_every_trained_parameter_is_in_one_group_and_vectors_do_not_decay() -> None:
    network = residual()
    groups = parameter_groups(network, 0.5)
    trained = [name for name, p in network.named_parameters() if p.requires_grad]
    assert sorted(n for g in groups for n in names(network, g["params"])) == sorted(trained)
    for group in groups:
        dims = {parameter.dim() > 1 for parameter in group["params"]}
        assert dims == {group["weight_decay"] > 0}
        assert group["weight_decay"] in {0.0, 0.5}
        assert group["share"] == 1.0
        assert group["orthogonal"] is False


def test_shares_split_groups_and_what_is_not_named_has_all_of_the_rate() -> None:
    network = residual()
    groups = parameter_groups(network, 0.1, {"head.weight": 0.5, "head.bias": 0.5})
    slow = [group for group in groups if group["share"] == 0.5]
    assert {n for g in slow for n in names(network, g["params"])} == {"head.weight", "head.bias"}
    assert {group["share"] for group in groups} == {0.5, 1.0}
    assert len(slow) == 2


def tabular() -> nn.Module:
    columns = (NumberColumn(name="age"), CategoryColumn(name="word", values=("x", "y")))
    config = TabularConfig(widths=(8, 6), members=3, embedding="periodic")
    return NETWORKS[TabularConfig](config, TableSpec(columns=columns), 2)


def test_biases_and_frequencies_of_several_members_or_columns_do_not_decay() -> None:
    network = tabular()
    still = {
        name
        for group in parameter_groups(network, 0.5)
        if not group["weight_decay"]
        for name in names(network, group["params"])
    }
    biases = {"bias", "numbers.bias", "layers.0.bias", "layers.1.bias"}
    assert still == biases | {"numbers.periodic.frequencies"}


def test_a_network_of_which_nothing_can_be_trained_is_refused() -> None:
    with pytest.raises(ConfigError, match="no parameter"):
        parameter_groups(residual().requires_grad_(False), 0.1)


def test_of_a_residual_network_the_convolutions_between_stem_and_head_are_hidden() -> None:
    network = residual()
    convolutions = {n for n, p in network.named_parameters() if p.dim() == 4}
    assert hidden_matrices(network) == convolutions - {"body.0.convolution.weight"}


def text_spec() -> TextSpec:
    return TextSpec(vocabulary=50, tokens=8)


def test_of_a_transformer_neither_words_nor_places_nor_head_are_hidden() -> None:
    network = NETWORKS[TransformerConfig](TransformerConfig(), text_spec(), 3)
    hidden = hidden_matrices(network)
    others = {n for n, p in network.named_parameters() if p.dim() > 1} - hidden
    assert others == {"embedding.weight", "place", "head.weight"}
    assert all(dict(network.named_parameters())[name].dim() == 2 for name in hidden)


def test_both_heads_of_a_mixture_are_heads() -> None:
    network = NETWORKS[TextMixtureConfig](TextMixtureConfig(), text_spec(), 3)
    assert not {name for name in hidden_matrices(network) if "head" in name}


def test_where_the_head_is_a_parameter_the_last_linear_layer_is_hidden() -> None:
    hidden = {"layers.0.weight", "layers.1.weight"}
    assert hidden_matrices(tabular()) == hidden
    assert hidden_matrices(Rescaled(tabular(), 0.0, 1.0)) == {f"network.{name}" for name in hidden}


def test_depthwise_convolutions_are_not_matrices_and_a_bare_layer_is_a_head() -> None:
    network = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 6, 1), nn.Linear(6, 6))
    assert hidden_matrices(network) == {"1.weight"}
    assert hidden_matrices(nn.Linear(3, 3)) == frozenset()
    assert hidden_matrices(nn.Conv1d(8, 8, 3)) == {"weight"}


@given(
    st.integers(1, 9),
    st.floats(0.01, 1.0),
    st.integers(1, 5),
)
def test_shares_rise_from_the_least_at_the_first_layer_to_1_at_the_last(
    layers: int, least: float, levels: int
) -> None:
    network = nn.Sequential(*(nn.Linear(2, 2) for _ in range(layers)))
    shares = shares_by_depth(network, least, levels)
    assert list(shares) == [name for name, _ in network.named_parameters()]
    weights = [shares[f"{layer}.weight"] for layer in range(layers)]
    assert weights == sorted(weights)
    assert weights == [shares[f"{layer}.bias"] for layer in range(layers)]
    assert len(set(weights)) <= levels
    assert weights[-1] == 1.0
    if min(levels, layers) > 1:
        assert weights[0] == pytest.approx(least)
        ratios = {round(b / a, 6) for a, b in pairwise(weights)} - {1.0}
        assert len(ratios) <= 1


def test_an_optimizer_takes_the_groups() -> None:
    network = residual()
    groups = parameter_groups(network, 0.1, shares_by_depth(network, 0.1), hidden_matrices(network))
    kept = torch.optim.SGD(groups, lr=0.1).param_groups
    assert {group["orthogonal"] for group in kept} == {True, False}
    assert min(group["share"] for group in kept) == pytest.approx(0.1)
