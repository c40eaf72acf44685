from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from diptych.compression.grids import ActivationGrid, SameGrid, WeightGrid
from diptych.compression.quantize import QuantizedNetwork, moved, quantization_aware
from diptych.core.errors import TargetError
from diptych.core.specs import ImageSpec, TextSpec
from diptych.training.models import ResidualNetConfig
from diptych.training.models.resnet import ResidualNet

PICTURES = ImageSpec(height=8, width=8, channels=1)
SPEC = PICTURES.tensor()


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    network = ResidualNet(ResidualNetConfig(stem=8, widths=(8, 16), blocks=(1, 0)), PICTURES, 3)
    for seed in range(5):
        network(torch.from_numpy(pixels(32, seed)))
    return network.eval()


@pytest.fixture(scope="module")
def quantized(network: nn.Module) -> QuantizedNetwork:
    return quantization_aware(network, SPEC, pixels(64))


def count(network: nn.Module, kind: type) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


def test_outputs_are_near_those_in_float_but_not_the_same(
    network: nn.Module, quantized: QuantizedNetwork
) -> None:
    items = torch.from_numpy(pixels(40, 9))
    with torch.no_grad():
        difference = (quantized(items) - network(items)).abs().max()
        spread = np.ptp(network(items).numpy())
    assert 0 < difference < 0.1 * spread


def test_every_layer_has_a_grid_for_its_weights_and_every_step_one_for_its_values(
    quantized: QuantizedNetwork,
) -> None:
    assert count(quantized, WeightGrid) == 6
    # the scaled pixels, five convolutions with ReLU, the sum
    assert count(quantized, ActivationGrid) == 7
    # two poolings, the maximum
    assert count(quantized, SameGrid) == 3


@pytest.mark.parametrize(("asked", "levels"), [({}, 64), ({"levels": 127}, 127)])
def test_weights_have_as_many_levels_as_every_processor_adds_up_unless_more_are_asked_for(
    network: nn.Module, asked: dict[str, int], levels: int
) -> None:
    rounded = quantization_aware(network, SPEC, pixels(16), **asked)
    grids = [module for module in rounded.modules() if isinstance(module, WeightGrid)]
    assert {grid.levels for grid in grids} == {levels}


def test_values_between_the_layers_lie_on_the_grid(quantized: QuantizedNetwork) -> None:
    seen: list[tuple[ActivationGrid, Tensor]] = []
    handles = [
        module.register_forward_hook(
            lambda module, _, out: seen.append((getattr(module, "grids", (module,))[0], out))
        )
        for module in quantized.modules()
        if isinstance(module, ActivationGrid | SameGrid)
    ]
    with torch.no_grad():
        quantized(torch.from_numpy(pixels(8, 3)))
    for handle in handles:
        handle.remove()
    assert len(seen) == 10
    for grid, values in seen:
        scale, zero = grid.scale_and_zero()
        levels = values / scale + zero
        assert (levels - levels.round()).abs().max() < 1e-3
        assert levels.min() > -0.5
        assert levels.max() < 255.5


def test_ranges_are_the_extremes_of_the_calibration_items(network: nn.Module) -> None:
    few = quantization_aware(network, SPEC, np.full((16, 8, 8, 1), 127, np.uint8))
    first = next(m for m in few.modules() if isinstance(m, ActivationGrid))
    assert (first.low.item(), first.high.item()) == pytest.approx((-0.5 / 64, 0.0), abs=1e-6)


