"""An object in a user's own code, named on the command line; a bundle never names one.

What is run is what the user has named: no recipe and no bundle leads here.
"""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from diptych.core.errors import ConfigError, DiptychError
from diptych.core.text import nearest

CODE = ".py"
PACKAGE = Path(__file__).parents[1]


def is_code(name: str) -> bool:
    """Say whether a name is meant to be that of an object in code.

    Args:
        name: What was given.

    Returns:
        Whether it is ``file.py:OBJECT`` or ``package.module:OBJECT``.
    """
    place, colon, attribute = name.rpartition(":")
    dotted = all(part.isidentifier() for part in place.split("."))
    return bool(colon) and attribute.isidentifier() and (place.endswith(CODE) or dotted)


def find_object(name: str) -> object:
    """Find an object by the place that a user gave; the file or module is run.

    Args:
        name: ``package.module:OBJECT``, or ``path/to/file.py:OBJECT``.

    Returns:
        The object.

    Raises:
        ConfigError: If there is none, or the code cannot be run.
    """
    place, _, attribute = name.rpartition(":")
    with users_code(place, "run it on its own first"):
        try:
            module = _from_file(Path(place)) if place.endswith(CODE) else import_module(place)
        except ImportError as error:
            raise ConfigError(f"cannot import {place!r}: {error}", "check its name") from error
    if not hasattr(module, attribute):
        raise ConfigError(f"{place} has no {attribute!r}", nearest(attribute, _own(module)))
    found: object = getattr(module, attribute)
    return found


@contextmanager
def users_code(
    what: str, hint: str, item: str = "", but: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Tell what a user's code raises in one line, as an error of the user's.

    Args:
        what: The code.
        hint: What to do.
        item: What it was called for.
        but: What it may raise, which goes on to the caller.

    Yields:
        Nothing.

    Raises:
        ConfigError: If the code raises anything else.
        DiptychError: If it raises one.
    """
    try:
        yield
    except but:
        raise
    except DiptychError:
        raise
    except Exception as error:  # a user's code may raise anything
        told = f"{type(error).__name__}: {error}{_place(error)}"
        raise ConfigError(f"{what} raises {told}{item and f' for {item}'}", hint) from error


def _place(error: Exception) -> str:
    """Say which line of the user's file an error came out of."""
    frames = traceback.extract_tb(error.__traceback__)
    others = [frame for frame in frames if not Path(frame.filename).is_relative_to(PACKAGE)]
    own = [frame for frame in others if frame.filename == others[0].filename]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _own(module: ModuleType) -> list[str]:
    """List what a module holds, but for other modules and what each module has."""
    held = vars(module).items()
    return [n for n, o in held if not (n.startswith("__") or isinstance(o, ModuleType))]


def _from_file(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"there is no file {str(path)!r}", "check the path")
    module = module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module
