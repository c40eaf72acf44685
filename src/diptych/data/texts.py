"""Texts of a source: learning a vocabulary of word pieces, and turning them all into tokens.

Pieces are learned by byte-pair encoding on the training split: frequent words stay whole, rare
ones are spelled, so that no word is unknown unless its letters are.

Shapes: N texts, L tokens.

Source: R. Sennrich, B. Haddow and A. Birch, "Neural machine translation of rare words with
subword units", 2016.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import structs

from diptych.core import arrays
from diptych.core.errors import DataError
from diptych.core.extras import require
from diptych.core.progress import Reporter, Step
from diptych.core.specs import InputSpec, TextSpec
from diptych.core.values import Assets
from diptych.data.raw import RawSplit
from diptych.data.reading import Decoded, Learned, Options
from diptych.tasks.text import (
    CHARACTERS_PER_TOKEN,
    PADDING,
    TOKENIZER,
    UNKNOWN,
    WORD_START,
    encode,
    load,
)

MOST_TOKENS, TOKENS_STEP = 256, 8
COVERED = 0.99
MOST_PIECES = 32_768
MOST_LETTERS = 8_192
LEAST_COUNT = 2
MOST_LEARNED = 200_000
BATCH_TEXTS = 4_096


def learn(splits: Mapping[str, RawSplit], options: Options, report: Reporter) -> Learned:
    """Learn a vocabulary from the training split, and the length that fits all splits.

    Args:
        splits: The splits as read.
        options: With `largest`, the tokenizer is given, and the length alone is learned.
        report: Told how far it is.

    Returns:
        The spec, the tokenizer, and what was seen.

    Raises:
        DataError: If no training text holds a letter.
    """
    seen = {name: _sampled(_texts(split)) for name, split in splits.items()}
    if isinstance(options.largest, TextSpec):
        return _measured(splits, seen, options.largest, options.assets)
    report(Step(stage="learn words", done=0, total=1))
    tokenizer = _train(seen["train"])
    if tokenizer.get_vocab_size() <= 2:
        raise DataError("no training text holds a letter or a sign", "check the text's column")
    widest = TextSpec(tokens=MOST_TOKENS + 1, vocabulary=tokenizer.get_vocab_size())
    content, vocabulary = _sorted(_written(tokenizer), seen["train"], widest)
    report(Step(stage="learn words", done=1, total=1))
    largest = TextSpec(tokens=MOST_TOKENS, vocabulary=vocabulary)
    return _measured(splits, seen, largest, {TOKENIZER: content})


def decode(
    name: str, split: RawSplit, spec: InputSpec, assets: Assets, report: Reporter
) -> Decoded:
    """Turn a split's texts into tokens.

    Args:
        name: The split's name.
        split: The split as read.
        spec: How many tokens, of which vocabulary.
        assets: Holds the tokenizer.
        report: Told how far it is.

    Returns:
        int32 (N, L), the numbers of all texts (N,), and nothing that cannot be read.

    Raises:
        DataError: If the spec is not one of texts.
    """
    if not isinstance(spec, TextSpec):
        raise DataError(f"{name} holds texts, and the model takes something else", "check the data")
    texts, tokenizer = _texts(split), load(spec, assets)
    inputs = arrays.empty((len(texts), spec.tokens), "int32")
    for start in range(0, len(texts), BATCH_TEXTS):
        batch = texts[start : start + BATCH_TEXTS]
        inputs[start : start + len(batch)] = encode(tokenizer, batch, spec)
        arrays.release(inputs)
        report(Step(stage=f"read {name}", done=start + len(batch), total=len(texts)))
    return inputs, np.arange(len(texts)), []


def _measured(
    splits: Mapping[str, RawSplit],
    seen: Mapping[str, Sequence[str]],
    largest: TextSpec,
    assets: Assets,
) -> Learned:
    """Find the length that fits all splits, at most that of a spec."""
    widest = structs.replace(largest, tokens=largest.tokens + 1)
    lengths = {name: _lengths(texts, widest, assets) for name, texts in seen.items() if texts}
    tokens = min(_enough(lengths.values()), largest.tokens)
    return Learned(
        spec=structs.replace(largest, tokens=tokens),
        assets=assets,
        facts=_facts(lengths["train"], tokens, largest),
        warnings=tuple(_warnings(splits, lengths["train"], tokens, largest.tokens)),
    )


def _texts(split: RawSplit) -> Sequence[str]:
    if callable(split.contents) or isinstance(split.contents, np.ndarray):
        raise DataError("this source holds no texts", "check the data")
    texts: Sequence[str] = split.contents
    return texts


def _sampled(texts: Sequence[str]) -> Sequence[str]:
    return texts[:: max(1, -(-len(texts) // MOST_LEARNED))]


def _enough(lengths: Iterable[np.ndarray]) -> int:
    """Return the places that nearly all texts of every split fit in, within limits."""
    usual = max(int(np.quantile(each, COVERED, method="higher")) for each in lengths)
    return min(max(TOKENS_STEP, -(-usual // TOKENS_STEP) * TOKENS_STEP), MOST_TOKENS)


def _train(texts: Sequence[str]) -> Any:  # noqa: ANN401  an untyped library's object
    library = require("tokenizers", "text")
    normalizers = require("tokenizers.normalizers", "text")
    tokenizer = library.Tokenizer(
        require("tokenizers.models", "text").BPE(unk_token=UNKNOWN, fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.BertNormalizer(
                handle_chinese_chars=False, strip_accents=False, lowercase=True
            ),
        ]
    )
    splitting = require("tokenizers.pre_tokenizers", "text")
    marked = splitting.Metaspace(replacement=WORD_START, prepend_scheme="always", split=False)
    tokenizer.pre_tokenizer = splitting.Sequence([splitting.BertPreTokenizer(), marked])
    trainer = require("tokenizers.trainers", "text").BpeTrainer(
        vocab_size=MOST_PIECES,
        min_frequency=LEAST_COUNT,
        limit_alphabet=MOST_LETTERS,
        special_tokens=[PADDING, UNKNOWN],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_beginnings(texts), trainer)
    return tokenizer


def _beginnings(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        yield text[: CHARACTERS_PER_TOKEN * MOST_TOKENS].encode("utf-8", "replace").decode()


def _written(tokenizer: Any) -> bytes:  # noqa: ANN401
    """Return the tokenizer's file, in which padding has no spelling that a text could hold."""
    content = msgspec.json.decode(tokenizer.to_str())
    return msgspec.json.encode(content | {"added_tokens": []})


