"""What a folder brings to a training that starts from it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from diptych.core.errors import ConfigError
from diptych.training.kept_encoder import read_encoder

SaveEncoder = Callable[..., Path]


@pytest.mark.slow
def test_settings_are_those_of_the_network_and_say_nothing_of_labels(
    encoder_folder: Path,
) -> None:
    kept = read_encoder(encoder_folder)
    assert kept.network.settings["hidden_size"] == 32
    assert not {"id2label", "auto_map", "architectures"} & set(kept.network.settings)
    assert kept.network.preparation is None
    assert "model.bert.pooler.dense.weight" in kept.tensors
    assert not any("classifier" in name for name in kept.tensors)
    assert kept.labels == ()


@pytest.mark.slow
def test_a_head_comes_with_the_labels_that_it_knows(
    save_encoder: SaveEncoder, tmp_path: Path
) -> None:
    kind = "BertForSequenceClassification"
    folder = save_encoder(tmp_path / "a", kind, id2label={0: "no", 1: "perhaps", 2: "yes"})
    kept = read_encoder(folder)
    assert kept.labels == ("no", "perhaps", "yes")
    saved = pytest.importorskip("safetensors.torch").load_file(folder / "model.safetensors")
    assert torch.equal(kept.tensors["model.classifier.weight"], saved["classifier.weight"])


@pytest.mark.slow
def test_a_tokenizer_with_a_pattern_of_its_own_is_refused(
    encoder_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(encoder_folder, tmp_path / "a"))
    file = folder / "tokenizer.json"
    split = {"type": "Split", "pattern": {"Regex": "x"}, "behavior": "Isolated", "invert": False}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pre_tokenizer": split}))
    with pytest.raises(ConfigError, match="kind 'Split'"):
        read_encoder(folder)
