import re
import threading
from pathlib import Path

import pytest
import torch
import torch.nn.utils.prune
from torch import nn

from diptych.core.errors import ConfigError
from diptych.core.progress import Step, silent
from diptych.core.specs import ImageSpec
from diptych.fitting.given import make_given, open_elsewhere, take
from diptych.training.models.given import GivenConfig, GivenNetwork


def named(elsewhere: Path, function: str) -> str:
    return f"{elsewhere / 'net.py'}:{function}"


def test_a_module_is_made_with_its_weights_and_used_in_evaluation_mode(elsewhere: Path) -> None:
    weights, told = elsewhere / "net.safetensors", list[Step]()
    given = make_given(named(elsewhere, "make"), told.append, weights, "scores")
    assert not given.network.training
    assert [step.note.partition(" ")[2] for step in told] == [
        "is in training mode: it is used in evaluation mode"
    ]
    again = make_given(named(elsewhere, "make"), silent, weights)
    assert (again.sha256, again.source, again.output) == (given.sha256, given.source, None)
    assert given.output == "scores"
    other = make_given(named(elsewhere, "make"), silent)
    assert other.sha256 != given.sha256


def test_weights_of_a_bundle_of_it_fit_too(elsewhere: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    weights = elsewhere / "net.safetensors"
    named_so = {f"network.{name}": value for name, value in library.load_file(weights).items()}
    library.save_file(named_so, tmp_path / "weights.safetensors")
    made = [
        make_given(named(elsewhere, "make"), silent, file).sha256
        for file in (weights, tmp_path / "weights.safetensors")
    ]
    assert made[0] == made[1]


def test_weights_are_brought_to_a_module_that_has_none(elsewhere: Path) -> None:
    weights = elsewhere / "net.safetensors"
    given = make_given(named(elsewhere, "without_weights"), silent, weights)
    assert given.sha256 == make_given(named(elsewhere, "make"), silent, weights).sha256


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("raises", r"raises\(\) raises OSError: no weights here"),
        ("nothing", "gives a NoneType, no torch.nn.Module"),
        ("NUMBER", "is of type int, no function"),
        ("absent", "has no 'absent'"),
        ("without_weights", "has no weights: it is on the device meta"),
    ],
)
def test_what_makes_no_module_is_told(elsewhere: Path, function: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_given(named(elsewhere, function), silent)


def test_weights_of_something_else_are_named(elsewhere: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    library.save_file({"block.0.weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(ConfigError) as told:
        make_given(named(elsewhere, "make"), silent, tmp_path / "a.safetensors")
    assert "does not fit" in told.value.message
    lacks = r": it lacks \S+, \S+, \S+ and \d+ more; block\.0\.weight is 2, not [\dx]+$"
    assert re.search(lacks, told.value.message)
    own = make_given(named(elsewhere, "make"), silent).network.state_dict()
    name, right = next((n, t) for n, t in own.items() if t.dim() == 4)
    others = {f"module.{n}": tensor.clone() for n, tensor in own.items()}
    others[name] = torch.zeros(2, 3)
    library.save_file(others, tmp_path / "a.safetensors")
    with pytest.raises(ConfigError) as told:
        make_given(named(elsewhere, "make"), silent, tmp_path / "a.safetensors")
    assert "it has beside module." in told.value.message
    library.save_file({**own, name: torch.zeros(2, 3)}, tmp_path / "a.safetensors")
    shape = "x".join(map(str, right.shape))
    with pytest.raises(ConfigError, match=rf": {re.escape(name)} is 2x3, not {shape}$"):
        make_given(named(elsewhere, "make"), silent, tmp_path / "a.safetensors")
    (tmp_path / "a.pt").write_bytes(b"a pickle")
    with pytest.raises(ConfigError, match="may hold code, and is not opened"):
        make_given(named(elsewhere, "make"), silent, tmp_path / "a.pt")


def test_a_module_that_is_given_stays_as_it_is_and_weights_may_be_shared() -> None:
    shared = nn.Linear(4, 4)
    module = nn.Sequential(shared, nn.Dropout(), shared).train()
    module[0].weight.requires_grad_(False)
    given = take(module, "Sequential", silent)
    assert module.training
    assert not module[0].weight.requires_grad
    assert all(parameter.requires_grad for parameter in given.network.parameters())
    assert not given.network.training


@pytest.mark.slow
def test_an_exported_program_is_a_module() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    batch = torch.export.Dim("N", min=1, max=64)
    program = torch.export.export(module, (torch.zeros(2, 4),), dynamic_shapes=({0: batch},))
    given = take(program, "ExportedProgram", silent)
    inputs = torch.randn(5, 4)
    assert torch.equal(given.network(inputs), module(inputs))
    config = GivenConfig(source="ExportedProgram", sha256=given.sha256)
    opened = open_elsewhere(config, data(), 1, given)
    assert isinstance(opened.train(), GivenNetwork)


def data():
    from diptych.data import read
    from diptych.data.reading import Options

    digits = read("digits", Options(seed=0))
    assert isinstance(digits.spec, ImageSpec)
    return digits


def test_a_module_that_cannot_be_copied_is_told() -> None:
    module = nn.Linear(4, 3)
    torch.nn.utils.prune.identity(module, "weight")
    module(torch.zeros(1, 4))
    with pytest.raises(ConfigError, match=r"^Linear cannot be copied: Only Tensors") as told:
        take(module, "Linear", silent)
    assert "remove hooks" in told.value.hint
    module.lock = threading.Lock()
    with pytest.raises(ConfigError, match=r"^Linear cannot be copied: \S"):
        take(module, "Linear", silent)


@pytest.mark.slow
def test_an_exported_program_stays_as_it_is() -> None:
    module = nn.Linear(4, 3).requires_grad_(False)
    program = torch.export.export(module, (torch.zeros(2, 4),))
    given = take(program, "ExportedProgram", silent)
    assert all(parameter.requires_grad for parameter in given.network.parameters())
    assert not any(parameter.requires_grad for parameter in program.parameters())
    with torch.no_grad():
        next(given.network.parameters()).zero_()
    assert module.weight.any()
