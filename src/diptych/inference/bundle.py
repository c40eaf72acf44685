"""A bundle that is ready to predict: verified, opened on an installed runtime, and re-checked here.

Shapes: N batch, K outputs.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

import numpy as np
from msgspec import structs

from diptych.core.errors import BundleError, ConfigError, DataError
from diptych.core.files import safe_join
from diptych.core.manifest import Manifest
from diptych.core.specs import OwnSpec
from diptych.core.text import nearest
from diptych.core.values import Candidate, Program
from diptych.inference import golden as goldens
from diptych.inference import store
from diptych.inference.inputs import Named, content_of, files_in, name_of
from diptych.inference.programs import choose
from diptych.inference.runtimes import Session, open_session
from diptych.inference.stream import Stream
from diptych.measure.machine import usable_cores
from diptych.tasks import FILE_SUFFIXES, Item, Preparer, preparer
from diptych.tasks.goals import GOALS
from diptych.tasks.own import OwnPreparer, Task
from diptych.tasks.prediction import Prediction

GoldenMode = Literal["check", "warn", "skip"]
Unreadable = Callable[[str, DataError], None]
Items = Sequence[Item]
CHUNK = 32

logger = logging.getLogger(__name__)


class Bundle:
    """A trained model with all that it needs to predict; :func:`load` makes one.

    Args:
        path: The bundle's folder.
        manifest: What is in it, already checked.
        program: The program that was opened, with the threads it was given.
        session: The open program.
        prepare: Turns one input into what the program takes.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        program: Program,
        session: Session,
        prepare: Preparer,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.program = program
        self._session = session
        self._prepare = prepare
        self._tensor = manifest.input.tensor()
        self._answer = GOALS[manifest.goal].answer

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, or of the one value told; `labels[k]` belongs to output k."""
        return self.manifest.labels

    @overload
    def predict(self, x: bytes | str | Mapping[str, object]) -> Prediction: ...

    @overload
    def predict(self, x: list[Any] | tuple[Any, ...]) -> list[Prediction]: ...

    @overload
    def predict(self, x: Item) -> Prediction | list[Prediction]: ...

    def predict(self, x: Item | Items) -> Prediction | list[Prediction]:
        """Predict one input, or many.

        Args:
            x: What the bundle takes: a picture's or a recording's path, its encoded bytes or an
                array; a text; a row as a mapping from columns to values. Or a list of these, a
                folder of files, or an array of prepared inputs (N, ...).

        Returns:
            One prediction for one input, otherwise a list in the same order.

        Raises:
            DataError: If an input cannot be used.
        """
        many = self._many(x)
        if many is not None:
            return list(self.predict_each(many))
        return self._answer([name_of(x)], self.run(self._prepare(x)[None]), self.labels)[0]

    def _many(self, x: Item | Items) -> Iterable[Item] | None:
        """Return the inputs where x holds more than one."""
        if isinstance(x, list | tuple):
            return x
        if isinstance(x, np.ndarray):
            return x if x.ndim == len(self._tensor.shape) and self._is_batch(x) else None
        suffixes = FILE_SUFFIXES.get(type(self.manifest.input))
        if suffixes and isinstance(x, str | Path) and os.path.isdir(x):  # noqa: PTH112  no path too
            return files_in(Path(x), suffixes)
        return None

    def _is_batch(self, x: np.ndarray) -> bool:
        return x.ndim == 4 or x.shape[1:] == self._tensor.shape[1:]

    def predict_each(
        self, items: Iterable[Item | Named], unreadable: Unreadable | None = None
    ) -> Iterator[Prediction]:
        """Predict inputs one after another, holding only a few of them in memory.

        Args:
            items: As :func:`predict` takes one of; a `Named` one is called so in its answer.
            unreadable: Told the name and the error of each input that cannot be read, which is
                then left out; without it the error is raised.

        Yields:
            The predictions, in order.

        Raises:
            DataError: If an input cannot be read and `unreadable` is not given.
        """
        numbered = enumerate(items)
        while chunk := list(islice(numbered, CHUNK)):
            names, inputs = [], []
            for index, item in chunk:
                name = name_of(item, index)
                try:
                    inputs.append(self._prepare(content_of(item)))
                    names.append(name)
                except DataError as error:
                    if unreadable is None:
                        raise
                    unreadable(name, error)
            if names:
                yield from self._answer(names, self.run(np.stack(inputs)), self.labels)

    def run(self, array: np.ndarray) -> np.ndarray:
        """Run the program on prepared inputs.

        Args:
            array: (N, ...) as the manifest's input says, N at least 1.

        Returns:
            Outputs, float32 (N, K).

        Raises:
            BundleError: If the program fails.
            DataError: If the array has another type or shape.
        """
        sides = self._tensor.shape[1:]
        if array.dtype != self._tensor.dtype or array.shape[1:] != sides or len(array) == 0:
            raise DataError(
                f"the program takes {self._tensor.dtype} (N, {', '.join(map(str, sides))}), "
                f"not {array.dtype} {array.shape}",
                "predict() prepares inputs; run() takes prepared ones",
            )
        outputs = self._session.run(array)
        if outputs.shape != (len(array), len(self.labels)):
            raise BundleError(f"program {self.program.name!r} gives outputs {outputs.shape}")
        return outputs

    @property
    def task(self) -> Task | None:
        """The user's own task that this bundle is of; ConfigError where it cannot be found."""
        return self._prepare.task if isinstance(self._prepare, OwnPreparer) else None

    def stream(
        self, *, hop_s: float = 0.1, rate: int | None = None, threshold: float = 0.8
    ) -> Stream:
        """Listen to sound as it comes.

        Args:
            hop_s: Seconds from one decision to the next.
            rate: Samples per second of what will be fed; by default the bundle's own.
            threshold: The least score of what counts as detected.

        Returns:
            A stream; ConfigError where the bundle does not take sound.
        """
        spec, answer = self.manifest.input, self._answer

        def hear(window: np.ndarray) -> Prediction:
            return answer(["sound"], self.run(window[None]), self.labels)[0]

        return Stream(spec, hear, hop_s=hop_s, rate=rate, threshold=threshold)

    def golden(self) -> goldens.Golden:
        """Read the golden examples.

        Returns:
            Real inputs, with the outputs each program gave where the bundle was made.
        """
        return goldens.read(self.path, self.manifest)

    def assets(self) -> dict[str, bytes]:
        """Read the files that preparation needs beside the input's spec.

        Returns:
            Their content by name.
        """
        return store.read_assets(self.path, self.manifest)

    def leaderboard(self) -> list[Candidate]:
        """List the candidates: the chosen one first, then by latency, then what is unverified."""
        rows = self.manifest.candidates
        return sorted(rows, key=lambda row: (not row.chosen, row.unverified, row.p99_ms.value))

    def report(self, path: Path | str | None = None) -> Path:
        """Write the page that shows training and inference side by side.

        Args:
            path: The HTML file; by default ``report.html`` in the bundle.

        Returns:
            The file that was written.
        """
        # Reporting is a layer above: it is reached by name when it is asked for, never imported.
        page = import_module("diptych.reporting.page")
        out = self.path / "report.html" if path is None else Path(path)
        written: Path = page.write_report(self.path, out)
        return written

    def close(self) -> None:
        """Free the program; the bundle cannot predict afterwards."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def load(
    path: Path | str,
    *,
    runtime: str | None = None,
    golden: GoldenMode = "check",
    threads: int | None = None,
    task: Task | None = None,
) -> Bundle:
    """Open a bundle: check its files, open a program, re-run its golden examples.

    Args:
        path: The bundle's folder.
        runtime: The runtime to use; by default that of the first program that can run here.
        golden: What to do where this machine computes something else: ``check`` refuses,
            ``warn`` logs a warning, ``skip`` does not look.
        threads: Threads of one call; by default what the bundle was measured with.
        task: The user's own task that the bundle is of; by default it is found among the entry
            points of installed packages.

    Returns:
        The bundle.

    Raises:
        BundleError: If it is damaged, hostile, of another version, or disagrees with this machine.
        ConfigError: If an argument has an impossible value.
    """
    if golden not in ("check", "warn", "skip"):
        raise ConfigError(f"golden is {golden!r}", nearest(str(golden), ("check", "warn", "skip")))
    manifest, folder = store.read(Path(path))
    program = choose(manifest, runtime)
    examples = goldens.read(folder, manifest)
    paths = [safe_join(folder, file.path) for file in program.files]
    workers = min(program.threads, usable_cores()) if threads is None else threads
    with ExitStack() as opening:
        session = opening.enter_context(closing(open_session(program.runtime, paths, workers)))
        try:
            if golden != "skip":
                goldens.check(session, program, examples)
        except BundleError as error:
            if golden == "check":
                raise
            logger.warning("%s", error.message)
        if isinstance(manifest.input, OwnSpec):
            prepare: Preparer = OwnPreparer(manifest.input, task)
        else:
            prepare = preparer(manifest.input, store.read_assets(folder, manifest))
        opening.pop_all()
    opened = structs.replace(program, threads=workers)
    return Bundle(folder, manifest, opened, session, prepare)
