"""Whole trainings of toy texts that start from a local Hugging Face encoder and keep it."""

import csv
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from diptych.core.errors import ConfigError
from diptych.core.files import sha256_of_file
from diptych.core.progress import Step, StopRequest
from diptych.fitting import run_file
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.train import resume, train
from diptych.inference.bundle import Bundle
from diptych.training.models import NgramsConfig
from diptych.training.recipe import TrainingRecipe
from diptych.training.start import read_start
from diptych.training.variation import TextVariation

WORDS = ("good", "bad", "so", "not", "film", "very")
TRAINING = TrainingRecipe(
    epochs=6.0,
    batch_size=16,
    optimizer="adamw",
    learning_rate=3e-3,
    freeze_share=0.1,
    layer_decay=0.5,
    label_smoothing=0.0,
    variation=TextVariation(forget=0.0),
)
RECIPE = FitRecipe(teacher=ModelPlan(name="teacher", network=NgramsConfig(), training=TRAINING))


def write_reviews(path: Path, labels: tuple[str, str]) -> Path:
    """Write reviews whose only opinion is good or bad."""
    draw = random.Random(0)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("text", "label"))
        for number in range(300):
            words = draw.choices(WORDS[2:], k=draw.randint(2, 6))
            words.insert(draw.randint(0, len(words)), WORDS[number % 2])
            rows.writerow((" ".join(words), labels[number % 2]))
    return path


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reviews(tmp_path_factory.mktemp("data") / "reviews.csv", ("liked", "disliked"))


@pytest.fixture(scope="module")
def trained(
    reviews: Path, encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    folder = tmp_path_factory.mktemp("bundles")
    start = Path(shutil.copytree(encoder_folder, folder / "encoder"))
    bundle = train(reviews, out=folder / "a.dip", settings=Settings(recipe=RECIPE, start=start))
    shutil.rmtree(start)
    return bundle


@pytest.mark.slow
def test_an_encoder_is_trained_and_kept_with_its_own_tokens(trained: Bundle) -> None:
    manifest = trained.manifest
    assert manifest.model.score.value > 0.9
    assert manifest.architecture["name"] == "hugging-face"
    assert manifest.architecture["settings"]["model_type"] == "bert"
    assert manifest.input.tokens == 16
    assert trained.predict("so very good film").label == "liked"
    assert trained.predict("so very bad film").label == "disliked"


@pytest.mark.slow
def test_inference_needs_neither_torch_nor_the_library(trained: Bundle, reviews: Path) -> None:
    code = (
        "import sys\nfrom diptych.cli.main import run\n"
        f"assert run(['predict', {str(trained.path)!r}, 'so bad']) == 0\n"
        "assert not {'transformers', 'torch'} & set(sys.modules)\n"
        f"assert run(['evaluate', {str(trained.path)!r}, {str(reviews)!r}, '--json']) == 0\n"
        "assert 'transformers' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "disliked" in done.stdout


@pytest.mark.slow
def test_a_bundle_is_enough_to_go_on_from_and_a_head_of_other_labels_is_new(
    trained: Bundle, tmp_path: Path
) -> None:
    data = write_reviews(tmp_path / "other.csv", ("yes", "no"))
    said = list[Step]()
    settings = Settings(start=trained.path, report=said.append)
    with train(data, out=tmp_path / "b.dip", settings=settings) as bundle:
        assert bundle.manifest.architecture == trained.manifest.architecture
        assert bundle.manifest.model.score.value > 0.9
    notes = [step.note for step in said if step.stage == "start"]
    assert notes[0].endswith("model.classifier.weight and model.classifier.bias are new")


@pytest.mark.slow
def test_a_training_that_was_stopped_ends_with_the_same_weights(
    reviews: Path, encoder_folder: Path, trained: Bundle, tmp_path: Path
) -> None:
    stop = StopRequest()

    def stop_later(step: Step) -> None:
        stop.requested = stop.requested or (step.stage == "teacher" and step.done >= 20)

    settings = Settings(recipe=RECIPE, start=encoder_folder, report=stop_later, stop=stop)
    train(reviews, out=tmp_path / "a.dip", settings=settings).close()
    resume(tmp_path / "a.run").close()
    files = [folder / "weights.safetensors" for folder in (tmp_path / "a.dip", trained.path)]
    assert sha256_of_file(files[0]) == sha256_of_file(files[1])


@pytest.mark.slow
def test_without_a_recipe_it_is_fine_tuned_as_encoders_are(
    reviews: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    settings = Settings(start=encoder_folder, stop=StopRequest(requested=True))
    with pytest.raises(KeyboardInterrupt):
        train(reviews, out=tmp_path / "a.dip", settings=settings)
    plan = run_file.read(tmp_path / "a.run").recipe.teacher
    start = read_start(encoder_folder)
    assert (plan.training.optimizer, plan.training.learning_rate) == ("adamw", 5e-5)
    assert plan.network == start.network()
    assert plan.start is not None
    assert plan.start.sha256 == start.sha256


@pytest.mark.slow
def test_an_encoder_of_other_items_is_refused(encoder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="an encoder of texts, and the data is of kind 'image'"):
        train("digits", out=tmp_path / "a.dip", settings=Settings(start=encoder_folder))


@pytest.mark.slow
def test_an_encoder_of_pictures_is_trained_and_kept(tmp_path: Path) -> None:
    library = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = library.ViTConfig(**sizes, intermediate_size=32, image_size=8, patch_size=4)
    library.ViTModel(config).save_pretrained(tmp_path / "vit")
    said = {"size": 8, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(said))
    draw = np.random.default_rng(0)
    for label, low in (("dark", 0), ("bright", 120)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(60):
            pixels = draw.integers(low, low + 130, (12, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}.png")
    training = msgspec.structs.replace(TRAINING, variation=None)
    plan = msgspec.structs.replace(RECIPE.teacher, training=training)
    settings = Settings(recipe=FitRecipe(teacher=plan), start=tmp_path / "vit")
    with train(tmp_path / "data", out=tmp_path / "a.dip", settings=settings) as bundle:
        assert bundle.manifest.model.score.value > 0.9
        assert bundle.manifest.architecture["preparation"]["side"] == 8
        assert bundle.predict(tmp_path / "data" / "dark" / "0.png").label == "dark"
