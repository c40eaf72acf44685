"""Text: from a string or a file to the token numbers that a graph takes.

Only the first `CHARACTERS_PER_TOKEN` characters for each token are looked at, so a text of any
length takes bounded time; tokens after the last place are left out. Characters that have no
meaning (control characters, halves of surrogate pairs) are dropped. The tokenizer knows pieces
that training texts hold only inside longer ones, after the others: a network cannot know them, so
they are the unknown token. A text without any token,
such as an empty one, is all padding, and gets the answer of a network that saw nothing.

A tokenizer that was made elsewhere has a spec that says so (`padding`). Texts then hold no signs
such as ``[SEP]``: these are read as letters.

Shapes: L tokens, N texts.
"""

import codecs
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from diptych.core.errors import BundleError, DataError
from diptych.core.extras import require
from diptych.core.specs import TextSpec
from diptych.core.text import size
from diptych.core.values import Assets
from diptych.tasks import foreign_tokenizer

TOKENIZER = "tokenizer.json"
PADDING, UNKNOWN = "[PAD]", "[UNK]"
UNKNOWN_TOKEN = 1
WORD_START = foreign_tokenizer.WORD_START
MAX_TOKENIZER_BYTES = 64 << 20
CHARACTERS_PER_TOKEN = 32
MOST_BYTES_PER_CHARACTER = 4
EXPECTED = "give a text, its content in UTF-8, the path of a text file, or an array of tokens"
REMEDY = "get the bundle again, or make it again with this version"


class _Normalizer(msgspec.Struct):
    type: Literal["NFKC", "BertNormalizer"]


class _Normalizers(msgspec.Struct):
    type: Literal["Sequence"]
    normalizers: list[_Normalizer]


class _PreTokenizer(msgspec.Struct):
    type: Literal["BertPreTokenizer", "Metaspace"]


class _PreTokenizers(msgspec.Struct):
    type: Literal["Sequence"]
    pretokenizers: list[_PreTokenizer]


class _Model(msgspec.Struct):
    type: Literal["BPE"]
    vocab: dict[str, int]
    unk_token: Literal["[UNK]"]
    continuing_subword_prefix: None = None
    end_of_word_suffix: None = None


class _File(msgspec.Struct):
    """What a tokenizer's file may hold: nothing that a hostile one could make slow."""

    normalizer: _Normalizers
    pre_tokenizer: _PreTokenizers
    model: _Model
    added_tokens: tuple[()]
    post_processor: None
    truncation: None
    padding: None


def preparer(
    spec: TextSpec, assets: Assets
) -> Callable[[bytes | str | Path | np.ndarray], np.ndarray]:
    """Make what turns texts into the tokens that a graph takes.

    Args:
        spec: How many tokens, and of which vocabulary.
        assets: Holds the tokenizer.

    Returns:
        A function from a text, its content in UTF-8, the path of a text file or an array (L,) of
        tokens to int32 (L,). It raises DataError for what is none of these.
    """
    tokenizer = load(spec, assets)

    def prepare(value: bytes | str | Path | np.ndarray) -> np.ndarray:
        if isinstance(value, np.ndarray):
            return _checked(value, spec)
        return _row(tokenizer.encode(_cleaned(_read(value, spec), spec)).ids, spec)

    return prepare


def load(spec: TextSpec, assets: Assets) -> Any:  # noqa: ANN401  an untyped library's object
    """Load the tokenizer that goes with a spec.

    Args:
        spec: How many tokens, and of which vocabulary.
        assets: Holds the tokenizer.

    Returns:
        A ``tokenizers.Tokenizer`` that leaves out what is after the last token.

    Raises:
        BundleError: If it is absent, damaged, too large, or of another vocabulary.
    """
    content = _content(assets)
    _check(content, spec)
    library = require("tokenizers", "text")
    try:
        tokenizer = library.Tokenizer.from_buffer(content)
    except ValueError as error:
        raise BundleError(f"{TOKENIZER} is damaged: {error}", REMEDY) from error
    tokenizer.enable_truncation(spec.tokens)
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = spec.padding is not None
    return tokenizer


def encode(tokenizer: Any, texts: Sequence[str], spec: TextSpec) -> np.ndarray:  # noqa: ANN401
    """Turn many texts into tokens; the same as one by one.

    Args:
        tokenizer: From :func:`load`.
        texts: N texts.
        spec: How many tokens.

    Returns:
        int32 (N, L).
    """
    encodings = tokenizer.encode_batch_fast([_cleaned(text, spec) for text in texts])
    rows = [_row(encoding.ids, spec) for encoding in encodings]
    return np.stack(rows) if rows else np.zeros((0, spec.tokens), dtype=np.int32)


def speller(spec: TextSpec, assets: Assets) -> Callable[[np.ndarray], tuple[str, ...]]:
    """Make what shows tokens to people.

    Args:
        spec: Whose tokenizer it is.
        assets: Holds the tokenizer.

    Returns:
        A function from int32 (L,) to one piece of text per token before the padding, with a space
        before each that begins a word; joined they are the text as the network sees it.

    Raises:
        BundleError: If the tokenizer is absent, damaged or too large.
    """
    words = _words(spec, assets)

    def spell(tokens: np.ndarray) -> tuple[str, ...]:
        pieces = [words.get(token, UNKNOWN) for token in tokens.tolist() if token]
        spelled = [piece.replace(WORD_START, " ") for piece in pieces]
        first = next((place for place, piece in enumerate(spelled) if piece), 0)
        return tuple(p.lstrip() if place == first else p for place, p in enumerate(spelled))

    return spell


