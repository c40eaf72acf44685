"""A local Hugging Face folder, opened without its code, without pickle and without the network.

Only three files of it are read: ``config.json``, ``model.safetensors``, and ``tokenizer.json`` or
for pictures ``preprocessor_config.json``.

Shapes: N texts, L tokens, K outputs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from diptych.core.errors import ConfigError
from diptych.core.extras import require
from diptych.core.files import sha256_of_bytes, sha256_of_file
from diptych.core.silence import silent_stderr
from diptych.core.text import size
from diptych.tasks.tokenizer_growth import INSIDE, growth, steps

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
PREPROCESSOR = "preprocessor_config.json"
ADAPTER = "adapter_config.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
MOST_BYTES = {CONFIG: 1 << 20, TOKENIZER: 64 << 20, PREPROCESSOR: 1 << 20}
CHARACTERS_PER_TOKEN = 32
SPECIAL_POSITIONS = 2
NEEDED = f"a Hugging Face folder holds {CONFIG}, {WEIGHTS} and {TOKENIZER}"
NEEDED_FOR_PICTURES = f"one of pictures holds {CONFIG}, {WEIGHTS} and {PREPROCESSOR}"
USUAL = "choose an encoder such as BERT, DistilBERT or RoBERTa, or ViT or ResNet for pictures"

Items = Literal["texts", "pictures"]
PREPARING: dict[Items, str] = {"texts": TOKENIZER, "pictures": PREPROCESSOR}
CLASSES: dict[Items, str] = {
    "texts": "AutoModelForSequenceClassification",
    "pictures": "AutoModelForImageClassification",
}


def check_folder(folder: Path) -> None:
    """Check that a folder holds an encoder that can be used, before its weights are read.

    Args:
        folder: A local Hugging Face folder.

    Raises:
        ConfigError: If it is none, or has weights in pickle only, needs code of its own, or is of
            a model that classifies neither texts nor pictures.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"the teacher {str(folder)!r} is not a folder",
            "nothing is downloaded: get the model first (hf download NAME --local-dir FOLDER)",
        )
    if (folder / ADAPTER).exists():
        raise ConfigError(f"{folder} holds an adapter of another model", "merge the two first")
    pickles = sorted(file.name for kind in PICKLES for file in folder.glob(kind))
    if pickles and not (folder / WEIGHTS).is_file():
        raise ConfigError(
            f"{folder} has its weights in a form that can hold code ({pickles[0]})",
            f"get or save them as {WEIGHTS} (save_pretrained does)",
        )
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ConfigError(f"{folder} has no {name}", NEEDED)
    if not any((folder / name).is_file() for name in PREPARING.values()):
        raise ConfigError(f"{folder} has no {TOKENIZER} and no {PREPROCESSOR}", NEEDED)
    needed = PREPARING[items_of(folder)]
    if not (folder / needed).is_file():
        raise ConfigError(f"{folder} has no {needed}", NEEDED)


def fingerprint(folder: Path) -> str:
    """Hash what is read of a folder.

    Args:
        folder: As checked.

    Returns:
        64 lower-case hexadecimal digits.
    """
    files = [folder / name for name in (CONFIG, WEIGHTS, TOKENIZER, PREPROCESSOR)]
    hashes = [sha256_of_file(file) for file in files if file.is_file()]
    return sha256_of_bytes("".join(hashes).encode())


def open_network(folder: Path, outputs: int) -> Any:  # noqa: ANN401  an untyped library's object
    """Open an encoder with a head for so many outputs.

    Args:
        folder: As checked.
        outputs: K; the folder's own head is kept if it has as many, else a new one is made by
            torch's global generator.

    Returns:
        A ``transformers`` model that classifies texts or pictures, in float32.
    """
    return open_model(folder, {"num_labels": outputs})[0]


def open_model(folder: Path, changes: dict[str, Any]) -> tuple[Any, frozenset[str]]:
    """Open an encoder with its head.

    Args:
        folder: As checked.
        changes: Of its settings.

    Returns:
        The model, in float32, and the names of its weights that are new.

    Raises:
        ConfigError: If the weights are damaged or are not those of the configuration.
    """
    items = items_of(folder)
    with quiet_library() as library:
        try:
            model, seen = getattr(library, CLASSES[items]).from_pretrained(
                folder,
                **changes,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                dtype="float32",
                attn_implementation="eager",
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
            )
        except Exception as error:  # a library of many libraries, each with errors of its own
            raise ConfigError(f"{folder} cannot be used: {reason_of(error)}", NEEDED) from error
    absent = [name for key in ("missing_keys", "mismatched_keys") for name in _names(seen[key])]
    body = f"{model.base_model_prefix}."
    lost = sorted(name for name in absent if name.startswith(body) and "pooler" not in name)
    is_plain = items == "pictures" or (
        not model.config.is_encoder_decoder and model.config.pad_token_id is not None
    )
    if lost or not is_plain:
        why = f"lacks weights, such as {lost[0]}" if lost else "is no plain encoder"
        raise ConfigError(f"the model of {folder} {why}", USUAL)
    return model, frozenset(absent)


