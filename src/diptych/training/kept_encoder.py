"""A local Hugging Face folder as what a training starts from: weights, settings, and tokenizer."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from diptych.core.errors import ConfigError
from diptych.core.specs import ImageSpec, TextSpec
from diptych.core.values import Assets
from diptych.tasks import foreign_tokenizer
from diptych.training import pretrained
from diptych.training.models.huggingface import DROPPED, HuggingFaceConfig
from diptych.training.models.timm_network import TimmConfig
from diptych.training.picture_encoder import preparation_of

MOST_TOKENS = 256
MODEL = "model."
WITHOUT_NAMES = "LABEL_"


@dataclass(frozen=True, kw_only=True)
class KeptEncoder:
    """What a folder holds: weights by the network's names, and what they are of.

    `largest` are the most that it takes: pictures of its side, or texts of so many of its tokens;
    `labels` those that its head tells, if it has one.
    """

    sha256: str
    network: HuggingFaceConfig | TimmConfig
    tensors: dict[str, Tensor]
    largest: TextSpec | ImageSpec
    labels: tuple[str, ...]
    assets: Assets = field(default_factory=dict)


def read_encoder(folder: Path) -> KeptEncoder:
    """Read a folder; no code of it is run, and nothing is downloaded.

    Args:
        folder: A local Hugging Face folder.

    Returns:
        What it holds; new weights, such as those of a head that it lacks, are left out.
    """
    pretrained.check_folder(folder)
    sha256 = pretrained.fingerprint(folder)
    model, absent = pretrained.open_model(folder, {})
    told = msgspec.json.decode(model.config.to_json_string(use_diff=False))
    settings = {name: each for name, each in told.items() if name not in DROPPED}
    state = model.state_dict()
    tensors = {f"{MODEL}{name}": each for name, each in state.items() if name not in absent}
    named = tuple(str(each) for each in told.get("id2label", {}).values())
    labels = () if any(each.startswith(WITHOUT_NAMES) for each in named) else named
    if pretrained.items_of(folder) == "pictures":
        preparation = preparation_of(folder, model)
        network = HuggingFaceConfig(settings=settings, preparation=preparation)
        side = preparation.side
        largest = ImageSpec(height=side, width=side, channels=3)
        return KeptEncoder(
            sha256=sha256, network=network, tensors=tensors, largest=largest, labels=labels
        )
    spec, content = _texts(folder, model)
    return KeptEncoder(
        sha256=sha256,
        network=HuggingFaceConfig(settings=settings),
        tensors=tensors,
        largest=spec,
        labels=labels,
        assets={pretrained.TOKENIZER: content},
    )


def _texts(folder: Path, model: Any) -> tuple[TextSpec, bytes]:  # noqa: ANN401
    """Return the most that an encoder reads of a text, and its tokenizer in today's form."""
    tokens = pretrained.most_tokens(model, MOST_TOKENS)
    tokenizer = pretrained.open_tokenizer(folder, tokens)
    tokenizer.no_truncation()
    content = tokenizer.to_str().encode()
    vocabulary = model.get_input_embeddings().num_embeddings
    try:
        foreign_tokenizer.check(content, vocabulary)
    except ValueError as error:
        raise ConfigError(
            f"{folder / pretrained.TOKENIZER} cannot be used: it {error}", pretrained.USUAL
        ) from error
    spec = TextSpec(
        tokens=tokens,
        vocabulary=vocabulary,
        padding=model.config.pad_token_id,
        unknown=foreign_tokenizer.unknown_token(content),
    )
    return spec, content
