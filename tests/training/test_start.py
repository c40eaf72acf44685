"""Weights to start from are read only when they are what they should be."""

from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec import structs

from diptych.core.errors import BundleError, ConfigError
from diptych.core.files import sha256_of_bytes
from diptych.core.specs import TextSpec
from diptych.inference import store
from diptych.training import weights
from diptych.training.models import HuggingFaceConfig, ResidualNetConfig
from diptych.training.start import MOST_BYTES, Start, read_start

CONFIG = {"name": "residual", "stem": 8, "widths": [16], "blocks": [1], "diptych": "0.1.0"}


@pytest.fixture
def encoded() -> bytes:
    return weights.encode(torch.nn.Linear(2, 3))


@pytest.fixture
def bundle(tiny: Any, tmp_path: Path, encoded: bytes) -> Path:
    """Write a bundle with weights."""
    record = store.record("weights.safetensors", encoded)
    manifest = structs.replace(
        tiny.manifest, files=(*tiny.manifest.files, record), architecture=CONFIG
    )
    store.write(tmp_path / "cats.dip", manifest, {**tiny.contents, record.path: encoded})
    return tmp_path / "cats.dip"


def test_a_file_gives_its_tensors_and_their_hash(tmp_path: Path, encoded: bytes) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(encoded)
    start = read_start(file)
    assert {name: tuple(t.shape) for name, t in start.tensors.items()} == {
        "weight": (3, 2),
        "bias": (3,),
    }
    assert start.plan.sha256 == sha256_of_bytes(encoded)
    assert start.network() is None
    assert read_start(start.plan.source, start.plan.sha256).name == "a.safetensors"


def test_a_bundle_tells_of_its_network_and_its_inputs(bundle: Path) -> None:
    start = read_start(bundle)
    assert start.network() == ResidualNetConfig(stem=8, widths=(16,), blocks=(1,))
    assert start.manifest is not None
    assert start.name == "cats.dip"


def test_a_changed_byte_of_the_weights_is_noticed_before_they_are_parsed(bundle: Path) -> None:
    file = bundle / "weights.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match=r"weights\.safetensors' was changed"):
        read_start(bundle)


def test_weights_other_than_those_of_the_recipe_are_refused(tmp_path: Path, encoded: bytes) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(encoded)
    with pytest.raises(ConfigError, match="are not those that they were"):
        read_start(file, "0" * 64)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.bin", b"\x80\x02", "may hold code, and is not opened"),
        ("model.pt", b"PK\x03\x04", "may hold code, and is not opened"),
        ("a.safetensors", b"", "is no whole safetensors file"),
        ("a.safetensors", b"\xff" * 64, "is no whole safetensors file"),
        ("a.safetensors", b"\x02\0\0\0\0\0\0\0{}", None),
    ],
)
def test_other_files_are_refused_with_what_to_give(
    tmp_path: Path, name: str, content: bytes, said: str | None
) -> None:
    (tmp_path / name).write_bytes(content)
    if said is None:
        assert not read_start(tmp_path / name).tensors
        return
    with pytest.raises(ConfigError, match=said) as caught:
        read_start(tmp_path / name)
    assert "folder of a bundle" in caught.value.hint


@pytest.mark.parametrize("cut", [1, 9, 40, 100])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, encoded: bytes, cut: int) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(encoded[:-cut])
    with pytest.raises(ConfigError, match="no whole safetensors file"):
        read_start(file)


def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 3)
    layer.bias.data[1] = float("nan")
    file = tmp_path / "a.safetensors"
    file.write_bytes(weights.encode(layer))
    with pytest.raises(ConfigError, match=r"bias of .* not finite"):
        read_start(file)


def test_a_file_larger_than_the_limit_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    with file.open("wb") as sparse:
        sparse.truncate(MOST_BYTES + 1)
    with pytest.raises(ConfigError, match="is larger than"):
        read_start(file)


def test_a_folder_of_something_else_is_refused_with_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match="neither a bundle nor an encoder's folder") as error:
        read_start(tmp_path)
    assert error.value.hint.startswith("give the folder of a bundle or of an encoder")


def test_what_is_not_there_is_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no weights at 'resnet18', and nothing is downloaded"):
        read_start(Path("resnet18"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"has no model\.safetensors"):
        read_start(tmp_path)


@pytest.mark.slow
def test_an_encoder_brings_its_network_tokens_and_hash(encoder_folder: Path) -> None:
    start = read_start(encoder_folder)
    assert isinstance(start.network(), HuggingFaceConfig)
    assert start.input == TextSpec(tokens=18, vocabulary=10, padding=0, unknown=1)
    assert read_start(encoder_folder, start.sha256).name == "tiny-bert"
    with pytest.raises(ConfigError, match="are not those that they were"):
        read_start(encoder_folder, "0" * 64)


def test_a_bundle_without_weights_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no weights\.safetensors"):
        read_start(tiny_bundle)


def test_a_network_that_is_not_known_is_refused(bundle: Path) -> None:
    start = read_start(bundle)
    assert start.manifest is not None
    told = structs.replace(start.manifest, architecture={"name": "liquid"})
    other = Start(path=bundle, sha256="", tensors={}, manifest=told)
    with pytest.raises(ConfigError, match="a network that this version does not know"):
        other.network()


def test_of_a_bundle_that_was_made_of_an_onnx_file_that_file_is_asked_for(bundle: Path) -> None:
    start = read_start(bundle)
    assert start.manifest is not None
    told = structs.replace(start.manifest, architecture={"name": "onnx", "path": "net.onnx"})
    other = Start(path=bundle, sha256="", tensors={}, manifest=told)
    with pytest.raises(ConfigError, match="was made of an ONNX file") as refused:
        other.network()
    assert refused.value.hint == "give that file: net.onnx"


def test_a_cascade_is_more_than_its_weights(bundle: Path) -> None:
    start = read_start(bundle)
    assert start.alone() is start
    assert start.manifest is not None
    both = structs.replace(start.manifest.candidates[0], passed_on=0.1)
    told = structs.replace(start.manifest, candidates=(both,))
    cascade = Start(path=bundle, sha256="", tensors={}, manifest=told)
    with pytest.raises(ConfigError, match=r"cats\.dip is a cascade of two networks"):
        cascade.alone()
