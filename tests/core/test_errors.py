import inspect

import pytest

from diptych.core import errors
from diptych.core.errors import BudgetError, DiptychError, MissingExtraError, StorageError

FAMILY = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__
]
BUILTINS = (ValueError, OSError, ImportError, RuntimeError)


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_keeps_its_message_and_hint_and_is_a_mistake_of_use(
    kind: type[DiptychError],
) -> None:
    error = kind("the width is -3", "give a width above 0")
    assert (error.message, error.hint) == ("the width is -3", "give a width above 0")
    assert str(error) == "the width is -3"
    assert error.exit_code == 2
    assert kind("no hint").hint == ""


@pytest.mark.parametrize("kind", [kind for kind in FAMILY if kind is not DiptychError])
def test_every_child_is_caught_as_the_root_and_as_one_builtin(kind: type[DiptychError]) -> None:
    assert issubclass(kind, DiptychError)
    assert sum(issubclass(kind, builtin) for builtin in BUILTINS) == 1


def test_code_that_knows_nothing_of_the_family_can_catch_its_errors() -> None:
    with pytest.raises(ValueError, match="twice"):
        raise BudgetError("'p99' is there twice")
    with pytest.raises(OSError, match="disk"):
        raise StorageError("the disk is full")
    with pytest.raises(ImportError, match="torch"):
        raise MissingExtraError("this needs 'torch'")
