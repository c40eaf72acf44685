from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diptych.core.specs import CategoryColumn, DateColumn, NumberColumn, TableSpec
from diptych.inference.runtimes import open_session
from diptych.targets import openvino
from diptych.targets.nearest import quantize_nearest
from diptych.targets.onnx import export
from diptych.training.models.tabular import Numbers, Tabular, TabularConfig

SPEC = TableSpec(
    columns=(
        NumberColumn(name="a"),
        CategoryColumn(name="w", values=("x", "y", "z")),
        DateColumn(name="d", format="iso"),
        CategoryColumn(name="v", values=("p", "q")),
    )
)
SMALL = TabularConfig(widths=(32, 32), pieces=8, number_width=4, category_width=4)
PERIODIC = TabularConfig(
    widths=(32, 32), pieces=8, number_width=4, category_width=4, embedding="periodic", waves=6
)
ENSEMBLE = TabularConfig(widths=(32, 32), pieces=8, number_width=4, category_width=4, members=4)


def rows(count: int, seed: int = 0) -> Tensor:
    random = np.random.default_rng(seed)
    columns = [random.normal(100, 50, count), random.integers(0, 4, count)]
    columns += [random.exponential(1e4, count), random.integers(0, 3, count)]
    table = np.stack(columns, 1).astype(np.float32)
    table[random.random(count) < 0.1, 0] = np.nan
    return torch.from_numpy(table)


def build(config: TabularConfig, spec: TableSpec = SPEC, outputs: int = 3) -> Tabular:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Tabular(config, spec, outputs)
    network.learn_scaling(rows(500))
    return network


@pytest.mark.parametrize("config", [SMALL, ENSEMBLE])
def test_the_answer_of_an_ensemble_is_the_mean_of_its_members(config: TabularConfig) -> None:
    network = build(TabularConfig(**{**as_dict(config), "dropout": 0.0}))
    batch = rows(20, seed=1)
    answered = network.train()(batch)
    members = answered if config.members > 1 else answered[:, None]
    assert members.shape == (20, config.members, 3)
    torch.testing.assert_close(network.eval()(batch), members.mean(1))


def as_dict(config: TabularConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in config.__struct_fields__}


def test_members_answer_differently() -> None:
    members = build(ENSEMBLE).train()(rows(20))
    assert (members.std(1) > 1e-3).all()


@pytest.mark.parametrize("kind", [NumberColumn, CategoryColumn])
def test_tables_of_numbers_or_of_words_alone_will_do(kind: type) -> None:
    columns = tuple(column for column in SPEC.columns if isinstance(column, kind))
    network = Tabular(SMALL, TableSpec(columns=columns), 2).eval()
    assert network(torch.zeros(5, len(columns))).shape == (5, 2)


def numbers(column: list[float], pieces: int = 4) -> nn.Module:
    network = Numbers(TabularConfig(pieces=pieces, number_width=pieces + 1), [0])
    network.learn_knots(np.array(column, np.float32)[:, None])
    network.weight.data[:] = torch.eye(pieces + 1)
    return network.eval()


def test_a_number_is_its_place_between_the_knots() -> None:
    network = numbers([0, 10, 20, 40])
    values = torch.tensor([[-5.0], [0.0], [5.0], [15.0], [30.0], [1e30]])
    expected = [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0.5, 0, 0, 0, 0], [1, 0.5, 0, 0, 0]]
    expected += [[1, 1, 0.5, 0, 0], [1, 1, 1, 0, 0]]
    torch.testing.assert_close(network(values), torch.tensor(expected, dtype=torch.float32))


def test_a_missing_number_is_a_feature_of_its_own() -> None:
    assert numbers([0, 10, 20, 40])(torch.tensor([[np.nan]])).tolist() == [[0, 0, 0, 0, 1]]
    assert numbers([np.nan, np.nan])(torch.tensor([[3.0]])).tolist() == [[0, 0, 0, 0, 0]]


@pytest.mark.parametrize("config", [SMALL, PERIODIC])
def test_training_and_answering_embed_numbers_alike(config: TabularConfig) -> None:
    network = build(config).numbers
    batch = rows(50)
    torch.testing.assert_close(network.train()(batch), network.eval()(batch))


def test_words_out_of_range_are_taken_as_the_nearest_and_not_read_from_elsewhere() -> None:
    network = build(SMALL).eval()
    wild, tame = torch.tensor([[1.0, 99, 0, -7]]), torch.tensor([[1.0, 3, 0, 0]])
    assert torch.equal(network(wild), network(tame))


def test_scaling_changes_the_widths_alone() -> None:
    config = TabularConfig(widths=(256, 128), members=4, pieces=9, dropout=0.2)
    expected = {**as_dict(config), "widths": (64, 32)}
    assert as_dict(config.scaled(0.25)) == expected
    assert config.scaled(0.001).widths == (16, 16)


def learned(config: TabularConfig) -> tuple[Tabular, Tensor]:
    """Train a few steps, so that outputs are worth comparing."""
    network, batch = build(config, outputs=2), rows(512)
    wanted = ((batch[:, 0].nan_to_num(0) > 100) ^ (batch[:, 1] > 1)).long()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(60):
        outputs = network.train()(batch)
        outputs = outputs.mean(1) if outputs.dim() == 3 else outputs
        loss = nn.functional.cross_entropy(outputs, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5
    return network.eval(), batch


def test_a_missing_number_has_no_waves() -> None:
    network = build(PERIODIC).numbers
    network.weight.data[:, -1] = 0
    missing = network(torch.full((1, 4), np.nan))
    assert torch.equal(missing, torch.zeros_like(missing))
    assert network(rows(5)).abs().max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("config", [SMALL, PERIODIC, ENSEMBLE])
def test_every_runtime_computes_the_same_also_of_missing_and_huge_values(
    config: TabularConfig, tmp_path: Path
) -> None:
    network, batch = learned(config)
    program = export(network, SPEC.tensor())
    odd = torch.tensor([[np.nan, 0, np.nan, 0], [1e30, 1, -1e30, 2], [3e38, 0, -3e38, 0]])
    items = torch.cat([batch[:200], odd])
    with torch.no_grad():
        expected = network(items).numpy()
    calibration = batch[:256].numpy()
    exact = {"onnxruntime": {"model.onnx": program}, "openvino": openvino.from_onnx(program)}
    small = {
        "onnxruntime": quantize_nearest(program, "onnxruntime", calibration),
        "openvino": quantize_nearest(program, "openvino", calibration),
    }
    for programs, allowed in ((exact, 1e-4), (small, 0.06)):
        for runtime, files in programs.items():
            outputs = _run(tmp_path, runtime, files, items.numpy())
            assert np.abs(outputs - expected).max() < allowed * np.ptp(expected)


def _run(folder: Path, runtime: str, files: dict[str, bytes], items: np.ndarray) -> np.ndarray:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    session = open_session(runtime, [folder / name for name in files])
    outputs = session.run(items)
    session.close()
    return outputs
