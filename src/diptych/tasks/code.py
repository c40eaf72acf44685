"""An object in a user's own code, named on the command line; a bundle never names one.

What is run is what the user has named: no recipe and no bundle leads here.
"""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from diptych.core.errors import ConfigError
from diptych.core.text import nearest

CODE = ".py"


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
    try:
        module = _from_file(Path(place)) if place.endswith(CODE) else import_module(place)
    except ConfigError:
        raise
    except ImportError as error:
        raise ConfigError(f"cannot import {place!r}: {error}", "check its name") from error
    except Exception as error:  # a user's code may raise anything
        raise ConfigError(f"{place} raises {told(error)}", "run it on its own first") from error
    if not hasattr(module, attribute):
        raise ConfigError(f"{place} has no {attribute!r}", nearest(attribute, _own(module)))
    found: object = getattr(module, attribute)
    return found


def told(error: Exception) -> str:
    """Name an error of a user's code.

    Args:
        error: The error.

    Returns:
        Its type and its text.
    """
    return f"{type(error).__name__}: {error}"


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