def test_it_is_trained_like_any_network_and_the_given_one_stays(
    network: nn.Module, quantized: QuantizedNetwork
) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trained = quantization_aware(network, SPEC, pixels(64))
    trained.train()
    items, classes = torch.from_numpy(pixels(32, 4)), torch.arange(32) % 3
    optimizer = torch.optim.Adam(trained.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(trained(items), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_network_without_layers_is_refused() -> None:
    class Mean(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs.float().mean((1, 2))

    with pytest.raises(TargetError, match="no layer"):
        quantization_aware(Mean().eval(), SPEC, pixels(16))


class Words(nn.Module):
    """A table, a layer, a mask, a norm, a maximum and a layer; and a maximum of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.inner, self.norm, self.head = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        present = (tokens > 0).float()[:, :, None]
        x = self.norm(self.inner(self.table(tokens.long())) * present)
        longest = tokens.amax(1, keepdim=True).float()
        return self.head(x.amax(1)) + longest


def test_tables_masks_and_maxima_are_rounded_and_whole_numbers_are_not() -> None:
    torch.manual_seed(0)
    network, spec = Words().eval(), TextSpec(tokens=6, vocabulary=20).tensor()
    tokens = np.random.default_rng(0).integers(0, 20, (64, 6), dtype=np.int32)
    quantized = quantization_aware(network, spec, tokens)
    names = {name.rpartition(".")[2] for name, _ in quantized.named_modules() if "Grid" in name}
    assert names == {
        "table_weight_ActivationGrid",
        "embedding_SameGrid",
        "linear_WeightGrid",
        "linear_ActivationGrid",
        "layer_norm_ActivationGrid",
        "unsqueeze_ActivationGrid",
        "mul_ActivationGrid",
        "amax_1_SameGrid",
        "linear_1_WeightGrid",
    }
    table = next(m for name, m in quantized.named_modules() if "table_weight_" in name)
    assert table.low.item() == pytest.approx(network.table.weight.min().item())
    items = torch.from_numpy(tokens)
    with torch.no_grad():
        difference = (quantized(items) - network(items)).abs().max()
    assert 0 < difference < 0.05


def test_what_a_graph_makes_on_the_way_is_made_where_the_network_is() -> None:
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(8, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            places = torch.arange(8, device=inputs.device, dtype=torch.float32)
            return self.head(inputs.float().mean((1, 3)) + places)

    def devices(network: QuantizedNetwork) -> set[torch.device]:
        nodes = network.graph.graph.nodes
        return {node.kwargs["device"] for node in nodes if "device" in node.kwargs}

    network = quantization_aware(Placed().eval(), SPEC, pixels(16))
    assert devices(network) == {torch.device("cpu")}
    elsewhere = moved(network, torch.device("meta"))
    assert devices(elsewhere) == {torch.device("meta")}
    assert {p.device for p in elsewhere.parameters()} == {torch.device("meta")}


@pytest.mark.parametrize("clamp", [nn.ReLU6(), nn.Hardtanh(0, 6, inplace=True), functional.relu6])
def test_what_is_clamped_has_one_grid_that_clamps_in_its_place(
    clamp: Callable[[Tensor], Tensor],
) -> None:
    class Clamped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 4, 3, padding="same")
            self.second, self.head = nn.Conv2d(4, 4, 3, padding="same"), nn.Linear(4, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            x = clamp(self.first(inputs.permute(0, 3, 1, 2).float() / 10))
            return self.head(clamp(self.second(x)).mean((2, 3)))

    torch.manual_seed(0)
    network = Clamped().eval()
    quantized = quantization_aware(network, SPEC, pixels(64))
    assert count(quantized, WeightGrid) == 3
    grids = [module for module in quantized.modules() if isinstance(module, ActivationGrid)]
    assert len(grids) == 4  # the scaled pixels, both results, their mean
    assert (grids[1].low.item(), grids[1].high.item()) == (0.0, 6.0)
    names = [str(node.target) for node in quantized.graph.graph.nodes]
    assert not any(name.startswith(("aten.relu6", "aten.hardtanh")) for name in names)
    items = torch.from_numpy(pixels(40, 9))
    with torch.no_grad():
        difference = (quantized(items) - network(items)).abs().max()
        assert 0 < difference < 0.1 * np.ptp(network(items).numpy())
