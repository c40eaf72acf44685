"""Examples for the page: golden inputs shown as what they are, with what the model says of them.

Shapes: N examples, K outputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from diptych.core.manifest import Manifest
from diptych.core.specs import AudioSpec, ImageSpec, InputSpec, TableSpec, TextSpec
from diptych.core.values import Assets
from diptych.reporting import answers, cells, passages, pictures, sounds
from diptych.reporting.answers import Answer
from diptych.tasks.goals import GOALS
from diptych.tasks.text import TOKENIZER, speller

MOST = {"image": 18, "audio": 9, "text": 8, "table": 6}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture as a ``data:`` address."""

    address: str


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A sound as two ``data:`` addresses: its spectrogram, and itself to be heard."""

    spectrogram: str
    clip: str


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A text in pieces."""

    pieces: tuple[passages.Piece, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row's first cells, and how many more there are."""

    cells: tuple[cells.Cell, ...]
    more: int


Shown = Picture | Sound | Passage | Row


@dataclass(frozen=True, kw_only=True)
class Example:
    """An input as people know it, and what the model says of it."""

    shown: Shown
    answer: Answer


def pick(
    manifest: Manifest,
    inputs: np.ndarray,
    outputs: np.ndarray,
    assets: Assets,
    run: passages.Run | None = None,
) -> tuple[Example, ...]:
    """Choose inputs that show as many different answers as possible.

    Args:
        manifest: The bundle.
        inputs: (N, ...) as the manifest's input says.
        outputs: float32 (N, K) of one program.
        assets: The files that preparation needs; without a tokenizer no texts are shown.
        run: The program; without it no words are marked.

    Returns:
        At most as many as `MOST` says: the first of every predicted class, then the second, and so
        on; numbers from the lowest to the highest. None where a kind of input cannot be shown.
    """
    show = shower(manifest, assets, run)
    if show is None or not len(inputs):
        return ()
    chosen = _chosen(outputs, manifest)
    told = GOALS[manifest.goal].answer([""] * len(chosen), outputs[chosen], manifest.labels)
    return tuple(
        Example(shown=show(inputs[index]), answer=answers.write(prediction))
        for index, prediction in zip(chosen, told, strict=True)
    )


def shower(
    manifest: Manifest, assets: Assets, run: passages.Run | None = None
) -> Callable[[np.ndarray], Shown] | None:
    """Give what turns an input into what people know it as.

    Args:
        manifest: The bundle.
        assets: The files that preparation needs; without a tokenizer no texts are shown.
        run: The program; without it no words are marked.

    Returns:
        A function of one prepared input; None where a kind of input cannot be shown.
    """
    match manifest.input:
        case ImageSpec():
            return lambda pixels: Picture(address=pictures.data_address(pixels))
        case AudioSpec(sample_rate=rate):
            return lambda samples: _sound(sounds.loudest(samples, rate), rate)
        case TextSpec() as spec if TOKENIZER in assets:
            spell = speller(spec, assets)
            return lambda tokens: _passage(tokens, spell(tokens), manifest, run)
        case TableSpec() as spec:
            return lambda row: _row(row, spec)
        case _:
            return None


def _sound(samples: np.ndarray, sample_rate: int) -> Sound:
    return Sound(
        spectrogram=sounds.picture(samples, sample_rate), clip=sounds.player(samples, sample_rate)
    )


def _passage(
    tokens: np.ndarray, pieces: Sequence[str], manifest: Manifest, run: passages.Run | None
) -> Passage:
    changes = passages.changes(run, tokens, manifest.goal) if run and pieces else None
    return Passage(pieces=passages.marked(pieces, changes, manifest.goal))


def _row(row: np.ndarray, spec: TableSpec) -> Row:
    shown = cells.cells(row, spec)
    return Row(cells=shown, more=len(spec.columns) - len(shown))


def _chosen(outputs: np.ndarray, manifest: Manifest) -> list[int]:
    most = MOST[kind_of(manifest.input)]
    if manifest.goal == "regression":
        order = np.argsort(outputs[:, 0], kind="stable")
        places = np.linspace(0, len(order) - 1, min(most, len(order)))
        return [int(index) for index in order[np.rint(places).astype(int)]]
    if manifest.goal == "multi-label":
        _, groups = np.unique(outputs >= 0, axis=0, return_inverse=True)
        return _in_turns(groups.reshape(-1))[:most]
    return _in_turns(outputs.argmax(axis=1))[:most]


def kind_of(spec: InputSpec) -> str:
    """Name the kind of an input.

    Args:
        spec: The bundle's input.

    Returns:
        Such as ``image``.
    """
    return str(spec.__struct_config__.tag)


def _in_turns(classes: np.ndarray) -> list[int]:
    seen: dict[int, int] = {}
    ranked = []
    for index, label in enumerate(classes.tolist()):
        seen[label] = seen.get(label, 0) + 1
        ranked.append((seen[label], label, index))
    return [index for _, _, index in sorted(ranked)]
