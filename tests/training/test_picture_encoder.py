"""An encoder of pictures takes raw pixels, prepared inside as its folder says."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec
from diptych.core.values import DataRecord, Dataset, Split
from diptych.training.control import RunControl
from diptych.training.encoder import EncoderConfig, train_encoder
from diptych.training.objectives import learn_labels
from diptych.training.picture_encoder import (
    PictureEncoder,
    picture_encoder,
    preparation_of,
    read_preprocessing,
)
from diptych.training.pretrained import check_folder, fingerprint, items_of, open_network
from diptych.training.recipe import TrainingRecipe

MEAN, DEVIATION = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]
SAID = {"size": {"height": 8, "width": 8}, "image_mean": MEAN, "image_std": DEVIATION}
VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
VIT |= {"intermediate_size": 32, "image_size": 8, "patch_size": 4}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Give what saves a tiny encoder with random weights as a Hugging Face folder."""

    def make(model: str = "ViTModel", settings: dict[str, object] = VIT, **said: object) -> Path:
        kind = getattr(pytest.importorskip("transformers"), model)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            kind(kind.config_class(**settings)).save_pretrained(tmp_path / model)
        text = json.dumps(SAID | said)
        (tmp_path / model / "preprocessor_config.json").write_text(text)
        return tmp_path / model

    return make


def opened(folder: Path, side: int = 8, channels: int = 3) -> PictureEncoder:
    spec = ImageSpec(height=side, width=side, channels=channels)
    model = open_network(folder, 2)
    return picture_encoder(model, preparation_of(folder, model), spec).eval()


def pixels(side: int = 8, channels: int = 3, count: int = 5) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    shape = (count, side, side, channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "settings"), [("ViTModel", VIT), ("ResNetModel", RESNET)])
def test_raw_pixels_are_answered_as_prepared_ones(
    save: Save, model: str, settings: dict[str, object]
) -> None:
    encoder = opened(save(model, settings))
    scaled = (pixels().numpy() / 255 - np.array(MEAN)) / np.array(DEVIATION)
    prepared = torch.from_numpy(scaled).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = encoder.model(pixel_values=prepared).logits
        torch.testing.assert_close(encoder(pixels()), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_pictures_of_other_sizes_and_gray_ones_are_brought_to_what_it_takes(save: Save) -> None:
    encoder = opened(save(), 20, 1)
    gray = torch.full((2, 20, 20, 1), 90, dtype=torch.uint8)
    color = torch.full((2, 8, 8, 3), 90, dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(encoder(gray), encoder(color))


@pytest.mark.slow
def test_many_pictures_are_answered_as_each_alone(save: Save) -> None:
    encoder, many = opened(save()), pixels(count=70)
    with torch.no_grad():
        alone = torch.cat([encoder(one[None]) for one in many])
        torch.testing.assert_close(encoder(many), alone, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_a_folder_says_what_it_is_for_and_what_is_read_of_it(save: Save) -> None:
    folder = save()
    check_folder(folder)
    assert items_of(folder) == "pictures"
    before = fingerprint(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(SAID | {"do_rescale": False}))
    assert fingerprint(folder) != before


@pytest.mark.slow
def test_pictures_of_other_channels_are_refused(save: Save) -> None:
    with pytest.raises(ConfigError, match="takes pictures of 1 channels, not 3"):
        opened(save(settings=VIT | {"num_channels": 1}, image_mean=[0.5], image_std=[0.5]))


@pytest.mark.parametrize(
    ("said", "wanted", "side"),
    [
        ({"size": 224}, None, 224),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, None, 224),
        ({"size": {"height": 384, "width": 384}}, 32, 32),
        ({"size": {"height": None, "shortest_edge": 96}}, None, 96),
        ({}, [48, 48], 48),
    ],
)
def test_the_side_is_that_of_the_model_or_else_of_its_preparation(
    tmp_path: Path, said: dict[str, object], wanted: object, side: int
) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    assert read_preprocessing(tmp_path).side(wanted) == side


@pytest.mark.parametrize(
    "text", ["", "[]", '{"image_std": [0.0]}', '{"rescale_factor": -1}', '{"size": 99999}']
)
def test_a_preparation_that_cannot_be_used_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json cannot be used"):
        read_preprocessing(tmp_path)


def test_a_preparation_without_a_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="tells no size of pictures"):
        read_preprocessing(tmp_path).side(None)


def bright(spec: ImageSpec) -> Dataset:
    def split(count: int, seed: int) -> Split:
        draw = np.random.default_rng(seed)
        targets = draw.integers(0, 2, count)
        noise = draw.integers(0, 100, (count, spec.height, spec.width, spec.channels))
        inputs = (noise + 120 * targets[:, None, None, None]).astype(np.uint8)
        return Split(inputs=inputs, targets=targets, items=("",) * count)

    return Dataset(
        goal="classification",
        spec=spec,
        labels=("dark", "bright"),
        train=split(64, 0),
        validation=split(20, 1),
        test=split(20, 2),
        record=DataRecord(name="bright", sha256="", counts={}, split_method="", seed=0),
    )


@pytest.mark.slow
def test_an_encoder_of_pictures_learns_and_its_answers_are_kept(save: Save) -> None:
    dataset = bright(ImageSpec(height=12, width=12, channels=1))
    recipe = TrainingRecipe(epochs=8, batch_size=16, optimizer="adamw", learning_rate=3e-3)
    objective = learn_labels(
        "classification", torch.from_numpy(dataset.train.targets), label_smoothing=0.0
    )
    config = EncoderConfig(folder=str(save()))
    model = train_encoder(dataset, config, recipe, objective, RunControl(name="teacher"))
    assert model.train.shape == (64, 2)
    assert np.mean(model.test.argmax(1) == dataset.test.targets) > 0.9


@pytest.mark.slow
def test_an_encoder_of_texts_does_not_teach_about_pictures(encoder_folder: Path) -> None:
    dataset = bright(ImageSpec(height=8, width=8, channels=1))
    objective = learn_labels(
        "classification", torch.from_numpy(dataset.train.targets), label_smoothing=0.0
    )
    config = EncoderConfig(folder=str(encoder_folder))
    with pytest.raises(ConfigError, match="an encoder of texts, and this is image-class"):
        train_encoder(dataset, config, TrainingRecipe(), objective, RunControl(name="teacher"))