def most_tokens(model: Any, wanted: int) -> int:  # noqa: ANN401
    """Say how many tokens of a text a model can take.

    Args:
        model: From :func:`open_network`.
        wanted: How many are asked for.

    Returns:
        That, or what its positions allow if that is less.
    """
    positions = getattr(model.config, "max_position_embeddings", None) or -1
    return wanted if positions < 1 else min(wanted, max(1, positions - SPECIAL_POSITIONS))


def open_tokenizer(folder: Path, tokens: int) -> Any:  # noqa: ANN401
    """Open an encoder's own tokenizer.

    Args:
        folder: As checked.
        tokens: How many of a text are used.

    Returns:
        A ``tokenizers.Tokenizer``.

    Raises:
        ConfigError: If it is damaged.
    """
    library = require("tokenizers", "text")
    try:
        content = content_of(folder / TOKENIZER)
        _check_maps(content)
        tokenizer = library.Tokenizer.from_buffer(content)
        tokenizer.enable_truncation(tokens)
    except Exception as error:  # the library's errors have no class of their own
        raise ConfigError(f"{folder / TOKENIZER} is damaged: {reason_of(error)}", NEEDED) from error
    tokenizer.no_padding()
    return tokenizer


def tokens_of(tokenizer: Any, texts: Sequence[str], tokens: int, padding: int) -> np.ndarray:  # noqa: ANN401
    """Turn texts into an encoder's own tokens.

    Args:
        tokenizer: From :func:`open_tokenizer`.
        texts: N texts, of any length.
        tokens: The most for one text.
        padding: The number of the token that fills a row up.

    Returns:
        int32 (N, L), L that of the longest.
    """
    rows = tokenizer.encode_batch_fast([_cleaned(text, tokens) for text in texts])
    numbers = [row.ids for row in rows]
    filled = np.full((len(texts), max(1, *map(len, numbers), 1)), padding, dtype=np.int32)
    for row, ids in zip(filled, numbers, strict=True):
        row[: len(ids)] = ids
    return filled


def items_of(folder: Path) -> Items:
    """Say what an encoder is for.

    Args:
        folder: A local Hugging Face folder.

    Returns:
        What it classifies.

    Raises:
        ConfigError: If that is something else, or its configuration is damaged.
    """
    try:
        config = msgspec.json.decode(content_of(folder / CONFIG), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{folder / CONFIG} is damaged: {reason_of(error)}", NEEDED) from error
    kind = config.get("model_type", "timm" if "architecture" in config else None)
    auto = require("transformers.models.auto.modeling_auto", "hf")
    if kind in auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        return "texts"
    if kind in auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES:
        return "pictures"
    if "auto_map" in config:
        raise ConfigError(f"the model of {folder} needs code of its own, which is not run", USUAL)
    raise ConfigError(
        f"{folder} holds a model of kind {kind!r}, no encoder of texts or pictures", USUAL
    )


def content_of(file: Path) -> bytes:
    """Read a small file of a folder.

    Args:
        file: One of those that are read, but the weights.

    Returns:
        Its content.

    Raises:
        ConfigError: If it is larger than such a file may be.
    """
    limit = MOST_BYTES[file.name]
    if file.stat().st_size > limit:
        raise ConfigError(f"{file} is larger than {size(limit)}", NEEDED)
    return file.read_bytes()


def _names(keys: Any) -> list[str]:  # noqa: ANN401
    """Return the names of weights, which are alone or lead a tuple."""
    return [key if isinstance(key, str) else key[0] for key in keys]


def _check_maps(content: bytes) -> None:
    """Check maps of characters: with a damaged one the library would panic at the first text."""
    parts = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    growth(steps(msgspec.json.decode(parts.get("normalizer", b"null")), INSIDE["normalizer"]))


def _cleaned(text: str, tokens: int) -> str:
    beginning = text[: CHARACTERS_PER_TOKEN * tokens]
    return beginning.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def reason_of(error: Exception) -> str:
    """Give the first line of a library's error.

    Args:
        error: The error.

    Returns:
        Its words, or else its kind.
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def quiet_library() -> Iterator[Any]:
    """Keep the library, and what it loads, from showing bars and telling anything but errors.

    Yields:
        ``transformers``.
    """
    library = require("transformers", "hf")
    logging = library.utils.logging
    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with silent_stderr():  # of libraries that are beside it, such as torchao
            yield library
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
