"""The door to optional libraries: import one, or say which extra brings it."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from diptych.core.errors import MissingExtraError


def require(module: str, extra: str) -> ModuleType:
    """Import an optional library.

    Args:
        module: Absolute module name, such as ``"torch"``.
        extra: The extra of this package that installs it, such as ``"train"``.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: If the library is not installed.
        ModuleNotFoundError: If it is, and lacks a library of its own.
    """
    library = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != library:
            raise
        raise MissingExtraError(
            f"this needs {library!r}, which is not installed", f"pip install 'diptych[{extra}]'"
        ) from error


def installed(*modules: str) -> bool:
    """Say whether optional libraries are installed, without importing them.

    Args:
        modules: Top-level module names.

    Returns:
        True if all of them are.
    """
    return all(find_spec(module) is not None for module in modules)
