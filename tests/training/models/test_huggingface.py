"""An encoder that is trained and kept: it answers as the library does, and so does its program."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from msgspec import convert, to_builtins

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec, InputSpec, TextSpec
from diptych.targets.onnx import export
from diptych.tasks.text import encode, load
from diptych.training.kept_encoder import read_encoder
from diptych.training.models import NETWORKS, HuggingFaceConfig, NetworkConfig
from diptych.training.pretrained import open_network

SaveEncoder = Callable[..., Path]
TEXTS = ["so good", "film not very bad", "unseen words", "", "so " * 40, "a [SEP] b [PAD] film"]
DISTILBERT = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
SMALL = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
PICTURES: dict[str, dict[str, object]] = {
    "ViTModel": {"hidden_size": 16, "image_size": 8, "patch_size": 4, **SMALL},
    "ConvNextModel": {
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "num_stages": 2,
        "patch_size": 2,
        "image_size": 8,
    },
}


def opened(folder: Path, spec: InputSpec, outputs: int) -> torch.nn.Module:
    kept = read_encoder(folder)
    config = convert(to_builtins(kept.network), NetworkConfig)
    assert config == kept.network
    network = NETWORKS[type(config)](config, spec, outputs)
    lacking = network.load_state_dict(kept.tensors, strict=False)
    assert not lacking.unexpected_keys
    return network.eval()


def run(network: torch.nn.Module, spec: InputSpec, inputs: np.ndarray) -> np.ndarray:
    program = onnxruntime.InferenceSession(export(network, spec.tensor()))
    return np.asarray(program.run(None, {spec.tensor().name: inputs})[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "padding", "settings"),
    [
        ("BertForSequenceClassification", 0, {}),
        ("DistilBertForSequenceClassification", 0, DISTILBERT),
        ("RobertaForSequenceClassification", 1, {}),
    ],
)
def test_texts_are_answered_as_by_the_library_before_training_and_after_export(
    save_encoder: SaveEncoder,
    tmp_path: Path,
    kind: str,
    padding: int,
    settings: dict[str, object],
) -> None:
    folder = save_encoder(tmp_path / kind, kind, pad_token_id=padding, num_labels=3, **settings)
    kept = read_encoder(folder)
    assert isinstance(kept.largest, TextSpec)
    spec = TextSpec(
        tokens=9, vocabulary=10, padding=kept.largest.padding, unknown=kept.largest.unknown
    )
    assert kept.largest.vocabulary == spec.vocabulary
    network, model = opened(folder, spec, 3), open_network(folder, 3).eval()
    tokenizer = load(spec, kept.assets)
    texts = [TEXTS[0], TEXTS[4], ""] if padding == kept.largest.unknown else TEXTS
    rows = encode(tokenizer, texts, spec)
    with torch.no_grad():
        answers = network(torch.from_numpy(rows))
        for text, row, answer in zip(texts, rows, answers, strict=True):
            ids = tokenizer.encode(text).ids
            assert np.count_nonzero(row) == len(ids)
            alone = model(input_ids=torch.tensor([ids])).logits[0]
            torch.testing.assert_close(answer, alone, atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(run(network, spec, rows), answers.numpy(), atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "side"),
    [("ViTModel", 8), ("ViTModel", 6), ("ConvNextModel", 8), ("ConvNextModel", 20)],
)
def test_pictures_are_answered_as_by_the_library_before_training_and_after_export(
    tmp_path: Path, kind: str, side: int
) -> None:
    library = pytest.importorskip("transformers")
    family = getattr(library, kind.replace("Model", "ForImageClassification"))
    family(family.config_class(**PICTURES[kind], num_labels=3)).save_pretrained(tmp_path)
    said = {
        "size": {"height": 8, "width": 8},
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2] * 3,
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    spec = ImageSpec(height=side, width=side, channels=3)
    network, model = opened(tmp_path, spec, 3), open_network(tmp_path, 3).eval()
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (5, side, side, 3)).astype(np.uint8)
    with torch.no_grad():
        answers = network(torch.from_numpy(pixels))
        if side == 8:
            scaled = (pixels / 255 - np.array(said["image_mean"])) / 0.2
            prepared = torch.from_numpy(scaled).float().permute(0, 3, 1, 2)
            expected = model(pixel_values=prepared).logits
            torch.testing.assert_close(answers, expected, atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(run(network, spec, pixels), answers.numpy(), atol=1e-4, rtol=1e-3)


def test_an_encoder_of_texts_takes_no_pictures() -> None:
    config = HuggingFaceConfig(settings={"model_type": "bert"})
    with pytest.raises(ConfigError, match="an encoder of texts, and the data is of kind 'image'"):
        NETWORKS[HuggingFaceConfig](config, ImageSpec(height=8, width=8, channels=3), 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [{}, {"model_type": "own"}, {"model_type": "bert", "hidden_size": "wide"}]
)
def test_settings_that_build_nothing_are_one_line(settings: dict[str, object]) -> None:
    pytest.importorskip("transformers")
    spec = TextSpec(tokens=8, vocabulary=10, padding=0)
    with pytest.raises(ConfigError, match="cannot be built: ") as error:
        NETWORKS[HuggingFaceConfig](HuggingFaceConfig(settings=settings), spec, 2)
    assert "\n" not in error.value.message
