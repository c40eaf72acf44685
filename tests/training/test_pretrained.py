import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.core.errors import ConfigError
from diptych.training.pretrained import (
    check_folder,
    fingerprint,
    most_tokens,
    open_network,
    open_tokenizer,
    tokens_of,
)

SaveEncoder = Callable[..., Path]


@pytest.fixture
def copied(encoder_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(encoder_folder, tmp_path / "encoder"))


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def test_a_name_is_no_folder_and_nothing_is_downloaded() -> None:
    with pytest.raises(ConfigError, match="'bert-base-uncased' is not a folder") as error:
        check_folder(Path("bert-base-uncased"))
    assert "nothing is downloaded" in error.value.hint


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "tf_model.h5"])
def test_weights_that_can_hold_code_are_not_read(tmp_path: Path, name: str) -> None:
    for each in ("config.json", "tokenizer.json", name):
        (tmp_path / each).write_text("{}")
    with pytest.raises(ConfigError, match=rf"in a form that can hold code \({name}\)"):
        check_folder(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    for each in {"config.json", "model.safetensors", "tokenizer.json"} - {name}:
        (tmp_path / each).write_text("{}")
    with pytest.raises(ConfigError, match=f"has no {name}"):
        check_folder(tmp_path)


def test_an_adapter_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds an adapter"):
        check_folder(tmp_path)


def test_a_damaged_or_endless_configuration_is_one_line(tmp_path: Path) -> None:
    for each in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / each).write_text("[]")
    with pytest.raises(ConfigError, match=r"config\.json is damaged: Expected `object`"):
        check_folder(tmp_path)
    (tmp_path / "config.json").write_bytes(b" " * (1 << 20) + b"{}")
    with pytest.raises(ConfigError, match=r"config\.json is larger than"):
        check_folder(tmp_path)


@pytest.mark.slow
def test_code_of_the_folder_is_never_run(copied: Path) -> None:
    (copied / "modeling.py").write_text("raise AssertionError('code of the folder was run')")
    edit_config(copied, auto_map={"AutoModelForSequenceClassification": "modeling.Own"})
    check_folder(copied)
    assert type(open_network(copied, 2)).__name__ == "BertForSequenceClassification"
    edit_config(copied, model_type="own-kind")
    with pytest.raises(ConfigError, match="needs code of its own, which is not run"):
        check_folder(copied)


@pytest.mark.slow
def test_models_of_other_things_are_refused(copied: Path) -> None:
    edit_config(copied, model_type="sam")
    with pytest.raises(ConfigError, match="a model of kind 'sam', no encoder of texts"):
        check_folder(copied)
    (copied / "config.json").write_text('{"architecture": "resnet18", "num_classes": 10}')
    with pytest.raises(ConfigError, match="a model of kind 'timm', no encoder of texts"):
        check_folder(copied)
    edit_config(copied, model_type="vit")
    with pytest.raises(ConfigError, match=r"has no preprocessor_config\.json"):
        check_folder(copied)


@pytest.mark.slow
def test_weights_that_are_not_those_of_the_configuration_are_refused(copied: Path) -> None:
    check_folder(copied)
    edit_config(copied, num_hidden_layers=3)
    with pytest.raises(ConfigError, match=r"lacks weights, such as bert\.encoder\.layer\.2"):
        open_network(copied, 2)
    edit_config(copied, num_hidden_layers=2, vocab_size=11)
    with pytest.raises(ConfigError, match=r"lacks weights, such as bert\.embeddings\.word"):
        open_network(copied, 2)


@pytest.mark.slow
def test_damaged_files_are_one_line(copied: Path) -> None:
    (copied / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(ConfigError, match=r"tokenizer\.json is damaged: ") as error:
        open_tokenizer(copied, 8)
    assert "\n" not in error.value.message
    (copied / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ConfigError, match="encoder cannot be used: ") as error:
        open_network(copied, 2)
    assert "\n" not in error.value.message
    edit_config(copied, hidden_size="wide")
    with pytest.raises(ConfigError, match="encoder cannot be used: "):
        open_network(copied, 2)


def a_map(root: int) -> dict[str, str]:
    """Make a map of characters: 256 places, empty but the first one, and a replacement."""
    tree = root.to_bytes(4, "little") + bytes(4 * 255)
    content = len(tree).to_bytes(4, "little") + tree + b"a\0"
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(content).decode()}


