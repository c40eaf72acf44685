"""Tokenizers that were made elsewhere, with an encoder: which may be opened, and how pieces read.

Their form allows patterns and replacements that make a short text slow or long; only parts that
cannot are let through, which is all that encoders such as BERT, RoBERTa and XLM-R have.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from diptych.tasks.tokenizer_growth import CHARACTERS, INSIDE, growth, steps

WORD_START = "▁"
PARTS = {
    "normalizer": frozenset(
        {
            "BertNormalizer",
            "Lowercase",
            "NFC",
            "NFD",
            "NFKC",
            "NFKD",
            "Nmt",
            "Precompiled",
            "Prepend",
            "Replace",
            "Sequence",
            "Strip",
            "StripAccents",
        }
    ),
    "pre_tokenizer": frozenset(
        {
            "BertPreTokenizer",
            "ByteLevel",
            "Digits",
            "Metaspace",
            "Punctuation",
            "Sequence",
            "Whitespace",
            "WhitespaceSplit",
        }
    ),
    "post_processor": frozenset(
        {
            "BertProcessing",
            "ByteLevel",
            "RobertaProcessing",
            "Sequence",
            "TemplateProcessing",
        }
    ),
}
PATTERNS = frozenset({" {2,}"})
MOST_CHARACTERS, MOST_PARTS = 64, 32
MOST_LETTERS, MOST_LETTERS_LISTED = 1024, 256
"""Of a piece; of those in a list, which Unigram has, each is looked for at each place of a text."""
MOST_LETTERS_OF_A_WORD = 200
"""WordPiece looks up each part of a word; BERT has 100."""
MOST_GROWTH = 2 * 18 * 18
"""Of a text's length: ALBERT takes signs apart, maps characters, and puts marks before words."""
VISIBLE = (*range(33, 127), *range(161, 173), *range(174, 256))

Piece = Annotated[str, Meta(max_length=MOST_LETTERS)]
Listed = Annotated[str, Meta(max_length=MOST_LETTERS_LISTED)]
Mark = Annotated[str, Meta(max_length=MOST_CHARACTERS)]


class _Added(msgspec.Struct):
    id: Annotated[int, Meta(ge=0)]
    content: Piece
    special: bool = False


class _Model(msgspec.Struct):
    type: Literal["WordPiece", "WordLevel", "BPE", "Unigram"]
    vocab: dict[Piece, Annotated[int, Meta(ge=0)]] | list[tuple[Listed, float]]
    unk_token: str | None = None
    unk_id: int | None = None
    continuing_subword_prefix: Mark | None = None
    end_of_word_suffix: Mark | None = None
    max_input_chars_per_word: Annotated[int, Meta(ge=1, le=MOST_LETTERS_OF_A_WORD)] = 100
    dropout: Annotated[float, Meta(ge=0.0, le=0.0)] | None = None

    def numbers(self) -> dict[str, int]:
        """Give the number of each piece."""
        if isinstance(self.vocab, dict):
            return self.vocab
        return {piece: number for number, (piece, _) in enumerate(self.vocab)}


class _File(msgspec.Struct):
    model: _Model
    added_tokens: list[_Added] = []
    normalizer: Any = None
    pre_tokenizer: Any = None
    post_processor: Any = None


def check(content: bytes, vocabulary: int) -> None:
    """Check that a tokenizer's file holds nothing that could be slow, and no other tokens.

    Args:
        content: The file.
        vocabulary: All its numbers are below this.

    Raises:
        ValueError: If it does, in words; or it is damaged.
    """
    file = _read(content)
    try:
        for part, kinds in PARTS.items():
            _check_part(getattr(file, part), kinds)
        _check_steps(file)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    added = {each.content: each.id for each in file.added_tokens}
    highest = max((file.model.numbers() | added).values(), default=0)
    if highest >= vocabulary:
        raise ValueError(f"has a token {highest:,}, and the last one should be {vocabulary - 1:,}")


