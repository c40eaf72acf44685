"""What is wrong with a recipe: the value that was seen, and what may stand there."""

import re
from collections.abc import Iterable, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Struct, structs

from diptych.core.text import nearest

PLACE = re.compile(r"at `\$\.?(.*?)`")
UNKNOWN_FIELD = re.compile("unknown field `(.+?)`")
LISTED = "known: "
COMPARE = "compare it with the recipe in a bundle's bundle.json, under provenance"


def seen(error: Exception, document: object) -> str:
    """Say which value an error is about.

    Args:
        error: Of reading a recipe.
        document: What was read.

    Returns:
        Such as `` (it is -1)``; empty where it names a table, or nothing.
    """
    value = _value(_place(error), document)
    return f" (it is {value!r})" if isinstance(value, str | int | float) else ""


def hint(error: Exception, kinds: Sequence[type]) -> str:
    """Say what may stand there instead.

    Args:
        error: Of reading a recipe.
        kinds: All that a recipe is made of.

    Returns:
        One line.
    """
    place = _place(error)
    if unknown := UNKNOWN_FIELD.search(str(error)):
        name = unknown.group(1)
        owners = [_tag(kind) for kind in kinds if name in {f.name for f in structs.fields(kind)}]
        if owners:
            return f"{name} is a setting of {', '.join(dict.fromkeys(owners))}"
        return _nearest(name, place, kinds)
    if place[-2:] == ["network", "name"]:
        tags = dict.fromkeys(map(_tag, kinds))
        return f"networks: {', '.join(tag for tag in tags if tag != 'recipes')}"
    options = {text for kind in kinds for text in _options(kind, place[-1] if place else "")}
    return f"choose one of: {', '.join(sorted(options))}" if options else COMPARE


def _place(error: Exception) -> list[str]:
    found = PLACE.search(str(error))
    return re.findall(r"[^.\[\]]+", found.group(1)) if found else []


def _value(place: Iterable[str], document: Any) -> object:  # noqa: ANN401  any TOML
    for part in place:
        try:
            document = document[int(part) if isinstance(document, list) else part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return document


def _nearest(name: str, place: Sequence[str], kinds: Sequence[type]) -> str:
    """Find a setting like one that is unknown; where none is, list those of its table."""
    found = nearest(name, _settings(kinds))
    if not found.startswith(LISTED):
        return found
    field = next((part for part in reversed(place) if not part.isdigit()), "")
    hints = [get_type_hints(kind, include_extras=True).get(field) for kind in kinds]
    tables = [table for each in hints for table in _tables(each)] if field else kinds[:1]
    return LISTED + ", ".join(sorted(_settings(tables)))


def _settings(kinds: Iterable[type]) -> set[str]:
    return {field.name for kind in kinds for field in structs.fields(kind)}


def _tables(hint: object) -> list[type]:
    """List the tables that a field may be."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        return [hint]
    return [table for each in get_args(hint) for table in _tables(each)]


def _tag(kind: type) -> str:
    config = kind.__struct_config__  # type: ignore[attr-defined]  # msgspec's own
    return str(config.tag) if config.tag_field == "name" else "recipes"


def _options(kind: type, field: str) -> list[str]:
    """List the words that a field may be."""
    return _words(get_type_hints(kind, include_extras=True).get(field))


def _words(hint: object) -> list[str]:
    origin = get_origin(hint)
    if origin is Literal:
        return [str(word) for word in get_args(hint)]
    if origin in {Union, UnionType, Annotated}:
        return [word for each in get_args(hint) for word in _words(each)]
    return []