def test_a_damaged_map_of_characters_is_one_line_and_no_panic_at_the_first_text(
    tmp_path: Path,
) -> None:
    library = pytest.importorskip("tokenizers")
    words = library.models.WordLevel({"[UNK]": 0, "so": 1}, unk_token="[UNK]")
    file = json.loads(library.Tokenizer(words).to_str())
    sound, outside = a_map(0), a_map(256 << 10)
    for normalizer in (outside, {"type": "Sequence", "normalizers": [sound, outside]}):
        (tmp_path / "tokenizer.json").write_text(json.dumps(file | {"normalizer": normalizer}))
        with pytest.raises(ConfigError, match=r"json is damaged: has a map of characters that is"):
            open_tokenizer(tmp_path, 8)
    (tmp_path / "tokenizer.json").write_text(json.dumps(file | {"normalizer": sound}))
    assert tokens_of(open_tokenizer(tmp_path, 8), ["so"], 8, 0).tolist() == [[1]]


@pytest.mark.slow
def test_a_model_that_decodes_or_knows_no_padding_is_no_encoder(
    save_encoder: SaveEncoder, tmp_path: Path
) -> None:
    folder = save_encoder(
        tmp_path / "bart", "BartModel", d_model=32, encoder_layers=1, decoder_layers=1
    )
    check_folder(folder)
    with pytest.raises(ConfigError, match="is no plain encoder"):
        open_network(folder, 2)
    folder = save_encoder(tmp_path / "gpt", "GPT2Model", pad_token_id=None)
    with pytest.raises(ConfigError, match="is no plain encoder"):
        open_network(folder, 2)


@pytest.mark.slow
def test_a_head_of_as_many_labels_is_kept_and_another_is_new(
    save_encoder: SaveEncoder, tmp_path: Path
) -> None:
    kind = "BertForSequenceClassification"
    folder = save_encoder(tmp_path / "tuned", kind, num_labels=3)
    saved = pytest.importorskip("safetensors.torch").load_file(folder / "model.safetensors")
    kept, other = open_network(folder, 3), open_network(folder, 5)
    assert torch.equal(kept.classifier.weight, saved["classifier.weight"])
    assert other.classifier.weight.shape == (5, 32)
    name = "bert.encoder.layer.1.output.dense.weight"
    assert torch.equal(other.state_dict()[name], saved[name])


@pytest.mark.slow
def test_a_new_head_depends_on_the_generator_alone(encoder_folder: Path) -> None:
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        heads.append(open_network(encoder_folder, 2).classifier.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


@pytest.mark.slow
def test_opening_says_nothing_and_leaves_the_library_as_talkative_as_it_was(
    encoder_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logging = pytest.importorskip("transformers").utils.logging
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    open_network(encoder_folder, 2)
    assert "".join(capfd.readouterr()) == ""
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


@pytest.mark.slow
def test_the_fingerprint_is_of_every_file_that_is_read_and_of_no_other(copied: Path) -> None:
    seen = {fingerprint(copied)}
    (copied / "README.md").write_text("a card")
    assert {fingerprint(copied)} == seen
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (copied / name).write_bytes((copied / name).read_bytes() + b" ")
        seen.add(fingerprint(copied))
    assert len(seen) == 4


@pytest.mark.slow
def test_a_text_is_cut_to_what_the_model_has_positions_for(encoder_folder: Path) -> None:
    model = open_network(encoder_folder, 2)
    assert most_tokens(model, 8) == 8
    assert most_tokens(model, 128) == 18


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(texts=st.lists(st.text(st.characters()) | st.just("so good " * 5_000), max_size=5))
def test_texts_of_any_characters_and_length_become_bounded_tokens(
    encoder_folder: Path, texts: list[str]
) -> None:
    tokenizer = open_tokenizer(encoder_folder, 18)
    rows = tokens_of(tokenizer, texts, 18, 0)
    assert rows.dtype == np.int32
    assert len(rows) == len(texts)
    assert 1 <= rows.shape[1] <= 18
    assert (rows[:, 0] == 2).all()
    assert (np.count_nonzero(rows == 3, axis=1) == 1).all()
    for row, text in zip(rows, texts, strict=True):
        if text.isascii() and len(text) < 500:
            assert row[row != 0].tolist() == tokenizer.encode(text).ids