def _sorted(content: bytes, texts: Sequence[str], spec: TextSpec) -> tuple[bytes, int]:
    """Number pieces by how often the texts hold them; say how many they hold at all."""
    counts = np.zeros(spec.vocabulary, dtype=np.int64)
    for rows in _encoded(texts, spec, {TOKENIZER: content}):
        counts += np.bincount(rows.ravel(), minlength=spec.vocabulary)
    counts[:2] = counts.max() + 1  # padding and unknown stay first
    order = np.argsort(-counts, kind="stable")
    numbers = np.empty_like(order)
    numbers[order] = np.arange(len(order))
    tokenizer = msgspec.json.decode(content)
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {piece: int(numbers[n]) for piece, n in vocabulary.items()}
    return msgspec.json.encode(tokenizer), int((counts > 0).sum())


def _lengths(texts: Sequence[str], spec: TextSpec, assets: Assets) -> np.ndarray:
    return np.concatenate(
        [np.count_nonzero(rows, axis=1) for rows in _encoded(texts, spec, assets)]
    )


def _encoded(texts: Sequence[str], spec: TextSpec, assets: Assets) -> Iterator[np.ndarray]:
    tokenizer = load(spec, assets)
    for start in range(0, len(texts), BATCH_TEXTS):
        yield encode(tokenizer, texts[start : start + BATCH_TEXTS], spec)


def _facts(lengths: np.ndarray, tokens: int, largest: TextSpec) -> tuple[str, ...]:
    low, middle, high = np.quantile(lengths, (0, 0.5, 1), method="nearest").tolist()
    more = " or more" if high > largest.tokens else ""
    return (
        f"texts of {low} to {high}{more} word pieces, {middle} in the middle",
        f"{largest.vocabulary:,} different pieces; the first {tokens} of a text are used",
    )


def _warnings(
    splits: Mapping[str, RawSplit], lengths: np.ndarray, tokens: int, most: int
) -> Iterator[str]:
    if cut := int((lengths > tokens).sum()) if tokens == most else 0:
        yield f"{cut:,} training texts are longer than {tokens} word pieces and are cut"
    for name, split in splits.items():
        if empty := sum(not text.strip() for text in _texts(split)):
            yield f"{empty:,} {name} texts are empty"
    train = splits["train"]
    labels: dict[str, set[str]] = {}
    for text, label in zip(_texts(train), train.labels, strict=True):
        labels.setdefault(text, set()).add(str(label))
    if doubtful := sum(len(given) > 1 for given in labels.values()):
        yield f"{doubtful:,} training texts occur with different labels"