def pieces(spec: TextSpec, assets: Assets) -> tuple[str, ...]:
    """List how the pieces are spelled that a network knows.

    Args:
        spec: The vocabulary.
        assets: Holds the tokenizer.

    Returns:
        One for each number of the vocabulary, with ``▁`` in front of those that begin a word;
        nothing for padding and the unknown token.

    Raises:
        BundleError: If the tokenizer is absent, damaged or too large.
    """
    words = _words(spec, assets)
    return tuple(words.get(n, "") if n > UNKNOWN_TOKEN else "" for n in range(spec.vocabulary))


def _words(spec: TextSpec, assets: Assets) -> dict[int, str]:
    """Return how pieces are spelled, by their numbers in the graph."""
    content = _content(assets)
    if spec.padding is None:
        return {number: word for word, number in _vocabulary(content).items()}
    _check(content, spec)
    numbers = spec.renumbered()
    words = foreign_tokenizer.words_of(content)
    return {numbers.get(number, number): word for number, word in words.items()}


def _row(tokens: Sequence[int], spec: TextSpec) -> np.ndarray:
    """Return int32 (L,): pieces after the vocabulary's end are unknown, then comes padding."""
    row = np.zeros(spec.tokens, dtype=np.int32)
    row[: len(tokens)] = tokens
    if numbers := spec.renumbered():
        row[: len(tokens)] = [numbers.get(token, token) for token in tokens]
    row[row >= spec.vocabulary] = UNKNOWN_TOKEN
    return row


def _content(assets: Assets) -> bytes:
    content = assets.get(TOKENIZER)
    if content is None:
        raise BundleError(f"{TOKENIZER} is absent", REMEDY)
    if len(content) > MAX_TOKENIZER_BYTES:
        limit = size(MAX_TOKENIZER_BYTES)
        raise BundleError(f"{TOKENIZER} is {size(len(content))}", f"the limit is {limit}")
    return content


def _check(content: bytes, spec: TextSpec) -> None:
    """Check that a tokenizer may be opened, and has the tokens that it should have."""
    if spec.padding is None:
        if _size_of_vocabulary(content) < spec.vocabulary:
            message = f"{TOKENIZER} has not the {spec.vocabulary:,} tokens it should"
            raise BundleError(message, REMEDY)
        return
    try:
        foreign_tokenizer.check(content, spec.vocabulary)
    except ValueError as error:
        raise BundleError(f"{TOKENIZER} cannot be used: it {error}", REMEDY) from error


def _size_of_vocabulary(content: bytes) -> int:
    vocabulary = _vocabulary(content)
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise BundleError(f"the tokens of {TOKENIZER} are not numbered from 0", REMEDY)
    if (vocabulary.get(PADDING), vocabulary.get(UNKNOWN)) != (0, UNKNOWN_TOKEN):
        raise BundleError(f"{TOKENIZER} does not begin with {PADDING} and {UNKNOWN}", REMEDY)
    return len(vocabulary)


def _vocabulary(content: bytes) -> dict[str, int]:
    try:
        return msgspec.json.decode(content, type=_File).model.vocab
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{TOKENIZER} is damaged: {error}", REMEDY) from error


def _read(value: object, spec: TextSpec) -> str:
    if isinstance(value, str):
        return value
    most = CHARACTERS_PER_TOKEN * MOST_BYTES_PER_CHARACTER * spec.tokens
    if isinstance(value, bytes):
        return _decoded(value[: most + 1], most, "the text")
    if not isinstance(value, Path):
        raise DataError(f"{type(value).__name__} is not a text", EXPECTED)
    try:
        with value.open("rb") as file:
            return _decoded(file.read(most + 1), most, str(value))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(
            f"{value} cannot be read: {reason}", "check the path and its rights"
        ) from error


def _decoded(data: bytes, most: int, name: str) -> str:
    """Decode so many bytes of a text; where there are more, the last character may be cut."""
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(data[:most], len(data) <= most)
    except UnicodeDecodeError as error:
        seen = f"0x{data[error.start]:02x}"
        raise DataError(
            f"{name} is not UTF-8 (byte {seen} at {error.start})", "save it as UTF-8"
        ) from error


def _cleaned(text: str, spec: TextSpec) -> str:
    """Cut a text, and replace halves of surrogate pairs, which UTF-8 cannot hold."""
    text = text[: CHARACTERS_PER_TOKEN * spec.tokens]
    return (
        text
        if text.isascii()
        else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def _checked(array: np.ndarray, spec: TextSpec) -> np.ndarray:
    if array.shape != (spec.tokens,) or array.dtype.kind not in "iu":
        raise DataError(f"an array of {array.dtype} {array.shape} is not a text", EXPECTED)
    if array.size and not 0 <= array.min() <= array.max() < spec.vocabulary:
        seen = f"{array.min()} to {array.max()}"
        raise DataError(f"the array holds {seen}, outside 0 to {spec.vocabulary - 1}", EXPECTED)
    return array.astype(np.int32, copy=False)