def unknown_token(content: bytes) -> int | None:
    """Find the token of what is not known.

    Args:
        content: The file, as checked.

    Returns:
        Its number; None where there is none.
    """
    file = _read(content)
    if file.model.type == "Unigram":
        return file.model.unk_id
    return file.model.numbers().get(file.model.unk_token or "")


def words_of(content: bytes) -> dict[int, str]:
    """Give how the pieces are spelled.

    Args:
        content: The file, as checked.

    Returns:
        By number, with ``▁`` in front of those that begin a word; nothing for signs such as those
        that begin and end a text.
    """
    file = _read(content)
    model = file.model
    is_of_bytes = '"ByteLevel"' in msgspec.json.encode(file.pre_tokenizer).decode()
    places = (n for n in range(256) if n not in VISIBLE)
    letters = {chr(n): n for n in VISIBLE} | {chr(256 + n): b for n, b in enumerate(places)}
    prefix = model.continuing_subword_prefix or "##"

    def spelled(piece: str) -> str:
        if is_of_bytes:
            codes = bytes(letters[letter] for letter in piece if letter in letters)
            text = codes.decode(errors="replace")
            return WORD_START + text[1:] if text.startswith(" ") else text
        if model.type in {"BPE", "Unigram"}:
            return piece
        return piece.removeprefix(prefix) if piece.startswith(prefix) else WORD_START + piece

    words = {number: spelled(piece) for piece, number in model.numbers().items()}
    unknown = unknown_token(content)
    for each in file.added_tokens:
        is_sign = each.special and each.id != unknown
        words[each.id] = "" if is_sign else WORD_START + each.content
    return words


def _read(content: bytes) -> _File:
    """Read a file; msgspec's errors are ValueErrors."""
    try:
        return msgspec.json.decode(content, type=_File)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def _check_part(node: object, kinds: frozenset[str]) -> None:
    """Check a part of a file, and the parts inside of it."""
    if isinstance(node, str) and len(node) > MOST_CHARACTERS:
        raise ValueError(f"holds {node[:MOST_CHARACTERS]!r}..., which is too long")
    if not isinstance(node, dict | list):
        return
    if len(node) > MOST_PARTS:
        raise ValueError(f"has {len(node):,} parts in one place, more than {MOST_PARTS}")
    if isinstance(node, dict):
        _check_kind(node, kinds)
    inside = node.items() if isinstance(node, dict) else enumerate(node)
    for name, each in inside:
        if name != CHARACTERS:
            _check_part(each, kinds)


def _check_steps(file: _File) -> None:
    """Check that the steps are few, and that all together they do not make a text much longer."""
    taken = {part: steps(getattr(file, part), inside) for part, inside in INSIDE.items()}
    for part, each in taken.items():
        if len(each) > MOST_PARTS:
            raise ValueError(f"has {len(each):,} steps in its {part}, more than {MOST_PARTS}")
    longer = growth([*taken["normalizer"], *taken["pre_tokenizer"]])
    if longer > MOST_GROWTH:
        raise ValueError(f"can make a text {longer:,} times as long, more than {MOST_GROWTH}")


def _check_kind(node: dict[str, Any], kinds: frozenset[str]) -> None:
    kind = node.get("type")
    if kind is not None and str(kind) not in kinds:
        raise ValueError(f"has a part of kind {str(kind)!r}, which is not supported")
    pattern = node.get("pattern")
    if not isinstance(pattern, dict):
        return
    searched, content = pattern.get("String", ""), str(node.get("content", ""))
    if "Regex" in pattern and pattern["Regex"] not in PATTERNS:
        raise ValueError(f"has a pattern of its own, {pattern['Regex']!r}, which is not run")
    if pattern.get("String") == "":
        raise ValueError(f"puts {content!r} between all characters, for its pattern is empty")
    if len(content) > max(1, len(str(searched))):
        raise ValueError(f"replaces {searched!r} by something longer")
